"""Whether generated images are copies of training images."""

import numpy as np

from gancli.evaluation.metric import METRICS, Evaluated, Metric, Side

_NEIGHBOURS = 50


@METRICS.register("memorization", reference="arXiv:2301.13188, section 5.1")
def memorization(threshold: float = 0.333) -> Metric:
    """Copies of training images among the samples, by nearest neighbours in pixel space.

    A sample is a copy if its distance to the nearest training image is below `threshold`
    times the mean distance to its 50 nearest ones.

    Args:
        threshold: the ratio below which a sample counts as a copy.

    Returns:
        The metric, with the figures `copies` (share), `identical` (share of samples equal to
        a training image in every pixel), `nearest` (median distance to the nearest training
        image, in root-mean-square grey levels of 255) and `nearest_real` (the same from each
        training image to the next).
    """

    def measure(evaluated: Evaluated) -> dict[str, float]:
        from sklearn.neighbors import NearestNeighbors

        real = evaluated.data.examples.reshape(len(evaluated.data.examples), -1)
        generated = evaluated.generated.reshape(len(evaluated.generated), -1)
        count = min(_NEIGHBOURS, len(real))
        index = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(np.float32(real))
        distances, nearest = index.kneighbors(np.float32(generated))
        identical = (real[nearest[:, 0]] == generated).all(axis=1)
        copies = identical | (distances[:, 0] < threshold * distances.mean(axis=1))
        probe = np.float32(real[: len(generated)])
        between = index.kneighbors(probe, n_neighbors=min(2, len(real)))[0][:, -1]
        scale = np.sqrt(real.shape[1])
        return {
            "copies": float(copies.mean()),
            "identical": float(identical.mean()),
            "nearest": float(np.median(distances[:, 0]) / scale),
            "nearest_real": float(np.median(between) / scale),
        }

    better: dict[str, Side] = {"copies": "lower", "identical": "lower"}
    return Metric(lambda dataset: dataset.spec.kind == "image", measure, better)
