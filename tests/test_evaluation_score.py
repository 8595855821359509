"""Classifier score and divergence of classes, worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused

from gancli.evaluation.score import (
    class_divergence,
    classifier_score,
    classifier_score_of_splits,
)


@pytest.mark.parametrize(
    ("posteriors", "expected"),
    [
        (np.eye(7), 7),
        (np.full((5, 4), 1 / 4), 1),
        ([[0.2, 0.8]] * 3, 1),
        ([[1, 0, 0], [0, 1, 0], [0, 1, 0], [1, 0, 0]], 2),
        # Sure three times of four: exp of the entropy of (3/4, 1/4).
        ([[1, 0]] * 3 + [[0, 1]], 4 / 3**0.75),
        # Mean (3/4, 1/4): divergences ln 4/3 and ½ ln 2/3 + ½ ln 2 = ½ ln 4/3.
        ([[1, 0], [0.5, 0.5]], (4 / 3) ** 0.75),
        ([[1.0]], 1),
    ],
)
def test_score_by_hand(posteriors, expected):
    assert classifier_score(np.asarray(posteriors)) == pytest.approx(expected, rel=1e-13)


def test_score_of_splits_by_hand():
    """Parts of 2, 2 and 3: scores 1, 2 and 3 have mean 2 and deviation √(2/3)."""
    classes = [0, 0, 1, 2, 0, 1, 2]
    mean, deviation = classifier_score_of_splits(np.eye(3)[classes].__getitem__, 7, splits=3)
    assert mean == pytest.approx(2, rel=1e-13)
    assert deviation == pytest.approx(math.sqrt(2 / 3), rel=1e-13)


def test_one_split_is_the_score_of_all():
    posteriors = np.random.default_rng(0).dirichlet(np.ones(4), 20)
    mean, deviation = classifier_score_of_splits(posteriors.__getitem__, 20, splits=1)
    assert (mean, deviation) == (classifier_score(posteriors), 0)
    # One example a part is its own mean.
    alone = classifier_score_of_splits(posteriors.__getitem__, 20, splits=20)
    assert alone == pytest.approx((1, 0))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 6))
def test_score_lies_between_1_and_the_number_of_classes(seed, examples, classes):
    draw = np.random.default_rng(seed)
    posteriors = draw.dirichlet(np.full(classes, 0.2), examples)
    score = classifier_score(posteriors)
    assert 1 - 1e-12 <= score <= classes + 1e-12
    assert classifier_score(posteriors[draw.permutation(examples)]) == pytest.approx(score)
    assert classifier_score(posteriors[:, ::-1]) == pytest.approx(score)
    assert classifier_score(np.tile(posteriors, (3, 1))) == pytest.approx(score)


@pytest.mark.parametrize("splits", [0, 4])
def test_splits_without_examples_are_refused(splits):
    with refused(f"{splits} splits", "3 examples", allowed=("1", "3")):
        classifier_score_of_splits(np.eye(3).__getitem__, 3, splits)


def test_probabilities_of_single_precision_are_taken():
    logits = np.random.default_rng(0).normal(size=(50, 1000)).astype(np.float32)
    exponents = np.exp(logits)
    posteriors = exponents / exponents.sum(axis=1, keepdims=True)
    assert posteriors.dtype == np.float32
    assert classifier_score(posteriors) > 1


@pytest.mark.parametrize(
    ("predicted", "reference", "expected"),
    [
        ([3, 1, 0, 0], None, 0.75 * math.log(3)),
        ([0.75, 0.25, 0, 0], [5, 5, 5, 5], 0.75 * math.log(3)),
        ([7, 7], None, 0),
        ([1, 2, 3], [10, 20, 30], 0),
        # ¼ ln ¼/½ + ¾ ln ¾/½.
        ([1, 3], [2, 2], 0.75 * math.log(3) - math.log(2)),
        ([4, 0], [1, 3], math.log(4)),
        ([1, 3], [4, 0], math.inf),
        ([1], None, 0),
    ],
)
def test_divergence_of_classes_by_hand(predicted, reference, expected):
    reference = None if reference is None else np.asarray(reference)
    found = class_divergence(np.asarray(predicted), reference)
    assert found == pytest.approx(expected, rel=1e-13, abs=1e-15)


def test_divergence_of_drawn_classes_is_at_its_floor():
    """2 N KL is chi-squared with 24 degrees: of 2,500, mean 0.0048, deviation 0.00139."""
    draw = np.random.default_rng(0)
    found = [class_divergence(draw.multinomial(2500, np.full(25, 1 / 25))) for _ in range(200)]
    assert np.mean(found) == pytest.approx(24 / 5000, abs=4 * 0.00139 / math.sqrt(200))


def test_probabilities_that_the_mean_cannot_hold_count_for_nothing():
    """5e-324 is the least float, and half of it none: the score is that of sure and equal rows."""
    assert classifier_score(np.float64([[1, 5e-324], [1, 0]])) == 1
