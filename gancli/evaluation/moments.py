"""Checked features, and their moments gathered block by block."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from gancli.errors import UserError

# With more dimensions, a covariance takes minutes to decompose and gigabytes to hold.
MOST_DIMENSIONS = 4096
# Cubes of inner products are squared, and must stay finite.
LARGEST_FEATURE = 1e20


def as_features(features: np.ndarray, name: str, least: int = 1) -> np.ndarray:
    """Checks features and converts them to float64.

    Args:
        features: (n, d), real numbers.
        name: their name in messages, for example `generated`.
        least: the smallest number of examples that the figure is defined for.

    Returns:
        (n, d) float64.

    Raises:
        UserError: on another shape or type, too few examples, or values that are not finite.
    """
    array = np.asarray(features)
    if array.ndim != 2 or array.shape[1] == 0 or array.dtype.kind not in "fiub":
        raise UserError(
            f"{name} features are {array.dtype} of shape {array.shape}",
            "real numbers of shape (examples, dimensions)",
        )
    if len(array) < least:
        raise UserError(f"there are {len(array)} {name} features", f"at least {least} examples")
    array = array.astype(np.float64, copy=False)
    with np.errstate(invalid="ignore"):
        sound = (np.abs(array) <= LARGEST_FEATURE).all(axis=1)
    if not sound.all():
        raise UserError(
            f"{name} features of example {sound.argmin()} are not finite or too large",
            f"numbers between -{LARGEST_FEATURE:g} and {LARGEST_FEATURE:g}",
            "Check their source: the generator may have diverged",
        )
    return array


def as_feature_pair(
    real: np.ndarray, generated: np.ndarray, least: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Real and generated features of one dimension, checked by `as_features`.

    Raises:
        UserError: if either is invalid, or they have different dimensions.
    """
    real = as_features(real, "real", least)
    generated = as_features(generated, "generated", least)
    require_same_dimensions(real.shape[1], generated.shape[1])
    return real, generated


def require_same_dimensions(real: int, generated: int) -> None:
    """Refuses features of different networks.

    Raises:
        UserError: if the numbers of dimensions differ.
    """
    if real != generated:
        raise UserError(
            f"features have {real} and {generated} dimensions",
            "features of one network on both sides",
        )


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
    def of(cls, blocks: Iterable[np.ndarray], name: str = "the") -> "Moments":
        """The moments of blocks of features, with one block in memory at a time.

        Args:
            blocks: blocks (n, d) of any n.
            name: name of the features in messages.

        Returns:
            The moments of all blocks.

        Raises:
            UserError: if there is no example, or features are invalid.
        """
        total: Moments | None = None
        for block in blocks:
            features = as_features(block, name, least=0)
            if len(features) == 0:
                continue
            mean = features.mean(axis=0)
            deviations = features - mean
            own = cls(len(features), mean, deviations.T @ deviations)
            total = own if total is None else total.merge(own)
        if total is None:
            raise UserError(f"there are 0 {name} features", "at least 1 example")
        return total

    def merge(self, other: "Moments") -> "Moments":
        """The moments of the union of two sets of features.

        Raises:
            UserError: if their dimensions differ.
        """
        require_same_dimensions(len(self.mean), len(other.mean))
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

    def as_arrays(self) -> dict[str, np.ndarray]:
        """The moments as arrays, for saving with `np.savez`, for example."""
        return {
            "examples": np.array(self.examples),
            "mean": self.mean,
            "scatter": self.scatter,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Moments":
        """The moments from saved arrays.

        Raises:
            UserError: if the arrays are not moments.
        """
        try:
            examples, mean, scatter = (
                np.asarray(arrays[name]) for name in ("examples", "mean", "scatter")
            )
        except KeyError as error:
            raise UserError(f"saved moments lack {error}", "examples, mean and scatter") from None
        shapes = (examples.shape, mean.shape, scatter.shape)
        if shapes != ((), (mean.size,), (mean.size, mean.size)) or examples.dtype.kind not in "iu":
            raise UserError(
                f"saved moments have shapes {shapes}, and a number of examples of {examples.dtype}",
                "a whole number, (d,) and (d, d)",
            )
        finite = np.isfinite(mean).all() and np.isfinite(scatter).all()
        if examples < 1 or not finite or not np.allclose(scatter, scatter.T, rtol=1e-9):
            raise UserError(
                f"saved moments of {examples} examples are damaged",
                "finite, symmetric, of one example or more",
            )
        return cls(int(examples), mean.astype(np.float64), scatter.astype(np.float64))
