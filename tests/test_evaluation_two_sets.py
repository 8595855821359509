"""Metrics of two data sets: figures worked out by hand, and what does not fit."""

import json

import numpy as np
import pytest
from refusals import refused
from tiny_runs import succeed

from gancli.data import DataRequest, load
from gancli.evaluation import Question, compare_sets, load_pair, metrics_of_pair


def saved(path, levels, side=2, channels=1, **columns):
    """An .npz of images that are each of one grey level."""
    pixels = np.ones((len(levels), side, side, channels), np.uint8)
    np.savez(path, images=pixels * np.uint8(levels)[:, None, None, None], **columns)
    return str(path)


def test_the_frechet_distance_of_black_and_white_is_the_number_of_values(tmp_path, monkeypatch):
    saved(tmp_path / "real.npz", [0] * 4)
    saved(tmp_path / "made.npz", [255] * 6)
    monkeypatch.chdir(tmp_path)
    options = "--metrics frechet,memorization --plot p.png --json"
    printed = succeed(f"evaluate --folders real.npz made.npz {options}").stdout
    report = json.loads(printed)
    assert report["metrics"]["frechet/distance"] == pytest.approx(4)  # 2 x 2 values differ by 1.
    assert report["metrics"]["memorization/identical"] == 0
    assert (report["samples"], report["real"]["count"]) == (6, 4)
    assert report["generated"] == {
        "name": "made.npz", "count": 6, "fingerprint": load("made.npz").fingerprint
    }  # fmt: skip
    assert (tmp_path / "p.png").stat().st_size > 1000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made.npz", "p.png", "real.npz"]


@pytest.mark.slow
def test_labels_count_where_they_are_classes_of_the_real_examples(tmp_path):
    rng = np.random.default_rng(0)
    levels, labels = rng.integers(0, 60, 80), np.arange(80) % 2
    real = saved(tmp_path / "real.npz", levels + 150 * labels, 8, labels=labels)
    # Named as the brightness says, but for a quarter.
    wrong = labels ^ (np.arange(80) % 8 < 2)
    made = saved(tmp_path / "made.npz", levels + 150 * labels, 8, labels=wrong)
    pair = load_pair(real, made, DataRequest())
    report = compare_sets(*pair, Question(("labels",)), DataRequest()).report
    assert report["metrics"]["labels/accuracy"] == 0.75
    other = saved(tmp_path / "other.npz", levels, 8, labels=labels + 5)
    assert "labels" not in metrics_of_pair(*load_pair(real, other, DataRequest()), Question())


def test_grey_values_are_repeated_where_the_other_set_is_in_colour(tmp_path):
    grey = saved(tmp_path / "grey.npz", [10, 20, 30])
    colour = saved(tmp_path / "colour.npz", [10, 20, 30], channels=3)
    for pair in (load_pair(grey, colour, DataRequest()), load_pair(colour, grey, DataRequest())):
        first, second = pair
        assert first.spec.shape == second.spec.shape == (2, 2, 3)
        np.testing.assert_array_equal(first.examples, second.examples)


def test_some_of_the_examples_are_measured(tmp_path):
    real = saved(tmp_path / "real.npz", range(200))
    made = saved(tmp_path / "made.npz", range(200))
    pair = load_pair(real, made, DataRequest())
    answer = compare_sets(*pair, Question(("wasserstein",), samples=150), DataRequest())
    assert answer.report["samples"] == 150
    assert len(np.unique(answer.evaluated.generated)) == 150
    assert np.max(answer.evaluated.generated) > 180  # Chosen among all, not the first ones.
    with refused("201", "made.npz", allowed="200"):
        compare_sets(*pair, Question(samples=201), DataRequest())


def test_sets_of_one_size_are_compared_and_others_refused(tmp_path):
    small = saved(tmp_path / "small.npz", [10, 20, 30])
    large = saved(tmp_path / "large.npz", [10, 20, 30], side=6)
    with refused("small.npz", "(2, 2, 1)", "large.npz", "(6, 6, 1)", remedy="--size"):
        load_pair(small, large, DataRequest())
    for one in load_pair(small, large, DataRequest(4)):
        assert one.spec.shape == (4, 4, 1)
    with refused("moons", "(2,)", "small.npz", "(2, 2, 1)"):
        load_pair("moons", small, DataRequest())


def test_images_of_other_bits_or_with_opacity_are_not_compared(tmp_path):
    colour = saved(tmp_path / "colour.npz", [10, 20], channels=3)
    opacity = saved(tmp_path / "opacity.npz", [10, 20], channels=4)
    for pair in ((colour, opacity), (opacity, saved(tmp_path / "grey.npz", [10, 20]))):
        with refused("(2, 2, 4)", "8 bits", allowed="one size"):
            load_pair(*pair, DataRequest())


def test_sixteen_bits_are_measured_as_8(tmp_path):
    """All levels are those of 8 bits times 257, and so are as far apart in units of white."""
    pairs = []
    for factor, keep in ((1, ""), (257, "16bit")):
        paths = []
        for name, levels in (("real", [0, 60, 200, 90]), ("made", [10, 255, 100, 91])):
            images = np.ones((4, 2, 2, 1), np.uint8) * np.uint8(levels)[:, None, None, None]
            paths.append(str(tmp_path / f"{name}{factor}.npz"))
            np.savez(paths[-1], images=images if factor == 1 else images.astype(np.uint16) * factor)
        request = DataRequest(keep=keep)
        question = Question(("wasserstein", "memorization"))
        pairs.append(compare_sets(*load_pair(*paths, request), question, request).report["metrics"])
    assert pairs[0] == pytest.approx(pairs[1], rel=1e-5)
    assert pairs[0]["memorization/nearest"] == pytest.approx(10)
