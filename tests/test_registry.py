"""Catalogues and specs."""

from typing import Annotated, Literal

import pytest
from refusals import refused

from gancli.cli.catalogues import catalogues
from gancli.errors import shown
from gancli.registry import Bounds, Option, Registry, parse_spec, quoted


@pytest.fixture
def shapes() -> Registry:
    registry = Registry("shape", common=(Option("every", int, 1, Bounds(1, 1000)),))

    @registry.register("disc", also="circle", reference="Euclid", recipe={"train.steps": 3})
    def disc(where: str, radius: float = 1.5, fill: bool = False, side: Literal["a", "b"] = "a"):
        """A disc. With more to say.

        And more.
        """
        return (where, radius, fill, side)

    return registry


def test_what_an_entry_is_also_called_is_suggested(shapes):
    with refused("'circle'", allowed="disc", remedy="'disc'"):
        shapes.entry("circle:radius=2")


def test_spec_splits_into_name_and_options():
    assert parse_spec(" r1:weight=10, every=16 ") == ("r1", {"weight": "10", "every": "16"})
    assert parse_spec("hinge") == ("hinge", {})
    assert parse_spec("r1:weight=1,every=16").text == "r1:weight=1,every=16"
    assert parse_spec(" hinge ").text == "hinge"


def test_a_value_that_is_a_spec_is_in_parentheses():
    nested = "r1:weight=(cosine:initial=1,final=(a:b=1,c=2)),every=16"
    options = {"weight": "(cosine:initial=1,final=(a:b=1,c=2))", "every": "16"}
    assert parse_spec(nested) == parse_spec(f"({nested})") == ("r1", options)
    assert parse_spec(nested).text == nested


@pytest.mark.parametrize("value", ["a,b=c", "(a", "a)", "\\", "a\\,b"])
def test_a_value_with_marks_of_a_spec_is_quoted(value):
    spec = parse_spec(f"encoder:path={quoted(value)},other=1")
    assert spec.options == {"path": value, "other": "1"}
    assert parse_spec(spec.text) == spec


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("r1:weight", "'weight'"),
        ("r1:=3", "'=3'"),
        ("r1:weight=", "'weight='"),
        ("r1:weight=1,weight=2", "'weight'"),
        ("r1:weight=(a:b=1", "parenthesis"),
        ("r1:weight=a:b=1),every=2", "parenthesis"),
        ("r1:weight=)1(", "parenthesis"),
    ],
)
def test_malformed_spec_is_refused(text, part):
    with refused(part, repr(text)):
        parse_spec(text)


def test_build_converts_options_and_passes_context(shapes):
    assert shapes.build("disc:radius=2,fill=true,side=b", "here") == ("here", 2.0, True, "b")
    assert shapes.build("disc", "there") == ("there", 1.5, False, "a")


def test_common_options_are_known_but_not_passed_on(shapes):
    assert shapes.options("disc:every=4")["every"] == 4
    assert shapes.build("disc:every=4", "here") == ("here", 1.5, False, "a")


FLOATS = ("-1e+30", "1e+30")
EVERY_OPTION = ("every", "fill", "radius", "side")


@pytest.mark.parametrize(
    ("spec", "given", "allowed", "remedy"),
    [
        ("disk", ("shape", "'disk'"), "disc", "'disc'"),
        ("disc:radios=2", ("shape 'disc'", "'radios'"), EVERY_OPTION, "'radius'"),
        ("disc:radius=wide", ("radius", "'disc'", "'wide'"), ("float", *FLOATS), ()),
        ("disc:radius=inf", ("radius", "'disc'", "'inf'"), ("float", *FLOATS), ()),
        ("disc:radius=nan", ("radius", "'disc'", "'nan'"), ("float", *FLOATS), ()),
        ("disc:radius=1e31", ("radius", "'disc'", "'1e31'"), ("float", *FLOATS), ()),
        ("disc:every=0", ("every", "'disc'", "'0'"), ("int", "1", "1,000"), ()),
        ("disc:every=1001", ("every", "'disc'", "'1001'"), ("int", "1", "1,000"), ()),
        ("disc:every=" + "9" * 900, ("every", "'999", "999'"), ("int", "1", "1,000"), ()),
        ("disc:" + "radius=1," * 200, ("'disc:radius", "1,805"), "1,024", ()),
        ("d" * 900, ("shape", "'dddd", "dddd'"), "disc", ()),
        ("disc:" + "r" * 900 + "=1", ("'disc'", "'rrrr", "rrrr'"), EVERY_OPTION, ()),
        ("disc:side=" + "c" * 900, ("side", "'disc'", "'cccc", "cccc'"), ("a", "b"), ()),
        ("disc:" + "r" * 900, ("'rrrr", "rrrr'", "'disc:rrr"), "name:key=value", ()),
        ("disc\n\x1b[31m:radius=1", ("shape", "'disc\\n\\x1b[31m'"), "disc", "'disc'"),
        ("disc:fill=maybe", ("fill", "'disc'", "'maybe'"), ("true", "false"), ()),
        ("disc:side=c", ("side", "'disc'", "'c'"), ("a", "b"), ()),
        ("disc:where=x", ("shape 'disc'", "'where'"), EVERY_OPTION, ()),
    ],
)
def test_unfitting_spec_names_what_was_given_and_what_is_allowed(
    shapes, spec, given, allowed, remedy
):
    with refused(*given, allowed=allowed, remedy=remedy) as caught:
        shapes.build(spec, "here")
    assert caught.value.exit_status == 2
    assert len(str(caught.value)) < 700
    assert str(caught.value).isprintable()


def test_bounds_are_allowed_themselves_and_defaults_lie_within_them(shapes):
    assert shapes.options("disc:every=1")["every"] == 1
    assert shapes.options("disc:every=1000")["every"] == 1000

    def dot(size: Annotated[int, Bounds(1, 3)] = 4):
        """A dot."""

    with pytest.raises(ValueError, match=r"\bsize\b"):
        shapes.register("dot", reference="")(dot)


OF_TYPE = {int: (-(2**31), 2**31 - 1), float: (-1e30, 1e30)}


@pytest.mark.parametrize("name", catalogues())
@pytest.mark.parametrize("value", ["1" + "0" * 400, "1e31", "-1e31", "nan", "inf"])
def test_no_number_of_any_catalogue_is_without_bounds(name, value):
    registry = catalogues()[name]
    for entry in registry:
        for option in entry.options:
            if option.kind in (int, float):
                spec = f"{entry.name}:{option.name}={value}"
                bounds = [f"{bound:,}" for bound in option.bounds or OF_TYPE[option.kind]]
                with refused(option.name, repr(entry.name), shown(value), allowed=(*bounds,)):
                    registry.options(spec)


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
    with pytest.raises(ValueError, match=r"shape .*'disc'"):
        shapes.register("disc", reference="")
    with pytest.raises(ValueError, match=r"shape .*'Disc!'"):
        shapes.register("Disc!", reference="")
    with pytest.raises(ValueError, match=r"shape .*'dot'"):
        shapes.register("dot", reference="")(lambda: None)


@pytest.mark.parametrize("name", catalogues())
def test_every_entry_of_every_catalogue_is_fit_to_be_listed(name):
    registry = catalogues()[name]
    assert registry.names()
    for entry in registry:
        assert 10 <= len(entry.summary) <= 110, entry.name
        assert entry.reference or name in ("schedules",), entry.name
