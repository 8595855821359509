"""Resizing of images, and conversion between stored bytes and the values that networks see."""

from typing import TYPE_CHECKING, Any

import numpy as np

from gancli.data.dataset import DataRequest, pixel_type
from gancli.errors import UserError, shown, unknown_name

if TYPE_CHECKING:
    from PIL import Image

FITS = ("crop", "pad")
LARGEST_SIZE = 4096


def to_float(examples: Any) -> Any:
    """Converts stored pixels to what networks see: 2 x / white - 1, as (2 x - white) / white.

    White is 65,535 for uint16, else 255.

    Args:
        examples: uint8 or uint16 of any shape, a NumPy or JAX array.

    Returns:
        float32 of the same shape and library: 0 becomes -1 and white becomes 1, exactly.
    """
    white = 65535 if examples.dtype == np.uint16 else 255
    # Only one inexact operation, so compilers have nothing to fuse or replace.
    twice = examples.astype(np.float32) * np.float32(2)
    return (twice - np.float32(white)) * np.float32(1 / white)


def to_uint8(values: Any) -> Any:
    """Converts network values to pixels: round(127.5 x + 127.5), clipped to 0..255.

    Args:
        values: float of any shape, a NumPy or JAX array; values outside [-1, 1] saturate.

    Returns:
        uint8 of the same shape and library, the inverse of `to_float`.
    """
    return _rounded(values, pixel_type(8))


def _rounded(values: Any, kind: np.dtype) -> Any:
    """Network values as whole numbers of a type, of which the largest is white."""
    white = np.iinfo(kind).max
    half = np.float32(white / 2)
    return (values * half + half).round().clip(0, white).astype(kind)


def from_stored(examples: Any) -> Any:
    """Converts stored examples to the values that networks see.

    Args:
        examples: (n, *shape) in stored format, a NumPy or JAX array.

    Returns:
        Images, which have four axes, in [-1, 1]; tokens as int32; points unchanged.
    """
    if examples.ndim == 4:
        return to_float(examples)
    return examples.astype(np.int32) if examples.dtype.kind in "iu" else examples


def to_stored(examples: np.ndarray, bits: int = 8) -> np.ndarray:
    """Converts examples to stored format, the inverse of `from_stored`.

    Args:
        examples: (n, *shape); images, which have four axes, in [-1, 1].
        bits: of the values of images, 8 or 16.

    Returns:
        Images uint8 or uint16, points float32, tokens unchanged.
    """
    if examples.dtype.kind in "iu":
        return examples
    if examples.ndim != 4:
        return np.asarray(examples, np.float32)
    return _rounded(examples, pixel_type(bits))


def check_request(request: DataRequest) -> None:
    """Refuses an impossible size or an unknown fit.

    Raises:
        UserError: if the size is not a height and width in pixels, or the fit is unknown.
    """
    if request.fit not in FITS:
        raise unknown_name("data.fit", request.fit, FITS)
    try:
        possible = all(1 <= side <= LARGEST_SIZE for side in request.sides or ())
    except ValueError:
        possible = False
    if not possible:
        raise UserError(
            f"data.size was {shown(request.size)}",
            f"the side of the images in pixels, 1 to {LARGEST_SIZE}, or two as HEIGHTxWIDTH",
            "For example --set data.size=64 or --set data.size=64x96",
        )


def fit_image(image: "Image.Image", request: DataRequest) -> "Image.Image":
    """Resizes an image to the requested size with an antialiasing filter (Lanczos).

    `crop` keeps the largest centred part with the size's aspect ratio, in whole pixels; `pad`
    keeps the whole image, centred on black, or on transparent black. Colours count by their
    opacity.

    Args:
        image: mode L, RGB, RGBA, or F for values of more bits.
        request: the size and fit; without a size the image is unchanged.

    Returns:
        The image, in the requested height and width if there is a size.
    """
    from PIL import Image

    own, sides = image.size, request.sides
    if sides is None or own == sides[::-1]:
        return image
    size = (sides[1], sides[0])  # Pillow takes width before height.
    scales = [wanted / side for wanted, side in zip(size, own, strict=True)]
    if request.fit == "crop":
        part = [max(1, round(wanted / max(scales))) for wanted in size]
        left, top = ((side - kept) // 2 for side, kept in zip(own, part, strict=True))
        box = (left, top, left + part[0], top + part[1])
        return image.crop(box).resize(size, Image.Resampling.LANCZOS)
    fitted = (max(1, round(own[0] * min(scales))), max(1, round(own[1] * min(scales))))
    padded = Image.new(image.mode, size)
    corner = ((size[0] - fitted[0]) // 2, (size[1] - fitted[1]) // 2)
    padded.paste(image.resize(fitted, Image.Resampling.LANCZOS), corner)
    return padded


def scaled(values: np.ndarray, white: int, bits: int = 8) -> np.ndarray:
    """Scales whole numbers so that white is the largest value: round(255 v / white), clipped.

    Args:
        values: unsigned integers of at most 16 bits, any shape.
        white: the value of white, from 1 to 65,535.
        bits: of the result; of 16 the largest is 65,535.

    Returns:
        uint8 or uint16 of the same shape.
    """
    most = 2**bits - 1
    levels = np.minimum((values.astype(np.uint32) * most + white // 2) // white, most)
    return levels.astype(pixel_type(bits))


def fit_pixels(pixels: np.ndarray, request: DataRequest) -> np.ndarray:
    """Scales and resizes one image held as an array.

    Args:
        pixels: (height, width, channels) uint8, or uint16 where 16 bits are kept.
        request: its white level, size, fit, and whether the last of four channels is opacity;
            without a size the image keeps its own.

    Returns:
        (height, width, channels) of the same type, in the requested height and width if there is a
        size.
    """
    if request.white_level:
        colours = scaled(pixels, request.white_level, request.bits)
        if request.keep == "alpha":
            colours[..., 3] = pixels[..., 3]
        pixels = colours
    if request.sides in (None, pixels.shape[:2]):
        return pixels
    from PIL import Image

    if pixels.dtype == np.uint8 and (pixels.shape[-1] == 3 or request.keep == "alpha"):
        return np.asarray(fit_image(Image.fromarray(pixels), request))
    planes = np.moveaxis(pixels, -1, 0)
    if pixels.dtype == np.uint8:
        fitted = [np.asarray(fit_image(Image.fromarray(plane), request)) for plane in planes]
        return np.stack(fitted, axis=-1)
    exact = [Image.fromarray(plane.astype(np.float32)) for plane in planes]
    fitted = np.stack([np.asarray(fit_image(plane, request)) for plane in exact], axis=-1)
    return fitted.round().clip(0, 65535).astype(np.uint16)


def with_channels(pixels: np.ndarray) -> np.ndarray:
    """Adds the channel axis to a grey image of shape (height, width)."""
    return pixels[..., np.newaxis] if pixels.ndim == 2 else pixels


def fitted_shape(shape: tuple[int, ...], request: DataRequest) -> tuple[int, ...]:
    """The shape of images (height, width, channels) after fitting."""
    return shape if request.sides is None else (*request.sides, shape[-1])
