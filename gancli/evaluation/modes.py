"""Modes of a known mixture that were found."""

import numpy as np

from gancli.evaluation.evidence import Evaluated
from gancli.evaluation.metric import METRICS, Figures, Metric
from gancli.evaluation.score import class_divergence

_BLOCK = 1 << 16


@METRICS.register("modes", reference="arXiv:1712.04086, section 4.1")
def modes() -> Metric:
    """Modes found, share of high-quality samples and KL to uniform, on a known mixture.

    A sample is of high quality within three deviations of the nearest mode; a mode is found
    if it has one such sample; KL(samples over modes ‖ uniform) is in nats, over those samples.

    Returns:
        The metric, with the figures `found`, `high_quality` (share) and `kl`.
    """

    def measure(evaluated: Evaluated) -> Figures:
        known = evaluated.data.modes
        assert known is not None
        near = np.zeros(len(evaluated.generated), bool)
        counts = np.zeros(len(known.centres), np.int64)
        for start in range(0, len(near), _BLOCK):
            block = evaluated.generated[start : start + _BLOCK]
            distances = np.linalg.norm(block[:, None] - known.centres[None], axis=2)
            own = distances.min(axis=1) <= 3 * known.deviation
            near[start : start + _BLOCK] = own
            counts += np.bincount(distances.argmin(axis=1)[own], minlength=len(counts))
        figures: Figures = {
            "found": float((counts > 0).sum()),
            "high_quality": evaluated.share(near),
        }
        return figures | {"kl": class_divergence(counts)} if near.any() else figures

    return Metric(
        lambda subject: subject.data.modes is not None,
        measure,
        {"found": "higher", "high_quality": "higher", "kl": "lower"},
    )
