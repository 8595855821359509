"""Decoding of one image file of a supported format to grey, RGB or RGBA pixels."""

import contextlib
import functools
import io
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from gancli.data.dataset import DataRequest
from gancli.data.transform import fit_image, fit_pixels, scaled, with_channels
from gancli.errors import UserError, excerpt
from gancli.files import open_regular

if TYPE_CHECKING:
    from PIL import Image

LARGEST_FILE = 1 << 29
LARGEST_PIXELS = 89_478_485
LARGEST_SIDE = 65_535
# Peak memory of decoding: compositing on white holds five images of four bytes per pixel, besides
# the decoder's own frames.
BYTES_PER_PIXEL = 32
ORIENTATION = 0x0112
SIDEWAYS = (5, 6, 7, 8)
SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
GREY = ("1", "L", "LA", "La", *SIXTEEN_BITS)
ALLOWED = (
    "complete PNG, JPEG, WebP, GIF, BMP, TIFF, PPM or AVIF images of at most "
    f"{LARGEST_PIXELS:,} pixels, {LARGEST_SIDE:,} a side"
)


@functools.cache
def suffixes() -> dict[str, str]:
    """The format, as Pillow calls it, of every suffix of an image that is read."""
    from PIL import features

    # Pillow goes by content, not by suffix, and of what it knows EPS would start Ghostscript.
    known = {
        "PNG": (".png",),
        "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
        "WEBP": (".webp",),
        "GIF": (".gif",),
        "BMP": (".bmp",),
        "TIFF": (".tif", ".tiff"),
        "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
        "AVIF": (".avif",) if features.check("avif") else (),
    }
    return {suffix: name for name, ends in known.items() for suffix in ends}


@contextlib.contextmanager
def open_image(source: Path | bytes, what: str) -> Iterator["Image.Image"]:
    """Opens an image; it is decoded only when its pixels are needed.

    Any exception that Pillow raises for a broken image, at once or within the block, becomes an
    error that names the image.

    Args:
        source: a file, or its bytes.
        what: name of the image in errors.

    Returns:
        The image, open as long as the block runs.

    Raises:
        UserError: if it is not an image of a supported format, is damaged, or has too many pixels.
    """
    from PIL import Image

    _silence_pillow()
    formats = tuple(set(suffixes().values()))
    try:
        with _opened(source) as file, Image.open(file, formats=formats) as image:
            check_size(image.height, image.width)
            yield image
    except UserError:
        raise
    except Exception as error:
        # Decoders raise nearly anything for damaged bytes: OSError, SyntaxError, IndexError.
        raise UserError(
            f"{what} cannot be read as an image ({excerpt(error)})", ALLOWED, "Repair or remove it"
        ) from error


def check_size(height: int, width: int) -> None:
    """Refuses an image with too many pixels.

    Raises:
        ValueError: if there are too many.
    """
    if width * height > LARGEST_PIXELS or max(width, height) > LARGEST_SIDE:
        raise ValueError(f"{height}x{width} pixels")


def memory_of(image: "Image.Image", source: Path) -> int:
    """Upper bound of the peak memory of decoding an image.

    Args:
        image: the opened image.
        source: its file, which some decoders load completely.

    Returns:
        The number of bytes.
    """
    return image.width * image.height * BYTES_PER_PIXEL + 2 * source.stat().st_size


def upright_size(image: "Image.Image") -> tuple[int, int]:
    """Height and width of an image in pixels after its EXIF rotation."""
    sideways = _orientation(image) in SIDEWAYS
    return image.size if sideways else (image.height, image.width)


def is_grey(image: "Image.Image") -> bool:
    """Whether an image has no colour, by its mode or the used entries of its palette."""
    if image.mode not in ("P", "PA"):
        return image.mode in GREY or of_sixteen_bits(image)
    colours = np.asarray(image.convert("RGB"))
    return bool(np.all(colours == colours[..., :1]))


def pixels_of(image: "Image.Image", channels: int, request: DataRequest) -> np.ndarray:
    """Decodes, composites on white, converts, rotates upright and fits an image.

    Transparent images are laid on white, as a page shows them, unless opacity is kept; 16-bit greys
    are scaled by 255/65535, or by 255 over the white level, and rounded, unless 16 bits are kept;
    of an animation the first frame is used.

    Args:
        image: as opened by `open_image`.
        channels: 1 for grey, 3 for RGB or 4 for RGBA.
        request: the white level, the size, the fit of images of another aspect ratio, and what is
            kept.

    Returns:
        (height, width, channels) uint8, or uint16 of 16 bits.

    Raises:
        ValueError: if its pixels are of a kind with no known range (32-bit TIFF), or have 8 bits
            and the white level more, or 16 bits are to be kept.
    """
    if image.mode in ("I", "F") and not of_sixteen_bits(image):
        raise ValueError("its pixels are 32-bit numbers; 8 or 16 bits are read")
    orientation = _orientation(image)
    image.load()
    if request.bits == 16:
        return _sixteen_bits_of(image, orientation, request)
    eight = _of_eight_bits(image, request.white_level)
    if channels < 4 and eight.has_transparency_data:
        eight = on_white(eight)
    laid = eight.convert({1: "L", 3: "RGB", 4: "RGBA"}[channels])
    if (turn := _turns().get(orientation)) is not None:
        laid = laid.transpose(turn)
    return with_channels(np.asarray(fit_image(laid, request)))


def _sixteen_bits_of(image: "Image.Image", orientation: int, request: DataRequest) -> np.ndarray:
    """An image of 16 bits upright and fitted, (height, width, 1) uint16."""
    if not of_sixteen_bits(image):
        raise ValueError(f"its pixels are of mode {image.mode}, and data.keep is 16bit")
    if (turn := _turns().get(orientation)) is not None:
        image = image.transpose(turn)
    return fit_pixels(np.asarray(image).astype(np.uint16)[..., np.newaxis], request)


def of_sixteen_bits(image: "Image.Image") -> bool:
    """Whether an image is grey of 16 bits, which Pillow holds in 32 where it comes from PGM."""
    return image.mode in SIXTEEN_BITS or (image.format == "PPM" and image.mode == "I")


def _of_eight_bits(image: "Image.Image", white_level: int | None) -> "Image.Image":
    """An image whose white is 255, with its opacity."""
    from PIL import Image

    if of_sixteen_bits(image):
        return Image.fromarray(scaled(np.asarray(image), white_level or 65535))
    if white_level and white_level > 255:
        raise ValueError(f"its pixels have 8 bits, and data.white_level is {white_level}")
    if white_level:
        # As many bands as there are of grey or colours, and one of opacity, which stays.
        bands = ("L", "RGB")[image.mode not in GREY]
        image = image.convert({"L": "LA", "RGB": "RGBA"}[bands])
        levels = scaled(np.arange(256), white_level).tolist() * len(bands)
        image = image.point([*levels, *range(256)])
    return image


def on_white(image: "Image.Image") -> "Image.Image":
    """An image laid on white, as RGB."""
    from PIL import Image

    opaque = image.convert("RGBA")
    white = Image.new("RGBA", opaque.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, opaque).convert("RGB")


def _orientation(image: "Image.Image") -> int:
    """The EXIF orientation that still has to be applied, 1 for none."""
    if image.format in ("PNG", "TIFF"):
        # PNG may store EXIF after the pixels; the decoder of TIFF already rotates.
        image.load()
    number = image.getexif().get(ORIENTATION, 1)
    return number if isinstance(number, int) else 1


@functools.cache
def _turns() -> dict[int, "Image.Transpose"]:
    """The transposition that turns each EXIF orientation upright (CIPA DC-008, 4.6.4, tag 274)."""
    from PIL.Image import Transpose

    return {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }


@contextlib.contextmanager
def _opened(source: Path | bytes) -> Iterator[IO[bytes]]:
    with io.BytesIO(source) if isinstance(source, bytes) else open_regular(source) as file:
        size = file.seek(0, os.SEEK_END)
        if size > LARGEST_FILE:
            raise ValueError(f"it has {size:,} bytes, more than {LARGEST_FILE:,}")
        yield file


@functools.cache
def _silence_pillow() -> None:
    """Silences warnings about images that are refused anyway, and about irrelevant metadata."""
    warnings.filterwarnings("ignore", module=r"PIL\.")
