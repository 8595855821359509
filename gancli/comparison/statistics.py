"""What a few seeds tell of variants: intervals, paired differences, and how sure they are.

SciPy is imported inside, as it takes long.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gancli.evaluation.intervals import Interval

LEVEL = 0.95
POWER = 0.8
# More seeds than that nobody would train.
_MOST_SEEDS = 10_000
# Two seeds tell of it, and the noncentral distribution cannot be computed far beyond.
_LARGEST_EFFECT = 30.0


class Spread(NamedTuple):
    """A figure over the seeds of a variant.

    `mean` has its 95 % interval, whose ends are nan for one seed; `deviation` is of n - 1.
    """

    seeds: int
    mean: Interval
    median: float
    interquartile_mean: float
    deviation: float


class Difference(NamedTuple):
    """One variant against another: over the seeds that both have, or over seeds of their own.

    `mean` is that of own - other with its 95 % interval, `p` the chance of a difference at least
    as large between two of equal mean, `improvement` the chance that a run of the one is better
    than a run of the other, and `seeds_needed` how many would tell a difference like this one,
    None beyond 10,000. `pairs` is 0 where no seeds are paired.
    """

    pairs: int
    mean: Interval
    p: float
    improvement: float
    seeds_needed: int | None


def mean_interval(values: Sequence[float]) -> Interval:
    """The mean of a figure over seeds, and the interval that holds the true one.

    mean ± t · s / √n, with the quantile t of Student's distribution of n - 1 degrees of freedom:
    exact at any n for a normal figure. Bootstrap intervals of so few are not: that of percentiles
    lies between the smallest and the largest value, and so holds the mean in at most 75 % of
    samples of 3. Of 1,500 samples of 3, of 5 and of 10 it held a normal mean in 73, 84 and 89 %,
    the studentized one in 82, 94 and 95 %, Student's in 95 % of each; a skewed figure (lognormal,
    σ = 0.5) Student's in 91, 91 and 93 %, the studentized in 82, 94 and 94 %
    (experiments/benchmarks/interval_coverage.py).

    Args:
        values: (n,) at least one.

    Returns:
        The mean and the ends; nan where one value tells no deviation.

    Source:
        Student, 1908, "The probable error of a mean".
    """
    from scipy.stats import t

    count = len(values)
    mean, deviation = _mean_and_deviation(values)
    half = float(t.ppf((1 + LEVEL) / 2, count - 1)) * deviation / math.sqrt(count)
    return Interval(mean, mean - half, mean + half)


def _mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and the deviation of n - 1: exactly 0 of equal values, nan of one."""
    array = np.asarray(values, np.float64)
    if len(array) < 2:
        return float(array.mean()), math.nan
    if (array == array[0]).all():  # Rounding would leave a little.
        return float(array[0]), 0.0
    return float(array.mean()), float(array.std(ddof=1))


def spread(values: Sequence[float]) -> Spread:
    """What the figures of a variant's seeds are like.

    The interquartile mean is that of the middle half: ⌊n / 4⌋ values are left out at each end
    (arXiv:2108.13264, section 4.3).

    Args:
        values: (n,) at least one.
    """
    from scipy.stats import trim_mean

    array = np.asarray(values, np.float64)
    return Spread(
        len(array),
        mean_interval(values),
        float(np.median(array)),
        float(trim_mean(array, 0.25)),
        _mean_and_deviation(values)[1],
    )


def difference(own: Sequence[float], other: Sequence[float], lower_is_better: bool) -> Difference:
    """One variant's figures against another's, paired by their seeds.

    The interval and p are those of Student's paired test.

    Args:
        own: (n,) by seed.
        other: (n,) of the same seeds.
        lower_is_better: which side is.

    Returns:
        The difference; its p is 1 where there are fewer than two pairs.
    """
    from scipy.stats import t

    by_seed = (np.asarray(own, np.float64) - np.asarray(other, np.float64)).tolist()
    mean, count = mean_interval(by_seed), len(by_seed)
    p, needed = 1.0, None
    if count > 1:
        _, deviation = _mean_and_deviation(by_seed)
        if deviation == 0:
            p, needed = float(mean.estimate == 0), (2 if mean.estimate else None)
        else:
            statistic = abs(mean.estimate) / deviation * math.sqrt(count)
            p = float(2 * t.sf(statistic, count - 1))
            needed = seeds_needed(abs(mean.estimate) / deviation)
    return Difference(count, mean, p, improvement(own, other, lower_is_better), needed)


def unpaired_difference(
    own: Sequence[float], other: Sequence[float], lower_is_better: bool
) -> Difference:
    """One variant's figures against another's, of other seeds.

    The interval and p are those of Welch's test, which takes no two variances for equal.

    Args:
        own: (n,) at least two.
        other: (m,) at least two.
        lower_is_better: which side is.

    Source:
        Welch, 1947, "The generalization of 'Student's' problem when several different population
        variances are involved".
    """
    from scipy.stats import ttest_ind

    (ours, deviation), (theirs, other_deviation) = map(_mean_and_deviation, (own, other))
    variances = [deviation**2, other_deviation**2]
    apart, better = ours - theirs, improvement(own, other, lower_is_better)
    if not any(variances):
        same = Interval(apart, apart, apart)
        return Difference(0, same, float(apart == 0), better, 2 if apart else None)
    found: Any = ttest_ind(own, other, equal_var=False)
    ends = found.confidence_interval(LEVEL)
    needed = seeds_needed(abs(apart) / math.sqrt(sum(variances) / 2), paired=False)
    mean = Interval(apart, float(ends.low), float(ends.high))
    return Difference(0, mean, float(found.pvalue), better, needed)


def improvement(own: Sequence[float], other: Sequence[float], lower_is_better: bool) -> float:
    """The chance that a run of one variant is better than a run of another.

    P(X better than Y) + P(X = Y) / 2 over all pairs of runs (arXiv:2108.13264, section 4.3). A
    run that failed counts as worse than any that did not when its figure is infinite.

    Args:
        own: (n,) at least one.
        other: (m,) at least one.
        lower_is_better: which side is.
    """
    signs = np.sign(_compared(own, other)) * (-1 if lower_is_better else 1)
    return float((signs.mean() + 1) / 2)


def _compared(own: Sequence[float], other: Sequence[float]) -> np.ndarray:
    """1, 0 or -1 for each pair: infinities of one sign are equal, where their difference is nan."""
    ours, theirs = np.asarray(own, np.float64)[:, None], np.asarray(other, np.float64)[None]
    return (ours > theirs).astype(np.float64) - (ours < theirs)


def seeds_needed(effect: float, paired: bool = True) -> int | None:
    """How many seeds a test takes to find a difference of this size, as a rule.

    The smallest n whose two-sided test of level 5 % rejects with a chance of 80 %: the statistic
    has the noncentral t distribution, of noncentrality effect · √n and n - 1 degrees of freedom,
    or effect · √(n / 2) and 2n - 2. A difference on the wrong side is not counted as found.

    Args:
        effect: mean of the differences over their deviation, or difference of the means over the
            deviation within each variant; not negative.
        paired: whether differences are those of seeds; else it is of each variant's seeds.

    Returns:
        The number, at least 2; None beyond 10,000.

    Source:
        Cohen, 1988, "Statistical power analysis for the behavioral sciences", chapter 2.
    """
    from scipy.stats import nct, t

    def found(count: int) -> float:
        freedom, units = (count - 1, count) if paired else (2 * count - 2, count / 2)
        off = min(effect, _LARGEST_EFFECT) * math.sqrt(units)
        return float(nct.sf(t.ppf((1 + LEVEL) / 2, freedom), freedom, off))

    low, high = 2, 2
    while not found(high) >= POWER:
        low, high = high + 1, 2 * high
        if low > _MOST_SEEDS:
            return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if found(middle) >= POWER else (middle + 1, high)
    return low if low <= _MOST_SEEDS else None


def corrected(chances: Sequence[float]) -> list[float]:
    """Chances of many tests, such that the smallest of all is as rarely small as that of one.

    Holm's step-down correction: the i-th smallest of m is multiplied by m - i + 1, none is less
    than those before it, none more than 1.

    Args:
        chances: (m,) p of each test.

    Returns:
        (m,) in the same order.

    Source:
        Holm, 1979, "A simple sequentially rejective multiple test procedure".
    """
    result, largest = [1.0] * len(chances), 0.0
    for rank, index in enumerate(np.argsort(chances, kind="stable").tolist()):
        largest = max(largest, min(1.0, chances[index] * (len(chances) - rank)))
        result[index] = largest
    return result


def performance_profile(
    values: Sequence[float], thresholds: Sequence[float], lower_is_better: bool
) -> list[float]:
    """The share of runs that are at least as good as each threshold (arXiv:2108.13264).

    Args:
        values: (n,) at least one; infinite for a run that failed.
        thresholds: (m,).
        lower_is_better: which side is.

    Returns:
        (m,) shares.
    """
    array, limits = np.asarray(values, np.float64)[:, None], np.asarray(thresholds)[None]
    reached = array <= limits if lower_is_better else array >= limits
    return reached.mean(axis=0).tolist()
