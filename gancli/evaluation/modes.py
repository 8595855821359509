"""Modes of a known mixture that were found."""

import numpy as np

from gancli.evaluation.metric import METRICS, Evaluated, Metric, Side


@METRICS.register("modes", reference="arXiv:1712.04086, section 4.1")
def modes() -> Metric:
    """Modes found, share of high-quality samples and KL to uniform, on a known mixture.

    A sample is of high quality within three deviations of the nearest mode; a mode is found
    if it has one such sample; KL(samples over modes ‖ uniform) is in nats, over those samples.

    Returns:
        The metric, with the figures `found`, `high_quality` (share) and `kl`.
    """

    def measure(evaluated: Evaluated) -> dict[str, float]:
        known = evaluated.data.modes
        assert known is not None
        offsets = evaluated.generated[:, None] - known.centres[None]
        distances = np.linalg.norm(offsets, axis=2)
        near = distances.min(axis=1) <= 3 * known.deviation
        counts = np.bincount(distances.argmin(axis=1)[near], minlength=len(known.centres))
        shares = counts[counts > 0] / max(1, counts.sum())
        kl = float((shares * np.log(shares * len(known.centres))).sum()) if len(shares) else None
        figures = {"found": float((counts > 0).sum()), "high_quality": float(near.mean())}
        return figures if kl is None else figures | {"kl": kl}

    better: dict[str, Side] = {"found": "higher", "high_quality": "higher", "kl": "lower"}
    return Metric(lambda dataset: dataset.modes is not None, measure, better)
