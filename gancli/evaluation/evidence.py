"""The evidence of metrics: generated and real examples, and values computed once from both."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np

from gancli.data import DataRequest, Dataset
from gancli.data.dataset import fixed_order
from gancli.evaluation.intervals import Interval, interval, share_interval
from gancli.evaluation.moments import Moments
from gancli.features import (
    FEATURES,
    Classifier,
    Features,
    fitted_classifier,
    joint_classes,
    posteriors,
    predicted,
)
from gancli.features.cached import Like, cached_arrays
from gancli.system.progress import reported

Labelling = Literal["", "asked", "learned"]

# Largest number of classes that get figures of their own.
MOST_CLASSES_SHOWN = 20
# Largest number of examples for figures of all pairs or of resamples.
MOST_COMPARED = 10_000
# Examples per call for features: a few blocks, so that progress is visible.
_PART = 2048


class Asked(NamedTuple):
    """The labels that samples should show, (samples,), and the number of classes; see `Subject`."""

    labels: np.ndarray
    classes: int
    kind: Labelling


class Autoencoder(NamedTuple):
    """The autoencoder of a generator with an encoder, for examples (n, *shape) in stored format.

    `reconstruct(examples)` returns reconstructions in stored format. If examples have a
    likelihood, `bound(examples, draws)` returns a lower bound of its logarithm, (n,) in nats.
    """

    reconstruct: Callable[[np.ndarray], np.ndarray]
    bound: Callable[[np.ndarray, int], np.ndarray] | None


class Pairs(NamedTuple):
    """The sources and originals of translations.

    Both are (samples, height, width, channels) uint8: `plain` holds the untranslated sources,
    `real` the originals, or None if they are unknown.
    """

    plain: np.ndarray
    real: np.ndarray | None


class Drawn(NamedTuple):
    """Examples drawn from a generator, with their context.

    `generated` is in stored format (images and tokens as in the data, points float32) and may
    be memory-mapped. `asked` holds the requested labels, `autoencoder` belongs to a generator with
    an encoder, `pairs` to an image-to-image model, and `log_likelihood` to a generator with a
    likelihood: log p of examples (n, *shape), (n,) in nats.
    """

    generated: np.ndarray
    asked: Asked | None = None
    autoencoder: Autoencoder | None = None
    pairs: Pairs | None = None
    log_likelihood: Callable[[np.ndarray], np.ndarray] | None = None


class Evaluated:
    """Generated examples, and the real examples to compare them with.

    Args:
        drawn: the samples to measure.
        data: the training data, which samples should resemble.
        request: the request that loaded them.
        real: another split to compare with; `data` by default.
        features: the features to compare; None for `default_features` of the data.
        with_intervals: whether figures have intervals, which takes seconds.
    """

    def __init__(
        self,
        drawn: Drawn,
        data: Dataset,
        request: DataRequest | None = None,
        real: Dataset | None = None,
        features: Features | None = None,
        with_intervals: bool = False,
    ):
        self.generated, self.asked, self.autoencoder, self.pairs, self.log_likelihood = drawn
        self.data, self.real = data, real or data
        self.request = request or DataRequest()
        self._features = features
        self._with_intervals = with_intervals

    @cached_property
    def features(self) -> Features:
        """The function whose values are compared."""
        if self._features is not None:
            return self._features
        return FEATURES.build(default_features(self.data), self.data, self.request)

    def real_rows(self, most: int) -> np.ndarray:
        """At most `most` rows of the real examples, by a fixed permutation, ascending."""
        return np.sort(fixed_order(len(self.real.examples))[:most])

    @cached_property
    def real_features(self) -> np.ndarray:
        """The features of at most `MOST_COMPARED` real examples, those of `real_rows`."""
        rows = self.real_rows(MOST_COMPARED)

        def compute() -> dict[str, np.ndarray]:
            return {"features": self._of("features of real examples", self.real.examples, rows)}

        like = {"features": Like((len(rows), self.features.dimension), np.float32)}
        return self._kept(f"features of {len(rows)}", like, compute)["features"]

    @cached_property
    def real_moments(self) -> Moments:
        """Mean and covariance of the features of all real examples."""

        def compute() -> dict[str, Any]:
            return self._moments("features of real examples", self.real.examples)._asdict()

        side = self.features.dimension
        like = {
            "examples": Like((), np.int64),
            "mean": Like((side,), np.float64),
            "scatter": Like((side, side), np.float64),
        }
        held = self._kept("moments", like, compute)
        return Moments(int(held["examples"]), held["mean"], held["scatter"])

    @cached_property
    def compared_features(self) -> np.ndarray:
        """The features of the first `MOST_COMPARED` samples, (samples, dimension) float32."""
        rows = np.arange(min(len(self.generated), MOST_COMPARED))
        return self._of("features of the samples", self.generated, rows)

    @cached_property
    def generated_moments(self) -> Moments:
        """Mean and covariance of the features of all samples."""
        if len(self.generated) <= MOST_COMPARED:
            return Moments.of([self.compared_features])
        return self._moments("features of the samples", self.generated)

    @cached_property
    def classifier(self) -> Classifier:
        """The classifier that was fitted to the training data."""
        return fitted_classifier(self.data, self.request)

    @cached_property
    def posteriors(self) -> np.ndarray:
        """Class probabilities of the first `MOST_COMPARED` samples, see `posteriors`."""
        return posteriors(self.classifier, self.generated[:MOST_COMPARED])

    @cached_property
    def classes(self) -> np.ndarray:
        """The predicted class of each sample, (samples,) int64."""
        if len(self.generated) <= MOST_COMPARED:
            return joint_classes(self.posteriors)
        return predicted(self.classifier, self.generated)

    def share(self, found: np.ndarray) -> float | Interval:
        """The share of true values, with its exact interval if intervals are wanted.

        Args:
            found: (n,) bool.
        """
        return share_interval(found) if self._with_intervals else float(found.mean())

    def figure(
        self, statistic: Callable[[np.ndarray], float], rows: np.ndarray
    ) -> float | Interval:
        """A statistic of examples, with its bootstrap interval if intervals are wanted.

        Args:
            statistic: takes the array and returns one number.
            rows: one example per row; see `interval`.
        """
        if not self._with_intervals:
            return float(statistic(rows))
        return interval(statistic, rows)

    def provenance(self) -> dict[str, Any]:
        """The provenance of the figures measured so far, as a JSON object."""
        used = self.__dict__
        found: dict[str, Any] = {
            "samples": len(self.generated),
            "real": {
                "name": self.real.spec.name,
                "count": len(self.real.examples),
                "fingerprint": self.real.fingerprint,
            },
        }
        if "features" in used:
            found["features"] = {
                "name": self.features.name,
                "dimension": self.features.dimension,
                "fingerprint": self.features.fingerprint,
            }
        if "classifier" in used:
            found["classifier"] = {
                "accuracy": self.classifier.accuracy,
                "measured_on": self.classifier.measured_on,
                "fingerprint": self.classifier.fingerprint,
            }
        return found

    def _of(self, what: str, examples: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The features of some examples."""
        starts = reported(what, range(0, len(rows), _PART))
        parts = [self.features.of(examples[rows[start : start + _PART]]) for start in starts]
        return np.concatenate(parts)

    def _moments(self, what: str, examples: np.ndarray) -> Moments:
        """The moments of the features of examples, with only a part in memory at a time."""
        starts = reported(what, range(0, len(examples), _PART))
        return Moments.of(self.features.of(examples[start : start + _PART]) for start in starts)

    def _kept(
        self, what: str, like: dict[str, Like], compute: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        """Statistics of the real data, cached if they take long to compute."""
        if self.real.spec.kind != "image":
            return compute()
        key = f"{what} v1:{self.features.fingerprint}:{self.real.fingerprint}"
        return cached_arrays("statistics", key, like, compute)


def default_features(data: Dataset) -> str:
    """The name of the default features of the data."""
    return "classifier" if data.spec.classifiable else "pixels"
