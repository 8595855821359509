"""Convolutions of images, computed on each device in the way that is fastest there.

On a GPU or TPU they are XLA's own. On CPU two of XLA's passes are slow: the gradient of a kernel,
most of all inside a loop, and the gradients of a transposed convolution. There, convolutions of
stride 2 with a 4x4 kernel and larger ones of stride 1 are the maps of `bilinear`. Others are
written as one matrix product, whose gradients are matrix products, too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import jax
import jax.numpy as jnp
from jax import lax

from gancli.networks.bilinear import by_taps, down, native_convolution, slide, turned, up

_PLATFORM: ContextVar[str] = ContextVar("platform", default="")


@contextmanager
def for_platform(platform: str) -> Iterator[None]:
    """Traces convolutions in the way of a platform, such as `cpu` or `cuda`, from any other."""
    before = _PLATFORM.set(platform)
    try:
        yield
    finally:
        _PLATFORM.reset(before)


def convolve(
    x: jax.Array, kernel: jax.Array, padding: int | None = None, stride: int = 1
) -> jax.Array:
    """Convolution (cross-correlation) with zeros beyond the edges.

    Args:
        x: images (batch, height, width, inputs).
        kernel: (size, size, inputs, outputs).
        padding: pixels of zeros on each side; None to keep height and width.
        stride: pixels between positions of the kernel.

    Returns:
        Images (batch, (height + 2 padding - size) // stride + 1, ..., outputs).
    """
    size = len(kernel)
    padding = size // 2 if padding is None else padding
    if not _on_cpu():
        return native_convolution(x, kernel, stride, padding)
    # Of few channels or small images the product is faster.
    is_large = min(x.shape[1:3]) >= 8 and x.shape[-1] >= 16
    if stride == 1 and size > 1 and is_large:
        return slide(x, kernel, padding=padding)
    return by_taps(x, kernel, padding, stride)


def grouped_convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolution of each group of channels separately, which keeps height and width.

    Args:
        x: images (batch, height, width, groups * inputs).
        kernel: (size, size, inputs, groups * outputs), the outputs of the first group first.

    Returns:
        Images (batch, height, width, groups * outputs).
    """
    size, _, inputs, outputs = kernel.shape
    grouped = x.reshape(*x.shape[:-1], -1, inputs)
    kernels = kernel.reshape(size, size, inputs, grouped.shape[-2], -1)
    if not _on_cpu():
        made = jax.vmap(convolve, (3, 3), 3)(grouped, kernels)
    else:  # XLA's own convolution of groups is slower than one of each group.
        groups = jnp.moveaxis(grouped, 3, 0), jnp.moveaxis(kernels, 3, 0)
        made = jnp.moveaxis(lax.map(lambda group: convolve(*group), groups), 0, 3)
    return made.reshape(*x.shape[:-1], outputs)


def down_convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """4x4 convolution with stride 2 and padding 1, which halves height and width.

    Args:
        x: images (batch, 2 height, 2 width, inputs).
        kernel: (4, 4, inputs, outputs).

    Returns:
        Images (batch, height, width, outputs).
    """
    return down(x, kernel) if _on_cpu() else native_convolution(x, kernel, 2, 1)


def up_convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """4x4 transposed convolution with stride 2, which doubles height and width.

    Equal to `lax.conv_transpose(x, kernel, (2, 2), "SAME")`.

    Args:
        x: images (batch, height, width, inputs).
        kernel: (4, 4, inputs, outputs).

    Returns:
        Images (batch, 2 height, 2 width, outputs).
    """
    if not _on_cpu():
        return lax.conv_transpose(x, kernel, (2, 2), "SAME")
    return up(x, turned(kernel))


def upsample_convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Doubles height and width by repeating pixels, then convolves with a 3x3 kernel.

    Computed as a single 4x4 transposed convolution, with less than half the work.

    Args:
        x: images (batch, height, width, inputs).
        kernel: (3, 3, inputs, outputs).

    Returns:
        Images (batch, 2 height, 2 width, outputs).
    """
    return up_convolve(x, _with_box(kernel))


def convolve_downsample(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolves with a 3x3 kernel, then halves height and width by the mean of 2x2 pixels.

    Computed as a single 4x4 convolution of stride 2, with less than half the work.

    Args:
        x: images (batch, 2 height, 2 width, inputs).
        kernel: (3, 3, inputs, outputs).

    Returns:
        Images (batch, height, width, outputs).
    """
    return down_convolve(x, _with_box(kernel) / 4)


def _on_cpu() -> bool:
    return (_PLATFORM.get() or jax.default_backend()) == "cpu"


def _with_box(kernel: jax.Array) -> jax.Array:
    """Convolves a 3x3 kernel with a 2x2 box, which gives a 4x4 kernel."""
    rows = jnp.pad(kernel, ((0, 1), *[(0, 0)] * 3)) + jnp.pad(kernel, ((1, 0), *[(0, 0)] * 3))
    left, right = ((0, 0), (0, 1), (0, 0), (0, 0)), ((0, 0), (1, 0), (0, 0), (0, 0))
    return jnp.pad(rows, left) + jnp.pad(rows, right)
