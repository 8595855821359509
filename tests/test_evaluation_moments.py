"""Features and their moments: any cut into blocks, far from zero, and what is refused."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused

from gancli.evaluation.moments import Moments, as_feature_pair, as_features


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


# Features


@pytest.mark.parametrize(
    ("features", "given", "allowed"),
    [
        (np.zeros(3), "(3,)", ()),
        (np.zeros((3, 2, 2)), "(3, 2, 2)", ()),
        (np.zeros((3, 0)), "(3, 0)", ()),
        (np.zeros((3, 2), complex), "complex128", ()),
        (np.array([["a", "b"]]), "<U1", ()),
        (np.float64([[0, 1], [np.nan, 1]]), "1", "1e+20"),
        (np.float64([[0, np.inf]]), "0", "1e+20"),
        (np.float64([[0, 1], [0, -1e30]]), "1", "1e+20"),
        (np.zeros((0, 2)), "0", "1"),
    ],
)
def test_features_that_are_none_are_refused(features, given, allowed):
    with refused("generated", given, allowed=allowed):
        as_features(features, "generated")


def test_too_few_features_are_refused():
    with refused("1", "generated", allowed="2"):
        as_feature_pair(normal(0, 5, 2), normal(0, 1, 2), least=2)
    with refused("2", "3 dimensions"):
        as_feature_pair(normal(0, 5, 2), normal(0, 5, 3))


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
    moments = Moments.of(features[a:b] for a, b in itertools.pairwise(bounds))
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


def test_moments_are_the_same_after_a_file(tmp_path):
    moments = Moments.of([normal(0, 10, 3)])
    np.savez(tmp_path / "moments.npz", **moments.as_arrays())
    with np.load(tmp_path / "moments.npz") as held:
        restored = Moments.from_arrays(held)
    assert restored.examples == 10
    assert restored.mean.tobytes() == moments.mean.tobytes()
    assert restored.scatter.tobytes() == moments.scatter.tobytes()


@pytest.mark.parametrize(
    ("change", "given"),
    [
        ({"mean": np.zeros(2)}, ("((), (2,), (3, 3))", "int64")),
        ({"examples": np.zeros(1, int)}, ("((1,), (3,), (3, 3))", "int64")),
        ({"examples": np.float64(10)}, ("((), (3,), (3, 3))", "float64")),
        ({"examples": np.int64(0)}, (" 0 ",)),
        ({"mean": np.float64([0, np.nan, 0])}, (" 10 ",)),
        ({"scatter": np.arange(9.0).reshape(3, 3)}, (" 10 ",)),
    ],
)
def test_damaged_moments_are_refused(change, given):
    arrays = Moments.of([normal(0, 10, 3)]).as_arrays()
    with refused(*given):
        Moments.from_arrays(arrays | change)
    with refused("'scatter'", allowed="scatter"):
        Moments.from_arrays({"examples": arrays["examples"], "mean": arrays["mean"]})


def test_moments_of_nothing_are_refused():
    with refused("0", "generated", allowed="1"):
        Moments.of([np.zeros((0, 3))], "generated")
