import errno
import os

import numpy as np
import pytest
from PIL import Image
from refusals import refused

from gancli.display.pictures import (
    BACKGROUND,
    GAP,
    TEXT_BAND,
    arrange,
    choose_evenly,
    lay_out,
    make_grid,
    make_strip,
    save_png,
    shorten,
    to_image,
)

WIDEST = 1600


def flat(value, count=1, height=8, width=8, channels=1):
    return np.full((count, height, width, channels), value, np.uint8)


def grid(*arguments):
    return np.asarray(make_grid(*arguments))


def test_a_png_keeps_every_pixel_and_the_resolution(tmp_path):
    grey = np.array([[[0], [100], [255]], [[1], [2], [3]]], np.uint8)
    colour = np.array([[[255, 0, 0], [0, 255, 7]]], np.uint8)
    opacity = np.array([[[255, 0, 0, 9], [0, 255, 7, 0]]], np.uint8)
    deep = np.array([[[0], [1], [32768], [65535]]], np.uint16)
    save_png(tmp_path / "grey.png", to_image(grey))
    save_png(tmp_path / "colour.png", to_image(colour))
    save_png(tmp_path / "deep.png", to_image(deep))
    save_png(tmp_path / "opacity.png", to_image(opacity))
    with Image.open(tmp_path / "grey.png") as picture:
        assert picture.mode == "L"
        assert np.asarray(picture).tolist() == [[0, 100, 255], [1, 2, 3]]
    with Image.open(tmp_path / "colour.png") as picture:
        assert picture.mode == "RGB"
        assert np.asarray(picture).tolist() == [[[255, 0, 0], [0, 255, 7]]]
    with Image.open(tmp_path / "opacity.png") as picture:
        assert picture.mode == "RGBA"
        assert np.asarray(picture).tolist() == opacity.tolist()
    with Image.open(tmp_path / "deep.png") as picture:
        assert picture.mode == "I;16"
        assert np.asarray(picture).tolist() == [[0, 1, 32768, 65535]]
    names = ["colour.png", "deep.png", "grey.png", "opacity.png"]
    assert sorted(os.listdir(tmp_path)) == names


def test_pictures_show_the_first_channels_at_8_bits():
    of = np.uint16([[[257, 514, 65535, 7, 8]]])
    assert np.asarray(to_image(of)).tolist() == [[[1, 2, 255]]]
    assert np.asarray(to_image(of[..., :2])).tolist() == [[257]]
    assert (grid(of[np.newaxis, ..., :1])[GAP:-GAP, GAP:-GAP] == 1).all()


def test_a_grid_of_transparent_images_has_an_opaque_background_and_black_text():
    images = flat((9, 8, 7, 0), count=2, channels=4)
    picture = make_grid(images, labels=["x", "y"])
    assert picture.mode == "RGBA"
    pixels = np.asarray(picture)
    assert pixels[0, 0].tolist() == [BACKGROUND, BACKGROUND, BACKGROUND, 255]
    assert pixels[GAP, GAP].tolist() == [9, 8, 7, 0]
    band = pixels[-TEXT_BAND - GAP : -GAP]
    assert band[..., :3].min() < 60
    assert (band[..., 3] == 255).all()
    strip = np.asarray(make_strip([1, 2], [images, images]))
    assert strip[0, 0].tolist() == [BACKGROUND, BACKGROUND, BACKGROUND, 255]


def test_grid_places_tiles_row_by_row_between_gaps():
    # Two tiles of 8 pixels across reach 512 at a factor of 32, so each is 256 wide.
    images = np.concatenate([flat(value) for value in (0, 60, 120, 250)])
    images[0, 7, 7] = 33
    pixels = grid(images)
    assert pixels.shape == (4 + 256 + 4 + 256 + 4,) * 2
    assert (GAP, BACKGROUND) == (4, 168)
    for line in (0, 3, 260, 263, 520, 523):
        assert (pixels[line] == 168).all()
        assert (pixels[:, line] == 168).all()
    assert (pixels[4:260, 264:520] == 60).all()
    assert (pixels[264:520, 4:260] == 120).all()
    assert (pixels[264:520, 264:520] == 250).all()
    assert (pixels[228:260, 228:260] == 33).all()
    assert set(np.unique(pixels[4:260, 4:260])) == {0, 33}


def test_colour_grid_is_rgb_and_leaves_places_without_image_empty():
    images = flat(0, 3, 64, 64, 3)
    images[2] = (200, 30, 10)
    pixels = grid(images, 2)
    assert pixels.shape == (524, 524, 3)
    assert pixels[392, 132].tolist() == [200, 30, 10]
    assert (pixels[264:, 264:] == 168).all()


def test_images_side_by_side_as_they_are():
    images = np.array([1, 2, 3], np.uint8).reshape(3, 1, 1, 1).repeat(2, axis=1).repeat(2, axis=2)
    assert lay_out(images, 2, 1)[..., 0].tolist() == [
        [168, 168, 168, 168, 168, 168, 168],
        [168, 1, 1, 168, 2, 2, 168],
        [168, 1, 1, 168, 2, 2, 168],
        [168, 168, 168, 168, 168, 168, 168],
        [168, 3, 3, 168, 168, 168, 168],
        [168, 3, 3, 168, 168, 168, 168],
        [168, 168, 168, 168, 168, 168, 168],
    ]


@pytest.mark.parametrize(
    ("count", "height", "width", "columns", "expected"),
    [
        (64, 8, 8, None, (8, 8)),
        (64, 28, 28, None, (8, 3)),
        (64, 32, 32, None, (8, 2)),
        (10, 8, 8, None, (4, 16)),
        (1, 8, 8, None, (1, 64)),
        (3, 8, 8, 9, (3, 22)),
        (16, 32, 64, None, (3, 3)),
        # 1600 pixels hold six tiles of 256 with their gaps, and 40 of 8 at a factor of 4.
        (30, 256, 256, None, (6, 1)),
        (400, 8, 8, 40, (40, 4)),
        (4, 2000, 2000, None, (1, 1)),
    ],
)
def test_arrangement(count, height, width, columns, expected):
    assert arrange(count, height, width, columns, WIDEST) == expected


@pytest.mark.parametrize("side", [1, 5, 8, 28, 32, 64])
@pytest.mark.parametrize("count", [1, 2, 7, 20, 63, 64])
def test_up_to_64_tiles_are_64_pixels_and_the_picture_is_no_wider_than_1600(count, side):
    _, factor = arrange(count, side, side, None, WIDEST)
    assert side * factor >= 64
    assert make_grid(flat(0, count, side, side)).width <= 1600


def test_labels_are_written_below_their_tiles():
    images = flat(255, 2, 64, 64)
    picture = grid(images, 2, ["", "seven"])
    assert picture.shape == (4 + 256 + TEXT_BAND + 4, 524)
    band = picture[260 : 260 + TEXT_BAND]
    assert (band[:, :264] == 168).all()
    rows, columns = np.nonzero(band < 60)
    assert len(rows) > 30
    # The word stands in the middle of the second tile, which reaches from 264 to 520.
    assert abs((columns.min() + columns.max()) / 2 - 392) < 3
    assert (picture[:260] == grid(images, 2)[:260]).all()


def test_labels_of_colour_images_are_black():
    assert (grid(flat(255, 1, 64, 64, 3), 1, ["x"]).max(axis=2) < 10).any()


def test_a_long_label_is_cut_with_an_ellipsis_and_a_short_one_is_kept():
    assert shorten("dog", 64) == "dog"
    cut = shorten("an extraordinarily long name", 64)
    assert cut.endswith("…")
    assert "an extraordinarily long name".startswith(cut[:-1])
    assert 4 < len(cut) < 16
    assert shorten("dog", 2) == ""


@pytest.mark.parametrize(
    ("count", "most", "expected"),
    [
        (1, 12, [0]),
        (3, 12, [0, 1, 2]),
        (12, 12, list(range(12))),
        (23, 12, [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22]),
        (9, 3, [0, 4, 8]),
        (100, 2, [0, 99]),
    ],
)
def test_evenly_chosen_indices(count, most, expected):
    assert choose_evenly(count, most) == expected


@pytest.mark.parametrize("count", range(13, 60))
def test_chosen_rows_hold_first_and_last_and_differ(count):
    chosen = choose_evenly(count, 12)
    assert (chosen[0], chosen[-1], len(set(chosen))) == (0, count - 1, 12)
    assert chosen == sorted(chosen)


def test_strip_has_a_row_for_each_step_and_a_column_for_each_latent():
    history = [np.concatenate([flat(0), flat(100)]), np.concatenate([flat(50), flat(250)])]
    pixels = np.asarray(make_strip([0, 1000], history))
    # Two tiles of 256 with three gaps, a band above for the heading and a margin for labels.
    assert pixels.shape[0] == TEXT_BAND + 524
    margin = pixels.shape[1] - 524
    assert 30 < margin < 80
    tiles = pixels[TEXT_BAND:, margin:]
    assert (tiles[4:260, 4:260] == 0).all()
    assert (tiles[4:260, 264:520] == 100).all()
    assert (tiles[264:520, 4:260] == 50).all()
    assert (tiles[264:520, 264:520] == 250).all()
    # "step", "0" and "1,000" each stand in dark ink beside what they name, and nowhere else.
    dark = np.nonzero((pixels[:, :margin] < 60).any(axis=1))[0]
    middles = [part.mean() for part in np.split(dark, np.nonzero(np.diff(dark) > 9)[0] + 1)]
    assert middles == pytest.approx([11, TEXT_BAND + 132, TEXT_BAND + 392], abs=4)


def test_labels_stand_above_the_columns_of_a_strip():
    history = [flat(200, 2)]
    plain, named = (np.asarray(make_strip([0], history, labels)) for labels in ((), ("W", "I")))
    assert plain.shape == named.shape
    across = np.nonzero((plain != named).any(axis=0))[0]
    first, second = np.split(across, np.nonzero(np.diff(across) > 20)[0] + 1)
    margin = plain.shape[1] - 524
    assert (first.mean(), second.mean()) == pytest.approx((margin + 132, margin + 392), abs=2)
    assert np.nonzero((plain != named).any(axis=1))[0].max() < TEXT_BAND


@pytest.mark.parametrize(("side", "channels"), [(8, 1), (64, 3)])
def test_long_strips_show_12_steps_of_10_latents(side, channels):
    steps = list(range(0, 3000, 100))
    history = [flat(8 * row, 16, side, side, channels) for row in range(30)]
    picture = make_strip(steps, history).convert("L")
    assert picture.height == TEXT_BAND + 4 + 12 * 68
    margin = picture.width - (4 + 10 * 68)
    assert 30 < margin < 80
    shown = [picture.getpixel((margin + 36, TEXT_BAND + 36 + 68 * row)) for row in range(12)]
    assert shown[0] == 0
    assert shown[-1] == 8 * 29
    assert shown == sorted(set(shown))


def test_wide_images_leave_latents_out_of_a_strip_rather_than_exceed_the_width():
    assert 1300 < make_strip([0], [flat(0, 10, 256, 256)]).width <= 1600


def test_a_place_that_cannot_be_written_is_the_users_to_change(tmp_path):
    missing, taken = tmp_path / "missing" / "image.png", tmp_path / "taken.png"
    picture = to_image(flat(7)[0])
    with refused(repr(str(missing)), os.strerror(errno.ENOENT)):
        save_png(missing, picture)
    taken.mkdir()
    with refused(repr(str(taken)), os.strerror(errno.EISDIR)):
        save_png(taken, picture)
    assert os.listdir(tmp_path) == ["taken.png"]
