"""Distances between features: published figures, closed forms, and what cannot be measured."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused

from gancli.evaluation import distances
from gancli.evaluation.distances import (
    frechet_distance,
    frechet_distance_at_infinity,
    kernel_distance,
    kernel_distance_of_subsets,
    sliced_wasserstein_distance,
)
from gancli.evaluation.moments import Moments


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def rotation(dimensions, seed=9):
    return np.linalg.qr(normal(seed, dimensions, dimensions))[0]


def frechet(real, generated):
    return frechet_distance(Moments.of([real]), Moments.of([generated]))


def moments_with(covariance, mean=0.0):
    """Moments of two examples' weight, whose unbiased covariance is the scatter itself."""
    covariance = np.float64(covariance)
    return Moments(2, np.full(len(covariance), mean), covariance)


# Fréchet


def test_frechet_distance_of_published_sets():
    """Means 4 and 8 apart: 80. Deviations 0.5 and 3.5, of 100 examples: 9 · 100 / 99."""
    real, generated = np.ones((100, 2)), np.full((100, 2), 9.0)
    real[:50, 0] = 2
    generated[50:, 0] = 2
    assert frechet(real, generated) == pytest.approx(980 / 11, rel=1e-13)


@pytest.mark.parametrize("dimensions", [64, pytest.param(2048, marks=pytest.mark.slow)])
def test_frechet_distance_of_standard_normals_one_apart(dimensions):
    """One for each dimension, of which Inception has 2048."""
    one = np.eye(dimensions)
    found = frechet_distance(moments_with(one), moments_with(one, 1.0))
    assert found == pytest.approx(dimensions, rel=1e-12)


def test_frechet_distance_on_a_line():
    """Means 1 and 14, variances 2 and 32: 13² + (√32 − √2)²."""
    assert frechet(np.float64([[0], [2]]), np.float64([[10], [18]])) == pytest.approx(187)


def test_frechet_distance_of_covariances_that_do_not_commute():
    """In two dimensions Tr √(AB) is √(Tr AB + 2 √(det A det B)): √(10 + 4 √3)."""
    one, other = moments_with([[1, 0], [0, 4]]), moments_with([[2, 1], [1, 2]])
    expected = 9 - 2 * math.sqrt(10 + 4 * math.sqrt(3))
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-13)
    assert frechet_distance(other, one) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(
    ("u", "v", "expected"),
    [
        # Of 0 and u: mean u/2, covariance u uᵀ/2; so ‖u − v‖²/4 + (‖u‖² + ‖v‖²)/2 − |u·v|.
        ([2, 0, 0], [0, 2, 0], 6),
        ([2, 0, 0], [4, 0, 0], 3),
        ([2, 0, 0], [0, 0, 0], 3),
        ([0, 0, 0], [0, 0, 0], 0),
    ],
)
def test_frechet_distance_of_two_examples_each(u, v, expected):
    real, generated = np.float64([[0, 0, 0], u]), np.float64([[0, 0, 0], v])
    assert frechet(real, generated) == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_frechet_distance_of_fewer_examples_than_dimensions():
    """With X and Y centred, Tr √(AB) is the sum of the singular values of X Yᵀ over 29 and 49.

    Roots of eigenvalues would be wrong by 1e-8 a dimension here.
    """
    real, generated = normal(0, 30, 200), normal(1, 50, 200) + 0.1
    x, y = real - real.mean(axis=0), generated - generated.mean(axis=0)
    common = np.linalg.svd(x @ y.T, compute_uv=False).sum() / math.sqrt(29 * 49)
    apart = ((real.mean(axis=0) - generated.mean(axis=0)) ** 2).sum()
    expected = apart + (x**2).sum() / 29 + (y**2).sum() / 49 - 2 * common
    assert frechet(real, generated) == pytest.approx(expected, rel=1e-12)
    assert frechet(real, real) < 1e-10


def test_frechet_distance_agrees_with_a_matrix_square_root():
    real, generated = normal(0, 60, 8) @ normal(1, 8, 8), normal(2, 70, 8) @ normal(3, 8, 8) + 1
    a, b = np.cov(real.T), np.cov(generated.T)
    root = scipy.linalg.sqrtm(a @ b)
    apart = ((real.mean(axis=0) - generated.mean(axis=0)) ** 2).sum()
    expected = apart + np.trace(a + b - 2 * root.real)
    assert frechet(real, generated) == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_ignores_order_rotation_and_a_shift_of_both():
    real, generated = normal(0, 50, 6), normal(1, 40, 6) * 2 + 1
    turned = rotation(6)
    expected = frechet(real, generated)
    assert frechet(real[::-1], generated[::-1]) == pytest.approx(expected, rel=1e-12)
    assert frechet(real @ turned, generated @ turned) == pytest.approx(expected, rel=1e-12)
    assert frechet(real + 1e4, generated + 1e4) == pytest.approx(expected, rel=1e-9)
    assert frechet(3 * real, 3 * generated) == pytest.approx(9 * expected, rel=1e-12)


def test_frechet_distance_needs_two_examples():
    with refused("1", "covariance", allowed="2"):
        frechet(normal(0, 1, 3), normal(0, 5, 3))


def test_frechet_distance_at_infinity_is_rid_of_the_bias():
    """To the very distribution that was drawn from: 0, from which 200 examples are far."""
    exact = moments_with(np.eye(4))
    drawn = [normal(seed, 200, 4) for seed in range(20)]
    plain = [frechet_distance(exact, Moments.of([one])) for one in drawn]
    extrapolated = [frechet_distance_at_infinity(exact, one) for one in drawn]
    assert np.mean(plain) > 0.03
    assert abs(np.mean(extrapolated)) < 0.01
    assert frechet_distance_at_infinity(exact, drawn[0]) == extrapolated[0]


def test_an_extrapolation_needs_sizes_above_the_dimensions():
    with refused(" 4 ", " 49 ", allowed=" 5 "):
        frechet_distance_at_infinity(moments_with(np.eye(4)), normal(0, 49, 4))
    assert math.isfinite(frechet_distance_at_infinity(moments_with(np.eye(4)), normal(0, 50, 4)))


# Kernel


def test_kernel_distance_of_published_sets():
    """k(0, 1) = 1, k(2, 3) = 343; across, 1 + 1 + 27 + 64 over 4: 1 + 343 − 46.5."""
    found = kernel_distance(np.float64([[0], [1]]), np.float64([[2], [3]]))
    assert found.distance == pytest.approx(297.5, rel=1e-13)
    assert math.isnan(found.variance)
    assert math.isnan(found.standard_error)


def test_kernel_distance_and_its_variance_are_unbiased():
    """Over all 512 equally likely draws of 4 and 5 examples.

    x is 0 or 1 and y 0 or 2: E k(x, x') = 11/4, E k(y, y') = 32, E k(x, y) = 15/2.
    """
    draws = [
        kernel_distance(np.float64(x)[:, None], np.float64(y)[:, None])
        for x in itertools.product([0, 1], repeat=4)
        for y in itertools.product([0, 2], repeat=5)
    ]
    values = np.array([draw.distance for draw in draws])
    assert values.mean() == pytest.approx(11 / 4 + 32 - 15, rel=1e-12)
    assert np.mean([draw.variance for draw in draws]) == pytest.approx(values.var(), rel=1e-11)


def exact_kernel_distance(real, generated):
    """The estimate and its variance, by fractions and over every choice of distinct examples."""
    x, y = ([[Fraction(float(v)) for v in row] for row in side] for side in (real, generated))

    def kernel(one, other):
        return (sum(a * b for a, b in zip(one, other, strict=True)) / len(one) + 1) ** 3

    def estimate(i, j, k, m):
        return kernels[i, j] + kernels[k, m] - kernels[i, k] - kernels[j, m]

    every = [*(("x", i) for i in range(len(x))), *(("y", i) for i in range(len(y)))]
    sides = {"x": x, "y": y}
    kernels = {(a, b): kernel(sides[a[0]][a[1]], sides[b[0]][b[1]]) for a in every for b in every}
    xs, ys = every[: len(x)], every[len(x) :]
    ones = [
        (estimate(i, j, k, m), {i, j, k, m})
        for i, j in itertools.permutations(xs, 2)
        for k, m in itertools.permutations(ys, 2)
    ]
    mean = sum(value for value, _ in ones) / len(ones)
    apart = [a * b for a, of_a in ones for b, of_b in ones if not of_a & of_b]
    return mean, mean**2 - sum(apart) / len(apart)


def test_kernel_distance_is_exact_far_from_zero(monkeypatch):
    """Squares of the kernel are 1e24 here, and the variance that is left of them is 1e12.

    Taken from squares of the kernel as it is, the variance would be wrong by 0.2 %.
    """
    draw = np.random.default_rng(0)
    real = 100 + draw.integers(0, 5, (4, 2)) / 64
    generated = 100 + draw.integers(1, 6, (5, 2)) / 64
    distance, variance = exact_kernel_distance(real, generated)
    for elements in (1, 12, 1 << 20):
        monkeypatch.setattr(distances, "_BLOCK_ELEMENTS", elements)
        found = kernel_distance(real, generated)
        assert found.distance == pytest.approx(float(distance), rel=1e-9)
        assert found.variance == pytest.approx(float(variance), rel=1e-9)


def test_standard_error_of_the_kernel_distance_is_its_deviation_over_samples():
    draw = np.random.default_rng(0)
    found = [
        kernel_distance(draw.normal(size=(40, 4)), draw.normal(size=(60, 4)) + 0.3)
        for _ in range(300)
    ]
    deviation = np.std([one.distance for one in found])
    assert math.sqrt(np.mean([one.variance for one in found])) == pytest.approx(deviation, rel=0.1)
    assert np.mean([one.standard_error for one in found]) == pytest.approx(deviation, rel=0.15)


def test_kernel_distance_ignores_order_and_rotation():
    real, generated = normal(0, 30, 5), normal(1, 20, 5) + 1
    turned = rotation(5)
    expected = kernel_distance(real, generated)
    for found in (
        kernel_distance(real[::-1], generated[::-1]),
        kernel_distance(real @ turned, generated @ turned),
        kernel_distance(generated, real),
    ):
        assert found == pytest.approx(expected, rel=1e-9)


def test_kernel_distance_of_constant_features_is_exact():
    """All of 1 against all of 2 in 3 dimensions: 2³ + 5³ − 2 · 3³, whichever are drawn."""
    found = kernel_distance(np.ones((6, 3)), np.full((5, 3), 2.0))
    assert found.distance == pytest.approx(79, rel=1e-12)
    assert found.variance == pytest.approx(0, abs=1e-9)


def test_kernel_distance_of_subsets_is_that_of_all_in_the_mean():
    real, generated = normal(0, 60, 4), normal(1, 50, 4) + 0.5
    whole = kernel_distance(real, generated).distance
    mean, deviation = kernel_distance_of_subsets(real, generated, subsets=400, size=10)
    assert deviation > 0.3 * abs(whole)
    assert abs(mean - whole) < 4 * deviation / 20
    again = kernel_distance_of_subsets(real, generated, subsets=400, size=10)
    assert again == (mean, deviation)
    assert kernel_distance_of_subsets(real, generated, subsets=1, size=10)[1] == 0


def test_a_subset_of_all_is_all():
    real, generated = normal(0, 20, 4), normal(1, 20, 4)
    mean, deviation = kernel_distance_of_subsets(real, generated, subsets=3, size=20)
    assert mean == pytest.approx(kernel_distance(real, generated).distance, abs=1e-12)
    assert deviation < 1e-12


# Sliced Wasserstein


@pytest.mark.parametrize(
    ("real", "generated", "order", "expected"),
    [
        ([0, 0], [4, 3], 1, 3.5),
        ([0, 0], [4, 3], 2, math.sqrt(12.5)),
        ([0, 3], [1], 1, 1.5),
        ([0, 3], [1], 2, math.sqrt(2.5)),
        # Quantiles 0 1 2 by thirds, 0 4 by halves: apart by 0, 1, 3, 2 over 1/3, 1/6, 1/6, 1/3.
        ([2, 0, 1], [4, 0], 1, 4 / 3),
        ([2, 0, 1], [4, 0], 2, math.sqrt(3)),
        ([5], [5], 2, 0),
    ],
)
def test_sliced_wasserstein_distance_on_a_line(real, generated, order, expected):
    real, generated = np.float64(real)[:, None], np.float64(generated)[:, None]
    found = sliced_wasserstein_distance(real, generated, order, projections=3)
    assert found == pytest.approx(expected, rel=1e-13)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 30), st.integers(1, 30))
def test_sliced_wasserstein_distance_on_a_line_is_the_known_one(seed, n, m):
    real, generated = normal(seed, n, 1), normal(seed + 1, m, 1) + 1
    expected = scipy.stats.wasserstein_distance(real[:, 0], generated[:, 0])
    found = sliced_wasserstein_distance(real, generated, order=1, projections=2)
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("dimensions", "order", "expected"),
    [
        # Of a shift by 5, the mean over directions of |5 cos|, and of its square.
        (2, 1, 10 / math.pi),
        (2, 2, 5 / math.sqrt(2)),
        (3, 1, 5 / 2),
        (3, 2, 5 / math.sqrt(3)),
    ],
)
def test_sliced_wasserstein_distance_of_a_shift(dimensions, order, expected):
    real = normal(0, 8, dimensions)
    shift = np.zeros(dimensions)
    shift[0] = 5
    found = sliced_wasserstein_distance(real, real + shift, order, projections=4000)
    assert found == pytest.approx(expected, rel=0.03)


def test_sliced_wasserstein_distance_is_the_same_again_and_scales():
    real, generated = normal(0, 20, 3), normal(1, 30, 3) + 1
    expected = sliced_wasserstein_distance(real, generated)
    assert sliced_wasserstein_distance(real, generated) == expected
    assert sliced_wasserstein_distance(generated[::-1], real) == pytest.approx(expected, rel=1e-12)
    scaled = sliced_wasserstein_distance(4 * real, 4 * generated)
    assert scaled == pytest.approx(4 * expected, rel=1e-12)
    assert sliced_wasserstein_distance(real, real[::-1]) < 1e-12
    assert sliced_wasserstein_distance(real, np.concatenate([real, real])) < 1e-12


# What cannot be measured


def test_features_of_other_types_are_taken_as_they_are():
    grey = np.arange(12, dtype=np.uint8).reshape(6, 2)
    half = grey.astype(np.float16)
    assert kernel_distance(grey, half) == kernel_distance(grey / 1.0, grey / 1.0)


def test_one_example_has_no_kernel_distance():
    with refused("1", "real", allowed="2"):
        kernel_distance(normal(0, 1, 2), normal(0, 5, 2))


def test_the_largest_features_do_not_overflow():
    huge = normal(0, 9, 3) * 1e19
    found = kernel_distance(huge, huge[::-1])
    assert math.isfinite(found.distance)
    assert math.isfinite(found.variance)
    assert math.isfinite(frechet(huge, -huge))
    assert math.isfinite(sliced_wasserstein_distance(huge, -huge))


def test_frechet_of_few_examples_in_many_dimensions():
    """Tr (A^½ B A^½)^½ is the sum of the singular values of X Yᵀ, of deviations over √(n - 1)."""
    draw = np.random.default_rng(0)
    sides = []
    for count in (12, 20):
        # Of rank 8 and 15, less than the number of examples allows.
        rank = count * 3 // 4 - 1
        sides.append(draw.normal(size=(count, rank)) @ draw.normal(size=(rank, 60)) + 3)
    centred = [(x - x.mean(axis=0)) / np.sqrt(len(x) - 1) for x in sides]
    common = np.linalg.svd(centred[0] @ centred[1].T, compute_uv=False).sum()
    apart = sides[0].mean(axis=0) - sides[1].mean(axis=0)
    expected = apart @ apart + sum((x**2).sum() for x in centred) - 2 * common
    found = frechet_distance(*(Moments.of([x]) for x in sides))
    assert found == pytest.approx(expected, rel=1e-9)
    same = Moments.of([sides[0]])
    assert frechet_distance(same, same) == pytest.approx(0, abs=1e-6)
