import errno
import os
import re

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
    compose_grid,
    compose_strip,
    draw_grid,
    draw_strip,
    save_animation,
    save_png,
    shorten,
    side_by_side,
)


def flat(value, count=1, height=8, width=8, channels=1):
    return np.full((count, height, width, channels), value, np.uint8)


def read(path):
    with Image.open(path) as picture:
        return picture.mode, np.asarray(picture)


def read_frames(path):
    with Image.open(path) as animation:
        frames = []
        for index in range(animation.n_frames):
            animation.seek(index)
            frames.append(np.asarray(animation.convert("RGB")))
        return np.stack(frames)


def test_save_png_keeps_every_pixel_and_the_resolution(tmp_path):
    grey = np.array([[[0], [100], [255]], [[1], [2], [3]]], np.uint8)
    colour = np.array([[[255, 0, 0], [0, 255, 7]]], np.uint8)
    save_png(tmp_path / "grey.png", grey)
    save_png(str(tmp_path / "colour.png"), colour)
    mode, pixels = read(tmp_path / "grey.png")
    assert mode == "L"
    assert pixels.tolist() == [[0, 100, 255], [1, 2, 3]]
    mode, pixels = read(tmp_path / "colour.png")
    assert mode == "RGB"
    assert pixels.tolist() == [[[255, 0, 0], [0, 255, 7]]]
    assert sorted(os.listdir(tmp_path)) == ["colour.png", "grey.png"]


def test_grid_places_tiles_row_by_row_between_gaps(tmp_path):
    # Two tiles of 8 pixels across reach 512 at a factor of 32, so each is 256 wide.
    images = np.concatenate([flat(value) for value in (0, 60, 120, 250)])
    images[0, 7, 7] = 33
    draw_grid(tmp_path / "grid.png", images)
    mode, pixels = read(tmp_path / "grid.png")
    assert mode == "L"
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


def test_colour_grid_is_rgb_and_leaves_places_without_image_empty(tmp_path):
    images = flat(0, 3, 64, 64, 3)
    images[2] = (200, 30, 10)
    draw_grid(tmp_path / "grid.png", images, columns=2)
    mode, pixels = read(tmp_path / "grid.png")
    assert mode == "RGB"
    assert pixels.shape == (524, 524, 3)
    assert pixels[392, 132].tolist() == [200, 30, 10]
    assert (pixels[264:, 264:] == 168).all()


@pytest.mark.parametrize(
    ("count", "height", "width", "columns", "expected"),
    [
        (64, 8, 8, None, (8, 8, 8)),
        (64, 28, 28, None, (8, 8, 3)),
        (64, 32, 32, None, (8, 8, 2)),
        (10, 8, 8, None, (4, 3, 16)),
        (1, 8, 8, None, (1, 1, 64)),
        (3, 8, 8, 9, (3, 1, 22)),
        (16, 32, 64, None, (3, 6, 3)),
        # 1600 pixels hold six tiles of 256 with their gaps, and 40 of 8 at a factor of 4.
        (30, 256, 256, None, (6, 5, 1)),
        (400, 8, 8, 40, (40, 10, 4)),
        (4, 2000, 2000, None, (1, 4, 1)),
    ],
)
def test_arrangement(count, height, width, columns, expected):
    assert arrange(count, height, width, columns) == expected


@pytest.mark.parametrize("side", [1, 5, 8, 28, 32, 64])
@pytest.mark.parametrize("count", [1, 2, 7, 20, 63, 64])
def test_up_to_64_tiles_are_64_pixels_and_the_picture_is_no_wider_than_1600(count, side):
    columns, rows, factor = arrange(count, side, side)
    assert side * factor >= 64
    assert columns * rows >= count > columns * (rows - 1)
    assert compose_grid(flat(0, count, side, side)).shape[1] <= 1600


def test_labels_are_written_below_their_tiles():
    images = flat(255, 2, 64, 64)
    picture = compose_grid(images, columns=2, labels=["", "seven"])
    assert picture.shape == (4 + 256 + TEXT_BAND + 4, 524, 1)
    band = picture[260 : 260 + TEXT_BAND, :, 0]
    assert (band[:, :264] == 168).all()
    rows, columns = np.nonzero(band < 60)
    assert len(rows) > 30
    # The word stands in the middle of the second tile, which reaches from 264 to 520.
    assert abs((columns.min() + columns.max()) / 2 - 392) < 3
    assert (picture[:260] == compose_grid(images, columns=2)[:260]).all()


def test_labels_may_be_an_array_of_numbers():
    picture = compose_grid(flat(255, 3), labels=np.array([0, 1, 2], np.int32))
    assert (picture < 60).any()


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


def test_strip_has_a_row_for_each_step_and_a_column_for_each_latent(tmp_path):
    history = [np.concatenate([flat(0), flat(100)]), np.concatenate([flat(50), flat(250)])]
    draw_strip(tmp_path / "strip.png", [0, 1000], history)
    mode, pixels = read(tmp_path / "strip.png")
    assert mode == "L"
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


@pytest.mark.parametrize(("side", "channels"), [(8, 1), (64, 3)])
def test_long_strips_show_12_steps_of_10_latents(side, channels):
    steps = list(range(0, 3000, 100))
    history = [flat(8 * row, 16, side, side, channels) for row in range(30)]
    picture = compose_strip(steps, history)
    assert picture.shape[0] == TEXT_BAND + 4 + 12 * 68
    margin = picture.shape[1] - (4 + 10 * 68)
    assert 30 < margin < 80
    shown = [int(picture[TEXT_BAND + 36 + 68 * row, margin + 36, 0]) for row in range(12)]
    assert shown[0] == 0
    assert shown[-1] == 8 * 29
    assert shown == sorted(set(shown))


def test_wide_images_leave_latents_out_of_a_strip_rather_than_exceed_the_width():
    picture = compose_strip([0], [flat(0, 10, 256, 256)])
    assert 1300 < picture.shape[1] <= 1600


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_animation_keeps_flat_frames_exactly_and_loops(tmp_path, suffix, channels):
    frames = np.concatenate([flat(value, 1, 8, 8, channels) for value in (0, 90, 200, 255)])
    frames[:, 2, 3] = 40
    path = tmp_path / f"growth{suffix}"
    save_animation(path, frames, milliseconds=80)
    with Image.open(path) as animation:
        assert animation.format == suffix[1:].upper()
        assert animation.n_frames == 4
        assert animation.size == (256, 256)
        assert animation.info["loop"] == 0
        animation.seek(1)
        animation.load()
        assert animation.info["duration"] == 80
    decoded = read_frames(path)
    for index, value in enumerate((0, 90, 200, 255)):
        assert (decoded[index, 64:96, 96:128] == 40).all()
        decoded[index, 64:96, 96:128] = value
        assert (decoded[index] == value).all()
    assert os.listdir(tmp_path) == [path.name]


def test_animation_keeps_all_grey_levels_and_in_webp_all_colours(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (3, 256, 256, 3), np.uint8)
    save_animation(tmp_path / "grey.gif", noise[..., :1])
    save_animation(tmp_path / "colour.webp", noise)
    save_animation(tmp_path / "colour.gif", noise)
    assert (read_frames(tmp_path / "grey.gif") == noise[..., :1]).all()
    assert (read_frames(tmp_path / "colour.webp") == noise).all()
    # 256 colours of the cube leave cells of about 40 levels: a mean error near 10.
    error = np.abs(read_frames(tmp_path / "colour.gif").astype(int) - noise)
    assert 0 < error.mean() < 16


def test_gif_keeps_200_colours_exactly(tmp_path):
    palette = np.random.default_rng(0).integers(0, 256, (200, 3), np.uint8)
    frames = palette[np.arange(2 * 256 * 256) % 200].reshape(2, 256, 256, 3)
    save_animation(tmp_path / "few.gif", frames)
    assert (read_frames(tmp_path / "few.gif") == frames).all()


def test_large_frames_are_not_enlarged(tmp_path):
    save_animation(tmp_path / "large.webp", flat(9, 2, 40, 300))
    assert read(tmp_path / "large.webp")[1].shape[:2] == (40, 300)


def test_side_by_side_lays_interpolations_beside_each_other():
    first = np.concatenate([flat(10, 1, 8, 8), flat(20, 1, 8, 8)])
    second = np.concatenate([flat(110, 1, 8, 8), flat(120, 1, 8, 8)])
    frames = side_by_side([first, second])
    assert frames.shape == (2, 264, 524, 1)
    assert (frames[0, 4:260, 4:260] == 10).all()
    assert (frames[0, 4:260, 264:520] == 110).all()
    assert (frames[1, 4:260, 4:260] == 20).all()
    assert (frames[1, 4:260, 264:520] == 120).all()
    assert side_by_side([first] * 9).shape[1:3] == (4 + 2 * 68, 4 + 8 * 68)


def test_a_place_that_cannot_be_written_is_the_users_to_change(tmp_path):
    missing, taken = tmp_path / "missing" / "image.png", tmp_path / "taken.gif"
    with refused(repr(str(missing)), os.strerror(errno.ENOENT)):
        save_png(missing, flat(7)[0])
    taken.mkdir()
    with refused(repr(str(taken)), os.strerror(errno.EISDIR)):
        save_animation(taken, flat(7, 2))
    assert os.listdir(tmp_path) == ["taken.gif"]


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 8, 8), np.uint8),
        np.zeros((2, 8, 8, 2), np.uint8),
        np.zeros((2, 8, 8, 4), np.uint8),
        np.zeros((0, 8, 8, 1), np.uint8),
        np.zeros((2, 0, 8, 1), np.uint8),
        np.zeros((2, 8, 8, 1), np.float32),
    ],
)
def test_arrays_that_are_not_images_are_refused(tmp_path, images):
    says = rf"\buint8\b.*\b1\b.*\b3\b.*{re.escape(f'{images.dtype} {images.shape}')}"
    with pytest.raises(ValueError, match=says):
        draw_grid(tmp_path / "x.png", images)
    with pytest.raises(ValueError, match=says):
        draw_strip(tmp_path / "x.png", [0], [images])
    with pytest.raises(ValueError, match=says):
        save_animation(tmp_path / "x.gif", images)
    with pytest.raises(ValueError, match=says):
        side_by_side([images])
    with pytest.raises(ValueError, match=rf"\bimage\b.*{says}"):
        save_png(tmp_path / "x.png", images)
    assert os.listdir(tmp_path) == []


def test_arguments_that_do_not_fit_together_are_refused(tmp_path):
    path = tmp_path / "x.png"
    with pytest.raises(ValueError, match=r"\b2 images\b.*\b3 labels\b"):
        draw_grid(path, flat(0, 2), labels="abc")
    with pytest.raises(ValueError, match=r"\bcolumn.*\b0\b"):
        draw_grid(path, flat(0, 2), columns=0)
    with pytest.raises(ValueError, match=r"\b2 steps\b.*\b1\b"):
        draw_strip(path, [0, 1], [flat(0)])
    with pytest.raises(ValueError, match=r"\b0 steps\b.*\b0\b"):
        draw_strip(path, [], [])
    with pytest.raises(ValueError, match=r"\b0, 5, 5\b"):
        draw_strip(path, [0, 5, 5], [flat(0)] * 3)
    with pytest.raises(ValueError, match=r"\(8, 8, 1\), \(9, 8, 1\)"):
        draw_strip(path, [0, 5], [flat(0), flat(0, 1, 9)])
    with pytest.raises(ValueError, match=r"\b2 interpolations\b.*\(2, 8, 8, 1\), \(3, 8, 8, 1\)"):
        side_by_side([flat(0, 2), flat(0, 3)])
    with pytest.raises(ValueError, match=r"\b0 interpolations\b"):
        side_by_side([])
    with pytest.raises(ValueError, match=r"\.webp\b.*\.gif\b.*'x\.png'"):
        save_animation(path, flat(0, 2))
    with pytest.raises(ValueError, match=r"\b10 milliseconds\b.*\b0\b"):
        save_animation(tmp_path / "x.gif", flat(0, 2), milliseconds=0)
    assert os.listdir(tmp_path) == []
