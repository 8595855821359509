import numpy as np
import pytest
from refusals import refused

from gancli.data import DATASETS, DataRequest, load

HALF_ROOT = 0.7071067811865476
RING = [
    (1, 0), (HALF_ROOT, HALF_ROOT), (0, 1), (-HALF_ROOT, HALF_ROOT),
    (-1, 0), (-HALF_ROOT, -HALF_ROOT), (0, -1), (HALF_ROOT, -HALF_ROOT),
]  # fmt: skip


def test_ring_has_the_eight_means_and_the_deviation_of_the_protocol():
    dataset = load("ring8")
    assert dataset.modes is not None
    assert dataset.labels is not None
    np.testing.assert_allclose(dataset.modes.centres, RING, atol=1e-12)
    assert dataset.modes.deviation == 0.01
    assert dataset.examples.shape == (100_000, 2)
    offsets = dataset.examples - np.array(RING)[dataset.labels]
    # The deviation of 200,000 normal values is known to within 0.0016 of itself.
    assert np.std(offsets) == pytest.approx(0.01, rel=0.01)
    # Within three deviations of the mean: 1 - exp(-4.5).
    close = np.linalg.norm(offsets, axis=1) < 0.03
    assert np.mean(close) == pytest.approx(0.98889, abs=0.0015)


def test_grid_has_the_twenty_five_means_and_the_deviation_of_the_protocol():
    dataset = load("grid25")
    assert dataset.modes is not None
    assert dataset.labels is not None
    centres = dataset.modes.centres
    assert {tuple(centre) for centre in centres} == {
        (x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)
    }
    offsets = dataset.examples - centres[dataset.labels]
    assert np.std(offsets) == pytest.approx(0.05, rel=0.01)


@pytest.mark.parametrize(("name", "modes"), [("ring8", 8), ("grid25", 25)])
def test_modes_are_equally_likely_and_named_by_their_number(name, modes):
    dataset = load(name)
    assert dataset.spec.classes == tuple(str(number) for number in range(modes))
    counts = np.bincount(dataset.labels, minlength=modes)
    expected = 100_000 / modes
    # Six deviations of a binomial count.
    assert np.abs(counts - expected).max() < 6 * np.sqrt(expected)


def test_swiss_roll_without_noise_lies_on_the_spiral():
    points = load("swiss-roll:count=1000,noise=0").examples.astype(float)
    radius = np.linalg.norm(points, axis=1) * 4.5 * np.pi
    # On the curve the angle is the radius, up to whole turns.
    np.testing.assert_allclose(np.cos(radius), points[:, 0] * 4.5 * np.pi / radius, atol=1e-5)
    assert radius.min() >= 1.5 * np.pi - 1e-5
    assert radius.max() <= 4.5 * np.pi + 1e-5
    assert radius.max() - radius.min() > 2.9 * np.pi


def test_moons_without_noise_lie_on_two_half_circles_of_unit_width():
    dataset = load("moons:count=1000,noise=0")
    assert dataset.spec.classes == ("upper", "lower")
    points = dataset.examples * 1.5 + np.array([0.5, 0.25])
    upper, lower = points[dataset.labels == 0], points[dataset.labels == 1]
    assert len(upper) > 400
    assert len(lower) > 400
    np.testing.assert_allclose(np.linalg.norm(upper, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(lower - [1, 0.5], axis=1), 1, atol=1e-5)
    assert upper[:, 1].min() >= -1e-6
    assert lower[:, 1].max() <= 0.5 + 1e-6
    assert np.abs(dataset.examples).max() <= 1.0001


POINTS = ["ring8", "grid25", "swiss-roll", "moons"]


@pytest.mark.parametrize("name", POINTS)
def test_points_are_fixed_by_the_seed(name):
    first, again = load(f"{name}:count=1000,seed=3"), load(f"{name}:count=1000,seed=3")
    other = load(f"{name}:count=1000,seed=4")
    assert first.examples.shape == (1000, 2)
    assert first.examples.dtype == np.float32
    assert first.spec.kind == "points"
    assert first.spec.shape == (2,)
    assert first.examples.tobytes() == again.examples.tobytes()
    assert first.fingerprint == again.fingerprint != other.fingerprint


@pytest.mark.parametrize("name", POINTS)
def test_test_split_is_an_independent_draw(name):
    train, test = (
        load(f"{name}:count=500", DataRequest(split=split)) for split in ("train", "test")
    )
    assert not np.isin(train.examples[:, 0], test.examples[:, 0]).any()


@pytest.mark.parametrize("name", POINTS)
@pytest.mark.parametrize(
    ("options", "request_", "given", "allowed", "remedy"),
    [
        ("", DataRequest(size=8), ("data.size", " 8 ", "points"), (), "data.size"),
        ("", DataRequest(split="validation"), ("split", "'validation'"), "test, train", ()),
        (":count=0", DataRequest(), ("count", "'0'"), ("1 ", "10,000,000"), ()),
        (":count=1000000000", DataRequest(), ("count", "1000000000"), "10,000,000", ()),
        (":seed=-1", DataRequest(), ("seed", "-1"), "0", ()),
        (":count=many", DataRequest(), ("count", "'many'"), "int", ()),
        (":colour=red", DataRequest(), ("option", "'colour'"), "count", ()),
    ],
)
def test_what_does_not_apply_to_points_is_refused(name, options, request_, given, allowed, remedy):
    with refused(name, *given, allowed=allowed, remedy=remedy):
        load(name + options, request_)


def test_negative_noise_is_refused():
    with refused("noise", "moons", "-0.1", allowed="0"):
        load("moons:noise=-0.1")


def test_every_point_set_is_registered_with_a_reference():
    for name in POINTS:
        assert DATASETS.entry(name).reference
        assert {option.name for option in DATASETS.entry(name).options} >= {"count", "seed"}
