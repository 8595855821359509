"""Precision, recall, density and coverage: published figures, exact ties, exact expectations."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused

from gancli.evaluation import neighbours
from gancli.evaluation.neighbours import expected_coverage, overlap, squared_radii


def figures(real, generated, k):
    found = overlap(np.asarray(real), np.asarray(generated), k)
    by_example = found.inside, found.recalled, found.densities, found.covered
    return tuple(float(np.mean(values)) for values in by_example)


def on_a_line(*places):
    return np.float64(places)[:, None]


def by_definition(real, generated, k):
    """The figures, one pair of examples at a time."""

    def squared(one, other):
        return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))

    def radii(points):
        return [
            sorted(squared(p, q) for j, q in enumerate(points) if j != i)[k - 1]
            for i, p in enumerate(points)
        ]

    real, generated = np.asarray(real).tolist(), np.asarray(generated).tolist()
    real_radii, generated_radii = radii(real), radii(generated)
    balls = [
        sum(squared(r, g) < limit for r, limit in zip(real, real_radii, strict=True))
        for g in generated
    ]
    recalled = [
        any(squared(r, g) < limit for g, limit in zip(generated, generated_radii, strict=True))
        for r in real
    ]
    covered = [
        any(squared(r, g) < limit for g in generated)
        for r, limit in zip(real, real_radii, strict=True)
    ]
    return (
        sum(count > 0 for count in balls) / len(generated),
        sum(recalled) / len(real),
        sum(balls) / k / len(generated),
        sum(covered) / len(real),
    )


def test_figures_of_published_seed():
    draw = np.random.RandomState(0)
    real, generated = draw.normal(size=(1000, 64)), draw.normal(size=(1000, 64))
    assert figures(real, generated, 5) == pytest.approx((0.704, 0.738, 0.947, 0.971), abs=1e-12)


@pytest.mark.slow
def test_figures_of_published_normals():
    """Published for a seed that is not known; over 8 others density had a deviation of 0.05."""
    draw = np.random.default_rng(0)
    real, generated = draw.normal(size=(10_000, 1000)), draw.normal(size=(10_000, 1000))
    precision, recall, density, coverage = figures(real, generated, 5)
    assert precision == pytest.approx(0.4772, abs=0.03)
    assert recall == pytest.approx(0.4705, abs=0.03)
    assert density == pytest.approx(1.0555, abs=0.2)
    assert coverage == pytest.approx(0.9735, abs=0.02)


def test_figures_on_a_line_by_hand():
    """Real radii 20, 1, 1, 2, 4; generated 1.5, 1.5, 4, 4.

    0.5 lies in the balls of 0 and 1; 2 in that of 3, being exactly 1 from 1; 7 in its own; 11 is
    exactly 4 from 7. Nothing is near -20.
    """
    real, generated = on_a_line(-20, 0, 1, 3, 7), on_a_line(0.5, 2, 7, 11)
    assert squared_radii(real, 1).tolist() == [400, 1, 1, 4, 16]
    assert squared_radii(generated, 1).tolist() == [2.25, 2.25, 16, 16]
    found = overlap(real, generated, 1)
    assert found.balls.tolist() == [2, 1, 1, 0]
    assert found.recalled.tolist() == [False, True, True, True, True]
    assert found.covered.tolist() == [False, True, True, True, True]
    assert figures(real, generated, 1) == (0.75, 0.8, 1.0, 0.8)


def test_radii_leave_out_the_example_itself():
    assert squared_radii(on_a_line(0, 1, 3, 7), 2).tolist() == [9, 4, 9, 36]
    assert squared_radii(on_a_line(0, 1, 3, 7), 3).tolist() == [49, 36, 16, 49]


@pytest.mark.parametrize("offset", [0.0, 1234.1, 1e6])
def test_a_distance_that_is_the_radius_is_not_within_it(offset):
    """A square lattice, shifted by its step: all radii are the step, which is a power of 2."""
    lattice = np.float64([[i, j] for i in range(5) for j in range(5)]) / 4 + offset
    assert squared_radii(lattice, 2).tolist() == [1 / 16] * 25
    # 20 of 25 lie on a real example, and in no other's ball; the others next to one.
    assert figures(lattice, lattice + np.float64([0.25, 0]), 2) == (0.8, 0.8, 0.4, 0.8)


def test_identical_examples_are_at_distance_0():
    """Radii of 0 hold nothing; with one more neighbour, each ball holds the place itself."""
    places = np.random.default_rng(0).normal(size=(4, 50)) + 100
    twice = np.repeat(places, 2, axis=0)
    assert squared_radii(twice, 1).tolist() == [0] * 8
    assert figures(twice, twice, 1) == (0, 0, 0, 0)
    assert (squared_radii(twice, 2) > 50).all()
    # Each generated one lies in both balls of its place, over k = 2.
    found = figures(twice, twice + 0.0, 2)
    assert found[:2] == (1, 1)
    assert found[2] >= 1
    assert found[3] == 1


def test_a_collapsed_generator_recalls_nothing():
    real = np.random.default_rng(0).normal(size=(300, 8))
    one = np.broadcast_to(real[0], (200, 8))
    precision, recall, density, coverage = figures(real, one, 5)
    assert precision == 1
    assert recall == 0
    assert density >= 1 / 5
    assert coverage < 0.1
    assert figures(real, one + 100, 5) == (0, 0, 0, 0)


def test_constant_features_overlap_nowhere():
    assert figures(np.ones((6, 2)), np.ones((7, 2)), 5) == (0, 0, 0, 0)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(2, 14),
    st.integers(2, 14),
    st.integers(1, 4),
    st.integers(1, 13),
    st.sampled_from([0.0, 1e5]),
)
def test_figures_are_those_of_the_definition(seed, n, m, dimensions, k, offset):
    """On whole numbers with many ties and copies, which floats hold exactly."""
    k = min(k, n - 1, m - 1)
    draw = np.random.default_rng(seed)
    real = draw.integers(0, 4, (n, dimensions)) + offset
    generated = draw.integers(0, 4, (m, dimensions)) + offset
    assert figures(real, generated, k) == pytest.approx(by_definition(real, generated, k))


def test_figures_do_not_depend_on_the_blocks(monkeypatch):
    draw = np.random.default_rng(0)
    real, generated = draw.integers(0, 9, (60, 3)) / 3, draw.normal(size=(50, 3)) + 1
    expected = figures(real, generated, 4)
    for elements in (1, 130, 999):
        monkeypatch.setattr(neighbours, "_BLOCK_ELEMENTS", elements)
        assert figures(real, generated, 4) == expected


def test_figures_ignore_order_scale_and_place():
    draw = np.random.default_rng(0)
    real, generated = draw.normal(size=(80, 6)), draw.normal(size=(70, 6)) * 0.8
    turned = np.linalg.qr(draw.normal(size=(6, 6)))[0]
    expected = figures(real, generated, 3)
    assert figures(real[::-1], generated[::-1], 3) == pytest.approx(expected)
    assert figures(real * 1e-6, generated * 1e-6, 3) == expected
    assert figures(real @ turned + 100, generated @ turned + 100, 3) == pytest.approx(expected)
    # Recall is precision with the sides exchanged.
    assert figures(generated, real, 3)[:2] == expected[1::-1]


def test_memory_does_not_grow_with_the_square(monkeypatch):
    """All distances of 1,200 and 1,200 would take 11.5 MB."""
    monkeypatch.setattr(neighbours, "_BLOCK_ELEMENTS", 1 << 15)
    real, generated = np.random.default_rng(0).normal(size=(2, 1200, 4))
    tracemalloc.start()
    try:
        overlap(real, generated, 5)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3e6


@pytest.mark.parametrize(
    ("n", "m", "k", "expected"),
    [
        (10_000, 10_000, 5, 0.96877),
        # Of three, the generated one is the nearer of two in half of all cases.
        (2, 1, 1, 1 / 2),
        # 1 − (2 · 1) / (4 · 3).
        (3, 2, 2, 5 / 6),
        (6, 10**9, 5, 1),
    ],
)
def test_expected_coverage(n, m, k, expected):
    assert expected_coverage(n, m, k) == pytest.approx(expected, abs=5e-6)


def test_density_and_coverage_of_equal_distributions_are_as_expected():
    """1 and, for 30 and 40 with k = 3, 1 − (29 · 28 · 27) / (69 · 68 · 67)."""
    draw = np.random.default_rng(0)
    found = [
        figures(draw.normal(size=(30, 2)), draw.normal(size=(40, 2)), 3)[2:] for _ in range(300)
    ]
    error = np.std(found, axis=0) / np.sqrt(300)
    coverage = 1 - (29 * 28 * 27) / (69 * 68 * 67)
    assert (np.abs(np.mean(found, axis=0) - (1, coverage)) < 4 * error).all()
    assert (error < 0.01).all()


@pytest.mark.parametrize(("n", "m", "k"), [(5, 9, 5), (9, 5, 5), (1, 9, 1), (9, 9, 0)])
def test_too_few_examples_are_refused(n, m, k):
    with refused(f"{k} neighbours", f"{min(n, m)} examples"):
        figures(np.eye(n, 2), np.eye(m, 2), k)
    with refused("5 neighbours", "5 examples"):
        expected_coverage(5, 5, 5)
