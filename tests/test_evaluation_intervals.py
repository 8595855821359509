"""Intervals: known widths, what cannot have one, and how often they hold the truth."""

import math

import numpy as np
import pytest
from refusals import refused

from gancli.evaluation.intervals import METHODS, interval, share_interval
from gancli.evaluation.neighbours import overlap
from gancli.evaluation.score import classifier_score


def mean(values):
    return values.mean()


def difference(one, other):
    return one.mean() - other.mean()


@pytest.mark.parametrize("method", METHODS)
def test_interval_of_a_share_is_the_binomial_one(method):
    """Half of 400: 0.5 ± 1.96 · 0.025, in steps of 1 / 400."""
    found = interval(mean, np.arange(400) % 2, method=method)
    assert found.estimate == 0.5
    assert found.low == pytest.approx(0.451, abs=0.005)
    assert found.high == pytest.approx(0.549, abs=0.005)


def test_interval_of_two_examples_by_hand():
    """The mean of two draws of 0 and 1 is 0 in a quarter of them, and 1 in another."""
    assert interval(mean, np.float64([0, 1]), level=0.6) == (0.5, 0, 1)
    assert interval(mean, np.float64([0, 1]), level=0.4) == (0.5, 0.5, 0.5)


def test_accelerated_interval_leans_where_the_examples_do():
    skewed = np.random.default_rng(0).exponential(size=40)
    plain = interval(mean, skewed)
    shifted = interval(mean, skewed, method="bca")
    assert plain.estimate == shifted.estimate == skewed.mean()
    assert plain.low < shifted.low < plain.estimate < plain.high < shifted.high


@pytest.mark.parametrize("method", METHODS)
def test_level_widens_the_interval(method):
    values = np.random.default_rng(0).normal(size=50)
    narrow = interval(mean, values, level=0.5, method=method)
    wide = interval(mean, values, level=0.99, method=method)
    assert wide.low < narrow.low < narrow.estimate < narrow.high < wide.high
    # 2.576 / 0.674 for a normal distribution.
    assert (wide.high - wide.low) / (narrow.high - narrow.low) == pytest.approx(3.8, rel=0.15)


def test_seed_decides_the_interval():
    values = np.random.default_rng(0).normal(size=50)
    assert interval(mean, values) == interval(mean, values)
    assert interval(mean, values) != interval(mean, values, seed=1)


@pytest.mark.parametrize("method", METHODS)
def test_pairs_are_drawn_together(method):
    one = np.random.default_rng(0).normal(size=60)
    together = interval(difference, one + 1, one, paired=True, method=method)
    assert together == pytest.approx((1, 1, 1))
    apart = interval(difference, one + 1, one, method=method)
    # Two means of deviation 1 / √60 each: ± 1.96 · √(2/60).
    assert apart.high - apart.low == pytest.approx(2 * 1.96 * one.std() * (2 / 60) ** 0.5, rel=0.1)


def test_arrays_of_other_lengths_are_drawn_each_by_itself():
    draw = np.random.default_rng(0)
    found = interval(difference, draw.normal(size=400), draw.normal(size=25) * 5)
    # 1 / 400 + 25 / 25.
    assert found.high - found.low == pytest.approx(2 * 1.96, rel=0.3)


def test_figures_of_the_package_have_intervals():
    draw = np.random.default_rng(0)
    posteriors = draw.dirichlet(np.full(4, 0.1), 100)
    score = interval(classifier_score, posteriors, resamples=200)
    assert score.estimate == classifier_score(posteriors)
    assert 1 < score.low < score.estimate < score.high < 4
    found = overlap(draw.normal(size=(100, 8)), draw.normal(size=(100, 8)), 5)
    precision = interval(mean, found.balls > 0)
    assert precision.estimate == found.precision
    # √(p (1 − p) / 100).
    error = math.sqrt(found.precision * (1 - found.precision) / 100)
    assert precision.high - precision.low == pytest.approx(2 * 1.96 * error, rel=0.1)


@pytest.mark.parametrize("method", METHODS)
def test_interval_of_what_never_varies_has_no_length(method):
    assert interval(mean, np.zeros(20, bool), method=method) == (0, 0, 0)


def test_a_statistic_without_an_accelerated_interval_is_refused():
    """Without either of two smallest examples, the smallest is the same."""
    values = np.float64([0, 0, 1, 2, 3])
    with refused("BCa", remedy="percentile"):
        interval(np.min, values, method="bca")
    assert interval(np.min, values).low == 0


def test_a_statistic_that_is_not_finite_is_refused():
    with refused(" inf"):
        interval(lambda values: 1 / values.sum() if values.any() else math.inf, np.arange(2))
    with refused(" nan"):
        interval(mean, np.float64([1, np.nan]))


@pytest.mark.parametrize(
    ("arrays", "settings", "given", "allowed"),
    [
        ([np.zeros(1)], {}, ("[1]",), "2"),
        ([np.float64(1)], {}, ("[0]",), "2"),
        ([], {}, ("[]",), "2"),
        ([np.zeros(5), np.zeros(4)], {"paired": True}, ("[5, 4]",), ()),
        ([np.zeros(5)], {"level": 1.0}, ("level", "1.0"), ("0", "1")),
        ([np.zeros(5)], {"level": math.nan}, ("level", "nan"), ("0", "1")),
        ([np.zeros(5)], {"resamples": 1}, ("1 resamples",), "2 resamples"),
        ([np.zeros(5)], {"method": "basic"}, ("'basic'",), "bca, percentile"),
    ],
)
def test_what_has_no_interval_is_refused(arrays, settings, given, allowed):
    with refused(*given, allowed=allowed):
        interval(difference if len(arrays) > 1 else mean, *arrays, **settings)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "examples", "lowest", "highest"),
    [
        # The documented coverage, with three deviations of 400 trials either way.
        ("percentile", 10, 0.82, 0.92),
        ("bca", 10, 0.84, 0.94),
        ("percentile", 100, 0.905, 0.98),
        ("bca", 100, 0.905, 0.985),
    ],
)
def test_coverage_is_as_documented(method, examples, lowest, highest):
    draw = np.random.default_rng(examples)
    held = 0
    for trial in range(400):
        values = draw.exponential(size=examples)
        found = interval(mean, values, method=method, resamples=1000, seed=trial)
        held += found.low <= 1 <= found.high
    assert lowest <= held / 400 <= highest


def test_shares_have_the_exact_interval():
    """Clopper and Pearson, 1934: of 10, 0 to 1 - 0.025^(1/10) for none, 0.0253 to 0.5561 for 2."""
    assert share_interval(np.zeros(10, bool)) == (0, 0, pytest.approx(0.308497, abs=1e-6))
    assert share_interval(np.ones(10, bool)) == (1, pytest.approx(0.691503, abs=1e-6), 1)
    found = share_interval(np.arange(10) < 2)
    assert found == (0.2, pytest.approx(0.025211, abs=1e-6), pytest.approx(0.556095, abs=1e-6))
    with refused("0 examples"):
        share_interval(np.zeros(0, bool))
