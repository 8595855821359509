"""Texts as sequences of characters, and files that are none."""

import errno
import os

import numpy as np
import pytest
from refusals import refused

from gancli.data import DataRequest, describe, load
from gancli.data.formats.text import MOST_CHARACTERS


def written(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def shown(dataset):
    characters = dataset.spec.characters
    return ["".join(characters[token] for token in row) for row in dataset.examples]


def test_windows_follow_each_other_and_the_last_tenth_is_for_testing(tmp_path):
    """23 characters: eleven windows, of which two are held out, and one character over."""
    path = written(tmp_path / "a.txt", "abcdefghijklmnopqrstabc")
    train = load(f"text:path={path},length=2")
    assert shown(train) == ["ab", "cd", "ef", "gh", "ij", "kl", "mn", "op", "qr"]
    test = load(f"text:path={path},length=2", DataRequest(split="test"))
    assert shown(test) == ["st", "ab"]
    assert train.spec == test.spec
    assert train.spec.characters == "abcdefghijklmnopqrst"
    assert train.spec.vocabulary == 20
    assert train.examples.dtype == np.uint8


def test_tokens_number_characters_in_their_order(tmp_path):
    dataset = load(f"text:path={written(tmp_path / 'a.txt', 'zébra zébra ')},length=6")
    assert dataset.spec.characters == " abrzé"
    assert dataset.examples.tolist() == [[4, 5, 2, 3, 1, 0]]


def test_a_path_alone_is_enough(tmp_path):
    path = written(tmp_path / "Book.TXT", "ab" * 100)
    dataset = load(path)
    assert dataset.spec.name == path
    assert dataset.examples.shape == (5, 32)
    assert (dataset.spec.kind, dataset.labels) == ("tokens", None)
    facts = describe(dataset)
    assert (facts["vocabulary"], facts["characters"]) == (2, "ab")


def test_line_ends_and_a_mark_of_the_byte_order(tmp_path):
    plain = load(f"text:path={written(tmp_path / 'a.txt', 'one,two,' * 4)},length=4")
    text = b"\xef\xbb\xbf" + b"one\r\ntwo\r" * 4
    other = load(f"text:path={written(tmp_path / 'b.txt', text)},length=4")
    assert other.spec.characters == "\nenotw"
    assert [row.replace("\n", ",") for row in shown(other)] == shown(plain)


def test_texts_of_other_characters_are_other_data(tmp_path):
    first = load(written(tmp_path / "a.txt", "ab" * 64))
    second = load(written(tmp_path / "b.txt", "cd" * 64))
    np.testing.assert_array_equal(first.examples, second.examples)
    assert first.fingerprint != second.fingerprint
    same = load(written(tmp_path / "c.txt", "ab" * 64))
    assert same.fingerprint == first.fingerprint


def test_as_many_characters_as_a_vocabulary_may_have(tmp_path):
    every = "".join(chr(0x10000 + k) for k in range(MOST_CHARACTERS))
    dataset = load(written(tmp_path / "a.txt", every * 2))
    assert dataset.spec.vocabulary == MOST_CHARACTERS == 65_536
    assert dataset.examples.dtype == np.int32
    assert shown(dataset)[2047] == every[-32:]
    for count, kind in ((256, np.uint8), (257, np.int32)):
        few = load(written(tmp_path / f"{count}.txt", every[:count] * 2))
        assert (few.examples.dtype, few.examples.max()) == (kind, count - 1)
    with refused("b.txt", "65,536", allowed=("UTF-8", "2 to 65,536")):
        load(written(tmp_path / "b.txt", every * 2 + "x"))


LEAST = ("2 sequences", "32 characters")
HOSTILE = {
    "not UTF-8": (b"abcd" * 100 + b"\xff", ("UTF-8", "0xff"), "UTF-8"),
    "UTF-16": (("ab" * 100).encode("utf-16"), ("UTF-8", "0xff"), "UTF-8"),
    "half a character": (("é" * 100).encode()[:-1], ("UTF-8", "0xc3"), "UTF-8"),
    "a surrogate": (b"ab" * 50 + b"\xed\xa0\x80", ("UTF-8", "0xed"), "UTF-8"),
    "nothing": (b"", ("0 bytes",), ()),
    "only the mark": (b"\xef\xbb\xbf", ("0 characters", " 0 "), LEAST),
    "one character": (b"a", (" 1 character"), LEAST),
    "one character again and again": (b"a" * 1000, ("1,000 characters", " 1 "), LEAST),
    "too short": (b"abc", (" 3 characters", " 3 "), LEAST),
    "a picture": (bytes(range(256)) * 10, ("UTF-8", "0x80"), "UTF-8"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_text_is_refused_in_one_line(tmp_path, name):
    content, given, allowed = HOSTILE[name]
    with refused("a.txt", *given, allowed=allowed) as caught:
        load(written(tmp_path / "a.txt", content))
    assert str(caught.value).isprintable()


def test_files_that_have_no_end_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    with refused("pipe.txt'", "a pipe"):
        load(str(tmp_path / "pipe.txt"))
    with refused("'text:path=/dev/zero'", "a device"):
        load("text:path=/dev/zero")


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    path = written(tmp_path / "a.txt", "ab" * 100)
    monkeypatch.setattr("gancli.data.formats.text.MOST_BYTES", 199)
    with refused("a.txt", "199 bytes", allowed="UTF-8"):
        load(path)


@pytest.mark.parametrize(
    ("name", "request_", "given", "allowed", "remedy"),
    [
        ("text", {}, ("text",), "text:path=FILE", "text:path="),
        ("text:path=no-such-file", {}, ("no-such-file'", os.strerror(errno.ENOENT)), (), ()),
        ("text:path=~nobody-there/a.txt", {}, ("~nobody-there",), (), ()),
        ("text:path={},length=1", {}, ("length", "'text'", "'1'"), ("2", "1,024"), ()),
        ("text:path={},length=1024", {}, ("200 characters",), "1,024 characters", "length=N"),
        ("text:path={}", {"split": "validation"}, ("split", "'validation'"), "test, train", ()),
        ("text:path={}", {"size": 8}, ("data.size", "8", "tokens"), (), "data.size"),
    ],
)
def test_what_does_not_apply_is_refused(tmp_path, name, request_, given, allowed, remedy):
    path = written(tmp_path / "a.txt", "ab" * 100)
    with refused(*given, allowed=allowed, remedy=remedy):
        load(name.format(path), DataRequest(**request_))
