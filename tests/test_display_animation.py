"""Animations of walks: every format, and what cannot be one."""

import os

import numpy as np
import pytest
from PIL import Image
from refusals import refused

from gancli.display.animation import check_animation, save_animation
from gancli.display.pictures import to_image
from gancli.evaluation.latents import Draw, Given


@pytest.mark.parametrize("channels", [1, 3])
def test_a_webp_keeps_every_pixel_and_loops(tmp_path, channels):
    frames = np.random.default_rng(0).integers(0, 256, (3, 20, 30, channels), np.uint8)
    path = tmp_path / "walk.webp"
    save_animation(path, [to_image(frame) for frame in frames])
    with Image.open(path) as animation:
        assert (animation.format, animation.n_frames) == ("WEBP", 3)
        assert animation.info["loop"] == 0
        for index, frame in enumerate(frames):
            animation.seek(index)
            assert (np.asarray(animation.convert("RGB")) == frame).all()
            assert animation.info["duration"] == 60
    assert os.listdir(tmp_path) == [path.name]


def test_a_gif_keeps_greys_and_loops(tmp_path):
    frames = np.arange(3 * 20 * 30, dtype=np.uint16).reshape(3, 20, 30, 1) % 256
    save_animation(tmp_path / "walk.gif", [to_image(frame.astype(np.uint8)) for frame in frames])
    with Image.open(tmp_path / "walk.gif") as animation:
        assert (animation.format, animation.n_frames) == ("GIF", 3)
        assert (animation.info["loop"], animation.info["duration"]) == (0, 60)
        for index, frame in enumerate(frames):
            animation.seek(index)
            assert (np.asarray(animation.convert("L")) == frame[..., 0]).all()


def test_a_video_has_every_frame_and_even_sides(tmp_path):
    av = pytest.importorskip("av")
    levels = (20, 120, 220)
    frames = [to_image(np.full((21, 31, 3), level, np.uint8)) for level in levels]
    save_animation(tmp_path / "walk.mp4", frames)
    with av.open(tmp_path / "walk.mp4") as video:
        stream = video.streams.video[0]
        assert (stream.codec_context.name, float(stream.average_rate)) == (
            "h264", pytest.approx(1000 / 60),
        )  # fmt: skip
        shown = [frame.to_ndarray(format="rgb24") for frame in video.decode(stream)]
    assert [frame.shape for frame in shown] == [(22, 32, 3)] * 3
    means = [frame[:18, :28].mean() for frame in shown]
    np.testing.assert_allclose(means, levels, atol=4)


def test_what_is_no_animation_is_refused(monkeypatch):
    with refused("--animation", "'avi'", allowed=("webp", "gif", "mp4")):
        check_animation("avi", Draw())
    one = Draw(given=Given("latents", np.zeros((1, 3), np.float32)))
    with refused("--interpolate", "1 given", allowed="2", remedy="--interpolate"):
        check_animation("webp", one)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with refused("'mp4'", "PyAV", allowed=("webp", "gif"), remedy="gancli[video]"):
        check_animation("mp4", Draw())
