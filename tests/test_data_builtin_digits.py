import numpy as np
import pytest
from refusals import refused

from gancli.data import DataRequest, load

# The first handwritten zero as scikit-learn ships it, grey levels 0..16.
FIRST = [
    [0, 0, 5, 13, 9, 1, 0, 0],
    [0, 0, 13, 15, 10, 15, 5, 0],
    [0, 3, 15, 2, 0, 11, 8, 0],
    [0, 4, 12, 0, 0, 8, 8, 0],
    [0, 5, 8, 0, 0, 9, 8, 0],
    [0, 4, 11, 0, 1, 12, 7, 0],
    [0, 2, 14, 5, 10, 12, 0, 0],
    [0, 0, 6, 13, 10, 0, 0, 0],
]
# round(255 v / 16) for v = 0..16; 127.5 goes to the even 128.
LEVELS = [0, 16, 32, 48, 64, 80, 96, 112, 128, 143, 159, 175, 191, 207, 223, 239, 255]


def test_digits_are_the_1797_images_scaled_to_bytes():
    dataset = load("digits")
    assert dataset.spec.name == "digits"
    assert dataset.spec.kind == "image"
    assert dataset.spec.shape == (8, 8, 1)
    assert dataset.spec.classes == tuple("0123456789")
    assert dataset.examples.shape == (1797, 8, 8, 1)
    assert dataset.examples.dtype == np.uint8
    np.testing.assert_array_equal(dataset.examples[0, :, :, 0], np.array(LEVELS)[FIRST])
    assert dataset.labels is not None
    assert dataset.labels.dtype == np.int32
    # The counts that the set's description gives, for the digits 0 to 9.
    counts = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert np.bincount(dataset.labels).tolist() == counts


def test_a_share_of_digits_is_held_out():
    train, test = (
        load("digits", DataRequest(split=split, holdout=0.9)) for split in ("train", "test")
    )
    assert (len(train.examples), len(test.examples)) == (180, 1617)
    assert len(train.labels) == 180
    both = np.concatenate([train.examples, test.examples]).reshape(1797, -1)
    whole = load("digits").examples.reshape(1797, -1)
    assert sorted(map(bytes, both)) == sorted(map(bytes, whole))


def test_digits_are_resized_on_request():
    dataset = load("digits", DataRequest(size=32))
    assert dataset.spec.shape == (32, 32, 1)
    assert dataset.examples.shape == (1797, 32, 32, 1)
    assert dataset.examples.dtype == np.uint8
    # Enlarging keeps the mean grey of an image up to clipped ringing at edges.
    assert dataset.examples.mean() == pytest.approx(load("digits").examples.mean(), rel=0.03)


@pytest.mark.parametrize(
    ("request_", "given", "allowed"),
    [
        (DataRequest(size=0), ("data.size", "0"), ("1", "4096")),
        (DataRequest(size=-8), ("data.size", "-8"), ("1", "4096")),
        (DataRequest(size=100_000), ("data.size", "100000"), ("1", "4096")),
        (DataRequest(size="8x5000"), ("data.size", "8x5000"), ("1", "4096", "HEIGHTxWIDTH")),
        (DataRequest(size="8 by 8"), ("data.size", "'8 by 8'"), ("1", "4096", "HEIGHTxWIDTH")),
        (DataRequest(split="test"), ("split", "digits", "'test'"), "train"),
        (DataRequest(fit="stretch"), ("data.fit", "'stretch'"), "crop, pad"),  # pyright: ignore
    ],
)
def test_impossible_requests_are_refused(request_, given, allowed):
    with refused(*given, allowed=allowed):
        load("digits", request_)


def test_a_margin_is_black_and_around_the_image():
    plain, wide = load("digits").examples, load("digits:margin=2").examples
    assert wide.shape == (1797, 12, 12, 1)
    np.testing.assert_array_equal(wide[:, 2:-2, 2:-2], plain)
    assert wide.sum(dtype=int) == plain.sum(dtype=int)
    with refused("margin", "'digits'", "'9'", allowed=("0", "8")):
        load("digits:margin=9")
