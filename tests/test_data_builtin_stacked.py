import struct

import numpy as np
import pytest
from refusals import refused

from gancli.data import DataRequest, load


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "prepared"))


@pytest.fixture
def digits(tmp_path):
    """Twenty images, two of each digit d, filled with the grey 10 d or 10 d + 1."""
    return folder_of(tmp_path / "digits", [digit % 10 for digit in range(20)])


def folder_of(folder, labels):
    folder.mkdir()
    greys = [10 * label + (place >= 10) for place, label in enumerate(labels)]
    pixels = np.repeat(np.array(greys, np.uint8), 12).tobytes()
    header = b"\0\0\x08\x03" + struct.pack(">3I", len(labels), 4, 3)
    (folder / "train-images-idx3-ubyte").write_bytes(header + pixels)
    header = b"\0\0\x08\x01" + struct.pack(">I", len(labels))
    (folder / "train-labels-idx1-ubyte").write_bytes(header + bytes(labels))
    return folder


def test_channels_are_digits_and_labels_their_number(digits):
    dataset = load(f"stacked-mnist:source={digits},count=500")
    assert dataset.spec.shape == (4, 3, 3)
    assert dataset.spec.kind == "image"
    assert len(dataset.spec.classes) == 1000
    assert dataset.spec.classes[0] == "000"
    assert dataset.spec.classes[905] == "905"
    assert dataset.examples.shape == (500, 4, 3, 3)
    values = dataset.examples[:, 0, 0, :].astype(int) // 10
    assert (dataset.examples == dataset.examples[:, :1, :1, :]).all()
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [100 * a + 10 * b + c for a, b, c in values.tolist()]
    # Five hundred draws from twenty images use every image in every channel.
    assert all(len(np.unique(dataset.examples[:, 0, 0, channel])) == 20 for channel in range(3))


def test_triples_are_fixed_by_the_seed(digits):
    first, again, other = (
        load(f"stacked-mnist:source={digits},count=50,seed={seed}") for seed in (1, 1, 2)
    )
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_digits_are_resized_on_request(digits):
    dataset = load(f"stacked-mnist:source={digits},count=5", DataRequest(size=8))
    assert dataset.examples.shape == (5, 8, 8, 3)


def test_the_default_is_128000_triples(digits):
    assert load(f"stacked-mnist:source={digits}").examples.shape == (128_000, 4, 3, 3)


@pytest.mark.parametrize(
    ("options", "given", "allowed", "remedy"),
    [
        ("count=0", ("count", "stacked-mnist", "'0'"), ("1 ", "10,000,000"), ()),
        ("seed=-1", ("seed", "stacked-mnist", "-1"), "0", ()),
        ("source=mnist", ("'mnist'",), "TensorFlow Datasets", "gan data prepare mnist"),
        ("source=mnits", ("TensorFlow Datasets", "'mnits'"), "cifar10", "'mnist'"),
    ],
)
def test_impossible_options_are_refused(options, given, allowed, remedy):
    with refused(*given, allowed=allowed, remedy=remedy):
        load(f"stacked-mnist:{options}")


def test_other_than_ten_classes_are_refused(tmp_path):
    folder = folder_of(tmp_path / "few", [0, 1, 2])
    with refused(repr(str(folder)), "(4, 3, 1)", "3 classes", remedy="source=mnist"):
        load(f"stacked-mnist:source={folder},count=5")
