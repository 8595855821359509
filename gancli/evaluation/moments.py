"""Features in double precision, and their moments gathered block by block."""

import functools
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from gancli.errors import UserError

# With more dimensions, a covariance takes minutes to decompose and gigabytes to hold.
MOST_DIMENSIONS = 4096


def as_features(features: np.ndarray, name: str, least: int = 1) -> np.ndarray:
    """Features in double precision.

    Args:
        features: (n, d), finite, see `gancli.features.Features.blocks`.
        name: their name in messages, for example `generated`.
        least: the smallest number of examples that the figure is defined for.

    Returns:
        (n, d) float64.

    Raises:
        UserError: if there are fewer examples.
    """
    if len(features) < least:
        raise UserError(f"there are {len(features)} {name} features", f"at least {least} examples")
    return features.astype(np.float64, copy=False)


def as_feature_pair(
    real: np.ndarray, generated: np.ndarray, least: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Real and generated features in double precision, see `as_features`.

    Raises:
        UserError: if there are fewer than `least` of either.
    """
    return as_features(real, "real", least), as_features(generated, "generated", least)


class Moments(NamedTuple):
    """Count, mean and scatter of features, gathered block by block.

    The scatter is the sum of outer products of deviations from the mean. It is merged, never
    computed as a difference of large sums, so it is sound however far the mean is from zero
    (Chan, Golub and LeVeque, 1983, "Algorithms for computing the sample variance").
    """

    examples: int
    mean: np.ndarray
    scatter: np.ndarray

    @classmethod
    def of(cls, blocks: Iterable[np.ndarray]) -> "Moments":
        """The moments of blocks (n, d) of features, with one block in memory at a time."""

        def moments(block: np.ndarray) -> "Moments":
            features = block.astype(np.float64, copy=False)
            mean = features.mean(axis=0)
            deviations = features - mean
            return Moments(len(features), mean, deviations.T @ deviations)

        return functools.reduce(Moments.merge, map(moments, blocks))

    def merge(self, other: "Moments") -> "Moments":
        """The moments of the union of two sets of features."""
        examples = self.examples + other.examples
        apart = other.mean - self.mean
        mean = self.mean + apart * (other.examples / examples)
        weight = self.examples * (other.examples / examples)
        return Moments(
            examples, mean, self.scatter + other.scatter + weight * np.outer(apart, apart)
        )

    @property
    def covariance(self) -> np.ndarray:
        """The unbiased covariance (d, d): the scatter divided by examples - 1.

        Raises:
            UserError: if there is only one example.
        """
        if self.examples < 2:
            raise UserError(f"{self.examples} example has no covariance", "at least 2 examples")
        return self.scatter / (self.examples - 1)
