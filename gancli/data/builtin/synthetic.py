"""Points in the plane whose distribution is known exactly."""

from typing import Annotated

import numpy as np

from gancli.data.dataset import (
    DATASETS,
    DataRequest,
    Dataset,
    DataSpec,
    Modes,
    Seed,
    refuse_size,
    require_split,
)
from gancli.data.facts import fingerprint
from gancli.registry import Bounds

SPLITS = ("train", "test")
Count = Annotated[int, Bounds(1, 10_000_000)]
Noise = Annotated[float, Bounds(0, 1e30)]


@DATASETS.register("ring8", reference="arXiv:1712.04086")
def ring8(request: DataRequest, *, count: Count = 100_000, seed: Seed = 0) -> Dataset:
    """Eight Gaussians of deviation 0.01 on the unit circle.

    Means (cos 2πk/8, sin 2πk/8) for k = 0..7, each as likely as the others.

    Args:
        request: only its `split` applies; `test` is an independent draw.
        count: how many points are drawn, once.
        seed: decides the points.

    Returns:
        Points (count, 2) float32, labelled with their mean's number.

    Raises:
        UserError: if the request does not apply to points.
    """
    angles = 2 * np.pi * np.arange(8) / 8
    centres = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return _mixture("ring8", Modes(centres, 0.01), request, count, seed)


@DATASETS.register("grid25", reference="arXiv:1712.04086")
def grid25(request: DataRequest, *, count: Count = 100_000, seed: Seed = 0) -> Dataset:
    """Twenty-five Gaussians of deviation 0.05 on a five by five grid.

    Means {-4, -2, 0, 2, 4}², the second coordinate running fastest, equally likely.

    Args:
        request: only its `split` applies; `test` is an independent draw.
        count: how many points are drawn, once.
        seed: decides the points.

    Returns:
        Points (count, 2) float32, labelled with their mean's number.

    Raises:
        UserError: if the request does not apply to points.
    """
    places = np.arange(-4.0, 5.0, 2.0)
    centres = np.stack(np.meshgrid(places, places, indexing="ij"), axis=-1).reshape(25, 2)
    return _mixture("grid25", Modes(centres, 0.05), request, count, seed)


@DATASETS.register("swiss-roll", reference="arXiv:1503.03585")
def swiss_roll(
    request: DataRequest, *, count: Count = 100_000, seed: Seed = 0, noise: Noise = 0.02
) -> Dataset:
    """A spiral of one and a half turns in the unit disc.

    (t cos t, t sin t) / 4.5π with t = 1.5π (1 + 2u), u uniform in [0, 1], plus noise.

    Args:
        request: only its `split` applies; `test` is an independent draw.
        count: how many points are drawn, once.
        seed: decides the points.
        noise: standard deviation of the Gaussian noise on each coordinate.

    Returns:
        Points (count, 2) float32, without labels.

    Raises:
        UserError: if the request does not apply to points.
    """
    generator = _generator("swiss-roll", request, seed)
    turn = 1.5 * np.pi * (1 + 2 * generator.random(count))
    curve = np.stack([turn * np.cos(turn), turn * np.sin(turn)], axis=1) / (4.5 * np.pi)
    points = curve + noise * generator.standard_normal((count, 2))
    return _points("swiss-roll", points)


@DATASETS.register("moons", reference="scikit-learn, sklearn.datasets.make_moons")
def moons(
    request: DataRequest, *, count: Count = 100_000, seed: Seed = 0, noise: Noise = 0.05
) -> Dataset:
    """Two interleaved half circles, centred and scaled to unit width.

    With t uniform in [0, π], the upper is (cos t, sin t) and the lower
    (1 - cos t, 1/2 - sin t); noise is added, (1/2, 1/4) subtracted, all divided by 3/2.

    Args:
        request: only its `split` applies; `test` is an independent draw.
        count: how many points are drawn, once.
        seed: decides the points.
        noise: standard deviation of the Gaussian noise, before scaling.

    Returns:
        Points (count, 2) float32, labelled 0 (upper) and 1 (lower).

    Raises:
        UserError: if the request does not apply to points.
    """
    generator = _generator("moons", request, seed)
    labels = generator.integers(2, size=count)
    angle = np.pi * generator.random(count)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    lower = np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], axis=1)
    curve = np.where(labels[:, None] == 0, upper, lower)
    points = curve + noise * generator.standard_normal((count, 2))
    return _points("moons", (points - [0.5, 0.25]) / 1.5, labels, ("upper", "lower"))


def _mixture(name: str, modes: Modes, request: DataRequest, count: int, seed: int) -> Dataset:
    generator = _generator(name, request, seed)
    labels = generator.integers(len(modes.centres), size=count)
    points = modes.centres[labels] + modes.deviation * generator.standard_normal((count, 2))
    classes = tuple(str(number) for number in range(len(modes.centres)))
    return _points(name, points, labels, classes)._replace(modes=modes)


def _points(
    name: str,
    points: np.ndarray,
    labels: np.ndarray | None = None,
    classes: tuple[str, ...] = (),
) -> Dataset:
    examples = points.astype(np.float32)
    numbers = None if labels is None else labels.astype(np.int32)
    spec = DataSpec(name, "points", examples.shape[1:], classes)
    return Dataset(spec, examples, numbers, fingerprint(examples, numbers))


def _generator(name: str, request: DataRequest, seed: int) -> np.random.Generator:
    """The random generator of a set, after refusing a request that does not apply to points."""
    refuse_size(name, request, "points")
    require_split(name, request.split, SPLITS)
    branch = () if request.split == "train" else (SPLITS.index(request.split),)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=branch)))
