"""Classes of the samples, predicted by a classifier that is fitted to the real data."""

import math
from typing import Annotated

import numpy as np

from gancli.evaluation.evidence import MOST_CLASSES_SHOWN, Evaluated
from gancli.evaluation.metric import METRICS, Figures, Metric
from gancli.evaluation.score import class_divergence, classifier_score, classifier_score_of_splits
from gancli.features import softmax
from gancli.registry import Bounds


@METRICS.register("classes", reference="arXiv:1606.03498, section 4 (score)")
def classes() -> Metric:
    """Classes of the samples and the confidence of a classifier that is fitted to real data.

    For stacked digits the classifier reads each channel separately, and the class is the number of
    three digits (arXiv:1712.04086, section 4.2).

    Returns:
        The metric, with the figures `smallest_share` (of the rarest class), `found` (classes
        with at least one sample), `kl` (of the predicted classes from the data's, in nats, if it
        is finite), `kl_uniform` (from equal shares) and `share/CLASS` for up to 20 classes. Over
        at most 10,000 samples also `confidence` (mean of the largest probability) and `score`
        (exp of the mean KL of the class posterior from its mean; not for stacked digits).
    """

    def measure(evaluated: Evaluated) -> Figures:
        labels, names = evaluated.data.labels, evaluated.data.spec.classes
        assert labels is not None
        posteriors = evaluated.posteriors
        counts = np.bincount(evaluated.classes, minlength=len(names))
        shares = counts / counts.sum()
        figures: Figures = {
            "smallest_share": float(shares.min()),
            "confidence": evaluated.figure(np.mean, posteriors.max(axis=2).prod(axis=1)),
            "found": float((counts > 0).sum()),
            "kl_uniform": class_divergence(counts),
        }
        if posteriors.shape[1] == 1:
            figures["score"] = evaluated.figure(classifier_score, posteriors[:, 0])
        divergence = class_divergence(counts, np.bincount(labels, minlength=len(names)))
        if math.isfinite(divergence):  # Reports cannot hold infinity.
            figures["kl"] = divergence
        if len(names) <= MOST_CLASSES_SHOWN:
            figures |= {f"share/{n}": float(s) for n, s in zip(names, shares, strict=True)}
        return figures

    return Metric(
        lambda subject: subject.data.spec.classifiable,
        measure,
        {
            "smallest_share": "higher",
            "confidence": "higher",
            "found": "higher",
            "score": "higher",
            "kl": "lower",
            "kl_uniform": "lower",
        },
    )


@METRICS.register("inception-score", also="inception is", reference="arXiv:1606.03498, section 4")
def inception_score(splits: Annotated[int, Bounds(1, 1000)] = 10) -> Metric:
    """The Inception score, only on Inception's features.

    exp of the mean KL of the class posterior from its mean, over consecutive parts of the
    samples.

    Args:
        splits: number of parts.

    Returns:
        The metric, with the figures `score` and `deviation`, mean and standard deviation over
        the parts.
    """

    def measure(evaluated: Evaluated) -> Figures:
        features, generated = evaluated.features, evaluated.generated
        head = features.inception_head
        assert head is not None
        weights = head.T.astype(np.float64)

        def posteriors_of(rows: slice) -> np.ndarray:
            return softmax(features.of(generated[rows]).astype(np.float64) @ weights)

        score, deviation = classifier_score_of_splits(posteriors_of, len(generated), splits)
        return {"score": score, "deviation": deviation}

    return Metric(lambda subject: subject.features == "inception", measure, {"score": "higher"})
