"""Intervals of figures that are made of values by example: exact of shares, else by bootstrap."""

import math
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from gancli.errors import UserError, unknown_name

METHODS = ("bca", "percentile")
# Indices of a block of resamples: 8 MiB, whatever the number of examples.
_BLOCK_ELEMENTS = 1 << 20


class Interval(NamedTuple):
    """A figure and the ends of its interval."""

    estimate: float
    low: float
    high: float


def share_interval(found: np.ndarray, level: float = 0.95) -> Interval:
    """The share of examples that are so, with its exact interval.

    The shares p at which a count as far off as this one still has a chance of (1 − level) / 2
    on its side (Clopper and Pearson, 1934): it holds the true share in at least `level` of
    samples, and has a length where none or all are found, which the bootstrap's has not.

    Args:
        found: (n,) bool, at least one.
        level: the coverage, between 0 and 1.

    Returns:
        The share, and the interval's ends.

    Raises:
        UserError: if there are no examples.
    """
    from scipy.stats import binomtest  # Here, as it takes long to import.

    found = np.asarray(found, bool)
    if not found.size:
        raise UserError(f"a share of {found.size} examples", "at least one example")
    ends = binomtest(int(found.sum()), found.size).proportion_ci(level, "exact")
    return Interval(float(found.mean()), float(ends.low), float(ends.high))


def interval(
    statistic: Callable[..., float],
    *arrays: np.ndarray,
    level: float = 0.95,
    resamples: int = 2000,
    method: str = "percentile",
    paired: bool = False,
    seed: int = 0,
) -> Interval:
    """The bootstrap interval of a statistic of examples.

    Examples are drawn with replacement, as many as there are, and the statistic is computed
    again. `percentile` takes the quantiles (1 ± level) / 2 of what comes out; `bca` shifts them
    for the bias and skewness of the statistic, at the cost of one more evaluation for each
    example.

    The coverage is `level` only in the limit of many examples. Measured over 1,000 samples of an
    exponential distribution, intervals of 95 % held the mean in 87 % (percentile) and 89 % (bca)
    of samples of 10, 91 % and 91 % of 20, 94 % and 96 % of 100. A share of 0 or 1 has an
    interval without length, as what never occurred is never drawn: with none among n, a share
    of 3 / n is still compatible at 95 %.

    It fits statistics that are smooth in averages over examples: shares, means, accuracies,
    precision and coverage with their radii held fixed, the classifier score. It does not fit
    those that examples drawn twice change in kind: nearest neighbours found anew, the Fréchet
    distance (biased as with fewer examples) and the kernel distance (which has its own error).

    Args:
        statistic: takes the arrays and returns one number.
        arrays: each (n, ...), an example a row, at least 2; drawn independently of each other.
        level: the coverage aimed at, between 0 and 1.
        resamples: how many times to draw.
        method: `percentile` or `bca`.
        paired: whether row i of all arrays is one example, and drawn together.
        seed: of the draws.

    Returns:
        The statistic of all examples, and the interval's ends. Where every draw gives the same
        number, the ends are that number.

    Raises:
        UserError: if the arrays or the numbers cannot be used, if the statistic is not finite,
            or if it has no BCa interval, as the smallest of the examples has none.

    Source:
        Efron, 1987, "Better bootstrap confidence intervals".
    """
    from scipy.stats import bootstrap  # Here, as it takes long to import.

    if method not in METHODS:
        raise unknown_name("interval method", method, METHODS)
    if not 0 < level < 1 or resamples < 2:
        raise UserError(
            f"an interval of level {level} from {resamples} resamples",
            "a level between 0 and 1, from at least 2 resamples",
        )
    arrays = tuple(np.asarray(array) for array in arrays)
    counts = [len(array) if array.ndim else 0 for array in arrays]
    if not counts or min(counts) < 2:
        raise UserError(f"an interval from {counts} examples", "arrays of at least 2 examples each")
    if paired and len(set(counts)) > 1:
        raise UserError(f"pairs of {counts} examples", "arrays of one length")

    def of_rows(*rows: np.ndarray) -> float:
        chosen = rows * len(arrays) if paired else rows
        value = float(statistic(*(array[own] for array, own in zip(arrays, chosen, strict=True))))
        if not math.isfinite(value):
            raise UserError(
                f"the statistic is {value} on a draw of the examples",
                "a statistic that is finite on any draw",
            )
        return value

    every = [np.arange(count) for count in counts]
    samples = every[:1] if paired else every
    estimate = of_rows(*samples)
    with warnings.catch_warnings():
        # What has no interval is told by the ends, which are nan then.
        warnings.simplefilter("ignore", RuntimeWarning)
        result = bootstrap(
            samples,
            of_rows,
            vectorized=False,
            n_resamples=resamples,
            batch=max(1, _BLOCK_ELEMENTS // max(counts)),
            confidence_level=level,
            method=method,
            rng=np.random.Generator(np.random.PCG64(seed)),
        )
    drawn = result.bootstrap_distribution
    if drawn.min() == drawn.max():
        return Interval(estimate, float(drawn[0]), float(drawn[0]))
    low, high = (float(end) for end in result.confidence_interval)
    if math.isnan(low) or math.isnan(high):
        raise UserError(
            "the statistic has no BCa interval: leaving out an example never changes it, or all "
            "draws lie on one side of it",
            "a statistic that is smooth in averages over examples",
            "Take the percentile method",
        )
    return Interval(estimate, low, high)
