"""Metrics: figures worked out by hand on placed examples, floors on real ones, provenance."""

import json
import math

import numpy as np
import pytest
from tiny_runs import STEPS, digits_run, points_run

from gancli.config import Layer
from gancli.data import Dataset, DataSpec, Modes, load
from gancli.errors import UserError
from gancli.evaluation import METRICS, Evaluated, classes, classifier, evaluate, judge_of
from gancli.evaluation.evaluate import fitting_metrics
from gancli.launch import load_data, plan
from gancli.sampling import load_generator

SQUARE = np.float64([[0, 0], [10, 0], [0, 10], [10, 10]])


def measure(metric, generated, dataset):
    return METRICS.build(metric).measure(Evaluated(np.asarray(generated), dataset))


def points(modes=None):
    examples = np.zeros((4, 2), np.float32)
    return Dataset(DataSpec("placed", "points", (2,)), examples, None, "0" * 64, modes)


def images(examples, labels=None, names=()):
    examples = np.asarray(examples, np.uint8)
    numbers = None if labels is None else np.asarray(labels, np.int32)
    spec = DataSpec("placed", "image", examples.shape[1:], tuple(names))
    return Dataset(spec, examples, numbers, "0" * 64)


def flat(*levels):
    """2x2 grey images, each of one level."""
    return np.stack([np.full((2, 2, 1), level, np.uint8) for level in levels])


# Modes


@pytest.mark.parametrize(
    ("placed", "found", "high_quality", "kl"),
    [
        # Three near mode 0 (one of them 3 deviations away exactly), one at mode 1; 3.01 away
        # from mode 3 and between all modes are not of high quality. Shares 3/4 and 1/4 against
        # 1/4 each: 3/4 ln 3 + 1/4 ln 1.
        ([(0, 0), (3, 0), (0, 2.9), (10, 0), (10, 13.01), (5, 5)], 2, 4 / 6, 0.75 * math.log(3)),
        ([(0, 0), (10, 0), (0, 10), (10, 10)], 4, 1.0, 0.0),
        ([(0.1, 0), (0, 0.1), (0, 0)], 1, 1.0, math.log(4)),
        # Shares 1/2 and 1/2: ln 2.
        ([(0, 0), (10, 10), (50, 50), (-50, 0)], 2, 0.5, math.log(2)),
    ],
)
def test_modes_of_placed_points(placed, found, high_quality, kl):
    figures = measure("modes", np.float32(placed), points(Modes(SQUARE, 1.0)))
    assert figures["found"] == found
    assert figures["high_quality"] == pytest.approx(high_quality)
    assert figures["kl"] == pytest.approx(kl, abs=1e-12)


def test_modes_without_one_good_point_have_no_divergence():
    """An empty distribution has none, and a number would be averaged with others."""
    figures = measure("modes", np.float32([(5, 5), (50, 50)]), points(Modes(SQUARE, 1.0)))
    assert figures == {"found": 0, "high_quality": 0}


@pytest.mark.parametrize(("name", "count"), [("ring8", 8), ("grid25", 25)])
def test_modes_of_real_points_are_at_the_floor(name, count):
    """A perfect sampler, scored as the literature does on 2,500 points.

    High quality 1 - e^-4.5 = 98.889 %, with a deviation of 0.21 % a trial; 2 N KL is
    chi-squared with M - 1 degrees, so KL is (M - 1) / 5000 with deviation sqrt(2 (M - 1)) / 5000.
    """
    trials = [load(f"{name}:count=2500,seed={seed}") for seed in range(20)]
    figures = [measure("modes", trial.examples, trial) for trial in trials]
    assert all(one["found"] == count for one in figures)
    for one in figures:
        assert one["high_quality"] == pytest.approx(0.98889, abs=5 * 0.0021)
    mean = np.mean([one["high_quality"] for one in figures])
    assert mean == pytest.approx(0.98889, abs=4 * 0.0021 / math.sqrt(20))
    floor = {8: 0.0014, 25: 0.0048}[count]
    deviation = {8: 0.00075, 25: 0.00139}[count]
    kl = np.mean([one["kl"] for one in figures])
    assert kl == pytest.approx(floor, abs=4 * deviation / math.sqrt(20))


def test_modes_show_shrunken_variance():
    """Points of half the deviation are all but never beyond three: 1 - e^-18."""
    ring = load("ring8:count=2500")
    centres = ring.modes.centres[ring.labels]
    shrunken = centres + 0.5 * (ring.examples - centres)
    assert measure("modes", shrunken, ring)["high_quality"] > 0.9999


# Memorization


def test_memorization_of_placed_images():
    """Levels 0, 100 and 200 are known; each sample is of one level too.

    90 is 10, 90 and 110 away: 10 < 0.333 · 70. 50 is 50, 50 and 150 away: 50 > 0.333 · 83.3.
    The known levels are 100 apart.
    """
    figures = measure("memorization", flat(90, 50), images(flat(0, 100, 200)))
    assert figures["copies"] == 0.5
    assert figures["identical"] == 0
    assert figures["nearest"] == pytest.approx((10 + 50) / 2)
    assert figures["nearest_real"] == pytest.approx(100)
    # With the threshold 0.7, 50 < 0.7 · 83.3 is a copy too.
    assert measure("memorization:threshold=0.7", flat(90, 50), images(flat(0, 100, 200)))[
        "copies"
    ] == 1  # fmt: skip


def test_exact_copies_are_found_and_far_samples_are_not():
    draw = np.random.default_rng(0)
    real = draw.integers(256, size=(200, 6, 6, 3), dtype=np.uint8)
    others = draw.integers(256, size=(5, 6, 6, 3), dtype=np.uint8)
    almost = real[9:10].copy()
    almost[0, 0, 0, 0] ^= 1
    generated = np.concatenate([real[[3, 50, 199]], others, almost])
    figures = measure("memorization", generated, images(real))
    assert figures["identical"] == pytest.approx(3 / 9)
    assert figures["copies"] == pytest.approx(4 / 9)


def test_the_data_themselves_are_all_copies_at_no_distance():
    digits = load("digits")
    figures = measure("memorization", digits.examples[:50], digits)
    assert figures["copies"] == figures["identical"] == 1
    assert figures["nearest"] == pytest.approx(0, abs=1e-3)
    assert figures["nearest_real"] > 10


@pytest.mark.parametrize("count", [1, 2])
def test_memorization_of_very_small_sets(count):
    figures = measure("memorization", flat(7), images(flat(*range(7, 7 + count))))
    assert figures["identical"] == 1


# Classes


@pytest.mark.parametrize(
    ("posterior", "expected"),
    [
        # Sure and even: the score is the number of classes.
        ([[1, 0], [0, 1]], {"score": 2, "found": 2, "smallest_share": 0.5, "kl": 0}),
        # Only one class: ln(1 / 0.5) from the even data.
        ([[1, 0], [1, 0]], {"score": 1, "found": 1, "smallest_share": 0, "kl": math.log(2)}),
        # Unsure: every posterior is the mean, so the score is 1.
        ([[0.6, 0.4], [0.6, 0.4]], {"score": 1, "confidence": 0.6, "found": 1}),
        # Mean (0.75, 0.25): KLs ln(4/3) and 0.5 ln(2/3) + 0.5 ln 2 = 0.143841; half their sum
        # is 0.215762, whose exponential is 1.240806.
        ([[1, 0], [0.5, 0.5]], {"score": 1.240806, "confidence": 0.75, "share/one": 1}),
    ],
)
def test_classes_of_a_placed_posterior(monkeypatch, posterior, expected):
    fitted = classifier.Classifier({}, 0.875, "")
    monkeypatch.setattr(classes, "fitted_classifier", lambda dataset: fitted)
    monkeypatch.setattr(classes, "probabilities", lambda *_: np.float64(posterior))
    dataset = images(flat(0, 1, 2, 3), [0, 0, 1, 1], ["one", "two"])
    figures = measure("classes", flat(0, 1), dataset)
    assert figures["classifier_accuracy"] == 0.875
    for name, value in expected.items():
        assert figures[name] == pytest.approx(value, abs=1e-6), name


@pytest.fixture(scope="module")
def digits_classifier(tmp_path_factory):
    """Fitted now, in a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        cache = tmp_path_factory.mktemp("cache")
        patch.setenv("GAN_CACHE", str(cache))
        yield classifier.fitted_classifier(load("digits")), cache


def test_the_classifier_knows_digits_that_it_was_not_fitted_to(digits_classifier):
    assert 0.97 <= digits_classifier[0].accuracy < 1


def test_the_classifier_is_fitted_once(digits_classifier, monkeypatch):
    fitted, cache = digits_classifier
    assert [path.suffix for path in (cache / "classifiers").iterdir()] == [".npz"]
    monkeypatch.setattr(classifier, "_fit", lambda *_: pytest.fail("fitted again"))
    again = classifier.fitted_classifier(load("digits"))
    assert (again.accuracy, again.fingerprint) == (fitted.accuracy, fitted.fingerprint)
    assert again.params.keys() == fitted.params.keys()
    for name, values in fitted.params.items():
        np.testing.assert_array_equal(again.params[name], values)


def test_other_data_have_a_classifier_of_their_own(digits_classifier, monkeypatch):
    asked = []

    def fit(dataset, fingerprint):
        asked.append(fingerprint)
        return classifier.Classifier({}, 0.5, fingerprint)

    monkeypatch.setattr(classifier, "_fit", fit)
    other = images(flat(0, 1), [0, 1], "ab")._replace(fingerprint="1" * 64)
    assert classifier.fitted_classifier(other).accuracy == 0.5
    assert asked
    assert asked[0] != digits_classifier[0].fingerprint


def test_classes_of_the_data_themselves(digits_classifier):
    digits = load("digits")
    figures = measure("classes", digits.examples, digits)
    assert figures["found"] == 10
    assert figures["kl"] == pytest.approx(0, abs=1e-4)
    assert figures["confidence"] > 0.98
    assert 9.5 < figures["score"] < 10
    assert sum(figures[f"share/{digit}"] for digit in range(10)) == pytest.approx(1)


def test_probabilities_do_not_depend_on_the_block(digits_classifier):
    held, _ = digits_classifier
    pixels = load("digits").examples[:620]
    whole = classifier.probabilities(held, pixels)
    assert whole.shape == (620, 10)
    np.testing.assert_allclose(whole.sum(axis=1), 1)
    np.testing.assert_allclose(classifier.probabilities(held, pixels[495:505]), whole[495:505])


# Which metrics fit, and provenance


@pytest.mark.parametrize(
    ("dataset", "fitting"),
    [
        (points(Modes(SQUARE, 1.0)), ["modes"]),
        (points(), []),
        (images(flat(0, 1)), ["memorization"]),
        (images(flat(0, 1), [0, 0], ["one"]), ["memorization"]),
        (images(flat(0, 1), [0, 1], ["one", "two"]), ["classes", "memorization"]),
    ],
)
def test_metrics_fit_what_they_can_measure(dataset, fitting):
    assert fitting_metrics(dataset) == fitting


@pytest.mark.parametrize("metric", METRICS.names())
def test_every_metric_gives_finite_figures_of_a_data_set_that_it_fits(metric, digits_classifier):
    sets = [load("digits"), load("ring8:count=500")]
    fitting = [dataset for dataset in sets if metric in fitting_metrics(dataset)]
    assert fitting
    for dataset in fitting:
        figures = measure(metric, dataset.examples[:200], dataset)
        assert figures
        assert all(math.isfinite(value) for value in figures.values())


def test_an_evaluation_says_where_it_is_from():
    generator = load_generator(points_run())
    dataset = load_data(generator.config)
    result = evaluate(generator, dataset, [], samples=300, seed=4)
    assert {"modes/found", "modes/high_quality"} <= set(result["metrics"])
    assert (result["samples"], result["seed"]) == (300, 4)
    assert result["generator"] == generator.provenance()
    assert result["generator"]["step"] == STEPS
    assert result["versions"]["gan"]
    json.dumps(result, allow_nan=False)
    assert evaluate(generator, dataset, ["modes"], samples=300, seed=4) == result


def test_only_the_named_metrics_are_measured():
    generator = load_generator(digits_run())
    result = evaluate(generator, load_data(generator.config), ["memorization"], samples=100)
    assert {name.partition("/")[0] for name in result["metrics"]} == {"memorization"}


@pytest.mark.parametrize(
    ("data", "metric", "words"),
    [
        ("ring8:count=500", "classes", "'classes' does not fit 'ring8:count=500'.*modes"),
        ("ring8:count=500", "mods", "unknown metric 'mods'.*'modes'"),
        ("ring8:count=501", "modes", "not the one that the generator was trained on"),
    ],
)
def test_what_does_not_fit_is_refused(data, metric, words):
    with pytest.raises(UserError, match=words):
        evaluate(load_generator(points_run()), load(data), [metric], samples=100)


def judged(**values):
    planned = plan([Layer("test", {"data.name": "ring8:count=500", **values})])
    return judge_of(planned.config, planned.dataset)


def test_a_run_that_is_not_to_be_measured_has_no_judge():
    assert judged() is None


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"evaluation.best": "modes/kl"}, "the run is never measured.*evaluation.every from 1 on"),
        ({"evaluation.patience": 2}, "the run is never measured"),
        ({"evaluation.every": 5, "evaluation.best": "modes/kk"}, "'modes/kk'.*mean 'modes/kl'"),
        ({"evaluation.every": 5, "evaluation.metrics": ["classes"]}, "'classes' does not fit"),
        ({"evaluation.every": 5, "evaluation.patience": 2}, "names no figure.*modes/high_quality"),
    ],
)
def test_a_judge_that_cannot_judge_is_refused(values, words):
    with pytest.raises(UserError, match=words):
        judged(**values)


@pytest.mark.parametrize(("figure", "lower"), [("modes/kl", True), ("modes/found", False)])
def test_a_judge_measures_what_evaluation_measures(figure, lower):
    judge = judged(**{"evaluation.every": 5, "evaluation.best": figure, "evaluation.samples": 300})
    assert judge is not None
    assert judge.lower_is_better is lower
    generator = load_generator(points_run())
    figures = judge.measure(generator.task, generator.weights)
    dataset = load_data(generator.config)
    assert figures == evaluate(generator, dataset, ["modes"], 300)["metrics"]
