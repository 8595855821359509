"""Pictures of images: grids, and strips over training.

Images are uint8 or uint16, channels last. Pictures show one channel as grey, three as RGB and four
as RGBA; of others they show the first one or three, and 16 bits are rounded to 8. Small images are
enlarged by repeating each pixel a whole number of times, and large ones are never shrunk, so that
pictures show exactly the generated pixels. Files are written completely or not at all.
"""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gancli.data.dataset import pictured_channels
from gancli.data.transform import scaled
from gancli.files import replacing

if TYPE_CHECKING:
    from PIL.Image import Image

GAP = 4
BACKGROUND = 168
TEXT_SIZE = 14
TEXT_BAND = 20
SMALLEST_TILE = 64
SMALLEST_PICTURE = 512
WIDEST_PICTURE = 1600
MOST_ROWS = 12
MOST_COLUMNS = 10
MOST_IN_TURN = 20


def to_image(pixels: np.ndarray) -> "Image":
    """Converts pixels (height, width, channels) to a Pillow image.

    Its mode is `L`, `RGB` or `RGBA`, or `I;16` for grey of 16 bits, which alone keeps them.
    """
    from PIL import Image

    if pictured_channels(pixels.shape[-1]) == 1 and pixels.dtype == np.uint16:
        return Image.fromarray(np.ascontiguousarray(pixels[..., 0]))
    seen = visible(pixels)
    return Image.fromarray(np.ascontiguousarray(seen[..., 0] if seen.shape[-1] == 1 else seen))


def visible(images: np.ndarray) -> np.ndarray:
    """What pictures show of images (..., channels): uint8, one, three or four channels."""
    shown = images[..., : pictured_channels(images.shape[-1])]
    return scaled(shown, 65535) if shown.dtype == np.uint16 else shown


def background(channels: int) -> tuple[int, ...]:
    """The colour around images of so many channels, which is opaque."""
    return (BACKGROUND, BACKGROUND, BACKGROUND, 255) if channels == 4 else (BACKGROUND,) * channels


def save_png(path: Path, picture: "Image") -> None:
    """Writes a picture as a PNG."""
    with replacing(path) as part:
        picture.save(part, format="PNG")


def make_grid(
    images: np.ndarray,
    columns: int | None = None,
    labels: Sequence[str] = (),
    widest: int = WIDEST_PICTURE,
) -> "Image":
    """Arranges images in a grid, row by row, enlarged to a visible size.

    Args:
        images: (count, height, width, channels).
        columns: number of columns; None for a nearly square grid, or one with a column for each
            of a few labels that cycle.
        labels: text below each image, shortened if too wide; empty for none.
        widest: largest width of the picture in pixels; only images that are not enlarged exceed
            it.
    """
    count, height, width, _ = images.shape
    turn = len(set(labels))
    in_turn = 1 < turn <= MOST_IN_TURN and list(labels[turn:]) == list(labels[:-turn])
    if columns is None and in_turn:
        columns = turn * max(1, round(len(labels) ** 0.5 / turn))
    columns, factor = arrange(count, height, width, columns, widest)
    height, width, band = factor * height, factor * width, TEXT_BAND if labels else 0
    enlarged = images.repeat(factor, axis=1).repeat(factor, axis=2)
    picture = to_image(lay_out(enlarged, columns, GAP, band))
    texts = []
    for index, label in enumerate(labels):
        row, column = divmod(index, columns)
        x = GAP + column * (width + GAP) + width / 2
        y = GAP + row * (height + band + GAP) + height + band / 2
        texts.append((x, y, shorten(label, width)))
    _write(picture, texts, "mm")
    return picture


def make_strip(
    steps: Sequence[int], history: Sequence[np.ndarray], labels: Sequence[str] = ()
) -> "Image":
    """The progress of samples of the same latents: a row per training step, a column per latent.

    At most 12 steps (first and last always) and the first 10 latents are shown.

    Args:
        steps: training steps.
        history: the samples at each step, (count, height, width, channels) each.
        labels: text above each column, shortened if too wide; empty for none.
    """
    from PIL import Image

    chosen = choose_evenly(len(steps), MOST_ROWS)
    names = [f"{steps[index]:,}" for index in chosen]
    margin = GAP + math.ceil(max(map(_width, ["step", *names]))) + 10
    room = (WIDEST_PICTURE - margin - GAP) // (history[0].shape[2] + GAP)
    columns = max(1, min(MOST_COLUMNS, room, *map(len, history)))
    tiles = np.concatenate([history[index][:columns] for index in chosen])
    grid = make_grid(tiles, columns, widest=WIDEST_PICTURE - margin)
    size = (margin + grid.width, TEXT_BAND + grid.height)
    picture = Image.new(grid.mode, size, background(len(grid.getbands())))
    picture.paste(grid, (margin, TEXT_BAND))
    apart, right = (grid.height - GAP) / len(names), margin - 5
    middles = (TEXT_BAND + GAP / 2 + (row + 0.5) * apart for row in range(len(names)))
    rows = [(right, middle, name) for middle, name in zip(middles, names, strict=True)]
    _write(picture, [(right, TEXT_BAND / 2 + 1, "step"), *rows], "rm")
    across = (grid.width - GAP) / columns
    heads = [
        (margin + GAP / 2 + (place + 0.5) * across, TEXT_BAND / 2 + 1, shorten(label, across - GAP))
        for place, label in enumerate(labels[:columns])
    ]
    _write(picture, heads, "mm")
    return picture


def arrange(
    count: int, height: int, width: int, columns: int | None, widest: int
) -> tuple[int, int]:
    """Chooses a layout in which each tile is visible and the picture is not too wide.

    Tiles are enlarged to 64 pixels, and further while the whole picture is small, as far as
    `widest` allows.

    Args:
        count: number of tiles.
        height: height of one tile in pixels.
        width: width of one tile in pixels.
        columns: number of columns; None for a nearly square picture.
        widest: largest width of the picture in pixels.

    Returns:
        The number of columns, and the whole factor that enlarges each tile.
    """
    if columns is None:
        room = max(1, (widest - GAP) // (width + GAP))
        columns = min(room, nearly_square(count, height, width))
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    wanted = max(
        math.ceil(SMALLEST_TILE / max(height, width)),
        math.ceil(SMALLEST_PICTURE / max(columns * width, rows * height)),
    )
    allowed = ((widest - GAP) // columns - GAP) // width
    return columns, max(1, min(wanted, allowed))


def nearly_square(count: int, height: int, width: int) -> int:
    """The number of columns that makes a picture of `count` tiles nearly square."""
    return min(count, math.ceil(math.sqrt(count * height / width)))


def lay_out(images: np.ndarray, columns: int, gap: int, band: int = 0) -> np.ndarray:
    """Joins images into one array, row by row.

    Args:
        images: (count, height, width, channels).
        columns: number of columns.
        gap: pixels of background around each image.
        band: additional pixels of background below each image.

    Returns:
        uint8 (height', width', channels), of the channels that pictures show.
    """
    images = visible(images)
    count, height, width, channels = images.shape
    rows, down, across = math.ceil(count / columns), height + band + gap, width + gap
    colour = np.array(background(channels), np.uint8)
    tiles = np.tile(colour, (rows * columns, down, across, 1))
    tiles[:count, :height, :width] = images
    sheet = tiles.reshape(rows, columns, down, across, channels).swapaxes(1, 2)
    whole = np.tile(colour, (gap + rows * down, gap + columns * across, 1))
    whole[gap:, gap:] = sheet.reshape(rows * down, columns * across, channels)
    return whole


def choose_evenly(count: int, most: int) -> list[int]:
    """Chooses the indices of at most `most` items: the first, the last and evenly spaced ones.

    Args:
        count: number of items to choose from.
        most: number of items to choose, at least 2.

    Returns:
        Increasing indices below `count`.
    """
    if count <= most:
        return list(range(count))
    return [round(index * (count - 1) / (most - 1)) for index in range(most)]


def shorten(text: str, width: float) -> str:
    """Shortens a text with an ellipsis to at most `width` pixels."""
    if _width(text) <= width:
        return text
    while text and _width(text + "…") > width:
        text = text[:-1]
    return text and text + "…"


def _width(text: str) -> float:
    from PIL import ImageFont

    return ImageFont.load_default(TEXT_SIZE).getlength(text)


def _write(picture: "Image", texts: Iterable[tuple[float, float, str]], anchor: str) -> None:
    """Writes black texts at (x, y, text), with one of Pillow's anchors."""
    from PIL import ImageDraw, ImageFont

    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(TEXT_SIZE)
    for x, y, text in texts:
        draw.text((x, y), text, fill="black", font=font, anchor=anchor)
