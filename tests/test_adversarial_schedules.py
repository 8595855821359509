"""Schedules: literal values, and what they may stand for."""

import jax
import jax.numpy as jnp
import pytest
from refusals import refused

from gancli.adversarial.schedules import (
    SCHEDULES,
    read_schedule,
    scaled,
    value_at,
    with_length,
)
from gancli.registry import parse_spec

# From 0.4 to 0.1 over the twenty steps from 10 on. The cosine is 0.1 + 0.15 (1 + cos πp): at a
# quarter of the way 0.25 + 0.15 · 0.7071068.
OPTIONS = "initial=0.4,final=0.1,begin=10"
VALUES = {
    f"linear:{OPTIONS},steps=20": {0: 0.4, 10: 0.4, 15: 0.325, 20: 0.25, 30: 0.1, 99: 0.1},
    f"cosine:{OPTIONS},steps=20": {0: 0.4, 10: 0.4, 15: 0.356066, 20: 0.25, 30: 0.1, 99: 0.1},
    f"step:{OPTIONS}": {0: 0.4, 9: 0.4, 10: 0.1, 99: 0.1},
    f"linear:{OPTIONS},steps=20,warmup=4": {0: 0.1, 1: 0.2, 3: 0.4, 4: 0.4, 20: 0.25, 99: 0.1},
    f"cosine:{OPTIONS},steps=20,warmup=40": {0: 0.01, 19: 0.136733, 39: 0.1},
    "step:initial=0.4,final=0.8,begin=2,warmup=4": {0: 0.1, 1: 0.2, 2: 0.6, 3: 0.8},
    "linear:initial=0,final=1,steps=4": {0: 0.0, 1: 0.25, 4: 1.0, 2**31 - 1: 1.0},
    "(cosine:initial=1,steps=2)": {0: 1.0, 1: 0.5, 2: 0.0},
}


@pytest.mark.parametrize("spec", VALUES)
def test_values_at_steps(spec):
    at = jax.jit(lambda step: value_at(spec, step))
    for step, value in VALUES[spec].items():
        found = at(jnp.int32(step))
        assert (found.shape, found.dtype, found.weak_type) == ((), jnp.float32, False)
        assert float(found) == pytest.approx(value, abs=1e-6)


def test_every_schedule_has_values_above():
    assert {parse_spec(spec).name for spec in VALUES} == set(SCHEDULES.names())


def test_a_number_stays_as_it_is():
    assert value_at(0.1, jnp.int32(3)) == 0.1
    assert type(value_at(0.1, jnp.int32(3))) is float


@pytest.mark.parametrize(
    ("text", "given", "allowed"),
    [
        ("0.1", ("size", "'0.1'"), "cosine"),
        ("cosin:initial=1", ("size", "'cosin'"), "cosine"),
        ("cosine:final=1", ("size", "'cosine:final=1'"), "initial"),
        ("linear:initial=1,stop=3", ("size", "'linear'", "'stop'"), "steps"),
        ("step:initial=1,steps=3", ("size", "'step'", "'steps'"), "begin"),
        ("linear:initial=nan", ("size", "initial", "'nan'"), ("-1e+30", "1e+30")),
        ("linear:initial=1,begin=-1", ("size", "begin", "'-1'"), ("0", "2,147,483,647")),
    ],
)
def test_what_is_no_schedule_is_refused_with_whose_value_it_is(text, given, allowed):
    with refused(*given, allowed=allowed):
        read_schedule(text, "size", lambda number: None)


def test_both_ends_are_checked():
    ends = []
    spec = read_schedule("(linear:initial=3,final=2,begin=4)", "size", ends.append)
    assert spec == ("linear", {"initial": "3", "final": "2", "begin": "4"})
    assert ends == [3.0, 2.0]


@pytest.mark.parametrize(
    ("text", "closed"),
    [
        ("linear:initial=1,begin=20", "linear:initial=1,begin=20,steps=30"),
        ("cosine:initial=1,steps=0", "cosine:initial=1,steps=50"),
        ("linear:initial=1,steps=7", "linear:initial=1,steps=7"),
        ("linear:initial=1,begin=60", "linear:initial=1,begin=60,steps=1"),
        ("step:initial=1,begin=20", "step:initial=1,begin=20"),
    ],
)
def test_length_that_is_left_of_a_run_of_fifty_steps(text, closed):
    assert with_length(parse_spec(text), 50).text == closed


def test_without_a_run_there_is_no_end_of_one():
    with refused("outside a run", allowed="steps"):
        value_at("linear:initial=1", 0)


def test_scaled_values():
    assert scaled(0.5, 0.25) == 0.125
    half = scaled("linear:initial=1,final=0.5,steps=2", 0.5)
    assert [float(value_at(half, step)) for step in range(3)] == [0.5, 0.375, 0.25]
