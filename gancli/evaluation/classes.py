"""Classes that a classifier, fitted to the real data, sees in the samples."""

import numpy as np

from gancli.data import Dataset
from gancli.evaluation.classifier import fitted_classifier, probabilities
from gancli.evaluation.metric import METRICS, Evaluated, Metric, Side


@METRICS.register("classes", reference="arXiv:1606.03498, section 4 (score)")
def classes() -> Metric:
    """Which classes the samples show, and how surely, by a classifier fitted to real data.

    Returns:
        The metric, with the figures `smallest_share` (of the rarest class), `confidence`
        (mean of the largest probability), `found` (classes with at least one sample), `score`
        (exp of the mean KL of the class posterior from its mean), `kl` (of the predicted
        classes from the data's, in nats), `classifier_accuracy` (on held-out real data) and
        `share/CLASS` for up to 20 classes.
    """

    def fits(dataset: Dataset) -> bool:
        return dataset.spec.kind == "image" and len(dataset.spec.classes) > 1

    def measure(evaluated: Evaluated) -> dict[str, float]:
        labels, names = evaluated.data.labels, evaluated.data.spec.classes
        assert labels is not None
        classifier = fitted_classifier(evaluated.data)
        posterior = probabilities(classifier, evaluated.generated)
        shares = np.bincount(posterior.argmax(axis=1), minlength=len(names)) / len(posterior)
        real_shares = np.bincount(labels, minlength=len(names)) / len(labels)
        shown = shares > 0
        floor = np.finfo(np.float64).tiny
        ratio = np.log(np.maximum(posterior, floor)) - np.log(posterior.mean(axis=0) + floor)
        figures = {
            "smallest_share": float(shares.min()),
            "confidence": float(posterior.max(axis=1).mean()),
            "found": float(shown.sum()),
            "score": float(np.exp((posterior * ratio).sum(axis=1).mean())),
            "kl": float((shares[shown] * np.log(shares[shown] / real_shares[shown])).sum()),
            "classifier_accuracy": classifier.accuracy,
        }
        if len(names) <= 20:
            figures |= {f"share/{n}": float(s) for n, s in zip(names, shares, strict=True)}
        return figures

    better: dict[str, Side] = {
        "smallest_share": "higher", "confidence": "higher", "found": "higher", "score": "higher",
        "kl": "lower",
    }  # fmt: skip
    return Metric(fits, measure, better)
