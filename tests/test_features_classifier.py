"""The classifier of a data set: how good it is, on what, and what is kept of it."""

import time

import jax
import numpy as np
import pytest
from refusals import refused
from tiny_runs import write_idx

from gancli.data import DataRequest, Dataset, DataSpec, load
from gancli.evaluation.score import class_divergence
from gancli.features import classifier, fitting
from gancli.features.classifier import Classifier, posteriors, predicted
from gancli.features.fitting import fitted_classifier

TRAIN, TEST = DataRequest(), DataRequest(split="test")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def bright_and_dark(count):
    """4x4 images that are told apart at a glance: class 9 is bright, and class 0 is dark."""
    bright = np.arange(count) % 2
    noise = np.random.default_rng(count).integers(60, size=(count, 4, 4))
    return noise + 190 * bright[:, None, None], 9 * bright


# Fitted now


@pytest.fixture(scope="module")
def of_digits(tmp_path_factory):
    """Fitted now, in a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        cache = tmp_path_factory.mktemp("cache")
        patch.setenv("GAN_CACHE", str(cache))
        yield fitted_classifier(load("digits")), cache


@pytest.mark.slow
def test_the_classifier_knows_digits_that_it_was_not_fitted_to(of_digits):
    fitted, _ = of_digits
    assert 0.97 <= fitted.accuracy < 1
    assert fitted.measured_on == "359 held-out images"
    assert not fitted.by_channel


@pytest.mark.slow
def test_the_classifier_is_fitted_once(of_digits, monkeypatch):
    fitted, cache = of_digits
    assert [path.suffix for path in (cache / "classifiers").iterdir()] == [".npz"]
    monkeypatch.setattr(fitting, "fit", lambda *_: pytest.fail("fitted again"))
    again = fitted_classifier(load("digits"))
    assert again[1:] == fitted[1:]
    assert again.params.keys() == fitted.params.keys()
    for name, values in fitted.params.items():
        np.testing.assert_array_equal(again.params[name], values)


def test_probabilities_do_not_depend_on_the_block(of_digits):
    fitted, _ = of_digits
    pixels = load("digits").examples[:620]
    whole = posteriors(fitted, pixels)
    assert whole.shape == (620, 1, 10)
    np.testing.assert_allclose(whole.sum(axis=2), 1)
    np.testing.assert_allclose(posteriors(fitted, pixels[495:505]), whole[495:505], rtol=1e-4)
    classes = predicted(fitted, [pixels[:5], pixels[5:]])
    np.testing.assert_array_equal(classes, whole[:, 0].argmax(1))


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A cache for classifiers that take minutes to fit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GAN_CACHE", str(tmp_path_factory.mktemp("large")))
        yield


@pytest.mark.exhaustive
@pytest.mark.parametrize(("folder", "least"), [("mnist", 0.992), ("fashion_mnist", 0.92)])
def test_the_classifier_knows_the_official_test_images(large, request, folder, least):
    dataset = load(str(request.getfixturevalue(folder)))
    fitted = fitted_classifier(dataset)
    assert fitted.measured_on == "10,000 test images"
    assert fitted.accuracy >= least
    test = load(dataset.spec.name, TEST)
    start = time.perf_counter()
    right = predicted(fitted, test.examples) == test.labels
    assert time.perf_counter() - start < 30
    assert right.mean() == fitted.accuracy


# What it is fitted to and measured on


def quick(monkeypatch):
    monkeypatch.setattr(fitting, "_LEAST_STEPS", 60)


def test_it_is_measured_on_the_official_test_images(tmp_path, cache, monkeypatch):
    """Three of whose ten labels are wrong here: 0.7, which no other images would give."""
    quick(monkeypatch)
    write_idx(tmp_path / "data", "train", *bright_and_dark(200))
    images, labels = bright_and_dark(10)
    labels[[1, 4, 5]] = 9 - labels[[1, 4, 5]]
    write_idx(tmp_path / "data", "t10k", images, labels)
    fitted = fitted_classifier(load(str(tmp_path / "data")))
    assert (fitted.accuracy, fitted.measured_on) == (0.7, "10 test images")


def test_without_them_a_fifth_is_held_out(tmp_path, cache, monkeypatch):
    quick(monkeypatch)
    seen = []
    fit = fitting.fit
    monkeypatch.setattr(
        fitting, "fit", lambda dataset, train: seen.append(train) or fit(dataset, train)
    )
    write_idx(tmp_path / "data", "train", *bright_and_dark(200))
    fitted = fitted_classifier(load(str(tmp_path / "data")))
    assert (fitted.accuracy, fitted.measured_on) == (1, "40 held-out images")
    assert [len(set(train)) for train in seen] == [160]


def test_the_test_images_come_with_the_size_of_the_others(tmp_path, cache):
    write_idx(tmp_path / "data", "train", *bright_and_dark(20))
    write_idx(tmp_path / "data", "t10k", *bright_and_dark(10))
    request = DataRequest(size=8)
    test = fitting.test_split(load(str(tmp_path / "data"), request), request)
    assert test is not None
    assert (test.spec.shape, len(test.examples)) == ((8, 8, 1), 10)
    assert fitting.test_split(load(str(tmp_path / "data"), request), TRAIN) is None


def test_a_set_is_not_measured_on_itself(tmp_path, cache):
    write_idx(tmp_path / "data", "t10k", *bright_and_dark(10))
    dataset = load(str(tmp_path / "data"), TEST)
    assert fitting.test_split(dataset, TEST) is None
    assert fitting.test_split(dataset, TRAIN) is None


def test_damaged_test_images_are_an_error(tmp_path, cache):
    """To hold out a fifth instead would hide it."""
    write_idx(tmp_path / "split", "train", *bright_and_dark(20))
    dataset = load(str(tmp_path / "split"))
    (tmp_path / "split" / "t10k-images-idx3-ubyte").write_bytes(b"no images")
    with refused("t10k-images-idx3-ubyte", b"no i".hex(" ")):
        fitting.test_split(dataset, TRAIN)


@pytest.mark.parametrize("name", ["digits", "a folder of images", "an .npz"])
def test_sets_of_one_split_have_no_test_images(tmp_path, cache, name):
    images, labels = bright_and_dark(6)
    where = tmp_path / "data"
    if name == "an .npz":
        where = where.with_suffix(".npz")
        np.savez(where, images=np.uint8(images), labels=labels)
    elif name == "a folder of images":
        from PIL import Image

        for number, image in enumerate(np.uint8(images)):
            path = where / str(labels[number]) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    dataset = load(name if name == "digits" else str(where))
    assert fitting.test_split(dataset, TRAIN) is None


def test_other_data_have_a_classifier_of_their_own(cache, monkeypatch):
    """And so has a set whose test images are others."""
    monkeypatch.setattr(fitting, "fit", lambda dataset, _: fitting._initial(dataset.spec.shape, 2))
    spec = DataSpec("digits", "image", (2, 2, 1), ("a", "b"))
    first = Dataset(spec, np.zeros((2, 2, 2, 1), np.uint8), np.int32([0, 1]), "1" * 64)
    splits = [None, first._replace(fingerprint="2" * 64), first._replace(fingerprint="3" * 64)]
    found = []
    for split in splits:
        monkeypatch.setattr(fitting, "test_split", lambda *_, split=split: split)
        found.append(fitted_classifier(first).fingerprint)
    found.append(fitted_classifier(first._replace(fingerprint="4" * 64)).fingerprint)
    assert len(set(found)) == 4
    assert len(list((cache / "classifiers").iterdir())) == 4


def test_a_classifier_that_another_device_fitted_is_another(cache, monkeypatch):
    """Rounded otherwise; else statistics of its features would be mixed with those of this."""
    spec = DataSpec("digits", "image", (2, 2, 1), ("a", "b"))
    dataset = Dataset(spec, np.zeros((2, 2, 2, 1), np.uint8), np.int32([0, 1]), "1" * 64)
    params = fitting._initial(spec.shape, 2)
    monkeypatch.setattr(fitting, "fit", lambda *_: params)
    first = fitted_classifier(dataset)
    assert fitted_classifier(dataset).fingerprint == first.fingerprint
    (path,) = (cache / "classifiers").iterdir()
    path.unlink()
    params["output/bias"] = np.nextafter(params["output/bias"], np.float32(1))
    assert fitted_classifier(dataset).fingerprint != first.fingerprint


def test_the_smallest_sets_that_can_be_fitted(cache, monkeypatch):
    quick(monkeypatch)
    spec = DataSpec("digits", "image", (1, 1, 3), ("a", "b"))
    dataset = Dataset(spec, np.zeros((2, 1, 1, 3), np.uint8), np.int32([0, 1]), "0" * 64)
    assert fitted_classifier(dataset).accuracy in (0, 1)
    with refused("'digits'", " 1 ", allowed="2"):
        fitted_classifier(dataset._replace(labels=np.int32([0])))


# The network


@pytest.mark.parametrize(
    ("shape", "classes"),
    [((8, 8, 1), 10), ((28, 28, 1), 10), ((32, 32, 3), 10), ((64, 64, 3), 10), ((37, 9, 3), 2),
     ((28, 28, 1), 1000), ((1, 5, 1), 2), ((101, 70, 3), 2)],
)  # fmt: skip
def test_images_of_any_shape_have_features_and_logits(shape, classes):
    params = fitting._initial(shape, classes)
    features, logits = jax.eval_shape(
        classifier._outputs, params, jax.ShapeDtypeStruct((3, *shape), np.uint8)
    )
    assert (features.shape, logits.shape) == ((3, 64), (3, classes))
    assert sum(values.size for values in params.values()) <= 115_000 + 65 * (classes - 10)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the loop is slow on CPU only")
@pytest.mark.parametrize("shape", [(28, 28, 1), (64, 64, 3)])
def test_it_holds_none_of_xlas_convolutions_on_cpu(shape):
    params = fitting._initial(shape, 10)
    images = np.zeros((2, *shape), np.uint8)
    assert "conv_general_dilated" not in str(jax.make_jaxpr(classifier._outputs)(params, images))


# Images that are read by channel


@pytest.fixture
def by_level(monkeypatch):
    """Reads the class off the level: 2 of 3 classes get e and 1 in place of it."""

    def outputs(params, images):
        assert images.shape[1:] == (1, 1, 1)
        levels = images[:, 0, 0, 0]
        return np.float32(levels)[:, None] * np.ones(64, np.float32), np.eye(3)[levels]

    monkeypatch.setattr(classifier, "_outputs", outputs)
    return Classifier({}, 1.0, "test", "", by_channel=True)


def test_classes_of_channels_are_the_digits_of_a_number(by_level):
    images = np.uint8([[0, 0, 0], [0, 1, 2], [2, 1, 0], [2, 2, 2]])[:, None, None]
    # 0 1 2 in the base of 3 is 5, and so on.
    np.testing.assert_array_equal(predicted(by_level, images), [0, 5, 21, 26])
    features, _ = classifier.read_block(by_level, images)
    np.testing.assert_array_equal(features[1, :, 0], [0, 1, 2])


def test_probabilities_are_those_of_each_channel(by_level):
    """The logits 1, 0, 0 are e / (e + 2) = 0.576117 and 0.211942."""
    images = np.uint8([[0, 1, 2]])[:, None, None]
    (parts,) = classifier.posteriors(by_level, images)
    high, low = 0.5761168848, 0.2119415576
    np.testing.assert_allclose(parts, [[high, low, low], [low, high, low], [low, low, high]])


def test_stacked_digits_are_read_by_the_classifier_of_their_source(tmp_path, cache, monkeypatch):
    quick(monkeypatch)
    images, labels = bright_and_dark(200)
    between = np.full((8, 4, 4), 120)  # One of each other class, as there have to be ten.
    images, labels = np.concatenate([images, between]), np.concatenate([labels, np.arange(1, 9)])
    write_idx(tmp_path / "data", "train", images, labels)
    stacked = load(f"stacked-mnist:count=30,source={tmp_path / 'data'}")
    fitted = fitted_classifier(stacked)
    assert fitted.by_channel
    base = fitted_classifier(load(str(tmp_path / "data")))
    assert fitted[1:4] == base[1:4]
    # Levels of at least 190 are class 9, others 0.
    sound = (stacked.examples != 120).all(axis=(1, 2, 3))
    assert sound.sum() > 15
    expected = (stacked.examples.min(axis=(1, 2)) >= 190) @ [900, 90, 9]
    np.testing.assert_array_equal(predicted(fitted, stacked.examples)[sound], expected[sound])


@pytest.mark.exhaustive
def test_real_triples_are_at_the_floor(large, mnist):
    """26,000 triples of MNIST: all 1,000 modes, and a KL to uniform of 0.0237 +- 0.0011.

    Triples of digits that were drawn evenly, which MNIST's are not, have 0.0194.
    """
    stacked = load(f"stacked-mnist:count=26000,source={mnist}")
    fitted = fitted_classifier(stacked)
    classes = predicted(fitted, stacked.examples)
    counts = np.bincount(classes, minlength=1000)
    assert (counts > 0).sum() == 1000
    assert class_divergence(counts) == pytest.approx(0.0237, abs=2.5 * 0.0011)
    assert (classes == stacked.labels).mean() > 0.98
