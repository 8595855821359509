"""Modes of a known mixture that samples find."""

from typing import Annotated

import numpy as np

from gancli.evaluation.evidence import Evaluated
from gancli.evaluation.metric import METRICS, Figures, Metric
from gancli.evaluation.score import class_divergence
from gancli.registry import Bounds

_BLOCK = 1 << 16


@METRICS.register("modes", reference="arXiv:1712.04086, section 4.1")
def modes(most: Annotated[int, Bounds(1, 1_000_000)] = 2500) -> Metric:
    """Modes found, share of high-quality samples and KL to uniform, on a known mixture.

    A sample is of high quality within three deviations of the nearest mode; a mode is found if it
    has one such sample among the first `most`, as many as the papers draw; KL(samples over modes ‖
    uniform) is in nats, over all samples of high quality. One in a thousand near its modes is
    enough for a generator to find them: read the number beside the share.

    Args:
        most: how many samples are searched for the modes.

    Returns:
        The metric, with the figures `found`, `high_quality` (share) and `kl`.
    """

    def measure(evaluated: Evaluated) -> Figures:
        known = evaluated.data.modes
        assert known is not None
        near = np.zeros(len(evaluated.generated), bool)
        nearest = np.zeros(len(near), np.int64)
        for start in range(0, len(near), _BLOCK):
            block = evaluated.generated[start : start + _BLOCK]
            distances = np.linalg.norm(block[:, None] - known.centres[None], axis=2)
            near[start : start + _BLOCK] = distances.min(axis=1) <= 3 * known.deviation
            nearest[start : start + _BLOCK] = distances.argmin(axis=1)
        figures: Figures = {
            "found": float(len(np.unique(nearest[:most][near[:most]]))),
            "high_quality": evaluated.share(near),
        }
        counts = np.bincount(nearest[near], minlength=len(known.centres))
        return figures | {"kl": class_divergence(counts)} if near.any() else figures

    return Metric(
        lambda subject: subject.data.modes is not None,
        measure,
        {"found": "higher", "high_quality": "higher", "kl": "lower"},
    )
