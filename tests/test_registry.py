"""Catalogues and specs."""

from typing import Annotated, Literal

import pytest

from gancli.catalogues import catalogues
from gancli.errors import UserError, cut
from gancli.registry import Bounds, Option, Registry, parse_spec, shown


@pytest.fixture
def shapes() -> Registry:
    registry = Registry("shape", common=(Option("every", int, 1, Bounds(1, 1000)),))

    @registry.register("disc", reference="Euclid", recipe={"train.steps": 3})
    def disc(where: str, radius: float = 1.5, fill: bool = False, side: Literal["a", "b"] = "a"):
        """A disc. With more to say.

        And more.
        """
        return (where, radius, fill, side)

    return registry


def test_spec_splits_into_name_and_options():
    assert parse_spec(" r1:weight=10, every=16 ") == ("r1", {"weight": "10", "every": "16"})
    assert parse_spec("hinge") == ("hinge", {})


@pytest.mark.parametrize("text", ["r1:weight", "r1:=3", "r1:weight=", "r1:weight=1,weight=2"])
def test_malformed_spec_is_refused(text):
    with pytest.raises(UserError):
        parse_spec(text)


def test_build_converts_options_and_passes_context(shapes):
    assert shapes.build("disc:radius=2,fill=true,side=b", "here") == ("here", 2.0, True, "b")
    assert shapes.build("disc", "there") == ("there", 1.5, False, "a")


def test_common_options_are_known_but_not_passed_on(shapes):
    assert shapes.options("disc:every=4")["every"] == 4
    assert shapes.build("disc:every=4", "here") == ("here", 1.5, False, "a")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("disk", ["unknown shape 'disk'", "Did you mean 'disc'"]),
        ("disc:radios=2", ["'radios'", "Did you mean 'radius'"]),
        ("disc:radius=wide", ["radius of shape 'disc' was 'wide'", "float"]),
        ("disc:radius=inf", ["radius of shape", "'inf'", "from -1e+30 to 1e+30"]),
        ("disc:radius=nan", ["'nan'", "float from -1e+30 to 1e+30"]),
        ("disc:radius=1e31", ["'1e31'", "float from -1e+30 to 1e+30"]),
        ("disc:every=0", ["every of shape 'disc' was '0'", "int from 1 to 1,000"]),
        ("disc:every=1001", ["'1001'", "int from 1 to 1,000"]),
        ("disc:every=" + "9" * 900, ["int from 1 to 1,000"]),
        ("disc:" + "radius=1," * 200, ["1,805 characters", "at most 1,024"]),
        ("d" * 900, ["unknown shape 'dddd", "dddd'", "Allowed: disc"]),
        ("disc:" + "r" * 900 + "=1", ["unknown option", "Allowed: every, fill, radius, side"]),
        ("disc:side=" + "c" * 900, ["'cccc", "Allowed: a, b"]),
        ("disc:" + "r" * 900, ["is not an option"]),
        ("disc\n\x1b[31m:radius=1", ["unknown shape 'disc\\n\\x1b[31m'"]),
        ("disc:fill=maybe", ["true or false"]),
        ("disc:side=c", ["'c'", "a, b"]),
        ("disc:where=x", ["unknown option of shape 'disc' 'where'"]),
    ],
)
def test_unfitting_spec_names_what_was_given_and_what_is_allowed(shapes, spec, words):
    with pytest.raises(UserError) as caught:
        shapes.build(spec, "here")
    assert caught.value.exit_status == 2
    for word in words:
        assert word in str(caught.value)
    assert len(str(caught.value)) < 700
    assert str(caught.value).isprintable()


def test_bounds_are_allowed_themselves_and_defaults_lie_within_them(shapes):
    assert shapes.options("disc:every=1")["every"] == 1
    assert shapes.options("disc:every=1000")["every"] == 1000

    def dot(size: Annotated[int, Bounds(1, 3)] = 4):
        """A dot."""

    with pytest.raises(ValueError, match="default of size"):
        shapes.register("dot", reference="")(dot)


@pytest.mark.parametrize("name", catalogues())
@pytest.mark.parametrize("value", ["1" + "0" * 400, "1e31", "-1e31", "nan", "inf"])
def test_no_number_of_any_catalogue_is_without_bounds(name, value):
    registry = catalogues()[name]
    for entry in registry:
        for option in entry.options:
            if option.kind in (int, float):
                with pytest.raises(UserError, match=f"{option.name} of .* from .* to"):
                    registry.options(f"{entry.name}:{option.name}={value}")


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


def test_entry_holds_what_lists_show(shapes):
    (entry,) = shapes
    assert (entry.name, entry.summary, entry.reference) == (
        "disc",
        "A disc. With more to say",
        "Euclid",
    )
    assert entry.recipe == {"train.steps": 3}
    assert [option.name for option in entry.options] == ["radius", "fill", "side", "every"]


def test_names_are_unique_and_documented(shapes):
    with pytest.raises(ValueError, match="taken"):
        shapes.register("disc", reference="")
    with pytest.raises(ValueError, match="malformed"):
        shapes.register("Disc!", reference="")
    with pytest.raises(ValueError, match="docstring"):
        shapes.register("dot", reference="")(lambda: None)


@pytest.mark.parametrize("name", catalogues())
def test_every_entry_of_every_catalogue_is_fit_to_be_listed(name):
    registry = catalogues()[name]
    assert registry.names()
    for entry in registry:
        assert 10 <= len(entry.summary) <= 110, entry.name
        assert entry.reference or name in ("schedules",), entry.name
