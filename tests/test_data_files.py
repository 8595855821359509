import os
import socket

import pytest

from gancli.data.files import excerpt, may_expand, open_regular, printable, read_bytes, read_json


def test_a_regular_file_is_opened_through_links(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")
    with open_regular(tmp_path / "link") as file:
        assert file.read() == b"abc"


def pipe(path):
    os.mkfifo(path)


def device(path):
    path.symlink_to("/dev/zero")


def listening(path):
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(path))


@pytest.mark.parametrize("make", [pipe, device, listening, os.mkdir])
def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path, make):
    make(tmp_path / "odd")
    with pytest.raises(OSError, match=r"not a regular file"):
        open_regular(tmp_path / "odd")


def test_an_empty_file_is_refused_before_it_is_opened(tmp_path):
    # Many a file of the kernel says that it is empty, and waits when it is read.
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(OSError, match=r"it is empty"):
        open_regular(tmp_path / "empty")


def test_a_file_is_read_up_to_a_bound(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert read_bytes(tmp_path / "file", 3) == b"abc"
    with pytest.raises(OSError, match=r"larger than 2 bytes"):
        read_bytes(tmp_path / "file", 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("1" * 5000, "digits"),
        ("{", "Expecting"),
        (b"\xff", "utf-8"),
    ],
)
def test_documents_that_break_parsers_are_refused(tmp_path, text, words):
    (tmp_path / "file").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=words):
        read_json(tmp_path / "file", 1 << 20)


def test_expansion_is_bounded_in_bytes_and_in_examples():
    # 256 MiB always; 200 times the file beyond; an example counts at least 64 bytes.
    assert may_expand(1, 1, 1 << 28)
    assert not may_expand(1, 1, (1 << 28) + 1)
    assert may_expand(1 << 30, 200, 1 << 30)
    assert not may_expand(1 << 30, 201, 1 << 30)
    assert may_expand(1, 1 << 22, 1)
    assert not may_expand(1, (1 << 22) + 1, 1)


def test_what_is_shown_is_one_printable_line():
    assert printable("a b\n\x1b[31m\udcff é") == "a b\\n\\x1b[31m\\udcff é"
    assert excerpt(ValueError("first\nsecond")) == "first"
    assert excerpt(ValueError("x" * 500)) == "x" * 200
    assert excerpt(KeyError()) == "KeyError"
    assert excerpt(OSError(2, "No such file", "/some/path")) == "No such file"
