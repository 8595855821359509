"""What metrics look at: generated examples, real ones, and what is computed of both once."""

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

# Classes of which each has figures of its own.
MOST_CLASSES_SHOWN = 20
# Where every pair counts, or examples are drawn again and again, so many are looked at.
MOST_COMPARED = 10_000
# Examples whose features are computed at once: a few blocks, so that progress is seen.
_PART = 2048


class Asked(NamedTuple):
    """What samples were asked to show: labels (samples,) of so many classes, see `Subject`."""

    labels: np.ndarray
    classes: int
    kind: Labelling


class Autoencoder(NamedTuple):
    """What a generator with an encoder makes of real examples (n, *shape) as they are stored.

    `reconstruct(examples)` is what comes back from their codes, as stored, and where they have a
    likelihood `bound(examples, draws)` a lower bound of each one's logarithm, (n,) in nats.
    """

    reconstruct: Callable[[np.ndarray], np.ndarray]
    bound: Callable[[np.ndarray, int], np.ndarray] | None


class Pairs(NamedTuple):
    """What images were made of, and what they should have become.

    Both are (samples, height, width, channels) uint8: `plain` holds the sources as plain as they
    are, `real` the images that they were made of, or None where nobody knows.
    """

    plain: np.ndarray
    real: np.ndarray | None


class Drawn(NamedTuple):
    """Examples that were drawn from a generator, and what is known of them.

    `generated` is as it is stored (images uint8, points float32, tokens as the data have them),
    maybe mapped. `asked` is what they were asked to show, `autoencoder` there for a generator that
    has an encoder, `pairs` for one that makes images of images, and `log_likelihood` for one that
    knows it: log p of examples (n, *shape), (n,) in nats.
    """

    generated: np.ndarray
    asked: Asked | None = None
    autoencoder: Autoencoder | None = None
    pairs: Pairs | None = None
    log_likelihood: Callable[[np.ndarray], np.ndarray] | None = None


class Evaluated:
    """Generated examples, and the real ones that they are held against.

    Args:
        drawn: what is to be measured.
        data: what it shall look like: those that the generator was trained on.
        request: what those were loaded with.
        real: another split of them to compare with; `data` by default.
        features: what is compared; None for `default_features` of the data.
        with_intervals: whether figures shall have intervals, which takes seconds.
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
        """At most so many rows of the real examples, by a fixed permutation, ascending."""
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

        def compute() -> dict[str, np.ndarray]:
            return self._moments("features of real examples", self.real.examples).as_arrays()

        side = self.features.dimension
        like = {
            "examples": Like((), np.int64),
            "mean": Like((side,), np.float64),
            "scatter": Like((side, side), np.float64),
        }
        return Moments.from_arrays(self._kept("moments", like, compute))

    @cached_property
    def compared_features(self) -> np.ndarray:
        """Those of the first `MOST_COMPARED` samples, (samples, dimension) float32."""
        rows = np.arange(min(len(self.generated), MOST_COMPARED))
        return self._of("features of the samples", self.generated, rows)

    @cached_property
    def generated_moments(self) -> Moments:
        """Mean and covariance of the features of all samples."""
        if len(self.generated) <= MOST_COMPARED:
            return Moments.of([self.compared_features], "generated")
        return self._moments("features of the samples", self.generated)

    @cached_property
    def classifier(self) -> Classifier:
        """The classifier that was fitted to the training data."""
        return fitted_classifier(self.data, self.request)

    @cached_property
    def posteriors(self) -> np.ndarray:
        """What the classifier reads in the first `MOST_COMPARED` samples, see `posteriors`."""
        return posteriors(self.classifier, self.generated[:MOST_COMPARED])

    @cached_property
    def classes(self) -> np.ndarray:
        """The class that the classifier reads in each sample, (samples,) int64."""
        if len(self.generated) <= MOST_COMPARED:
            return joint_classes(self.posteriors)
        return predicted(self.classifier, self.generated)

    def share(self, found: np.ndarray) -> float | Interval:
        """The share of examples that are so, with its exact interval where they are wanted.

        Args:
            found: (n,) bool.

        Returns:
            The figure.
        """
        return share_interval(found) if self._with_intervals else float(found.mean())

    def figure(
        self, statistic: Callable[[np.ndarray], float], rows: np.ndarray
    ) -> float | Interval:
        """A statistic of examples, with its bootstrap interval where intervals are wanted.

        Args:
            statistic: takes the array and returns one number.
            rows: an example a row; see `interval`.

        Returns:
            The figure.
        """
        if not self._with_intervals:
            return float(statistic(rows))
        return interval(statistic, rows)

    def provenance(self) -> dict[str, Any]:
        """What the figures measured so far rest on, as a JSON object."""
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
        """The moments of the features of examples, a part of which is in memory at a time."""
        starts = reported(what, range(0, len(examples), _PART))
        return Moments.of(self.features.of(examples[start : start + _PART]) for start in starts)

    def _kept(
        self, what: str, like: dict[str, Like], compute: Callable[[], dict[str, np.ndarray]]
    ) -> dict[str, np.ndarray]:
        """Statistics of the real data, from the cache where they took long to compute."""
        if self.real.spec.kind != "image":
            return compute()
        key = f"{what} v1:{self.features.fingerprint}:{self.real.fingerprint}"
        return cached_arrays("statistics", key, like, compute)


def default_features(data: Dataset) -> str:
    """The features that are compared where none are named."""
    return "classifier" if data.spec.classifiable else "pixels"
