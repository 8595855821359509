"""Resizing images, and converting between stored bytes and the values networks see."""

from typing import TYPE_CHECKING, Any

import numpy as np

from gancli.data.dataset import DataRequest
from gancli.errors import UserError, unknown_name

if TYPE_CHECKING:
    from PIL import Image

FITS = ("crop", "pad")
LARGEST_SIZE = 4096


def to_float(examples: Any) -> Any:
    """Converts stored pixels to what networks see: x / 127.5 - 1, as (2 x - 255) / 255.

    Args:
        examples: uint8, any shape, of NumPy or JAX.

    Returns:
        float32 of the same shape and library: 0 becomes -1 and 255 becomes 1, exactly.
    """
    # One inexact operation, the last and no division: compilers have nothing to fuse or replace.
    return (examples.astype(np.float32) * np.float32(2) - np.float32(255)) * np.float32(1 / 255)


def to_uint8(values: Any) -> Any:
    """Converts network values to pixels: round(127.5 x + 127.5), clipped to 0..255.

    Args:
        values: float, any shape, of NumPy or JAX; those outside [-1, 1] saturate.

    Returns:
        uint8 of the same shape and library, the inverse of `to_float`.
    """
    scaled = values * np.float32(127.5) + np.float32(127.5)
    return scaled.round().clip(0, 255).astype(np.uint8)


def from_stored(examples: Any) -> Any:
    """Converts stored examples to what networks see.

    Args:
        examples: as they are stored, (n, *shape), of NumPy or JAX.

    Returns:
        Images, which have four axes, in [-1, 1]; tokens as int32; points as they are.
    """
    if examples.ndim == 4:
        return to_float(examples)
    return examples.astype(np.int32) if examples.dtype.kind in "iu" else examples


def to_stored(examples: np.ndarray) -> np.ndarray:
    """Examples as they are kept: images (three axes) uint8, tokens int32, points float32."""
    if examples.dtype.kind in "iu":
        return examples
    return to_uint8(examples) if examples.ndim == 4 else np.asarray(examples, np.float32)


def check_request(request: DataRequest) -> None:
    """Refuses a size or a fit that no image can be given.

    Args:
        request: what the user asked for.

    Raises:
        UserError: if the size is not a positive number of pixels or the fit is unknown.
    """
    if request.fit not in FITS:
        raise unknown_name("data.fit", request.fit, FITS)
    if request.size is not None and not 1 <= request.size <= LARGEST_SIZE:
        raise UserError(
            f"data.size was {request.size}",
            f"the side of the images in pixels, 1 to {LARGEST_SIZE}",
            "For example --set data.size=64",
        )


def fit_image(image: "Image.Image", request: DataRequest) -> "Image.Image":
    """Resizes an image to the requested square with an antialiasing filter (Lanczos).

    `crop` keeps the largest centred square; `pad` keeps the whole image, centred on black.

    Args:
        image: mode L or RGB.
        request: its `size` is the side in pixels, None to leave the image as it is.

    Returns:
        The image, (size, size) where a size was requested.
    """
    from PIL import Image

    width, height = image.size
    size = request.size
    if size is None or (width, height) == (size, size):
        return image
    if request.fit == "crop":
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        box = (left, top, left + side, top + side)
        return image.crop(box).resize((size, size), Image.Resampling.LANCZOS)
    scale = size / max(width, height)
    fitted = (max(1, round(width * scale)), max(1, round(height * scale)))
    square = Image.new(image.mode, (size, size))
    corner = ((size - fitted[0]) // 2, (size - fitted[1]) // 2)
    square.paste(image.resize(fitted, Image.Resampling.LANCZOS), corner)
    return square


def fit_pixels(pixels: np.ndarray, request: DataRequest) -> np.ndarray:
    """Resizes one image held as an array.

    Args:
        pixels: (height, width, channels) uint8, one or three channels.
        request: its `size` is the side in pixels, None to leave the image as it is.

    Returns:
        (size, size, channels) uint8 where a size was requested.
    """
    if request.size is None or pixels.shape[:2] == (request.size, request.size):
        return pixels
    from PIL import Image

    grey = pixels.shape[-1] == 1
    image = Image.fromarray(pixels[..., 0] if grey else pixels)
    return with_channels(np.asarray(fit_image(image, request)))


def with_channels(pixels: np.ndarray) -> np.ndarray:
    """Gives a grey image of shape (height, width) its axis of one channel."""
    return pixels[..., np.newaxis] if pixels.ndim == 2 else pixels


def fitted_shape(shape: tuple[int, ...], request: DataRequest) -> tuple[int, ...]:
    """The shape that images of a shape (height, width, channels) have after fitting."""
    size = request.size
    return shape if size is None else (size, size, shape[-1])
