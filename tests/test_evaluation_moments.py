"""Features and their moments: any cut into blocks, far from zero, and what is refused."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused

from gancli.evaluation.moments import Moments, as_feature_pair, as_features


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


# Features


def test_too_few_features_are_refused():
    with refused("1", "generated", allowed="2"):
        as_feature_pair(normal(0, 5, 2), normal(0, 1, 2), least=2)


def test_features_in_double_precision_are_not_copied():
    features = normal(0, 5, 2)
    assert as_features(features, "the") is features
    assert as_features(features.astype(np.float32), "the").dtype == np.float64


# Moments


def test_moments_by_hand():
    """Of 1, 3 and 8: mean 4, squared deviations 9 + 1 + 16, over 2 of them 13."""
    moments = Moments.of([np.float64([[1], [3], [8]])])
    assert (moments.examples, moments.mean.tolist(), moments.scatter.tolist()) == (3, [4], [[26]])
    assert moments.covariance.tolist() == [[13]]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=6), st.sampled_from([0.0, 1e8]))
def test_moments_do_not_depend_on_how_blocks_are_cut(cuts, offset):
    features = normal(0, 40, 3) + offset
    bounds = [0, *sorted(cuts), 40]
    moments = Moments.of(features[a:b] for a, b in itertools.pairwise(bounds) if a < b)
    assert moments.examples == 40
    # A sum of squares less the square of the sum would be wrong by 1 at this offset.
    np.testing.assert_allclose(moments.mean, features.mean(axis=0), rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(moments.covariance, np.cov(features.T), rtol=1e-7, atol=1e-7)


def test_moments_merge_in_any_order():
    parts = [Moments.of([normal(seed, 5 + seed, 3) + seed]) for seed in range(3)]
    one = parts[0].merge(parts[1]).merge(parts[2])
    other = parts[2].merge(parts[0].merge(parts[1]))
    np.testing.assert_allclose(one.scatter, other.scatter, rtol=1e-13)
    np.testing.assert_allclose(one.mean, other.mean, rtol=1e-13)
