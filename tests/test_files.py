"""Files: written whole, and read with bounds."""

import errno
import os
import socket
from pathlib import Path

import pytest
from refusals import refused

from gancli.files import (
    as_json,
    is_partial,
    may_expand,
    open_regular,
    read_bytes,
    read_json,
    read_text,
    replacing,
    sha256,
    write_json,
    write_text,
)


def test_names_that_are_no_utf_8_are_written_as_escapes():
    assert as_json(["a\udcff", "é"]) == '[\n  "a\\\\udcff",\n  "é"\n]\n'


def test_what_is_written_is_read(tmp_path):
    value = {"name": "Zürich ✓", "numbers": [1, 2.5, None, True]}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    assert (tmp_path / "a.json").read_text() == as_json(value)
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_the_sum_is_that_of_the_standard(tmp_path):
    """FIPS 180-4's example: the message `abc`."""
    (tmp_path / "abc").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256(tmp_path / "abc") == expected


def test_a_file_and_then_its_name_are_made_durable(tmp_path, monkeypatch):
    order = []
    replace, fsync = Path.replace, os.fsync

    def note_replace(path, target):
        order.append("replace")
        return replace(path, target)

    def note_fsync(descriptor):
        order.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
        fsync(descriptor)

    monkeypatch.setattr(Path, "replace", note_replace)
    monkeypatch.setattr(os, "fsync", note_fsync)
    write_text(tmp_path / "a", "text")
    assert order == ["file", "replace", "folder"]


def test_a_failed_write_leaves_what_was_there_and_nothing_else(tmp_path):
    path = tmp_path / "kept.png"
    path.write_text("before")

    def fail():
        with replacing(path) as beside:
            beside.write_text("half")
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        fail()
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["kept.png"]


def test_a_name_may_be_as_long_as_the_system_allows(tmp_path):
    path = tmp_path / ("x" * 251 + ".txt")
    write_text(path, "whole")
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_two_writers_of_a_file_do_not_write_into_each_other(tmp_path):
    path = tmp_path / "a.png"
    with replacing(path) as first:
        first.write_text("first")
        with replacing(path) as second:
            second.write_text("second")
            assert sorted(map(is_partial, os.listdir(tmp_path))) == [True, True]
        assert path.read_text() == "second"
    assert path.read_text() == "first"
    assert [is_partial(name) for name in os.listdir(tmp_path)] == [False]


def test_a_place_that_refuses_keeps_the_old_text(tmp_path, monkeypatch):
    def fail(descriptor):
        raise OSError(28, "No space left on device")

    write_text(tmp_path / "a", "old")
    monkeypatch.setattr(os, "fsync", fail)
    with refused(f"'{tmp_path / 'a'}'", "No space left on device", remedy="--out"):
        write_text(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize(
    ("content", "reason"),  # Some of them in Python's words.
    [
        (b"", "0 bytes"),
        (b"{", "line 1 column 2"),
        (b"[NaN]", " NaN "),
        (b"[Infinity]", " Infinity "),
        (b"[-Infinity]", " -Infinity "),
        (b"[1e999]", " 1e999 "),
        (b"[" * 10**5, "nested"),
        (b"1" * 5000, "5000 digits"),
        (b'"\xff"', "byte 1 "),
        (b'"\\ud800"', r"'\ud800'"),
    ],
)
def test_what_is_no_json_is_refused(tmp_path, content, reason):
    (tmp_path / "a.json").write_bytes(content)
    with refused(f"'{tmp_path / 'a.json'}'", reason):
        read_json(tmp_path / "a.json")


def test_a_file_larger_than_was_said_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(b" " * 1001)
    with refused(f"'{tmp_path / 'a'}'", "1,000 bytes"):
        read_text(tmp_path / "a", most=1000)


def test_escapes_that_are_text_are_read(tmp_path):
    (tmp_path / "a.json").write_text('"\\u00fc \\ud83d\\ude00 \\\\ud800"')
    assert read_json(tmp_path / "a.json") == "ü \U0001f600 \\ud800"


def test_only_a_regular_file_is_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, reason in [
        ("pipe", "a pipe"), (".", "a folder"), ("none", os.strerror(errno.ENOENT)),
    ]:  # fmt: skip
        with refused(f"'{tmp_path / name}'", reason):
            read_text(tmp_path / name)


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


def test_expansion_is_bounded():
    # 256 MiB always; 200 times the file beyond.
    assert may_expand(1, 1 << 28)
    assert not may_expand(1, (1 << 28) + 1)
    assert may_expand(1 << 30, 200 << 30)
    assert not may_expand(1 << 30, (200 << 30) + 1)
