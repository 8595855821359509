"""Precision, recall, density and coverage by nearest neighbours.

The neighbourhood of an example is the open ball up to its k-th nearest neighbour in its own set.
All four figures count examples of one set in such balls of the other set.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from gancli.errors import UserError
from gancli.evaluation.moments import as_feature_pair, as_features

# Elements of a block of distances: 4 MiB for any number of examples.
_BLOCK_ELEMENTS = 1 << 19


class Overlap(NamedTuple):
    """Membership in neighbourhoods by example; the figures are means of these arrays.

    `balls` (m,) counts the real neighbourhoods around each generated example, `recalled` (n,) says
    whether a real example lies in any generated neighbourhood, and `covered` (n,) whether the
    neighbourhood of a real example contains any generated example.
    """

    balls: np.ndarray
    recalled: np.ndarray
    covered: np.ndarray
    neighbours: int

    @property
    def inside(self) -> np.ndarray:
        """Whether each generated example lies in any real neighbourhood, (m,) bool."""
        return self.balls > 0

    @property
    def densities(self) -> np.ndarray:
        """The number of real neighbourhoods around each generated example, divided by k, (m,)."""
        return self.balls / self.neighbours


def overlap(real: np.ndarray, generated: np.ndarray, neighbours: int = 5) -> Overlap:
    """Precision, recall, density and coverage of generated features.

    An example lies in a neighbourhood if its distance is strictly below the radius; the k
    neighbours do not include the example itself. Distances are computed from inner products, in
    blocks. Comparisons that rounding could decide are repeated with differences, so that identical
    examples, or examples on a lattice, compare exactly.

    For equal distributions the mean density is 1, and the mean coverage `expected_coverage`.
    Precision and recall have no such value; they depend on the dimension and on both numbers of
    examples, so only figures of equal numbers are comparable.

    Args:
        real: (n, d) features.
        generated: (m, d) features.
        neighbours: k, less than n and m.

    Returns:
        The memberships of all examples, whose means are the figures.

    Raises:
        UserError: if one side has no more than k examples.

    Source:
        arXiv:1904.06991 (precision, recall; there with ≤), arXiv:2002.09797 (density, coverage).
    """
    real, generated = as_feature_pair(real, generated)
    real_radii = squared_radii(real, neighbours)
    generated_radii = squared_radii(generated, neighbours)
    balls = np.zeros(len(generated), np.int64)
    recalled, covered = np.zeros(len(real), bool), np.zeros(len(real), bool)
    for rows, squared, doubt in _squared_distances(real, generated):
        own = real_radii[rows, None]
        inside = _nearer(squared, own, doubt, real[rows], generated)
        balls += inside.sum(axis=0)
        covered[rows] = inside.any(axis=1)
        recalled[rows] = _nearer(squared, generated_radii, doubt, real[rows], generated).any(axis=1)
    return Overlap(balls, recalled, covered, neighbours)


def expected_coverage(real: int, generated: int, neighbours: int) -> float:
    """The exact mean coverage of two sets from the same continuous distribution.

    1 − Π_{i=1..k} (n − i) / (n + m − i): an example is not covered if its k nearest others are all
    real, and all orders of real and generated examples are equally likely.

    Args:
        real: n, the number of real examples.
        generated: m, the number of generated examples.
        neighbours: k.

    Returns:
        The mean coverage, between 0 and 1.

    Raises:
        UserError: if there are not more than k real examples.

    Source:
        arXiv:2002.09797, section 3.3.
    """
    _require_more_than(neighbours, real)
    steps = np.arange(1, neighbours + 1)
    return 1 - float(np.prod((real - steps) / (real + generated - steps)))


def squared_radii(features: np.ndarray, neighbours: int) -> np.ndarray:
    """Squared distance from each example to its k-th nearest other example.

    Args:
        features: (n, d).
        neighbours: k, at least 1 and less than n.

    Returns:
        (n,) float64, exact: 0 if there are k identical others.

    Raises:
        UserError: if there are no more than k examples.
    """
    features = as_features(features, "the")
    _require_more_than(neighbours, len(features))
    radii = np.zeros(len(features))
    # A collapsed generator repeats itself: with k identical others the radius is 0.
    distant = np.flatnonzero(_copies(features) <= neighbours)
    for rows, squared, doubt in _squared_distances(features[distant], features):
        chosen = distant[rows]
        own = np.arange(len(chosen))
        squared[own, chosen] = np.inf
        nearly = np.partition(squared, neighbours - 1, axis=1)[:, neighbours - 1, None]
        # The true k-th neighbour lies within twice the rounding error of the k-th by inner
        # products, and all nearer ones precede it.
        surely_nearer = (squared < nearly - 2 * doubt).sum(axis=1)
        near, other = np.nonzero(np.abs(squared - nearly) <= 2 * doubt)
        exact = _exact(features[chosen], features, near, other)
        order = np.lexsort((exact, near))
        first = np.searchsorted(near, own)
        radii[chosen] = exact[order[first + neighbours - 1 - surely_nearer]]
    return radii


def _copies(features: np.ndarray) -> np.ndarray:
    """The number of occurrences of each example, including itself: (n,)."""
    whole = np.dtype((np.void, features.shape[1] * features.itemsize))
    bits = np.ascontiguousarray(features).view(whole)[:, 0]
    _, kinds, counts = np.unique(bits, return_inverse=True, return_counts=True)
    return counts[kinds]


def _squared_distances(
    left: np.ndarray, right: np.ndarray
) -> Iterator[tuple[slice, np.ndarray, float]]:
    """Squared distances by inner products, in blocks of rows, with an error bound.

    The features are centred first, so that the bound is relative to their spread.
    """
    centre = right.mean(axis=0)
    right = right - centre
    right_norms = np.einsum("ij,ij->i", right, right)
    largest = right_norms.max()
    height = max(1, _BLOCK_ELEMENTS // len(right))
    for start in range(0, len(left), height):
        rows = slice(start, min(start + height, len(left)))
        block = left[rows] - centre
        norms = np.einsum("ij,ij->i", block, block)
        squared = block @ right.T
        squared *= -2
        squared += norms[:, None]
        squared += right_norms
        # With unit roundoff u: u (d + 5) (|x| + |y|)² bounds the rounding of centring, of sums
        # of d products and of the three terms; eps is 2 u, and the sum squared below 4 largest.
        spread = max(largest, norms.max())
        yield rows, squared, 4 * np.finfo(np.float64).eps * (left.shape[1] + 8) * float(spread)


def _nearer(
    squared: np.ndarray, radii: np.ndarray, doubt: float, left: np.ndarray, right: np.ndarray
) -> np.ndarray:
    """Whether distances are below radii, using differences where rounding could decide."""
    nearer = squared < radii
    doubtful = np.abs(squared - radii) <= doubt
    if doubtful.any():
        rows, columns = np.nonzero(doubtful)
        limits = np.broadcast_to(radii, squared.shape)[rows, columns]
        nearer[rows, columns] = _exact(left, right, rows, columns) < limits
    return nearer


def _exact(
    left: np.ndarray, right: np.ndarray, rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """Squared distances of some pairs by differences: exactly 0 for identical examples."""
    squared = np.empty(len(rows))
    height = max(1, _BLOCK_ELEMENTS // left.shape[1])
    for start in range(0, len(rows), height):
        chosen = slice(start, start + height)
        apart = left[rows[chosen]] - right[columns[chosen]]
        apart *= apart
        squared[chosen] = apart.sum(axis=1)
    return squared


def _require_more_than(neighbours: int, examples: int) -> None:
    if not 1 <= neighbours < examples:
        raise UserError(
            f"{neighbours} neighbours of each of {examples} examples",
            "at least 1 neighbour, and fewer than there are examples",
        )
