"""Pictures of images: single files, grids, strips over training, animations.

Images are uint8, channels last, one channel (grey) or three (RGB). Small ones are enlarged
by repeating each pixel a whole number of times and large ones are never shrunk, so that
what is seen is what was generated. Files appear whole or not at all.
"""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gancli.files import replacing

if TYPE_CHECKING:
    from PIL.Image import Image

GAP = 4
BACKGROUND = 168
INK = 0
TEXT_SIZE = 14
TEXT_BAND = 20
SMALLEST_TILE = 64
SMALLEST_PICTURE = 512
SMALLEST_FRAME = 256
WIDEST_PICTURE = 1600
MOST_ROWS = 12
MOST_COLUMNS = 10


class Arrangement(NamedTuple):
    """How tiles are laid out: tiles across, tiles down, and the factor of enlargement."""

    columns: int
    rows: int
    factor: int


def save_png(path: str | Path, image: np.ndarray) -> None:
    """Writes one image at its own resolution as a PNG, grey (`L`) or `RGB`.

    Args:
        path: where to write.
        image: uint8 (height, width, channels), channels 1 or 3.

    Raises:
        ValueError: if the image is of another shape or type.
    """
    _write_png(path, _checked(image, "image", "height, width, channels"))


def draw_grid(
    path: str | Path,
    images: np.ndarray,
    columns: int | None = None,
    labels: Sequence[object] | np.ndarray | None = None,
) -> None:
    """Draws images as a grid, row by row, each with its label below it if there are labels.

    Args:
        path: where to write the PNG.
        images: uint8 (count, height, width, channels), channels 1 or 3.
        columns: tiles across; as near to square as can be where None.
        labels: what to write below each image, one for each; cut where too wide.

    Raises:
        ValueError: if images, columns or labels do not fit together.
    """
    _write_png(path, compose_grid(images, columns, labels))


def draw_strip(path: str | Path, steps: Sequence[int], history: Sequence[np.ndarray]) -> None:
    """Draws how samples of the same latents grew: a row a training step, a column a latent.

    At most 12 steps (first and last always) and the first 10 latents are shown.

    Args:
        path: where to write the PNG.
        steps: training steps, increasing.
        history: the samples at each step, uint8 (count, height, width, channels) each.

    Raises:
        ValueError: if steps and history do not fit together.
    """
    _write_png(path, compose_strip(steps, history))


def save_animation(path: str | Path, frames: np.ndarray, milliseconds: int = 60) -> None:
    """Writes frames as an animation that loops for ever, WebP or GIF by the path's suffix.

    WebP keeps every pixel. So does GIF where a frame has at most 256 colours, as every grey
    one has; others are reduced to the 256 that suit the frame best. A frame that equals its
    predecessor lengthens it instead of being stored again.

    Args:
        path: where to write, ending in .webp or .gif.
        frames: uint8 (frames, height, width, channels), channels 1 or 3.
        milliseconds: how long each frame is shown; GIF counts in tens.

    Raises:
        ValueError: if the suffix, the frames or the time cannot be used.
    """
    path = Path(path)
    if path.suffix not in (".webp", ".gif"):
        raise ValueError(f"an animation's name ends in .webp or .gif, not {path.name!r}")
    if milliseconds < 10:
        raise ValueError(f"a frame lasts at least 10 milliseconds, not {milliseconds}")
    frames = _checked(frames, "frames", "frames, height, width, channels")
    factor = math.ceil(SMALLEST_FRAME / max(frames.shape[1:3]))
    pictures = [_to_image(frame) for frame in enlarge(frames, factor)]
    settings: dict[str, Any] = {"format": "WEBP", "lossless": True}
    if path.suffix == ".gif":
        pictures = [_with_palette(picture) for picture in pictures]
        settings = {"format": "GIF", "optimize": False}
    with replacing(Path(path)) as part:
        pictures[0].save(
            part,
            save_all=True,
            append_images=pictures[1:],
            duration=milliseconds,
            loop=0,
            **settings,
        )


def side_by_side(interpolations: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Lays interpolations beside each other, 8 in a row, so that one animation shows them all.

    Args:
        interpolations: uint8 (frames, height, width, channels) each, all of one shape.

    Returns:
        The frames, uint8 (frames, taller, wider, channels), enlarged.

    Raises:
        ValueError: if the interpolations differ in shape or type.
    """
    parts = [
        _checked(one, "interpolation", "frames, height, width, channels") for one in interpolations
    ]
    if len({part.shape for part in parts}) != 1:
        shapes = ", ".join(sorted({str(part.shape) for part in parts})) or "none"
        raise ValueError(f"{len(parts)} interpolations must be of one shape, these are of {shapes}")
    columns = min(len(parts), 8)
    return np.stack([compose_grid(images, columns) for images in np.stack(parts, axis=1)])


def compose_grid(
    images: np.ndarray,
    columns: int | None = None,
    labels: Sequence[object] | np.ndarray | None = None,
) -> np.ndarray:
    """The picture that `draw_grid` writes.

    Args:
        images: uint8 (count, height, width, channels), channels 1 or 3.
        columns: tiles across; as near to square as can be where None.
        labels: what to write below each image.

    Returns:
        The picture, uint8 (height, width, channels).

    Raises:
        ValueError: if images, columns or labels do not fit together.
    """
    images = _checked(images, "images", "count, height, width, channels")
    if columns is not None and columns < 1:
        raise ValueError(f"a grid has at least one column, not {columns}")
    if labels is not None and len(labels) != len(images):
        raise ValueError(f"{len(images)} images cannot carry {len(labels)} labels")
    count, height, width, _ = images.shape
    arrangement = arrange(count, height, width, columns)
    band = TEXT_BAND if labels is not None else 0
    picture = _lay_out(images, arrangement, band)
    if labels is None:
        return picture
    across, down = width * arrangement.factor, height * arrangement.factor
    texts = []
    for index, label in enumerate(labels):
        row, column = divmod(index, arrangement.columns)
        middle = GAP + column * (across + GAP) + across / 2
        bottom = GAP + row * (down + band + GAP) + down
        texts.append((middle, bottom + band / 2, shorten(str(label), across), "mm"))
    return _write_texts(picture, texts)


def compose_strip(steps: Sequence[int], history: Sequence[np.ndarray]) -> np.ndarray:
    """The picture that `draw_strip` writes.

    Args:
        steps: training steps, increasing.
        history: the samples at each step, uint8 (count, height, width, channels) each.

    Returns:
        The picture, uint8 (height, width, channels).

    Raises:
        ValueError: if steps and history do not fit together.
    """
    parts = [_checked(part, "samples", "count, height, width, channels") for part in history]
    check_steps(steps, parts)
    if len({part.shape[1:] for part in parts}) != 1:
        shapes = ", ".join(sorted({str(part.shape[1:]) for part in parts}))
        raise ValueError(f"samples of one strip must be of one shape, these are of {shapes}")
    chosen = choose_evenly(len(steps), MOST_ROWS)
    texts = [f"{steps[index]:,}" for index in chosen]
    margin = GAP + math.ceil(max(_text_width(text) for text in ["step", *texts])) + 10
    height, width, _ = parts[0].shape[1:]
    room = (WIDEST_PICTURE - margin - GAP) // (width + GAP)
    columns = max(1, min(MOST_COLUMNS, room, *(len(part) for part in parts)))
    tiles = np.concatenate([parts[index][:columns] for index in chosen])
    arrangement = arrange(len(tiles), height, width, columns, WIDEST_PICTURE - margin)
    grid = _lay_out(tiles, arrangement)
    picture = np.pad(
        grid, ((TEXT_BAND, 0), (margin, 0), (0, 0)), "constant", constant_values=BACKGROUND
    )
    down = height * arrangement.factor
    middles = [TEXT_BAND + GAP + row * (down + GAP) + down / 2 for row in range(len(chosen))]
    right = margin - 5
    rows = [(right, middle, text, "rm") for middle, text in zip(middles, texts, strict=True)]
    return _write_texts(picture, [(right, TEXT_BAND / 2 + 1, "step", "rm"), *rows])


def arrange(
    count: int,
    height: int,
    width: int,
    columns: int | None = None,
    widest: int = WIDEST_PICTURE,
) -> Arrangement:
    """How to lay out tiles so that each can be seen and the picture is not too wide.

    Tiles are enlarged to 64 pixels, and further while the whole picture is small, as far as
    the widest picture allows.

    Args:
        count: number of tiles.
        height: of one tile, in pixels.
        width: of one tile, in pixels.
        columns: tiles across; as near to a square picture as can be where None.
        widest: the widest that the picture may be, in pixels; only images that are not
            enlarged at all exceed it.

    Returns:
        Tiles across and down, and the whole factor by which each is enlarged.
    """
    if columns is None:
        room = max(1, (widest - GAP) // (width + GAP))
        columns = min(count, room, math.ceil(math.sqrt(count * height / width)))
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    wanted = max(
        math.ceil(SMALLEST_TILE / max(height, width)),
        math.ceil(SMALLEST_PICTURE / max(columns * width, rows * height)),
    )
    allowed = ((widest - GAP) // columns - GAP) // width
    return Arrangement(columns, rows, max(1, min(wanted, allowed)))


def choose_evenly(count: int, most: int) -> list[int]:
    """Indices of at most so many items: the first, the last and evenly spaced ones between.

    Args:
        count: number of items to choose from.
        most: number of items to choose, at least 2.

    Returns:
        Increasing indices below `count`.
    """
    if count <= most:
        return list(range(count))
    return [round(index * (count - 1) / (most - 1)) for index in range(most)]


def enlarge(images: np.ndarray, factor: int) -> np.ndarray:
    """Repeats each pixel `factor` times across and down; images (..., height, width, channels)."""
    return images.repeat(factor, axis=-3).repeat(factor, axis=-2)


def shorten(text: str, width: float) -> str:
    """Cuts a text, marking the cut with an ellipsis, until it is at most `width` pixels wide."""
    if _text_width(text) <= width:
        return text
    kept = text
    while kept and _text_width(kept + "…") > width:
        kept = kept[:-1]
    return kept + "…" if kept else ""


def check_steps(steps: Sequence[int], history: Sequence[object]) -> None:
    """Refuses steps that do not number a history.

    Args:
        steps: training steps.
        history: what there was at each step.

    Raises:
        ValueError: if there is no step, a step without its entry, or no increasing order.
    """
    if len(steps) != len(history) or not len(steps):
        raise ValueError(
            f"there must be samples for each step and at least one step, "
            f"not {len(steps)} steps and samples for {len(history)}"
        )
    if any(later <= earlier for earlier, later in itertools.pairwise(steps)):
        raise ValueError(f"steps must increase, these are {', '.join(map(str, steps))}")


def _checked(images: np.ndarray, what: str, axes: str) -> np.ndarray:
    images = np.asarray(images)
    shape = images.shape
    fits = len(shape) == len(axes.split(",")) and shape[-1] in (1, 3) and 0 not in shape
    if not fits or images.dtype != np.uint8:
        raise ValueError(
            f"{what} must be uint8 ({axes}) with 1 or 3 channels and none of them 0, "
            f"not {images.dtype} {shape}"
        )
    return images


def _lay_out(images: np.ndarray, arrangement: Arrangement, band: int = 0) -> np.ndarray:
    """Places enlarged tiles on the background, `band` pixels free below each."""
    columns, rows, factor = arrangement
    _, height, width, channels = images.shape
    down, across = height * factor, width * factor
    shape = (GAP + rows * (down + band + GAP), GAP + columns * (across + GAP), channels)
    picture = np.full(shape, BACKGROUND, np.uint8)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        top, left = GAP + row * (down + band + GAP), GAP + column * (across + GAP)
        picture[top : top + down, left : left + across] = enlarge(image, factor)
    return picture


def _font() -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size=TEXT_SIZE)


def _text_width(text: str) -> float:
    return _font().getlength(text)


def _write_texts(picture: np.ndarray, texts: Sequence[tuple[float, float, str, str]]) -> np.ndarray:
    """Writes texts at (x, y, text, anchor), the anchor as Pillow names it."""
    from PIL import ImageDraw

    image, font = _to_image(picture), _font()
    draw = ImageDraw.Draw(image)
    ink = INK if image.mode == "L" else (INK,) * 3
    for x, y, text, anchor in texts:
        draw.text((x, y), text, fill=ink, font=font, anchor=anchor)
    return np.asarray(image).reshape(picture.shape)


def _to_image(picture: np.ndarray) -> "Image":
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(picture.squeeze(2) if _grey(picture) else picture))


def _grey(picture: np.ndarray) -> bool:
    return picture.shape[-1] == 1


def _with_palette(image: "Image") -> "Image":
    return image if image.mode == "L" else image.quantize(256)


def _write_png(path: str | Path, picture: np.ndarray) -> None:
    with replacing(Path(path)) as part:
        _to_image(picture).save(part, format="PNG")
