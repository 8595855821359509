"""Intervals: known widths, what cannot have one, and how often they hold the truth."""

import math

import numpy as np
import pytest
from refusals import refused

from gancli.evaluation.intervals import interval, share_interval
from gancli.evaluation.score import classifier_score


def mean(values):
    return values.mean()


def test_interval_of_a_share_is_the_binomial_one():
    """Half of 400: 0.5 ± 1.96 · 0.025, in steps of 1 / 400."""
    found = interval(mean, np.arange(400) % 2)
    assert found.estimate == 0.5
    assert found.low == pytest.approx(0.451, abs=0.005)
    assert found.high == pytest.approx(0.549, abs=0.005)
    assert interval(mean, np.arange(400) % 2) == found


def test_interval_of_two_examples_by_hand():
    """The mean of two draws of 0 and 1 is 0 in a quarter of them, and 1 in another."""
    assert interval(mean, np.float64([0, 1])) == (0.5, 0, 1)


def test_figures_of_the_package_have_intervals():
    posteriors = np.random.default_rng(0).dirichlet(np.full(4, 0.1), 100)
    score = interval(classifier_score, posteriors)
    assert score.estimate == classifier_score(posteriors)
    assert 1 < score.low < score.estimate < score.high < 4


def test_interval_of_what_never_varies_has_no_length():
    assert interval(mean, np.zeros(20, bool)) == (0, 0, 0)
    assert interval(mean, np.full(20, 0.1)) == (mean(np.full(20, 0.1)),) * 3


def test_a_statistic_that_is_not_finite_is_refused():
    with refused(" inf"):
        interval(lambda values: 1 / values.sum() if values.any() else math.inf, np.arange(2))
    with refused(" nan"):
        interval(mean, np.float64([1, np.nan]))


def test_one_example_has_no_interval():
    with refused("1 examples", allowed="2"):
        interval(mean, np.zeros(1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("examples", "lowest", "highest"),
    # The documented coverage, with three deviations of 400 trials either way.
    [(10, 0.82, 0.92), (100, 0.905, 0.98)],
)
def test_coverage_is_as_documented(examples, lowest, highest):
    draw = np.random.default_rng(examples)
    held = 0
    for _ in range(400):
        found = interval(mean, draw.exponential(size=examples))
        held += found.low <= 1 <= found.high
    assert lowest <= held / 400 <= highest


def test_shares_have_the_exact_interval():
    """Clopper and Pearson, 1934: of 10, 0 to 1 - 0.025^(1/10) for none, 0.0253 to 0.5561 for 2."""
    assert share_interval(np.zeros(10, bool)) == (0, 0, pytest.approx(0.308497, abs=1e-6))
    assert share_interval(np.ones(10, bool)) == (1, pytest.approx(0.691503, abs=1e-6), 1)
    found = share_interval(np.arange(10) < 2)
    assert found == (0.2, pytest.approx(0.025211, abs=1e-6), pytest.approx(0.556095, abs=1e-6))
