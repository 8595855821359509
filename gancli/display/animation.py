"""Walks between latents as looping animations: WebP, GIF, or MP4."""

import importlib
import importlib.util
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gancli.data.formats.images import on_white
from gancli.display import pictures, scatter
from gancli.errors import UserError, shown
from gancli.evaluation.generator import Generator, sampler_of
from gancli.evaluation.latents import Draw
from gancli.evaluation.variation import interpolate, names_between
from gancli.files import replacing

if TYPE_CHECKING:
    from PIL.Image import Image

ANIMATIONS = ("webp", "gif", "mp4")
_WALKS, _POINTS, _FRAMES = 8, 1000, 30
_MILLISECONDS = 60
# The constant rate factor of H.264; losses are hard to see up to 18.
_QUALITY = "15"


def check_animation(suffix: str, draw: Draw) -> None:
    """Refuses an animation that cannot be written.

    Raises:
        UserError: if the format is unknown, its library is missing, or one latent alone is given.
    """
    if suffix not in ANIMATIONS:
        raise UserError(f"--animation {shown(suffix)}", ", ".join(ANIMATIONS))
    if suffix == "mp4" and importlib.util.find_spec("av") is None:
        raise UserError(
            "--animation 'mp4' without PyAV, which writes videos",
            "webp, gif, or an installation with the extra `video`",
            "pip install 'gancli[video]'",
        )
    if draw.given is not None and len(draw.given.values) < 2:
        raise UserError(
            "--interpolate with 1 given latent", "at least 2", "Leave out --interpolate"
        )


def animate(generator: Generator, path: Path, draw: Draw) -> Path:
    """Draws an animation between pairs of latents, side by side for images.

    Args:
        generator: the generator.
        path: the file, whose suffix is its format.
        draw: the latents.
    """
    images = generator.spec.kind == "image"
    pairs = _WALKS if images else _POINTS
    if draw.given is not None:
        pairs = min(pairs, len(draw.given.values) // 2)
    walks = interpolate(generator, draw, pairs, _FRAMES)
    names = names_between(sampler_of(generator.task), draw, pairs)
    if images:
        frames = [pictures.make_grid(row, pairs, names) for row in walks]
    else:
        window = scatter.choose_window(walks.reshape(-1, 2))
        paint = scatter.painter(window)
        frames = [paint(points, names) for points in walks]
    save_animation(path, frames)
    return path


def save_animation(path: Path, frames: Sequence["Image"]) -> None:
    """Writes frames, 60 ms each, in the format of the file's suffix.

    WebP is lossless and, like GIF, which has 256 colours, loops. MP4 is H.264, with losses.
    """
    with replacing(path) as part:
        if path.suffix == ".mp4":
            _write_video(part, frames)
            return
        settings = {"lossless": True} if path.suffix == ".webp" else {}
        frames[0].save(
            part,
            path.suffix[1:].upper(),
            save_all=True,
            append_images=frames[1:],
            duration=_MILLISECONDS,
            loop=0,
            **settings,
        )


def _write_video(path: Path, frames: Sequence["Image"]) -> None:
    av = importlib.import_module("av")
    # Chroma has half the height and width, so that both must be even.
    height, width = (side + side % 2 for side in frames[0].size[::-1])
    with av.open(path, "w", format="mp4") as video:
        stream = video.add_stream(
            "libx264", rate=Fraction(1000, _MILLISECONDS), options={"crf": _QUALITY}
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            pixels = np.asarray(on_white(frame))
            rows, columns = height - pixels.shape[0], width - pixels.shape[1]
            even = np.pad(
                pixels,
                ((0, rows), (0, columns), (0, 0)),
                constant_values=pictures.BACKGROUND,
            )
            video.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        video.mux(stream.encode())
