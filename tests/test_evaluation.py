"""Metrics: figures worked out by hand on placed examples, floors on real ones, provenance."""

import contextlib
import itertools
import json
import math
import tempfile

import jax
import numpy as np
import pytest
from refusals import refused
from tiny_runs import (
    STEPS,
    autoencoder_run,
    digits_run,
    labelled_run,
    points_run,
    succeed,
    text_run,
    tokens_run,
    write_idx,
)

from gancli.config import Layer
from gancli.data import DataRequest, Dataset, DataSpec, Modes, load
from gancli.data.configured import load_data
from gancli.errors import UserError
from gancli.evaluation import (
    METRICS,
    Evaluated,
    Question,
    evaluate,
    evidence,
)
from gancli.evaluation.evaluator import choose_metrics
from gancli.evaluation.evidence import Asked, Drawn
from gancli.evaluation.generator import load_generator
from gancli.evaluation.intervals import Interval
from gancli.evaluation.labels import deviation_within, matched_classes
from gancli.evaluation.ngrams import count_ngrams
from gancli.features import FEATURES
from gancli.training.planning import plan

SQUARE = np.float64([[0, 0], [10, 0], [0, 10], [10, 10]])


def measure(metric, generated, dataset):
    return METRICS.build(metric).measure(Evaluated(Drawn(np.asarray(generated)), dataset))


def fitting_metrics(dataset, features="", task=None):
    """The metrics that can be chosen for a data set, those that are not quick among them."""

    def fits(name):
        with contextlib.suppress(UserError):
            return name in choose_metrics(dataset, [name], features, task)

    return [name for name in METRICS.names() if fits(name)]


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


def test_a_mode_counts_if_the_protocols_number_of_samples_finds_it():
    """Of the first 2,500 samples, or as many as are asked for, whatever else is drawn."""
    placed = np.float32([(0, 0)] * 2500 + [(10, 0)] * 2500)
    data = points(Modes(SQUARE, 1.0))
    assert measure("modes", placed, data)["found"] == 1
    assert measure("modes", placed, data)["kl"] == pytest.approx(math.log(2))
    assert measure("modes:most=2501", placed, data)["found"] == 2


def test_modes_without_one_good_point_have_no_divergence():
    """An empty distribution has none, and a number would be averaged with others."""
    figures = measure("modes", np.float32([(5, 5), (50, 50)]), points(Modes(SQUARE, 1.0)))
    assert figures == {"found": 0, "high_quality": 0}


@pytest.mark.parametrize(("name", "count"), [("ring8", 8), ("grid25", 25)])
def test_modes_of_real_points_are_at_the_floor(name, count):
    """A perfect sampler, scored as the literature does on 2,500 points.

    High quality 1 - e^-4.5 = 98.889 %, with a deviation of 0.21 % a trial; 2 n KL is chi-squared
    with M - 1 degrees, n the 2,472 points of high quality: KL is (M - 1) / 2n, with the deviation
    sqrt(2 (M - 1)) / 2n.
    """
    trials = [load(f"{name}:count=2500,seed={seed}") for seed in range(60)]
    figures = [measure("modes", trial.examples, trial) for trial in trials]
    assert all(one["found"] == count for one in figures)
    for one in figures:
        assert one["high_quality"] == pytest.approx(0.98889, abs=5 * 0.0021)
    mean = np.mean([one["high_quality"] for one in figures])
    assert mean == pytest.approx(0.98889, abs=4 * 0.0021 / math.sqrt(60))
    floor = {8: 0.0014, 25: 0.0049}[count]
    deviation = {8: 0.00076, 25: 0.0014}[count]
    kl = np.mean([one["kl"] for one in figures])
    assert kl == pytest.approx(floor, abs=4 * deviation / math.sqrt(60))


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


@pytest.fixture
def placed_posteriors(monkeypatch):
    """Has the classifier give these posteriors, (samples, parts, classes)."""

    def place(values):
        monkeypatch.setattr(evidence, "fitted_classifier", lambda *_: None)
        monkeypatch.setattr(evidence, "posteriors", lambda *_: values)

    return place


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
def test_classes_of_a_placed_posterior(placed_posteriors, posterior, expected):
    placed_posteriors(np.float64(posterior)[:, None])
    dataset = images(flat(0, 1, 2, 3), [0, 0, 1, 1], ["one", "two"])
    figures = measure("classes", flat(0, 1), dataset)
    for name, value in expected.items():
        assert figures[name] == pytest.approx(value, abs=1e-6), name


def test_a_class_that_the_data_have_not_leaves_no_divergence(placed_posteriors):
    placed_posteriors(np.eye(2)[:, None])
    figures = measure("classes", flat(0, 1), images(flat(0, 1), [0, 0], ["one", "two"]))
    assert figures["found"] == 2
    assert "kl" not in figures


def test_stacked_digits_are_numbers_and_surest_where_every_channel_is(placed_posteriors):
    """Of 3 classes a channel: 0 1 2 is 5 and 2 2 2 is 26; each of probability 0.5^3 or 1."""
    unsure = [[0.5, 0.3, 0.2], [0.3, 0.5, 0.2], [0.2, 0.3, 0.5]]
    sure = [[0, 0, 1]] * 3
    placed_posteriors(np.float64([unsure, sure]))
    names = [f"{number:03d}" for number in range(27)]
    figures = measure("classes", flat(0, 1), images(flat(0, 1), [5, 26], names))
    assert figures["confidence"] == pytest.approx((0.125 + 1) / 2)
    assert figures["found"] == 2
    assert figures["kl"] == pytest.approx(0)
    assert figures["kl_uniform"] == pytest.approx(math.log(27 / 2))
    assert "score" not in figures
    assert not [name for name in figures if name.startswith("share/")]


@pytest.mark.slow
def test_classes_of_the_data_themselves():
    digits = load("digits")
    figures = measure("classes", digits.examples, digits)
    assert figures["found"] == 10
    assert figures["kl"] == pytest.approx(0, abs=1e-4)
    assert figures["confidence"] > 0.98
    assert 9.5 < figures["score"] < 10
    assert sum(figures[f"share/{digit}"] for digit in range(10)) == pytest.approx(1)


# Distances of features


def placed(*rows):
    examples = np.float32(rows)
    return Dataset(DataSpec("placed", "points", examples.shape[1:]), examples, None, "0" * 64)


def test_frechet_of_placed_points():
    """The literal of torch-fidelity's own tests: 980 / 11."""
    real, generated = np.ones((100, 2)), np.full((100, 2), 9.0)
    real[:50, 0], generated[50:, 0] = 2, 2
    figures = measure("frechet", np.float32(generated), placed(*real))
    assert figures == {"distance": pytest.approx(89.0909, abs=1e-4)}


def test_frechet_at_infinity_is_below_the_biased_distance():
    draw = np.random.default_rng(0).standard_normal((2, 4000, 2)).astype(np.float32)
    figures = measure("frechet:infinity=true", draw[0], placed(*draw[1]))
    assert abs(figures["at_infinity"]) < 0.01
    assert figures["distance"] > 0


def test_kernel_of_placed_points():
    """X = {0, 1}, Y = {2, 3}: 297.5; of four or more there is an error, too."""
    assert measure("kernel", np.float32([[2], [3]]), placed([0], [1])) == {"distance": 297.5}
    draw = np.random.default_rng(0).standard_normal((2, 500, 2)).astype(np.float32)
    figures = measure("kernel:subsets=10", draw[0], placed(*draw[1]))
    assert abs(figures["distance"]) < 4 * figures["standard_error"]
    # A subset of 1,000 examples of 500 is all of them, each time.
    assert figures["subset_mean"] == pytest.approx(figures["distance"])
    assert figures["subset_deviation"] == pytest.approx(0, abs=1e-12)


def test_wasserstein_of_shifted_points():
    """A shift by (3, 4) is |5 cos| on a direction: W_1 is 5 · 2 / pi, W_2 is 5 / √2."""
    real = np.random.default_rng(0).standard_normal((50, 2))
    shifted = np.float32(real + np.float64([3, 4]))
    of_one = measure("wasserstein:order=1,projections=4096", shifted, placed(*real))
    assert of_one["distance"] == pytest.approx(10 / math.pi, rel=0.03)
    of_two = measure("wasserstein:projections=4096", shifted, placed(*real))
    assert of_two["distance"] == pytest.approx(5 / math.sqrt(2), rel=0.03)


def test_neighbours_of_placed_points():
    """Real 0, 1, 2, 10 with k = 1 reach 1, 1, 1 and 8; samples 0.5 and 20 reach 19.5.

    0.5 lies in the balls of 0 and 1, 20 in none: precision 1/2, density 2 / 2, coverage 2/4.
    Every real one lies within 19.5 of a sample.
    """
    found = measure("neighbours:k=1", np.float32([[0.5], [20]]), placed([0], [1], [2], [10]))
    assert found == {
        "precision": 0.5, "recall": 1, "density": 1, "coverage": 0.5,
        # Of 3 other real ones and 2 samples, a sample is nearest with 2 / 5.
        "coverage_expected": pytest.approx(0.4),
    }  # fmt: skip


def test_only_on_inceptions_features_is_it_called_fid():
    dataset = placed([0], [1])
    features = FEATURES.build("pixels", dataset, DataRequest())
    head = np.float32([[0], [math.log(3)]])
    features = features._replace(inception_head=head)
    looked_at = Evaluated(Drawn(np.float32([[2], [3]])), dataset, features=features)
    assert list(METRICS.build("frechet").measure(looked_at)) == ["fid"]
    assert list(METRICS.build("kernel").measure(looked_at)) == ["kid"]


def test_the_inception_score_of_placed_features():
    """Features 0 and 1 of the head 0, ln 3 have posteriors (1/2, 1/2) and (1/4, 3/4).

    Their mean is (3/8, 5/8): KLs ½ ln(4/3) + ½ ln(4/5) and ¼ ln(2/3) + ¾ ln(6/5), 0.032269 and
    0.035375; the exponential of half their sum is 1.034400. Alone, each scores 1.
    """
    dataset = placed([0], [1])
    features = FEATURES.build("pixels", dataset, DataRequest())
    features = features._replace(inception_head=np.float32([[0], [math.log(3)]]))
    looked_at = Evaluated(Drawn(np.float32([[0], [1]])), dataset, features=features)
    whole = METRICS.build("inception-score:splits=1").measure(looked_at)
    assert whole == {"score": pytest.approx(1.034400, abs=1e-5), "deviation": 0}
    parts = METRICS.build("inception-score:splits=2").measure(looked_at)
    assert parts == {"score": pytest.approx(1), "deviation": pytest.approx(0, abs=1e-9)}
    assert "inception-score" in fitting_metrics(images(flat(0, 1)), "inception")
    assert "inception-score" not in fitting_metrics(images(flat(0, 1)))


def test_a_covariance_of_too_many_dimensions_is_refused():
    large = images(np.zeros((3, 64, 65, 1)))
    assert "frechet" not in fitting_metrics(large)
    with refused("4160", allowed="4096", remedy="kernel"):
        measure("frechet", large.examples, large)


def test_statistics_of_real_images_are_computed_once(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_CACHE", str(tmp_path))
    draw = np.random.default_rng(0).integers(256, size=(60, 3, 3, 1))
    first = measure("frechet", draw[:30], images(draw))
    assert len(list((tmp_path / "statistics").iterdir())) == 1
    seen = []
    of = FEATURES.build("pixels", images(draw), DataRequest())

    def build(*_):
        return of._replace(function=lambda block: seen.append(len(block)) or of.function(block))

    monkeypatch.setattr(FEATURES, "build", build)
    assert measure("frechet", draw[:30], images(draw)) == first
    assert len(seen) == 1  # The samples' block.


@pytest.mark.slow
def test_moments_and_classes_are_of_all_samples_however_many(monkeypatch):
    """Pairs and posteriors are of the first ones alone, so that memory is bounded."""
    digits = load("digits")
    whole = measure("frechet", digits.examples[:300], digits)["distance"]
    classes = measure("classes", digits.examples[:300], digits)
    monkeypatch.setattr(evidence, "MOST_COMPARED", 100)
    monkeypatch.setattr(evidence, "_PART", 70)
    looked_at = Evaluated(Drawn(digits.examples[:300]), digits)
    found = METRICS.build("frechet").measure(looked_at)["distance"]
    assert found == pytest.approx(whole, rel=1e-6)
    assert looked_at.compared_features.shape == (100, 64)
    counted = METRICS.build("classes").measure(looked_at)
    assert len(looked_at.posteriors) == 100
    for name in counted.keys() - {"confidence", "score"}:
        assert counted[name] == classes[name]


# Labels that were asked for


def test_codes_are_matched_to_the_classes_that_they_show_most():
    """Code 0 shows class 2 twice, code 1 class 0 once, code 2 class 2 once, so nothing is left."""
    codes, read = np.array([0, 0, 1, 1, 2]), np.array([2, 2, 0, 1, 2])
    assert matched_classes(codes, read, 3, 3).tolist() == [2, 0, 1]
    # Two codes for one class, by the counts 3 and 2: the second code is left over.
    codes, read = np.array([0, 0, 0, 1, 1]), np.zeros(5, np.int64)
    assert matched_classes(codes, read, 2, 1).tolist() == [0, -1]


def asked_of(labels, kind, classes=10):
    digits = load("digits")
    examples = digits.examples[: len(labels)]
    looked_at = Evaluated(Drawn(examples, Asked(np.asarray(labels), classes, kind)), digits)
    return METRICS.build("labels").measure(looked_at)


@pytest.mark.slow
def test_real_digits_show_their_labels_and_not_others():
    own = np.asarray(load("digits").labels)[:900]
    right = asked_of(own, "asked")
    assert right["accuracy"] > 0.99
    assert right["smallest_accuracy"] > 0.95
    assert right["smallest_accuracy"] == min(right[f"accuracy/{digit}"] for digit in range(10))
    wrong = asked_of((own + 1) % 10, "asked")
    assert wrong["accuracy"] < 0.01
    assert wrong["intra_frechet"] > 10 * right["intra_frechet"]
    distances = [right[f"frechet/{digit}"] for digit in range(10)]
    assert right["intra_frechet"] == pytest.approx(np.mean(distances))


def test_deviation_is_that_within_a_label():
    """Of 0 and 2 it is 1, of three times 5 it is 0: by their counts √(2/5)."""
    examples = np.array([[0], [5], [2], [5], [5], [9]], np.uint8)
    labels = np.array([0, 1, 0, 1, 1, 0])
    assert deviation_within(examples, labels, np.arange(5)) == pytest.approx(0.4**0.5)
    assert deviation_within(examples, labels, np.array([1])) == 0
    # More examples than are looked at at once.
    points = np.random.default_rng(0).normal(3, 2, (300, 2)).astype(np.float32)
    expected = points.astype(np.float64).var(axis=0).mean() ** 0.5
    assert deviation_within(points, np.zeros(300), np.arange(300)) == pytest.approx(expected)


def test_variety_is_1_of_real_examples_and_0_of_one_picture_a_label():
    digits = load("digits")
    own = np.asarray(digits.labels)
    first = [int(np.flatnonzero(own == label)[0]) for label in range(10)]
    for examples, expected in ((digits.examples, 1), (digits.examples[first][own], 0)):
        looked_at = Evaluated(Drawn(examples, Asked(own, 10, "asked")), digits)
        assert METRICS.build("labels").measure(looked_at)["variety"] == pytest.approx(expected)


def test_a_code_that_stands_for_another_digit_is_as_good_as_a_label():
    own = np.asarray(load("digits").labels)[:900]
    right = asked_of(own, "asked")
    assert asked_of((own + 3) % 10, "learned")["accuracy"] == right["accuracy"]
    # Five codes can stand for five of ten digits.
    assert asked_of(own % 5, "learned", 5)["accuracy"] == pytest.approx(0.5, abs=0.05)
    assert asked_of((own + 3) % 10, "learned")["intra_frechet"] == right["intra_frechet"]


@pytest.mark.slow
def test_a_split_without_the_labels_is_not_asked_for_them(tmp_path, monkeypatch):
    """Here the test images have no labels."""
    draw = np.random.default_rng(0)
    images = draw.integers(256, size=(40, 8, 8), dtype=np.uint8)
    write_idx(tmp_path / "data", "train", images, np.arange(40) % 2)
    write_idx(tmp_path / "data", "t10k", images, np.arange(40) % 2)
    (tmp_path / "data" / "t10k-labels-idx1-ubyte").unlink()
    options = "--task conditional:latent=4 --model mlp:width=8,depth=1 --batch 8 --steps 1"
    run = tmp_path / "run"
    succeed(f"train --dataset {tmp_path}/data {options} --out {run}")
    generator = load_generator(run)
    with refused("'test'", repr(f"{tmp_path}/data"), remedy="--split"):
        evaluate(generator, load_data(generator.config), Question(("labels",), 100, split="test"))


def test_labels_are_measured_of_conditional_generators_alone():
    digits = load("digits")
    assert "labels" not in fitting_metrics(digits)
    assert "labels" in fitting_metrics(digits, task=load_generator(labelled_run()).task)
    with refused("'labels'", "'digits'", " labels", allowed=("frechet", "classes")):
        choose_metrics(digits, ["labels"])


@pytest.mark.slow
def test_a_conditional_run_is_asked_for_the_labels_of_the_data():
    generator = load_generator(labelled_run())
    dataset = load_data(generator.config)
    answer = evaluate(generator, dataset, Question(("labels", "transfer:most=200"), 1000))
    asked = answer.evaluated.asked
    assert asked.kind == "asked"
    counts = np.bincount(asked.labels, minlength=10)
    shares = np.bincount(dataset.labels, minlength=10) / len(dataset.labels)
    np.testing.assert_allclose(counts / 1000, shares, atol=0.02)
    assert 0 <= answer.report["metrics"]["labels/accuracy"] <= 1
    low, high = answer.report["intervals"]["labels/accuracy"]
    assert low <= answer.report["metrics"]["labels/accuracy"] <= high


# Bounds of the likelihood


@pytest.mark.slow
def test_more_draws_bound_the_likelihood_closer():
    generator = load_generator(autoencoder_run())
    dataset = load_data(generator.config)
    # The decoder of this run has hardly learned to look at its latents.
    params = generator.weights.params
    params = params | {"decoder": jax.tree.map(lambda leaf: 10 * leaf, params["decoder"])}
    generator = generator._replace(weights=generator.weights._replace(params=params))
    metrics = tuple(f"elbo:draws={draws}" for draws in (1, 30))
    report = evaluate(generator, dataset, Question(metrics, 100)).report
    one, many = (report["metrics"][f"{name}/bound"] for name in metrics)
    assert one + 0.1 < many < 0
    low, high = report["intervals"]["elbo:draws=1/bound"]
    assert low < one < high
    again = evaluate(generator, dataset, Question(metrics, 100)).report
    assert again["metrics"] == report["metrics"]


def test_generators_without_an_encoder_have_no_bound():
    digits = load("digits")
    assert "elbo" in fitting_metrics(digits, task=load_generator(autoencoder_run()).task)
    with refused("'elbo'", "'digits'", allowed=("frechet", "classes")):
        choose_metrics(digits, ["elbo"], task=load_generator(digits_run()).task)


# Samples as data


@pytest.mark.slow
def test_samples_that_are_real_teach_as_well_as_real_ones():
    digits = load("digits")
    figures = measure("transfer", digits.examples[:900], digits)
    assert figures["images"] == 900
    assert figures["real_to_real"] > 0.9
    assert figures["synthetic_to_real"] > 0.9
    assert figures["real_to_synthetic"] > 0.9


@pytest.mark.slow
def test_samples_of_noise_teach_nothing():
    digits = load("digits")
    noise = np.random.default_rng(0).integers(17, size=(300, 8, 8, 1), dtype=np.uint8)
    figures = measure("transfer", noise, digits)
    assert figures["synthetic_to_real"] < 0.5


# Which metrics fit, and provenance


OF_FEATURES = ["frechet", "kernel", "neighbours", "wasserstein"]


@pytest.mark.parametrize(
    ("dataset", "fitting"),
    [
        (load("ring8:count=500"), [*OF_FEATURES, "modes"]),
        (placed([0, 0], [1, 1]), ["frechet", "kernel", "wasserstein"]),
        (placed([0, 0]), ["wasserstein"]),
        (images(flat(0, 1)), ["frechet", "kernel", "wasserstein", "memorization"]),
        (images(flat(*range(6))), [*OF_FEATURES, "memorization"]),
        (images(flat(*range(6)), [0] * 6, ["one"]), [*OF_FEATURES, "memorization"]),
        (
            images(flat(*range(6)), [0, 1] * 3, ["one", "two"]),
            [*OF_FEATURES, "memorization", "classes", "transfer"],
        ),
    ],
)
def test_metrics_fit_what_they_can_measure(dataset, fitting):
    assert set(fitting_metrics(dataset)) == set(fitting)
    assert set(choose_metrics(dataset)) == {*fitting} - {"transfer"}


# What is measured of the generator, or of Inception's features, and not of samples alone.
OF_GENERATORS = {"elbo", "inception-score", "labels", "likelihood", "restoration"}


# Fits a classifier.
HEAVY = {"transfer"}


@pytest.mark.parametrize(
    "metric",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in HEAVY else [])
        for name in sorted({*METRICS.names()} - OF_GENERATORS)
    ],
)
def test_every_metric_gives_finite_figures_of_a_data_set_that_it_fits(metric):
    sets = [load("digits"), load("ring8:count=500"), load("oracle:length=4,vocabulary=6,count=300")]
    fitting = [dataset for dataset in sets if metric in fitting_metrics(dataset)]
    assert fitting
    for dataset in fitting:
        figures = measure(metric, dataset.examples[:200], dataset)
        assert figures
        assert all(math.isfinite(value) for value in figures.values())


def test_an_evaluation_says_where_it_is_from():
    generator = load_generator(points_run())
    dataset = load_data(generator.config)
    question = Question(samples=300, seed=4)
    result = evaluate(generator, dataset, question).report
    assert {"modes/found", "modes/high_quality", "frechet/distance"} <= set(result["metrics"])
    assert (result["samples"], result["seed"]) == (300, 4)
    assert result["real"] == {
        "name": "ring8:count=500", "count": 500, "fingerprint": dataset.fingerprint,
        "split": "train",
    }  # fmt: skip
    assert (result["features"]["name"], result["features"]["dimension"]) == ("coordinates", 2)
    assert "classifier" not in result
    assert result["generator"] == generator.provenance()
    assert result["generator"]["step"] == STEPS
    assert result["versions"]["gan"]
    json.dumps(result, allow_nan=False)
    again = evaluate(generator, dataset, question._replace(metrics=tuple(result["asked"]))).report
    assert again | {"seconds": 0} == result | {"seconds": 0}


@pytest.mark.slow
def test_intervals_of_precision_and_density_hold_them_against_the_same_real_examples():
    """95 % of 200 draws of samples, with three deviations of 1.5 % either way.

    The true figures are those of 10,000 samples. The exact interval holds a share more often.
    """
    draw = np.random.default_rng(0)
    data = placed(*draw.normal(size=(200, 2)))

    def figures(count, with_intervals):
        drawn = Drawn(draw.normal(0.3, 1.1, (count, 2)).astype(np.float32))
        return METRICS.build("neighbours").measure(
            Evaluated(drawn, data, None, data, None, with_intervals)
        )

    true, held = figures(10_000, False), {"precision": 0, "density": 0}
    for _ in range(200):
        found = figures(200, True)
        for name in held:
            held[name] += found[name].low <= true[name] <= found[name].high
    assert held["precision"] >= 181
    assert 181 <= held["density"] <= 199


def test_figures_whose_examples_are_held_against_the_same_samples_have_no_interval():
    figures = METRICS.build("neighbours").measure(
        Evaluated(Drawn(np.eye(9, 2, dtype=np.float32)), placed(*np.eye(9, 2)), with_intervals=True)
    )
    with_interval = {name for name, value in figures.items() if isinstance(value, Interval)}
    assert with_interval == {"precision", "density"}


def test_shares_have_intervals_that_hold_them():
    generator = load_generator(points_run())
    result = evaluate(generator, load_data(generator.config), Question(samples=300)).report
    assert {"modes/high_quality", "neighbours/precision"} <= set(result["intervals"])
    for name, (low, high) in result["intervals"].items():
        assert low <= result["metrics"][name] <= high


def test_samples_that_memory_does_not_hold_go_to_a_file(monkeypatch):
    generator = load_generator(points_run())
    dataset = load_data(generator.config)
    held = evaluate(generator, dataset, Question(("modes",), 3000))
    monkeypatch.setattr("gancli.evaluation.draw_samples._MOST_IN_MEMORY", 0)
    mapped = evaluate(generator, dataset, Question(("modes",), 3000))
    assert isinstance(mapped.evaluated.generated, np.memmap)
    assert mapped.report["metrics"] == held.report["metrics"]


def test_a_disk_without_room_for_them_is_named(monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    generator = load_generator(points_run())
    monkeypatch.setattr("gancli.evaluation.draw_samples._MOST_IN_MEMORY", 0)
    monkeypatch.setattr("os.posix_fallocate", refuse)
    place = repr(tempfile.gettempdir())
    with refused("300", "GiB", place, "No space left on device", remedy="TMPDIR"):
        evaluate(generator, load_data(generator.config), Question(samples=300))


def test_a_metric_that_cannot_be_measured_is_named_and_the_others_are_measured():
    """Ten samples are too few to extrapolate from."""
    generator = load_generator(points_run())
    dataset = load_data(generator.config)
    question = Question(("frechet:infinity=true", "modes"), 10)
    report = evaluate(generator, dataset, question).report
    assert set(report["left_out"]) == {"frechet:infinity=true"}
    assert "from 1 to 10 examples" in report["left_out"]["frechet:infinity=true"]
    assert {name.partition("/")[0] for name in report["metrics"]} == {"modes"}
    with refused("'frechet:infinity=true'", "from 1 to 10 examples"):
        evaluate(generator, dataset, question._replace(metrics=("frechet:infinity=true",)))


def test_as_many_samples_as_there_are_real_examples():
    generator = load_generator(points_run())
    dataset = load_data(generator.config)
    assert evaluate(generator, dataset, Question(("modes",))).report["samples"] == 500


def test_only_the_named_metrics_are_measured():
    generator = load_generator(digits_run())
    result = evaluate(
        generator, load_data(generator.config), Question(("memorization",), 100)
    ).report
    assert {name.partition("/")[0] for name in result["metrics"]} == {"memorization"}


@pytest.mark.parametrize(
    ("data", "metric", "given", "allowed", "remedy"),
    [
        ("ring8:count=500", "classes", ("'classes'", "'ring8:count=500'"), "modes", ()),
        ("ring8:count=500", "mods", ("metric", "'mods'"), "modes", "'modes'"),
        ("ring8:count=501", "modes", ("'ring8:count=501'",), "'ring8:count=500'", ()),
    ],
)
def test_what_does_not_fit_is_refused(data, metric, given, allowed, remedy):
    with refused(*given, allowed=allowed, remedy=remedy):
        evaluate(load_generator(points_run()), load(data), Question((metric,), 100))


def evaluator_of_run(**values):
    planned = plan([Layer("test", {"data.name": "ring8:count=500", **values})])
    return planned.evaluator


def test_a_run_that_is_not_to_be_measured_has_no_evaluator():
    assert evaluator_of_run() is None


@pytest.mark.parametrize(
    ("values", "given", "allowed", "remedy"),
    [
        (
            {"evaluation.best": "modes/kl"},
            ("evaluation.best", "'modes/kl'"), ("evaluation.every", "1"), (),
        ),
        (
            {"evaluation.patience": 2},
            ("evaluation.patience", "2"), ("evaluation.every", "1"), (),
        ),
        (
            {"evaluation.every": 5, "evaluation.best": "modes/kk"},
            ("evaluation.best", "'modes/kk'"), "modes/kl", "'modes/kl'",
        ),
        (
            {"evaluation.every": 5, "evaluation.metrics": ["classes"]},
            ("metric", "'classes'", "'ring8:count=500'"), "modes", (),
        ),
        (
            {"evaluation.every": 5, "evaluation.features": "pixel"},
            ("features", "'pixel'"), "pixels", "'pixels'",
        ),
        (
            {"evaluation.every": 5, "evaluation.patience": 2},
            ("evaluation.patience", "2", "evaluation.best"), "modes/high_quality", (),
        ),
    ],
)  # fmt: skip
def test_an_evaluator_that_cannot_measure_is_refused(values, given, allowed, remedy):
    with refused(*given, allowed=allowed, remedy=remedy):
        evaluator_of_run(**values)


@pytest.mark.parametrize(("figure", "lower"), [("modes/kl", True), ("modes/found", False)])
def test_the_evaluator_of_a_run_measures_what_evaluation_measures(figure, lower):
    evaluator = evaluator_of_run(
        **{"evaluation.every": 5, "evaluation.best": figure, "evaluation.samples": 300}
    )
    assert evaluator is not None
    assert evaluator.lower_is_better is lower
    generator = load_generator(points_run())
    figures, left_out = evaluator.measure(generator.task, generator.weights)
    assert left_out == {}
    dataset = load_data(generator.config)
    assert figures == evaluate(generator, dataset, Question(samples=300)).report["metrics"]


# Tokens


def of_tokens(rows, vocabulary=None, **known):
    examples = np.array(rows, np.int32)
    kinds = vocabulary or int(examples.max()) + 1
    spec = DataSpec("x", "tokens", examples.shape[1:], vocabulary=kinds)
    return Dataset(spec, examples, None, "0" * 64, **known)


def test_ngrams_by_hand():
    """Pairs of the samples: ab, bc, ab, bb; of real sequences: ab, bb, bb, bc."""
    real, samples = of_tokens([[0, 1, 1], [1, 1, 2]]), [[0, 1, 2], [0, 1, 1]]
    assert measure("ngrams:n=2", samples, real) == {
        "distinct": 0.75, "distinct_real": 0.75, "real": 1.0, "found": 1.0, "different": 1.0,
    }  # fmt: skip
    assert measure("ngrams:n=3", samples, real) == {
        "distinct": 1.0, "distinct_real": 1.0, "real": 0.5, "found": 0.5, "different": 1.0,
    }  # fmt: skip
    copies = measure("ngrams:n=1", [[0, 0, 0]] * 4, of_tokens([[0, 1, 2]] * 4))
    assert copies == {
        "distinct": 1 / 12, "distinct_real": 0.25, "real": 1.0, "found": 1 / 3, "different": 0.25,
    }  # fmt: skip


@pytest.mark.parametrize("n", [1, 2, 3, 7, 9])
def test_ngrams_are_those_of_python(n):
    random = np.random.default_rng(0)
    samples, real = random.integers(3, size=(40, 7)), random.integers(3, size=(40, 7))
    size = min(n, 7)

    def pieces(rows):
        return [tuple(row[k : k + size]) for row in rows.tolist() for k in range(7 - size + 1)]

    own, other = pieces(samples), pieces(real)
    found = measure(f"ngrams:n={n}", samples, of_tokens(real))
    assert found["distinct"] == len(set(own)) / len(own)
    assert found["distinct_real"] == len(set(other)) / len(other)
    assert found["real"] == pytest.approx(sum(one in set(other) for one in own) / len(own))
    assert found["found"] == pytest.approx(sum(one in set(own) for one in other) / len(other))


def test_numbers_of_ngrams_do_not_outgrow_their_type():
    """65,536 kinds to the power of 5 are more than 64 bits hold."""
    rows = np.array([[65_535] * 5, [65_535] * 4 + [65_534]])
    counted = count_ngrams(rows, rows[::-1], 5)
    assert counted.generated[0] == counted.real[1] != counted.generated[1] == counted.real[0]


def test_the_oracle_judges_samples_and_real_sequences():
    """Log p of a sequence is minus the sum of its tokens: 3 and 1 of samples, 2 and 4 of real."""
    real = of_tokens([[1, 1], [2, 2]], log_likelihood=lambda rows: -1.0 * rows.sum(axis=1))
    assert measure("oracle", [[1, 2], [0, 1]], real) == {
        "nll": 1.0, "nll_sequence": 2.0, "real": 1.5, "real_sequence": 3.0,
    }  # fmt: skip


def test_samples_of_the_oracle_itself_are_as_likely_as_its_entropy_says():
    """Σ -p log p over all 1,296 sequences, to within five standard errors."""
    name = "oracle:length=4,vocabulary=6,count=4000"
    drawn = load(name, DataRequest(split="test")).examples
    likely = load(name).log_likelihood(np.array(list(itertools.product(range(6), repeat=4))))
    entropy = -(np.exp(likely) * likely).sum() / 4
    looked_at = Evaluated(Drawn(drawn), load(name), with_intervals=True)
    figures = METRICS.build("oracle").measure(looked_at)
    for figure in ("nll", "real"):
        found = figures[figure]
        assert abs(found.estimate - entropy) < 5 * (found.high - found.low) / (2 * 1.96)
    uniform = np.random.default_rng(0).integers(6, size=(4000, 4))
    assert measure("oracle", uniform, load(name))["nll"] > figures["nll"].high


def test_the_likelihood_is_that_of_the_split_compared_with():
    """The generator's own value of each sequence: minus its first token."""
    train, test = of_tokens([[0, 0], [2, 0]]), of_tokens([[3, 1], [5, 1]])
    drawn = Drawn(train.examples, log_likelihood=lambda rows: -1.0 * rows[:, 0])
    looked_at = Evaluated(drawn, train, real=test)
    assert METRICS.build("likelihood").measure(looked_at) == {"nll": 2.0, "nll_sequence": 4.0}


@pytest.mark.slow
@pytest.mark.parametrize("make", [tokens_run, text_run])
def test_an_evaluation_of_tokens(make):
    generator = load_generator(make())
    dataset = load_data(generator.config)
    report = evaluate(generator, dataset, Question(samples=200, split="test")).report
    by_oracle = ["oracle"] if make is tokens_run else []
    assert report["asked"] == ["likelihood", "ngrams", *by_oracle]
    assert "features" not in report
    length = dataset.spec.shape[0]
    figures, intervals = report["metrics"], report["intervals"]
    assert figures["likelihood/nll_sequence"] == pytest.approx(length * figures["likelihood/nll"])
    # Six steps are few: each token is nearly as likely as all others.
    assert figures["likelihood/nll"] == pytest.approx(np.log(dataset.spec.vocabulary), rel=0.15)
    assert intervals["likelihood/nll"][0] < figures["likelihood/nll"]
    json.dumps(report, allow_nan=False)


@pytest.mark.parametrize("metric", ["frechet", "kernel", "wasserstein", "neighbours", "classes"])
def test_tokens_have_no_features(metric):
    dataset = load("oracle:length=4,vocabulary=6,count=300")
    assert metric not in fitting_metrics(dataset)
    with refused(repr(metric), repr(dataset.spec.name), allowed="ngrams, oracle"):
        choose_metrics(dataset, [metric])
    with refused("'pixels'", repr(dataset.spec.name), "tokens"):
        FEATURES.build("pixels", dataset, DataRequest())
