"""Projection: the latents whose images are nearest to given images."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gancli.adversarial.dynamics import Weights
from gancli.data.transform import to_float
from gancli.errors import UserError, shown
from gancli.evaluation.generator import Generator
from gancli.evaluation.latents import Draw, Given, Labels, Origin, origins, styled
from gancli.evaluation.sampling import generate, sample
from gancli.features import Features
from gancli.system.progress import reported
from gancli.tasks import Sampler, Translator

# Samples that starts are chosen from, and at least so many for each label.
_CANDIDATES, _OF_LABEL, _BLOCK = 1024, 32, 64
# Images times starts that are optimized at once, and steps of one call.
_TOGETHER, _STEPS_A_CALL = 64, 50
# In standard deviations of the latents.
_LEARNING_RATE = 0.1

# Images (n, height, width, channels) in [-1, 1] to arrays (n, values) that are compared.
Views = Callable[[jax.Array], tuple[jax.Array, ...]]


class Projection(NamedTuple):
    """The latents found for images, their images in stored format, and their distances.

    A distance is the mean over pixels and, if there are any, features of the mean squared
    difference to the target, divided by that of two samples: 0 for equal images, 1 for images as
    different as two samples. `before`, (n,), is that of the nearest of `candidates` samples, where
    optimization started, and `after`, (n,), that of the images found.
    """

    found: Given
    images: np.ndarray
    before: np.ndarray
    after: np.ndarray
    candidates: int


class Starts(NamedTuple):
    """Starts of optimization, (images, starts) origins with flattened axes, and the scales.

    `distances`, (images,), are those of the nearest candidates; `scales` are the mean squared
    differences of two samples, for each view; `deviation` is that of what is optimized.
    """

    origin: Origin
    distances: np.ndarray
    scales: tuple[jax.Array, ...]
    deviation: float


def require_projection(generator: Generator, features: Features | None = None) -> Sampler:
    """The sampler of a generator whose latents can be found from images.

    Raises:
        UserError: if it does not make images from noise, or the features have no gradient.
    """
    sampler, spec = generator.task.sampler, generator.spec
    if isinstance(sampler, Translator) or sampler.space is None or spec.kind != "image":
        raise UserError(
            f"projection with task {shown(generator.config.task)} on {spec.kind} of shape "
            f"{spec.shape}",
            "a generator of images from noise",
        )
    if features is not None and features.name != "pixels" and features.embed is None:
        raise UserError(
            f"projection by the features {features.name!r}, which have no gradient here",
            "pixels, classifier, or an encoder of float32 images that was exported with a symbolic "
            "batch and vjp_order=1",
        )
    return sampler


def project(
    generator: Generator,
    images: np.ndarray,
    features: Features | None = None,
    labels: Labels = (),
    starts: int = 4,
    steps: int = 500,
    seed: int = 0,
) -> Projection:
    """Finds the latents whose images are nearest to images, by Adam from several starts.

    The latents are w if the generator has styles, else noise and continuous codes, within the
    bounds of their distribution. Each image starts from its nearest among samples of its label,
    or, if no label is given, of all labels in turn; a start keeps its label. The learning rate
    falls from 0.1 standard deviations of the latents to 0 by a cosine.

    Args:
        generator: a generator of images.
        images: (n, height, width, channels) uint8, as in the data set.
        features: features to compare besides pixels; None for pixels alone.
        labels: labels of the images, cycling; empty if they are unknown.
        starts: number of starts of each image, of which the one that comes nearest counts.
        steps: number of steps of Adam.
        seed: random seed of the samples that starts are chosen from.

    Raises:
        UserError: if the generator does not make images from noise, or the features have no
            gradient.
    """
    sampler = require_projection(generator, features)
    embed = None if features is None else features.embed

    def views(images: jax.Array) -> tuple[jax.Array, ...]:
        pixels = images.reshape(len(images), -1)
        return (pixels,) if embed is None else (pixels, embed(images))

    targets = to_float(images)
    asked = np.resize(np.asarray(labels, np.int32), len(images)) if len(labels) else None
    draw = Draw(seed, sorted(set(labels)))
    count = max(_CANDIDATES, _OF_LABEL * (len(draw.labels) or len(sampler.classes)))
    begun = _choose_starts(sampler, generator.weights, views, targets, asked, draw, count, starts)
    values, after = _optimized(sampler, generator.weights, views, targets, begun, starts, steps)
    found = Given("latents" if sampler.styles is None else "styles", values)
    made = np.concatenate(list(sample(generator, Draw(given=found), len(images))))
    return Projection(found, made, begun.distances, after, count)


def _choose_starts(
    sampler: Sampler,
    weights: Weights,
    views: Views,
    targets: np.ndarray,
    asked: np.ndarray | None,
    draw: Draw,
    count: int,
    starts: int,
) -> Starts:
    """The nearest of some samples to each target, of its label if one is asked for."""
    origin_of = origins(sampler, weights, draw)

    @jax.jit
    def compare(weights: Weights, origin: Origin, targets: jax.Array) -> Any:
        made = views(generate(sampler, weights, origin))
        scales = tuple(jnp.mean((view - jnp.roll(view, 1, axis=0)) ** 2) for view in made)
        squares = tuple(
            jax.lax.map(lambda target, view=view: jnp.mean((view - target[None]) ** 2, axis=1), own)
            for view, own in zip(made, views(targets), strict=True)
        )
        return scales, squares

    held, found = [], []
    for start in reported("comparing with samples", range(0, count, _BLOCK)):
        origin = styled(sampler, weights, origin_of(np.arange(start, start + _BLOCK)))
        held.append(jax.tree.map(np.asarray, origin))
        found.append(jax.tree.map(np.asarray, compare(weights, origin, targets)))
    scales = tuple(np.mean(own) for own in zip(*(own for own, _ in found), strict=True))
    squares = [
        np.concatenate(own, axis=1)[:, :count]
        for own in zip(*(own for _, own in found), strict=True)
    ]
    distances = np.mean([one / scale for one, scale in zip(squares, scales, strict=True)], axis=0)
    if asked is not None:
        of_sample = sampler.labels(np.arange(count), draw.labels)
        distances = np.where(of_sample[None] == asked[:, None], distances, np.inf)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :starts]
    everything: Origin = jax.tree.map(lambda *parts: np.concatenate(parts)[:count], *held)
    varied = everything.given.values
    free = _variables(sampler, varied.shape[1]).free > 0
    return Starts(
        jax.tree.map(lambda values: values[nearest.ravel()], everything),
        np.take_along_axis(distances, nearest[:, :1], axis=1)[:, 0],
        tuple(jnp.float32(scale) for scale in scales),
        float(np.sqrt(np.mean(np.var(varied[:, free], axis=0)))),
    )


class Variables(NamedTuple):
    """What is optimized: latents without their one-hot codes, or w.

    `free` (values,) is 1 where a value may change, and `bounded` where it stays in [-1, 1].
    """

    free: np.ndarray
    bounded: np.ndarray


def _variables(sampler: Sampler, values: int) -> Variables:
    """Which of a number of values are optimized."""
    free, bounded = np.ones(values, np.float32), np.zeros(values, bool)
    if sampler.styles is None:
        assert sampler.space is not None
        noise, codes = sampler.space.noise, values - sampler.continuous
        free[noise:codes] = 0
        bounded[codes:] = True
        bounded[:noise] = sampler.space.distribution == "uniform"
    return Variables(free, bounded)


def _optimized(
    sampler: Sampler,
    weights: Weights,
    views: Views,
    targets: np.ndarray,
    begun: Starts,
    starts: int,
    steps: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest latents, (n, values), and their distances, (n,)."""
    adam = optax.adam(optax.cosine_decay_schedule(_LEARNING_RATE * begun.deviation, steps))
    first = begun.origin.given.values
    free, bounded = _variables(sampler, first.shape[1])

    def distances(values: jax.Array, weights: Weights, fixed: Origin, own: Any) -> jax.Array:
        origin = Origin(values) if fixed.styles is None else fixed._replace(styles=values)
        made = views(generate(sampler, weights, origin))
        terms = [
            jnp.mean((one - other) ** 2, axis=1) / scale
            for one, other, scale in zip(made, own, begun.scales, strict=True)
        ]
        return sum(terms, jnp.zeros(len(values))) / len(terms)

    def total(*given: Any) -> tuple[jax.Array, jax.Array]:
        each = distances(*given)
        return each.sum(), each

    slopes = jax.value_and_grad(total, has_aux=True)

    @jax.jit
    def advance(weights: Weights, state: Any, fixed: Origin, targets: jax.Array) -> Any:
        own = views(targets)

        def step(state: Any, _: Any) -> tuple[Any, None]:
            values, moments, best, least = state
            (_, each), slope = slopes(values, weights, fixed, own)
            best = jnp.where((each < least)[:, None], values, best)
            with jax.numpy_dtype_promotion("standard"):
                change, moments = adam.update(slope * free[None], moments)
            moved = values + change
            moved = jnp.where(bounded[None], jnp.clip(moved, -1.0, 1.0), moved)
            return (moved, moments, best, jnp.minimum(each, least)), None

        # Beyond the last step the learning rate is 0.
        return jax.lax.scan(step, state, None, length=_STEPS_A_CALL)[0]

    together = max(1, min(len(targets), _TOGETHER // starts))
    blocks, calls = range(0, len(targets), together), -(-steps // _STEPS_A_CALL)
    ticks = reported("projecting images", range(len(blocks) * calls))
    found, least = [], []
    for start in blocks:
        rows = np.minimum(np.arange(start, start + together), len(targets) - 1)
        places = (rows[:, None] * starts + np.arange(starts)[None]).ravel()
        fixed: Origin = jax.tree.map(lambda values, own=places: values[own], begun.origin)
        values = jnp.asarray(first[places])
        state = (values, adam.init(values), values, jnp.full(len(values), jnp.inf))
        for _ in range(calls):
            next(ticks)
            state = advance(weights, state, fixed, targets[np.repeat(rows, starts)])
        best, each = (np.asarray(part).reshape(together, starts, -1) for part in state[2:])
        nearest = each[..., 0].argmin(axis=1)
        found.append(best[np.arange(together), nearest])
        least.append(each.min(axis=(1, 2)))
    next(ticks, None)
    return np.concatenate(found)[: len(targets)], np.concatenate(least)[: len(targets)]
