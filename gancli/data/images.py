"""Decoding one image file, of any kind that Pillow reads, to grey or RGB pixels."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from gancli.data.dataset import DataRequest
from gancli.data.transform import fit_image, with_channels
from gancli.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"))
ORIENTATION = 0x0112
SIDEWAYS = (5, 6, 7, 8)
SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
GREY = ("1", "L", "LA", "La", *SIXTEEN_BITS)


@contextlib.contextmanager
def reading(what: str) -> Iterator[None]:
    """Turns whatever a broken image makes Pillow raise into an error that names it.

    Args:
        what: the image, as the error names it.

    Raises:
        UserError: if the block raised anything.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        # Decoders of hostile bytes raise nearly anything: OSError, SyntaxError, IndexError.
        raise UserError(
            f"{what} cannot be read as an image ({error or type(error).__name__})",
            "complete PNG, JPEG, WebP, GIF, BMP or TIFF images of at most "
            f"{_pixel_limit():,} pixels",
            "Repair or remove it",
        ) from error


def open_image(source: object, what: str) -> "Image.Image":
    """Opens an image without decoding it.

    Args:
        source: a path or a binary file.
        what: the image, as the error names it.

    Returns:
        The image, to be used as a context manager.

    Raises:
        UserError: if it is not an image, cannot be read, or has absurdly many pixels.
    """
    from PIL import Image

    with reading(what):
        image = Image.open(source)  # pyright: ignore[reportArgumentType]
        if image.width * image.height > _pixel_limit():
            image.close()
            raise ValueError(f"{image.width}x{image.height} pixels")
        return image


def upright_size(image: "Image.Image") -> tuple[int, int]:
    """Width and height of an image in pixels as it is meant to be seen (its EXIF rotation)."""
    sideways = image.getexif().get(ORIENTATION) in SIDEWAYS
    return (image.height, image.width) if sideways else image.size


def is_grey(image: "Image.Image") -> bool:
    """Whether an image has no colour: by its mode, or by its palette's entries in use."""
    if image.mode not in ("P", "PA"):
        return image.mode in GREY
    colours = np.asarray(image.convert("RGB"))
    return bool(np.all(colours == colours[..., :1]))


def pixels_of(image: "Image.Image", channels: int, request: DataRequest) -> np.ndarray:
    """Decodes, turns upright, lays on white, converts and fits an image.

    Transparent images are laid on white, as a page shows them; 16-bit greys are scaled by
    255/65535 and rounded; of an animation the first frame is used.

    Args:
        image: as opened by Pillow.
        channels: 1 for grey or 3 for RGB.
        request: the size, and the fit of images that are not square.

    Returns:
        (height, width, channels) uint8.

    Raises:
        ValueError: if its pixels are of a kind with no known range (32-bit TIFF).
    """
    from PIL import Image, ImageOps

    if image.mode in ("I", "F"):
        raise ValueError("its pixels are 32-bit numbers; 8 or 16 bits are read")
    image = ImageOps.exif_transpose(image)
    if image.mode in SIXTEEN_BITS:
        values = np.asarray(image).astype(np.uint32)
        image = Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))
    if image.has_transparency_data:
        opaque = image.convert("RGBA")
        white = Image.new("RGBA", opaque.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, opaque).convert("RGB")
    image = image.convert("L" if channels == 1 else "RGB")
    return with_channels(np.asarray(fit_image(image, request)))


def _pixel_limit() -> int:
    from PIL import Image

    return Image.MAX_IMAGE_PIXELS or 1 << 27
