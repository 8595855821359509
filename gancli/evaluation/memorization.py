"""Whether generated images are copies of training images."""

from typing import Annotated, NamedTuple

import numpy as np

from gancli.evaluation.evidence import Evaluated
from gancli.evaluation.metric import METRICS, Figures, Metric
from gancli.registry import Bounds

_NEIGHBOURS = 50


class Nearest(NamedTuple):
    """The nearest training images of each sample, the nearest first.

    `distances` (samples, k) are Euclidean in pixel levels; `rows` (samples, k) are their indices.
    """

    distances: np.ndarray
    rows: np.ndarray


def nearest_training_images(
    examples: np.ndarray, images: np.ndarray, neighbours: int = _NEIGHBOURS
) -> Nearest:
    """Finds the nearest training images in pixel space.

    Args:
        examples: training images, (n, height, width, channels).
        images: images to find neighbours of, (m, height, width, channels).
        neighbours: number of neighbours per image; all if there are fewer.
    """
    from sklearn.neighbors import NearestNeighbors

    real = examples.reshape(len(examples), -1).astype(np.float32)
    index = NearestNeighbors(n_neighbors=min(neighbours, len(real)), algorithm="brute").fit(real)
    return Nearest(*index.kneighbors(images.reshape(len(images), -1).astype(np.float32)))


@METRICS.register("memorization", reference="arXiv:2301.13188, section 5.1")
def memorization(
    threshold: Annotated[float, Bounds(0, 1)] = 0.333,
    most: Annotated[int, Bounds(1, 1_000_000)] = 1000,
) -> Metric:
    """Copies of training images among the samples, by nearest neighbours in pixel space.

    A sample is a copy if its distance to the nearest training image is below `threshold`
    times the mean distance to its 50 nearest ones.

    Args:
        threshold: the ratio below which a sample counts as a copy.
        most: largest number of samples to check.

    Returns:
        The metric, with the figures `copies` (share), `identical` (share of samples equal to
        a training image in every pixel), `nearest` (median distance to the nearest training
        image, in root-mean-square grey levels of 255), `nearest_real` (the same from each
        training image to the next) and `samples` (number of samples checked).
    """

    def measure(evaluated: Evaluated) -> Figures:
        real, generated = evaluated.data.examples, evaluated.generated[:most]
        found = nearest_training_images(real, generated)
        pairs = zip(found.rows[:, 0], generated, strict=True)
        identical = np.array([np.array_equal(real[row], image) for row, image in pairs])
        nearest = found.distances[:, 0]
        copies = identical | (nearest < threshold * found.distances.mean(axis=1))
        between = nearest_training_images(real, real[: len(generated)], 2).distances[:, -1]
        scale = np.sqrt(generated[0].size) * evaluated.data.spec.white / 255
        return {
            "copies": evaluated.share(copies),
            "identical": evaluated.share(identical),
            "nearest": float(np.median(nearest) / scale),
            "nearest_real": float(np.median(between) / scale),
            "samples": float(len(generated)),
        }

    return Metric(
        lambda subject: subject.data.spec.kind == "image",
        measure,
        {"copies": "lower", "identical": "lower"},
    )
