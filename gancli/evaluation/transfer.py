"""The value of samples as training data: classifiers fitted to samples and to real images."""

from typing import Annotated

import numpy as np

from gancli.evaluation.evidence import Evaluated
from gancli.evaluation.metric import METRICS, Figures, Metric, Subject
from gancli.features import divide, fit, kept_fit, right
from gancli.registry import Bounds


@METRICS.register("transfer", reference="arXiv:1905.10887 (train on synthetic, test on real)")
def transfer(most: Annotated[int, Bounds(100, 1_000_000)] = 10_000) -> Metric:
    """Trains a classifier on synthetic images and tests it on real ones, and the reverse.

    The labels of samples are the requested ones (the accuracy on real images is then the
    classification accuracy score), or else the predictions of the data set's classifier, so that
    any generator can be measured. One classifier is fitted to samples, and one by the same recipe
    to as many real images, as a reference.

    Args:
        most: largest number of samples, and of real images, to fit to.

    Returns:
        The metric, with the figures `synthetic_to_real` (accuracy of the samples' classifier on
        real held-out images), `real_to_real` (the same of the real images' classifier),
        `real_to_synthetic` (accuracy of the latter on samples) and `images` (number fitted to).
    """

    def measure(evaluated: Evaluated) -> Figures:
        data, samples = evaluated.data, evaluated.generated[:most]
        assert data.labels is not None
        asked = evaluated.asked
        known = asked.labels if asked and asked.kind == "asked" else evaluated.classes
        labels = known[:most].astype(np.int32)
        synthetic = data._replace(examples=samples, labels=labels)
        train, real, rows = divide(data, evaluated.request)
        order = np.random.Generator(np.random.PCG64(1)).permutation(train)
        count = min(len(samples), len(train))
        every = np.arange(len(samples))
        of_samples = fit(synthetic, every, "a classifier of samples")
        of_real = kept_fit(data, np.sort(order[:count]), "a classifier of as many real images")
        return {
            "synthetic_to_real": evaluated.share(right(of_samples, real, rows)),
            "real_to_real": evaluated.share(right(of_real, real, rows)),
            "real_to_synthetic": evaluated.share(right(of_real, synthetic, every)),
            "images": float(count),
        }

    def fits(subject: Subject) -> bool:
        spec = subject.data.spec
        return spec.classifiable and not spec.name.startswith("stacked-mnist")

    return Metric(
        fits,
        measure,
        {"synthetic_to_real": "higher", "real_to_synthetic": "higher"},
        quick=False,
    )
