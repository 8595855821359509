import json
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


@pytest.mark.parametrize(
    ("make", "kind"),
    [(pipe, "pipe"), (device, "device"), (listening, "socket"), (os.mkdir, "folder")],
)
def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path, make, kind):
    make(tmp_path / "odd")
    with pytest.raises(OSError, match=kind) as caught:
        open_regular(tmp_path / "odd")
    assert caught.value.filename == str(tmp_path / "odd")


def test_an_empty_file_is_refused_before_it_is_opened(tmp_path):
    # Many a file of the kernel says that it is empty, and waits when it is read.
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(OSError, match=r"\b0 bytes") as caught:
        open_regular(tmp_path / "empty")
    assert caught.value.filename == str(tmp_path / "empty")


def test_a_file_is_read_up_to_a_bound(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert read_bytes(tmp_path / "file", 3) == b"abc"
    with pytest.raises(OSError, match=r"\b2 bytes"):
        read_bytes(tmp_path / "file", 2)


@pytest.mark.parametrize(
    ("text", "kind", "cause"),
    [
        ("[" * 100_000, ValueError, RecursionError),
        ('{"a":' * 100_000, ValueError, RecursionError),
        ("1" * 5000, ValueError, type(None)),
        ("{", json.JSONDecodeError, type(None)),
        (b"\xff", UnicodeDecodeError, type(None)),
    ],
)
def test_documents_that_break_parsers_are_refused(tmp_path, text, kind, cause):
    (tmp_path / "file").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=r"\w") as caught:
        read_json(tmp_path / "file", 1 << 20)
    assert (type(caught.value), type(caught.value.__cause__)) == (kind, cause)


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
