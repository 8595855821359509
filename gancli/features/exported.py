"""Encoders of images that a user exported with `jax.export`."""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gancli.data import to_float
from gancli.data.dataset import pixel_type
from gancli.errors import UserError, excerpt
from gancli.files import read_bytes

# The largest size of a flatbuffer.
MOST_BYTES = (1 << 31) - 1
# The block size for a function with a symbolic batch, and the largest fixed batch.
BLOCK, MOST_BLOCK = 64, 4096
MOST_FEATURES = 1 << 16


class Encoder(NamedTuple):
    """A function from stored images (block, height, width, channels) to (block, dimension) floats.

    `embed` is the same with a gradient, from any number of images in [-1, 1]; None if it has none.
    """

    sha256: str
    block: int
    dimension: int
    function: Callable[[np.ndarray], Any]
    embed: Callable[[jax.Array], jax.Array] | None


def load_encoder(path: Path, shape: tuple[int, ...], bits: int = 8) -> Encoder:
    """Reads an encoder, and compiles it for the present device.

    Args:
        path: the file, with the bytes of `jax.export.Exported.serialize`.
        shape: shape of one image, (height, width, channels).
        bits: of the values of an image, 8 or 16.

    Raises:
        UserError: if the file cannot be read, is not such a function, does not take such images,
            or was exported for other devices.
    """
    # The kind of error depends on the damage.
    try:
        content = read_bytes(path, MOST_BYTES)
        block, dimension, apply, embed = _compiled(content, shape, bits)
    except Exception as error:
        raise _refused(path, f"it cannot be used ({excerpt(error)})") from None

    def function(images: np.ndarray) -> jax.Array:
        try:
            return jax.block_until_ready(apply(images))
        except RuntimeError as error:
            raise _refused(path, f"it cannot be run ({excerpt(error)})") from None

    return Encoder(hashlib.sha256(content).hexdigest(), block, dimension, function, embed)


@lru_cache(maxsize=1)  # All runs of a comparison use the same.
def _compiled(
    content: bytes, shape: tuple[int, ...], bits: int
) -> tuple[int, int, Callable[[np.ndarray], jax.Array], Callable[[jax.Array], jax.Array] | None]:
    """The block, the dimension, the function of a block of images, and the one with a gradient.

    Raises:
        Exception: of any kind, if it is not a function of such images.
    """
    exported = jax.export.deserialize(bytearray(content))
    takes = exported.in_avals
    if len(takes) != 1 or takes[0].dtype not in ("uint8", "float32") or takes[0].ndim != 4:
        raise ValueError(f"it takes {', '.join(map(str, takes))}")
    taken = takes[0]
    if bits == 16 and taken.dtype == "uint8":
        raise ValueError("it takes uint8, and the images have 16 bits")
    block = taken.shape[0] if isinstance(taken.shape[0], int) else BLOCK
    if not 1 <= block <= MOST_BLOCK:
        raise ValueError(f"it takes {block:,} images at once, more than {MOST_BLOCK:,}")
    given = jax.eval_shape(exported.call, jax.ShapeDtypeStruct((block, *shape), taken.dtype))
    one = isinstance(given, jax.ShapeDtypeStruct) and jnp.issubdtype(given.dtype, jnp.floating)
    whole = one and given.ndim == 2 and given.shape[0] == block
    if not whole or not 1 <= given.shape[1] <= MOST_FEATURES:
        raise ValueError(f"it returns {given} for {block} images")

    @jax.jit
    def apply(images: jax.Array) -> jax.Array:
        own = images if taken.dtype == "uint8" else to_float(images)
        return exported.call(own).astype(np.float32)

    images = jax.ShapeDtypeStruct((block, *shape), pixel_type(bits))
    of_any = taken.dtype == "float32" and not isinstance(taken.shape[0], int)
    embed = exported.call if of_any and exported.has_vjp() else None
    return block, given.shape[1], apply.lower(images).compile(), embed


def _refused(path: Path, what: str) -> UserError:
    return UserError(
        f"{str(path)!r} is not an encoder of these images: {what}",
        "the bytes of jax.export.export(jax.jit(f))(image).serialize(), with f from images "
        "(n, height, width, channels), uint8 or float32, to floats (n, features)",
        "Export it again, with the shape of the data and for this kind of device",
    )
