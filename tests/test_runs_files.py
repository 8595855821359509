"""Small files of a run: written whole, and read with bounds."""

import errno
import os
from pathlib import Path

import pytest
from refusals import refused

from gancli.runs.files import (
    as_json,
    is_partial,
    read_json,
    read_text,
    replacing,
    sha256,
    shown,
    write_json,
    write_text,
)


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
        (b"", "Expecting value: line 1 column 1"),
        (b"{", "line 1 column 2"),
        (b"[NaN]", " NaN "),
        (b"[Infinity]", " Infinity "),
        (b"[-Infinity]", " -Infinity "),
        (b"[1e999]", " 1e999 "),
        (b"[" * 10**5, "recursion"),
        (b"1" * 5000, "5000 digits"),
        (b'"\xff"', "byte 1 "),
        (b'"\\ud800"', r"'\ud800'"),
        (b" " * 1001 + b"1", "1,000 bytes"),
    ],
)
def test_what_is_no_json_is_refused(tmp_path, content, reason):
    (tmp_path / "a.json").write_bytes(content)
    with refused(f"'{tmp_path / 'a.json'}'", reason):
        read_json(tmp_path / "a.json", most_bytes=10**6 if len(content) > 1100 else 1000)


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


@pytest.mark.parametrize(
    ("name", "expected"),
    [("6/data.json", "6/data.json"), ("a\n", r"'a\n'"), ("\x1b[2J", r"'\x1b[2J'"),
     ("\udcff", r"'\udcff'"), ("x" * 300, "x" * 200)],
)  # fmt: skip
def test_a_name_is_shown_on_one_short_line(name, expected):
    assert shown(name) == expected
