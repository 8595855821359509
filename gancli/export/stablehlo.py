"""StableHLO: a program for any device that runs JAX, and its weights as a NumPy archive."""

import io

import jax
import numpy as np
from jax import lax

from gancli.export.part import PLAIN, TrainedPart

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
WEIGHTS = "weights.npz"


def to_stablehlo(trained: TrainedPart) -> dict[str, bytes]:
    """The files of a part: `NAME.stablehlo`, of weights by path and inputs, and `weights.npz`.

    The weights are an argument, because XLA would fold constants, and round otherwise. On CPU the
    program computes as gan does there, unless its sides are free; elsewhere as gan does on a GPU.
    """
    on_cpu, elsewhere = trained.traced_for("cpu"), trained.traced_for(PLAIN)

    def apply(weights, *inputs):
        return lax.platform_dependent(weights, *inputs, cpu=on_cpu, default=elsewhere)

    # The way of the CPU depends on height and width.
    program = jax.jit(elsewhere if trained.part.multiple else apply)
    exported = jax.export.export(program, platforms=PLATFORMS)(
        trained.abstract_weights(), *trained.abstract_inputs()
    )
    archive = io.BytesIO()
    np.savez(archive, allow_pickle=False, **jax.device_get(trained.weights))
    return {
        f"{trained.name}.stablehlo": bytes(exported.serialize()),
        WEIGHTS: archive.getvalue(),
    }


def run_stablehlo(files: dict[str, bytes], trained: TrainedPart, inputs: list[np.ndarray]):
    """What the files compute from inputs, an array or a tuple of several."""
    exported = jax.export.deserialize(bytearray(files[f"{trained.name}.stablehlo"]))
    return jax.device_get(exported.call(trained.weights, *inputs))
