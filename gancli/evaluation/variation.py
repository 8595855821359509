"""What changes in examples as their latents change: walks between latents, and traversals."""

import itertools
from typing import NamedTuple

import jax
import numpy as np

from gancli.adversarial.dynamics import Weights
from gancli.data.transform import to_stored
from gancli.errors import UserError, shown
from gancli.evaluation.generator import Generator, sampler_of
from gancli.evaluation.latents import Draw, Origin, names_of_labels, origins, truncation
from gancli.evaluation.sampling import generate
from gancli.tasks import Sampler
from gancli.tasks.latents import LatentSpace

_MOST_TRAVERSED = 20


class Traversal(NamedTuple):
    """The values of a code as text, and examples (rows, values, *shape), as in `sample`."""

    values: tuple[str, ...]
    examples: np.ndarray


def interpolate(generator: Generator, draw: Draw, pairs: int, frames: int) -> np.ndarray:
    """Interpolates between latents and back, for a looping animation.

    Normal noise is interpolated on a great circle (arXiv:1609.04468); uniform noise, codes and w
    are interpolated linearly.

    Args:
        generator: the generator.
        draw: the latents; pair i goes from example i to example i + pairs.
        pairs: number of pairs.
        frames: number of frames in one direction.

    Returns:
        Examples (2 * frames, pairs, *shape), as in `sample`.

    Raises:
        UserError: if the latents of the task cannot be interpolated.
    """
    sampler, space = sampler_of(generator.task), require_between(generator)

    def between(start: Origin, end: Origin, share: jax.Array) -> Origin:
        latents = space.interpolate(start.latents, end.latents, share)
        if start.styles is None or end.styles is None:
            return Origin(latents)
        return Origin(latents, start.styles + share * (end.styles - start.styles))

    @jax.jit
    def make(weights: Weights, starts: Origin, ends: Origin, share: jax.Array) -> jax.Array:
        origin = jax.vmap(between, (0, 0, None))(starts, ends, share)
        return generate(sampler, weights, origin, draw.noise)

    origin = origins(sampler, generator.weights, draw)
    starts, ends = origin(np.arange(pairs)), origin(np.arange(pairs, 2 * pairs))
    shares = np.linspace(0.0, 1.0, frames, dtype=np.float32)
    images = (make(generator.weights, starts, ends, share) for share in shares)
    there = np.stack([to_stored(np.asarray(image)) for image in images])
    return np.concatenate([there, there[::-1]])


def names_between(sampler: Sampler, draw: Draw, pairs: int) -> list[str]:
    """The labels of each pair of `interpolate`, "0 to 8" if they differ; empty without labels."""
    names = names_of_labels(sampler, draw, np.arange(2 * pairs))
    ends = zip(names[:pairs], names[pairs:], strict=True)
    return [start if start == end else f"{start} to {end}" for start, end in ends]


def require_between(generator: Generator) -> LatentSpace:
    """The space that a generator's latents can be interpolated in.

    Raises:
        UserError: if they cannot be interpolated.
    """
    space = sampler_of(generator.task).space
    if space is None:
        raise UserError(
            f"interpolation with task {shown(generator.config.task)}, whose sequences of tokens "
            "cannot be interpolated",
            "images or points",
            "Leave out --interpolate",
        )
    return space


def traverse(generator: Generator, draw: Draw, rows: int, columns: int) -> dict[str, Traversal]:
    """Shows the effect of each code: examples that differ only in this code.

    Args:
        generator: the generator.
        draw: the latents, not given ones; all examples of row i have the noise of example i. Its
            labels are shown, and cycled through for codes; of all labels the first 20 are shown.
        rows: number of examples to vary.
        columns: number of values of a continuous code, from -2 to 2; training uses -1 to 1.

    Returns:
        The examples by the name of a code.
    """
    sampler = sampler_of(generator.task)
    key, row = jax.random.key(draw.seed), np.arange(rows)
    placed = truncation(sampler, generator.weights, draw)
    make = jax.jit(lambda weights, origin: generate(sampler, weights, origin, draw.noise))

    def latents(own: np.ndarray) -> jax.Array:
        return sampler.latents(key, row, own)

    varied: dict[str, list[tuple[str, jax.Array, np.ndarray]]] = {}
    if sampler.classes:
        shown_labels = dict.fromkeys(draw.labels) or range(len(sampler.classes))
        first = itertools.islice(shown_labels, _MOST_TRAVERSED)
        alike = {label: np.full(rows, label, np.int32) for label in first}
        varied["label"] = [
            (sampler.classes[label], latents(own), own) for label, own in alike.items()
        ]
    labels = sampler.labels(row, draw.labels)
    start = latents(labels)
    for index in range(-sampler.continuous, 0):
        values = np.linspace(-2.0, 2.0, columns)
        varied[f"code-{index + sampler.continuous + 1}"] = [
            (f"{value:.2g}", start.at[:, index].set(value), labels) for value in values.tolist()
        ]

    def made(noise: jax.Array, own: np.ndarray) -> np.ndarray:
        return to_stored(np.asarray(make(generator.weights, placed(noise, own))))

    return {
        name: Traversal(
            tuple(value for value, _, _ in given),
            np.stack([made(noise, own) for _, noise, own in given], axis=1),
        )
        for name, given in varied.items()
    }
