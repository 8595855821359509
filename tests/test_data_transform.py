import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gancli.data import DataRequest, to_float, to_uint8
from gancli.data.transform import fit_pixels, scaled, to_stored


@pytest.mark.parametrize("library", [np, jnp], ids=["numpy", "jax"])
def test_bytes_become_values_between_minus_one_and_one(library):
    values = to_float(library.asarray([0, 51, 102, 153, 204, 255], dtype=library.uint8))
    assert isinstance(values, type(library.zeros(1)))
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, [-1, -0.6, -0.2, 0.2, 0.6, 1], atol=1e-6)
    assert float(values[0]) == -1
    assert float(values[-1]) == 1


@pytest.mark.parametrize("library", [np, jnp], ids=["numpy", "jax"])
def test_values_become_bytes_rounded_and_clipped(library):
    values = library.asarray([-7.0, -1.0, -0.6, 0.0, 0.2, 1.0, 1.5], dtype=library.float32)
    stored = to_uint8(values)
    assert stored.dtype == np.uint8
    # 0 lies at 127.5, which rounds to the even 128.
    assert np.asarray(stored).tolist() == [0, 0, 51, 128, 153, 255, 255]


@pytest.mark.parametrize("library", [np, jnp], ids=["numpy", "jax"])
def test_every_byte_survives_the_way_there_and_back(library):
    every = library.arange(256, dtype=library.uint8)
    assert np.asarray(to_uint8(to_float(every))).tolist() == list(range(256))


def test_compilation_changes_no_value():
    every = np.arange(256, dtype=np.uint8)
    compiled = np.asarray(jax.jit(to_float)(jnp.asarray(every)))
    np.testing.assert_array_equal(compiled, to_float(every))
    assert compiled[0] == -1
    assert compiled[255] == 1


def striped(height, width, channels=1):
    """An image whose left third is 30, middle 120 and right third 210."""
    row = np.repeat(np.array([30, 120, 210], np.uint8), width // 3)
    return np.broadcast_to(row[None, :, None], (height, width, channels)).copy()


def test_crop_keeps_the_centre_square():
    fitted = fit_pixels(striped(10, 30), DataRequest(size=5, fit="crop"))
    assert fitted.shape == (5, 5, 1)
    assert set(fitted.ravel().tolist()) == {120}


def test_crop_of_a_tall_image_keeps_its_centre():
    fitted = fit_pixels(striped(10, 30).transpose(1, 0, 2), DataRequest(size=10))
    assert fitted.shape == (10, 10, 1)
    assert set(fitted.ravel().tolist()) == {120}


@pytest.mark.parametrize("channels", [1, 3])
def test_pad_keeps_the_whole_image_on_black(channels):
    fitted = fit_pixels(striped(10, 30, channels), DataRequest(size=30, fit="pad"))
    assert fitted.shape == (30, 30, channels)
    assert not fitted[:10].any()
    assert not fitted[20:].any()
    np.testing.assert_array_equal(fitted[10:20], striped(10, 30, channels))


PARTS = np.arange(24, dtype=np.uint8).reshape(4, 6, 1)


# A whole number of pixels is cut off, so that what is left is not resampled.
@pytest.mark.parametrize(
    ("size", "rows", "columns"),
    [
        ("4x2", slice(4), slice(2, 4)),
        ("2x6", slice(1, 3), slice(6)),
        ("4x4", slice(4), slice(1, 5)),
    ],
)
def test_crop_keeps_the_centre_of_the_requested_aspect_ratio(size, rows, columns):
    fitted = fit_pixels(PARTS, DataRequest(size=size))
    np.testing.assert_array_equal(fitted, PARTS[rows, columns])


@pytest.mark.parametrize(
    ("size", "top", "left"), [("8x6", 2, 0), ("4x10", 0, 2), ("5x6", 0, 0), ("4x6", 0, 0)]
)
def test_pad_fills_up_to_the_requested_aspect_ratio(size, top, left):
    fitted = fit_pixels(PARTS, DataRequest(size=size, fit="pad"))
    expected = np.zeros((*map(int, size.split("x")), 1), np.uint8)
    expected[top : top + 4, left : left + 6] = PARTS
    np.testing.assert_array_equal(fitted, expected)


def test_both_fits_scale_to_the_requested_height_and_width():
    """Of twice the size, with columns in thirds: crop keeps half of each outer third."""
    cropped = fit_pixels(striped(10, 30), DataRequest(size="10x20"))
    assert cropped[5, :, 0].tolist() == [30] * 5 + [120] * 10 + [210] * 5
    halved = fit_pixels(striped(10, 60), DataRequest(size="9x30", fit="pad"))
    assert [int(row.max()) > 0 for row in halved] == [False] * 2 + [True] * 5 + [False] * 2


def test_shrinking_averages_instead_of_skipping():
    checkered = np.indices((64, 64)).sum(axis=0)[..., None] % 2 * np.uint8(255)
    fitted = fit_pixels(checkered.astype(np.uint8), DataRequest(size=8))
    # Every second pixel is white, so anything but a grey near 127 is aliasing.
    assert fitted.min() >= 120
    assert fitted.max() <= 135


def test_images_of_the_requested_size_are_untouched():
    image = np.random.default_rng(0).integers(256, size=(9, 9, 3), dtype=np.uint8)
    np.testing.assert_array_equal(fit_pixels(image, DataRequest(size=9)), image)
    np.testing.assert_array_equal(fit_pixels(image, DataRequest()), image)


@pytest.mark.parametrize("library", [np, jnp], ids=["numpy", "jax"])
def test_sixteen_bits_become_x_over_32767_5_less_one_and_every_level_survives(library):
    values = to_float(library.asarray([0, 1, 32768, 65535], dtype=library.uint16))
    np.testing.assert_allclose(values, [-1, 1 / 32767.5 - 1, 1 / 65535, 1], atol=1e-7)
    assert (float(values[0]), float(values[-1])) == (-1, 1)
    every = library.arange(65536, dtype=library.uint16)
    images = to_float(every).reshape(1, 256, 256, 1)
    stored = to_stored(images, 16)
    assert stored.dtype == np.uint16
    np.testing.assert_array_equal(np.ravel(stored), np.arange(65536))


def test_sixteen_bits_of_a_white_level_use_all_of_the_range():
    assert scaled(np.uint16([0, 1, 4095, 5000]), 4095, 16).tolist() == [0, 16, 65535, 65535]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_each_of_many_channels_is_resized_by_itself(kind):
    """Constant channels stay what they are, and borders are 0."""
    levels = np.array([0, 1, 7, 200, np.iinfo(kind).max], kind)
    fitted = fit_pixels(np.broadcast_to(levels, (4, 8, 5)), DataRequest(size=4, fit="pad"))
    assert fitted.dtype == kind
    assert fitted[0].tolist() == [[0] * 5] * 4
    assert fitted[1].tolist() == [levels.tolist()] * 4


def test_colours_count_by_their_opacity_where_it_is_kept():
    """The green pixels are invisible, so the mean of both is red."""
    image = np.zeros((8, 8, 4), np.uint8)
    image[:, ::2], image[:, 1::2] = (255, 0, 0, 255), (0, 255, 0, 0)
    fitted = fit_pixels(image, DataRequest(size=1, keep="alpha"))
    assert fitted.shape == (1, 1, 4)
    assert fitted[0, 0].tolist() == [255, 0, 0, 128]
    apart = fit_pixels(image, DataRequest(size=1))
    assert 100 < apart[0, 0, 1] < 155
