"""Statistics over seeds: small cases worked out by hand, and chances by simulation."""

import math

import numpy as np
import pytest

from gancli.comparison.statistics import (
    corrected,
    difference,
    improvement,
    mean_interval,
    performance_profile,
    seeds_needed,
    spread,
    unpaired_difference,
)


def test_the_interval_of_a_mean_by_hand():
    """1, 2, 4: mean 7/3, deviation 1.527525; t of 2 degrees at 0.975 is 4.302653 (tables)."""
    low, high = 7 / 3 - 4.302653 * 1.527525 / 3**0.5, 7 / 3 + 4.302653 * 1.527525 / 3**0.5
    assert mean_interval([1, 2, 4]) == pytest.approx((7 / 3, low, high), abs=1e-5)


def test_one_seed_has_a_mean_and_no_interval():
    found = mean_interval([3.0])
    assert found.estimate == 3.0
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert math.isnan(spread([3.0]).deviation)


def test_the_middle_of_the_seeds_by_hand():
    """Of eight, two are left out at each end: (3 + 4 + 5 + 6) / 4; the median is 4.5."""
    found = spread([100, 1, 2, 3, 4, 5, 6, -50])
    assert (found.seeds, found.median, found.interquartile_mean) == (8, 3.5, 3.5)
    assert spread([1, 2, 3, 4, 100]).interquartile_mean == 3


def test_equal_figures_have_no_deviation_whatever_rounding_leaves():
    value = 0.1
    assert np.std([value] * 3, ddof=1) > 0
    found = spread([value] * 3)
    assert (found.mean, found.deviation) == ((value, value, value), 0.0)


def test_a_paired_difference_by_hand():
    """Differences 1, 2, 3: mean 2, deviation 1, t = 2 √3 = 3.4641, p of 2 degrees 0.0742."""
    found = difference([2, 4, 6], [1, 2, 3], lower_is_better=True)
    assert found.pairs == 3
    assert found.mean.estimate == pytest.approx(2)
    assert found.mean.high == pytest.approx(2 + 4.302653 / 3**0.5, abs=1e-5)
    assert found.p == pytest.approx(0.0742, abs=5e-5)
    # 2 is better than 3; 2 equals 2; 2, 4 and 6 are worse than 1; 4 and 6 worse than 2 and 3.
    assert found.improvement == pytest.approx((1 + 0.5) / 9)
    swapped = difference([2, 4, 6], [1, 2, 3], lower_is_better=False)
    assert swapped.improvement == pytest.approx(1 - (1 + 0.5) / 9)


def test_an_unpaired_difference_by_hand():
    """1, 2, 3 and 4, 6, 8: means 2 and 6, variances 1 and 4.

    t = -4 / sqrt(5 / 3) = -3.0984; Welch's degrees of freedom are (5/3)^2 / ((1/3)^2 / 2 +
    (4/3)^2 / 2) = 2.9412, where t at 0.975 is 3.219 (interpolated from tables: 4.303 of 2,
    3.182 of 3), so that the interval is -4 ± 4.156.
    """
    found = unpaired_difference([1, 2, 3], [4, 6, 8], lower_is_better=True)
    assert (found.pairs, found.mean.estimate) == (0, pytest.approx(-4))
    assert found.mean.high - found.mean.estimate == pytest.approx(4.156, abs=0.02)
    assert found.p == pytest.approx(0.055, abs=0.002)
    assert found.improvement == 1
    # Cohen's table of two samples: 26 of each for an effect of 0.8, 64 for 0.5.
    assert seeds_needed(0.8, paired=False) == 26
    assert seeds_needed(0.5, paired=False) == 64
    same = unpaired_difference([1, 1], [1, 1], lower_is_better=True)
    assert (same.p, same.seeds_needed) == (1.0, None)
    apart = unpaired_difference([1, 1], [2, 2], lower_is_better=True)
    assert (apart.p, apart.mean.low, apart.seeds_needed) == (0.0, -1.0, 2)


def test_differences_without_spread():
    same = difference([1.0, 2.0], [1.0, 2.0], lower_is_better=True)
    assert (same.p, same.seeds_needed) == (1.0, None)
    apart = difference([1.0, 2.0], [2.0, 3.0], lower_is_better=True)
    assert (apart.p, apart.seeds_needed) == (0.0, 2)
    one = difference([1.0], [2.0], lower_is_better=True)
    assert (one.pairs, one.p, one.seeds_needed) == (1, 1.0, None)


def test_a_run_that_failed_is_worse_than_any_other():
    worst = math.inf
    assert improvement([1, worst], [2, 2], lower_is_better=True) == 0.5
    assert improvement([worst], [worst], lower_is_better=True) == 0.5
    assert improvement([-worst], [0], lower_is_better=False) == 0.0


@pytest.mark.parametrize(("effect", "count"), [(0.8, 15), (0.5, 34), (0.2, 199), (1e9, 2)])
def test_seeds_for_a_power_of_four_fifths(effect, count):
    """Cohen's large, middle and small effects: 15, 34 and 199 pairs (G*Power's tables)."""
    assert seeds_needed(effect) == count


def test_no_number_of_seeds_tells_what_is_the_same():
    assert seeds_needed(0.0) is None
    assert seeds_needed(0.001) is None


def test_chances_are_corrected_step_by_step():
    """Holm: 0.01 x 4, 0.02 x 3, 0.03 x 2 which is not less than 0.06, 0.5 x 1."""
    assert corrected([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert corrected([0.9, 0.8]) == [1.0, 1.0]
    assert corrected([]) == []


def test_a_profile_counts_the_runs_that_are_as_good():
    values = [1.0, 3.0, math.inf]
    found = performance_profile(values, [0, 1, 2, 3, 4], lower_is_better=True)
    assert found == pytest.approx([0, 1 / 3, 1 / 3, 2 / 3, 2 / 3])
    found = performance_profile([0.5, 0.9], [0.4, 0.5, 0.6, 1.0], lower_is_better=False)
    assert found == [1.0, 1.0, 0.5, 0.0]


@pytest.mark.parametrize("count", [3, 5, 10])
def test_intervals_hold_the_mean_as_often_as_they_say(count):
    random = np.random.default_rng(count)
    held = 0
    for _ in range(3000):
        found = mean_interval(random.normal(5.0, 2.0, count).tolist())
        held += found.low <= 5.0 <= found.high
    assert 0.93 < held / 3000 < 0.97


def test_no_more_false_differences_than_one_in_twenty():
    """Of 1,500 pairs of the same distribution with five seeds, paired through their seeds."""
    random = np.random.default_rng(0)
    found = 0
    for _ in range(1500):
        of_seed = random.normal(0, 1, 5)
        own, other = (of_seed + random.normal(0, 0.5, 5) for _ in range(2))
        found += difference(own.tolist(), other.tolist(), lower_is_better=True).p < 0.05
    # 0.05 and two standard errors of the count.
    assert found / 1500 < 0.05 + 2 * math.sqrt(0.05 * 0.95 / 1500)


@pytest.mark.slow
def test_no_more_false_differences_of_other_seeds():
    random = np.random.default_rng(2)
    found = 0
    for _ in range(2000):
        own, other = random.normal(0, 1, 5), random.normal(0, 3, 4)
        found += unpaired_difference(own.tolist(), other.tolist(), lower_is_better=True).p < 0.05
    # Welch's test is not exact: it is held to what the paired one is, and a hundredth.
    assert found / 2000 < 0.06 + 2 * math.sqrt(0.06 * 0.94 / 2000)


@pytest.mark.slow
def test_no_more_false_differences_among_ten_pairs_at_once():
    random = np.random.default_rng(1)
    found = 0
    for _ in range(250):
        values = random.normal(0, 1, (5, 5)).tolist()
        chances = [
            difference(values[i], values[j], lower_is_better=True).p
            for i in range(5)
            for j in range(i)
        ]
        found += min(corrected(chances)) < 0.05
    assert found / 250 < 0.05 + 2 * math.sqrt(0.05 * 0.95 / 250)
