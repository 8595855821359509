"""The arithmetic of the benchmarks; what PyTorch computes is compared where they run."""

import runpy
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.interpreters.partial_eval import dce_jaxpr

from gancli.networks.bilinear import slide
from gancli.networks.convolutions import down_convolve, up_convolve

FOLDER = Path(__file__).parent.parent / "experiments" / "benchmarks"


@pytest.fixture(scope="module")
def against_torch():
    return runpy.run_path(str(FOLDER / "against_torch.py"))


@pytest.fixture(scope="module")
def operations():
    return runpy.run_path(str(FOLDER / "workers" / "gan.py"))["operations"]


def count(operations, function, *arguments, every=1):
    return operations(jax.make_jaxpr(function)(*arguments).jaxpr, every)


def test_importing_the_benchmark_imports_no_library_of_the_two_sides(against_torch):
    assert "torch" not in sys.modules
    assert set(against_torch["SMOKE"]) <= set(against_torch["CASES"])


def test_a_spread_is_the_median_with_its_quartiles(against_torch):
    assert against_torch["spread"]([4.0, 1.0, 2.0, 3.0, 5.0]) == (2.0, 3.0, 4.0)


def test_a_ratio_is_that_of_each_round(against_torch):
    low, median, high = against_torch["ratio"]([2.0, 6.0, 40.0], [1.0, 2.0, 10.0])
    assert (low, median, high) == (2.5, 3.0, 3.5)


def test_a_difference_is_relative_and_the_largest(against_torch):
    ours = {"discriminator": (2.0, 10.0), "generator": (1.0, 4.0)}
    theirs = {"discriminator": (2.0, 8.0), "generator": (1.0, 4.0)}
    assert against_torch["difference"](ours, theirs) == pytest.approx(0.2)


def test_weights_are_counted_by_player(against_torch):
    weights = {"generator": {"0": {"kernel": np.zeros((2, 3)), "bias": np.zeros(3)}}}
    assert against_torch["sizes"](weights) == {"generator": 9}


def test_a_line_has_a_cell_for_each_heading(against_torch):
    case = against_torch["CASES"]["dcgan32"]
    seconds = {"ours": [0.3, 0.3], "eager": [0.2, 0.2], "compiled": [0.1, 0.1]}
    memory = dict.fromkeys(seconds, 1.0)
    both = {"ours": 1.0, "theirs": 1.0}
    found = against_torch["Measured"](seconds, memory, both, 0.0)
    cells = against_torch["row"](case, found, both)
    assert len(cells) == len(against_torch["HEADINGS"])
    assert found.peer == "compiled"
    assert "3 (3 to 3)" in cells


def test_a_product_takes_two_operations_a_term(operations):
    assert count(operations, jnp.matmul, jnp.zeros((2, 3)), jnp.zeros((3, 5))) == 2 * 2 * 3 * 5


def test_a_convolution_takes_two_operations_a_tap(operations):
    def convolve(x, kernel):
        order = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=order)

    found = count(operations, convolve, jnp.zeros((2, 8, 8, 3)), jnp.zeros((3, 3, 3, 4)))
    assert found == 2 * (2 * 8 * 8 * 4) * (3 * 3 * 3)


def slide_3(x, kernel):
    return slide(x, kernel, padding=1)


@pytest.mark.parametrize("pass_", ["forward", "by the images", "by the kernel"])
@pytest.mark.parametrize("convolve", [down_convolve, up_convolve, slide_3])
def test_our_convolutions_take_as_many_in_every_pass(operations, convolve, pass_):
    x, kernel = jnp.ones((2, 4, 4, 3)), jnp.ones((4, 4, 3, 5))
    if convolve is slide_3:
        kernel = kernel[:3, :3]
    sides = 2 if convolve is down_convolve else 4  # Of the smaller images.
    once = 2 * (2 * sides * sides) * len(kernel) ** 2 * 3 * 5
    if pass_ == "forward":
        assert count(operations, convolve, x, kernel) == once
        return
    _, transpose = jax.vjp(convolve, x, kernel)
    place = 0 if pass_ == "by the images" else 1
    given = convolve(x, kernel)
    traced = jax.make_jaxpr(lambda given: transpose(given)[place])(given)
    needed, _ = dce_jaxpr(traced.jaxpr, [True])
    assert operations(needed) == once


def test_a_loop_repeats_its_operations(operations):
    def loop(x):
        return jax.lax.scan(lambda carry, _: (carry @ carry, None), x, length=7)[0]

    assert count(operations, loop, jnp.zeros((3, 3))) == 7 * 2 * 27


def test_a_condition_counts_by_how_often_it_is_met(operations):
    def lazily(x, due):
        return jax.lax.cond(due, lambda: x @ x, lambda: x)

    assert count(operations, lazily, jnp.zeros((3, 3)), True, every=9) == 2 * 27 / 9
