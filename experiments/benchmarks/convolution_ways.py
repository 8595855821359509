"""What each way to compute a pass of a convolution takes: 4x4 of stride 2, as in DCGANs, and 3x3.

    python experiments/benchmarks/convolution_ways.py [--rounds 5]

Each way is computed several times in a loop and compiled like steps of training. The ways of a pass
take turns. Medians of milliseconds, and those of the way that is chosen.
"""

import argparse
import functools
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from gancli.networks import bilinear
from gancli.runs.directory import device_name
from gancli.runs.versions import versions
from gancli.training.execution import compiler_options

# Batch, side of the images, their channels, and channels of the half as large ones.
SHAPES = [
    (64, 64, 3, 64), (64, 32, 64, 128), (64, 16, 128, 256), (64, 8, 256, 512),
    (64, 32, 1, 64), (64, 16, 64, 128), (64, 8, 128, 256),
]  # fmt: skip
WAYS = {
    "down": ("down_natively", "down_by_products"),
    "up": ("up_by_products",),
    "kernel_of": ("kernel_at_once", "kernel_by_products"),
}
# Side and channels of images of batch 64 before and after a 3x3 kernel; 16 are an R3GAN group.
KEPT = [(32, 3, 32), (8, 1, 32), (16, 8, 16), (32, 16, 16), (16, 16, 16), (8, 16, 16), (4, 64, 64)]
KEPT += [(32, 64, 64), (16, 128, 128), (8, 256, 256)]
# Operations of all repetitions in a call.
_OPERATIONS = 1e10


def repeated(way: Callable, one: jax.Array, other: jax.Array, times: int) -> Callable[[], float]:
    """A function that computes a way so many times and returns the milliseconds of each."""

    def loop(one: jax.Array, other: jax.Array) -> jax.Array:
        def body(_: int, total: jax.Array) -> jax.Array:
            # Each time of other values, so that nothing can be computed once for all.
            return total + 1e-9 * way(one * (1 + 1e-6 * total), other).sum()

        return lax.fori_loop(0, times, body, jnp.float32(0))

    play = jax.jit(loop, compiler_options=compiler_options())

    def milliseconds() -> float:
        began = time.perf_counter()
        play(one, other).block_until_ready()
        return 1000 * (time.perf_counter() - began) / times

    milliseconds()
    return milliseconds


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(f"device {device_name()}, jax {versions()['jax']}")
    for batch, side, inputs, outputs in SHAPES:
        keys = jax.random.split(jax.random.key(0), 3)
        x = jax.random.normal(keys[0], (batch, side, side, inputs))
        y = jax.random.normal(keys[1], (batch, side // 2, side // 2, outputs))
        kernel = 0.02 * jax.random.normal(keys[2], (4, 4, inputs, outputs))
        operations = 2 * y.size * 16 * inputs
        times = max(2, round(_OPERATIONS / operations))
        print(f"{x.shape} and {y.shape}, {operations / 1e9:.3g} GFLOP a pass")
        given = {"down": (x, kernel), "up": (y, kernel), "kernel_of": (x, y)}
        for name, ways in WAYS.items():
            functions = {way: getattr(bilinear, way) for way in ways}
            functions["as chosen"] = getattr(bilinear, name)
            compare(name, functions, given[name], times, rounds)
    for side, inputs, outputs in KEPT:
        keys = jax.random.split(jax.random.key(0), 3)
        x = jax.random.normal(keys[0], (64, side, side, inputs))
        y = jax.random.normal(keys[1], (64, side, side, outputs))
        kernel = 0.02 * jax.random.normal(keys[2], (3, 3, inputs, outputs))
        operations = 2 * y.size * 9 * inputs
        times = max(2, round(_OPERATIONS / operations))
        print(f"{x.shape} to {outputs} channels, {operations / 1e9:.3g} GFLOP a pass")

        def by_taps(x: jax.Array, y: jax.Array, kernel: jax.Array = kernel) -> jax.Array:
            taken = functools.partial(bilinear.by_taps, x, padding=1)
            return jax.vjp(taken, kernel)[1](y)[0]

        native = functools.partial(bilinear.slide_natively, padding=1)
        taps = functools.partial(bilinear.by_taps, padding=1)
        rows = functools.partial(bilinear.kernel_by_rows, padding=1)
        compare("slide", {"natively": native, "by_taps": taps}, (x, kernel), times, rounds)
        compare("kernel", {"by_rows": rows, "by_taps": by_taps}, (x, y), times, rounds)


def compare(
    name: str, functions: dict[str, Callable], given: tuple, times: int, rounds: int
) -> None:
    """Measures the ways of a pass in turns, and prints their medians."""
    plays = {way: repeated(one, *given, times) for way, one in functions.items()}
    took = [{way: play() for way, play in plays.items()} for _ in range(rounds)]
    each = (f"{way} {statistics.median(one[way] for one in took):.2f}" for way in functions)
    print(f"  {name:10} {', '.join(each)}", flush=True)


if __name__ == "__main__":
    main()
