"""Pixels of images as tokens: which are white, and what is no such image."""

import numpy as np
import pytest
from refusals import refused
from sklearn.datasets import load_digits

from gancli.data import DataRequest, load
from gancli.data.dataset import Dataset
from gancli.display.sequences import pictures_of


def test_what_is_half_bright_is_white():
    """Of scikit-learn's grey levels 0 to 16 the level 8, 127.5 of 255, is rounded to 128."""
    dataset = load("pixels")
    levels = load_digits().images
    assert np.isin(levels, range(17)).all()
    assert dataset.examples.shape == (1797, 64)
    assert dataset.examples.dtype == np.uint8
    assert (dataset.examples.reshape(-1, 8, 8) == (levels >= 8)).all()
    assert dataset.spec[:3] == ("pixels", "tokens", (64,))
    assert (dataset.spec.vocabulary, dataset.spec.height, dataset.labels) == (2, 8, None)


def test_the_threshold_is_the_least_grey_that_is_white(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, images=np.uint8([[[0, 99, 100], [101, 255, 0]]]))
    dataset: Dataset = load(f"pixels:of={path},threshold=100")
    assert dataset.examples.tolist() == [[0, 0, 1, 1, 1, 0]]
    pictures = pictures_of(dataset.examples, dataset.spec)
    assert pictures[..., 0].tolist() == [[[0, 0, 255], [255, 255, 0]]]
    assert load(f"pixels:of={path},threshold=101").examples.tolist() == [[0, 0, 0, 1, 1, 0]]


def test_images_come_as_they_are_asked_for():
    assert load("pixels", DataRequest(size=4)).examples.shape == (1797, 16)
    with refused("split", "digits", "'test'", allowed="train"):
        load("pixels", DataRequest(split="test"))


@pytest.mark.parametrize(
    ("of", "size", "given", "allowed"),
    [
        ("ring8", None, ("points", "(2,)"), "4,096 pixels"),
        ("pixels", None, ("tokens", "(64,)"), "4,096 pixels"),
        ("photographs", None, ("image", "(32, 32, 3)"), "4,096 pixels"),
        ("digits", 65, ("image", "(65, 65, 1)"), "4,096 pixels"),
        ("nowhere", None, (), "digits, grid25"),
    ],
)
def test_what_is_no_grey_image_is_refused(of, size, given, allowed):
    with refused(repr(of), *given, allowed=allowed):
        load(f"pixels:of={of}", DataRequest(size=size))
