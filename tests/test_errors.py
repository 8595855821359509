"""What messages quote: short, and on one line."""

import pytest

from gancli.errors import cut, excerpt, printable, shown, unknown_name


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "'text'"),
        ("two\nlines \x1b[31m", "'two\\nlines \\x1b[31m'"),
        (3, "3"),
        ([10**5000], "[a whole number of 16,610 bits]"),
        ((1, [2, [3, [4, [5]]]]), "(1, [2, [3, […]]])"),
        (list(range(10**6)), "[0, 1, 2, 3, 4, 5, …]"),
        ({"a": None}, "{'a': None}"),
    ],
)
def test_values_are_shown_on_one_line_and_in_part(value, expected):
    assert shown(value) == expected


def test_long_texts_keep_their_ends():
    assert cut("a" * 200) == "a" * 200
    assert cut("a" * 500 + "b" * 10**6) == "a" * 100 + "…" + "b" * 100
    assert len(shown("x" * 10**6)) <= 202


def test_what_is_shown_is_one_printable_line():
    assert printable("a b\n\x1b[31m\udcff é") == "a b\\n\\x1b[31m\\udcff é"
    assert excerpt(ValueError("first\nsecond")) == "first"
    assert excerpt(ValueError("x" * 500)) == "x" * 100 + "…" + "x" * 100
    assert excerpt(KeyError()) == "KeyError"
    assert excerpt(OSError(2, "No such file", "/some/path")) == "No such file"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("key.ONE", "first"),
        ("ANOTHER_ONE", "first"),
        ("batch", "train.batch"),
        ("beta1", "optimizer.beta1"),
    ],
)
def test_what_others_call_a_name_is_understood(name, meant):
    known = ["first", "train.batch", "optimizer.generator.beta1", "optimizer.beta1"]
    error = unknown_name("name", name, known, {"one": "first", "another-one": "first"})
    assert error.remedy == f"Did you mean {meant!r}?"


def test_a_long_list_is_cut():
    known = [f"section.key_{number}" for number in range(100)]
    error = unknown_name("key", "key_7", known)
    assert "100" in error.allowed
    assert len(str(error)) < 300
