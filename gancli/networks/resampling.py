"""Resampling by two with the filter [1, 3, 3, 1], which has little aliasing.

The filter is applied along both axes, with zeros beyond the edges. Repeating pixels and taking
their means, as `layers` does, is the shorter filter [1, 1].
"""

import jax
import jax.numpy as jnp
from jax import lax

from gancli.networks.convolutions import (
    convolve,
    up_convolve,
)

_TAPS = (1, 3, 3, 1)


def smooth_upsample(x: jax.Array) -> jax.Array:
    """Doubles height and width by linear interpolation (arXiv:1912.04958, 2501.05441).

    y[2i] = (x[i - 1] + 3 x[i]) / 4 and y[2i + 1] = (3 x[i] + x[i + 1]) / 4 along each axis.

    Args:
        x: images (batch, height, width, channels).

    Returns:
        Images (batch, 2 height, 2 width, channels).
    """
    for axis in (1, 2):
        side, edge = x.shape[axis], [(0, 0)] * x.ndim
        edge[axis] = (1, 1)
        padded = jnp.pad(x, edge)
        before, after = (
            lax.slice_in_dim(padded, start, start + side, axis=axis) for start in (0, 2)
        )
        pairs = jnp.stack([before + 3 * x, 3 * x + after], axis=axis + 1) / 4
        x = pairs.reshape(*x.shape[:axis], 2 * side, *x.shape[axis + 1 :])
    return x


def smooth_downsample(x: jax.Array) -> jax.Array:
    """Halves height and width by weighted means (arXiv:1912.04958, 2501.05441).

    y[i] = (x[2i - 1] + 3 x[2i] + 3 x[2i + 1] + x[2i + 2]) / 8 along each axis.

    Args:
        x: images (batch, 2 height, 2 width, channels).

    Returns:
        Images (batch, height, width, channels).
    """
    return _low_pass(x, padding=1, stride=2)


def smooth_upsample_convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Doubles height and width as `smooth_upsample`, then convolves with a 3x3 kernel.

    In the cheapest order: the kernel on pixels spaced with zeros, then the filter. At the edges
    the kernel sees the values that the filter spreads beyond them (arXiv:1912.04958).

    Args:
        x: images (batch, height, width, inputs).
        kernel: (3, 3, inputs, outputs).

    Returns:
        Images (batch, 2 height, 2 width, outputs).
    """
    # A row and column of zeros before the kernel centre it on its pixel; a border of one pixel of
    # zeros around the image keeps everything that the filter needs.
    kernel = jnp.pad(kernel, ((1, 0), (1, 0), (0, 0), (0, 0)))
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return 4 * _low_pass(up_convolve(x, kernel)[:, :-1, :-1], padding=0)


def convolve_smooth_downsample(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Applies the filter, then convolves with a 3x3 kernel at every other pixel.

    It halves height and width, centred like `smooth_downsample` (arXiv:1912.04958).

    Args:
        x: images (batch, 2 height, 2 width, inputs).
        kernel: (3, 3, inputs, outputs).

    Returns:
        Images (batch, height, width, outputs).
    """
    return convolve(_low_pass(x, padding=2), kernel, padding=0, stride=2)


def _low_pass(x: jax.Array, padding: int, stride: int = 1) -> jax.Array:
    """Applies the filter along both axes, with taps that add up to 1, within the padding."""
    x = jnp.pad(x, ((0, 0), *[(padding, padding)] * 2, (0, 0)))
    for axis in (1, 2):
        places = x.shape[axis] - len(_TAPS) + 1
        seen = [
            tap * lax.slice_in_dim(x, start, start + places, stride, axis)
            for start, tap in enumerate(_TAPS)
        ]
        x = (seen[0] + seen[1] + seen[2] + seen[3]) / sum(_TAPS)
    return x
