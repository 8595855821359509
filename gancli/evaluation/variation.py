"""What changes in examples as their latents change: walks, codes, directions, mixed styles."""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gancli.adversarial.dynamics import Weights
from gancli.data.transform import to_stored
from gancli.errors import UserError, shown
from gancli.evaluation.generator import Generator, sampler_of
from gancli.evaluation.latents import (
    Draw,
    Noise,
    Origin,
    names_of_labels,
    origins,
    styled,
    truncation,
)
from gancli.evaluation.sampling import generate
from gancli.networks import Styles
from gancli.tasks import Sampler
from gancli.tasks.latents import LatentSpace

_MOST_TRAVERSED = 20
# Latents that the Jacobian is averaged over, and those that the deviation along a direction is of.
_AVERAGED, _DEVIATION_OF = 16, 1024


class Traversal(NamedTuple):
    """The values of a code as text, and examples (rows, values, *shape), as in `sample`."""

    values: tuple[str, ...]
    examples: np.ndarray


class Mixture(NamedTuple):
    """Examples (rows, columns, *shape) with the coarse styles of `coarse`, fine ones of `fine`.

    The sources are (rows, *shape) and (columns, *shape), all as in `sample`.
    """

    coarse: np.ndarray
    fine: np.ndarray
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
    there = np.stack([to_stored(np.asarray(image), generator.task.bits) for image in images])
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
    make = _maker(generator, draw)

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

    return {
        name: Traversal(
            tuple(value for value, _, _ in given),
            np.stack([make(placed(noise, own)) for _, noise, own in given], axis=1),
        )
        for name, given in varied.items()
    }


def directions(generator: Generator, draw: Draw, count: int, steps: Sequence[float]) -> np.ndarray:
    """Moves an example along the leading directions of its generator.

    They are the leading eigenvectors of the mean of JᵀJ over 16 latents, J = ∂g/∂z of the noise, or
    ∂g/∂w if the generator has styles: the directions in which a small step changes examples most.
    For a generator that is linear up to a rotation in its first layer they are those of SeFa
    (arXiv:2007.06600), which takes them from its weights. A step is one standard deviation of
    latents along the direction, whose largest value is positive.

    Args:
        generator: the generator.
        draw: the latents; example 0 is moved.
        count: number of directions.
        steps: the steps.

    Returns:
        Examples (count, steps, *shape), as in `sample`.

    Raises:
        UserError: if the latents are not continuous, or have fewer directions.
    """
    size = require_directions(generator, count)
    sampler, weights = sampler_of(generator.task), generator.weights
    start = styled(sampler, weights, origins(sampler, weights, draw)(np.arange(1)))
    others = origins(sampler, weights, draw._replace(given=None))(np.arange(_DEVIATION_OF))
    others = styled(sampler, weights, others)
    averaged = jax.tree.map(lambda values: values[:_AVERAGED], others)
    squares = _mean_squares(sampler, weights, averaged, size, draw.noise)
    _, vectors = np.linalg.eigh(np.asarray(squares, np.float64))
    leading = vectors[:, ::-1][:, :count].T
    largest = np.abs(leading).argmax(axis=1)[:, None]
    leading = leading * np.sign(np.take_along_axis(leading, largest, axis=1))
    varied = others.given.values[:, :size].astype(np.float64)
    moves = leading * (varied @ leading.T).std(axis=0)[:, None]
    make = _maker(generator, draw)

    def strip(move: np.ndarray) -> np.ndarray:
        along = jnp.asarray(np.outer(steps, move), jnp.float32)
        repeated = jax.tree.map(lambda values: jnp.repeat(values, len(along), axis=0), start)
        return make(_moved(repeated, along))

    return np.stack([strip(move) for move in moves])


def _maker(generator: Generator, draw: Draw) -> Callable[[Origin], np.ndarray]:
    """The function from what examples are generated from to them, as in `sample`."""
    sampler, bits = sampler_of(generator.task), generator.task.bits
    make = jax.jit(lambda weights, origin: generate(sampler, weights, origin, draw.noise))
    return lambda origin: to_stored(np.asarray(make(generator.weights, origin)), bits)


def _mean_squares(
    sampler: Sampler, weights: Weights, origins: Origin, size: int, noise: Noise | None
) -> jax.Array:
    """The mean of JᵀJ over latents, (size, size), for the Jacobian J of w or of the noise."""

    @jax.jit
    def squares(weights: Weights, origins: Origin) -> jax.Array:
        def of_one(origin: Origin) -> jax.Array:
            one = jax.tree.map(lambda values: values[None], origin)

            def example(move: jax.Array) -> jax.Array:
                return generate(sampler, weights, _moved(one, move[None]), noise).ravel()

            jacobian = jax.jacfwd(example)(jnp.zeros(size))
            return jacobian.T @ jacobian

        return jax.lax.map(of_one, origins).mean(axis=0)

    return squares(weights, origins)


def _moved(origin: Origin, move: jax.Array) -> Origin:
    """Adds (n, size) to w, or to the noise without styles."""
    if origin.styles is not None:
        return origin._replace(styles=origin.styles + move)
    return Origin(origin.latents.at[:, : move.shape[1]].add(move))


def require_directions(generator: Generator, count: int) -> int:
    """The number of values of a generator's noise, or of its w if it has styles.

    Raises:
        UserError: if it has fewer directions, or none.
    """
    sampler = sampler_of(generator.task)
    if sampler.space is None or generator.spec.kind != "image":
        raise UserError(
            f"--directions with task {shown(generator.config.task)} on {generator.spec.kind}",
            "a generator of images from noise",
            "Leave out --directions",
        )
    size = sampler.space.noise if sampler.styles is None else sampler.styles.size
    if not 1 <= count <= size:
        raise UserError(f"--directions {count}", f"1 to {size}, the values of a latent")
    return size


def mix(generator: Generator, draw: Draw, rows: int, columns: int) -> Mixture:
    """Mixes the styles of examples: coarse ones of one, fine ones of another (arXiv:1812.04948).

    The first half of the layers has the w of the row, the second half that of the column.

    Args:
        generator: a generator with styles.
        draw: the latents; the first `rows` examples are rows, the next `columns` columns.
        rows: number of coarse sources.
        columns: number of fine sources.

    Returns:
        The mixed examples and their sources.

    Raises:
        UserError: if the generator has no styles.
    """
    sampler, styles = sampler_of(generator.task), require_styles(generator, "--mix")
    weights = generator.weights
    origin = origins(sampler, weights, draw)(np.arange(rows + columns))
    w = styled(sampler, weights, origin).given.values
    every = jnp.repeat(w[:, None], styles.layers, axis=1)
    coarse, fine = every[:rows, None], every[None, rows:]
    is_fine = (jnp.arange(styles.layers) >= styles.layers // 2)[None, None, :, None]
    mixed = jnp.where(is_fine, fine, coarse).reshape(-1, *every.shape[1:])
    latents = jnp.repeat(origin.latents[:rows], columns, axis=0)

    make = _maker(generator, draw)
    sources = make(Origin(origin.latents, every))
    examples = make(Origin(latents, mixed)).reshape(rows, columns, *sources.shape[1:])
    return Mixture(sources[:rows], sources[rows:], examples)


def require_styles(generator: Generator, option: str) -> Styles:
    """The styles of a generator.

    Raises:
        UserError: if it has none.
    """
    styles = sampler_of(generator.task).styles
    if styles is None:
        raise UserError(
            f"{option} with model {shown(generator.config.model)}, which has no styles",
            "a generator of model stylegan2",
            f"Leave out {option}",
        )
    return styles
