"""Shared layers that flax lacks, or that are faster here."""

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

Minibatch = Literal["none", "stddev", "discrimination"]
Layer = Callable[[jax.Array], jax.Array]


def published_normal() -> nnx.Initializer:
    """Weights N(0, 0.02²), as in arXiv:1511.06434 and arXiv:1712.04086."""
    return nnx.initializers.normal(0.02)


def leaky_relu(x: jax.Array) -> jax.Array:
    """max(x, 0.2 x), elementwise (arXiv:1511.06434)."""
    return nnx.leaky_relu(x, 0.2)


# XLA's gradient of a convolution's kernel is slow on CPU, slower for a transposed convolution, and
# slowest inside a loop. On CPU, convolutions are therefore written as one matrix product, whose
# gradients are matrix products, too: the kernel's taps are laid out on the side, input or output,
# with fewer values.


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
    size, _, inputs, outputs = kernel.shape
    padding = size // 2 if padding is None else padding
    if not _on_cpu():
        return _native_convolution(x, kernel, stride, padding)
    if inputs <= outputs:
        patches = jnp.concatenate(list(_shifted(x, size, padding, stride)), axis=-1)
        return _product(patches, kernel.reshape(-1, outputs))
    taps = _product(x, kernel.transpose(2, 0, 1, 3).reshape(inputs, -1))
    shifted = enumerate(_shifted(taps, size, padding, stride))
    return _sum(values[..., tap * outputs : (tap + 1) * outputs] for tap, values in shifted)


def down_convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """4x4 convolution with stride 2 and padding 1, which halves height and width.

    On CPU it is computed by a space-to-depth and four products, one per 2x2 block of the kernel.

    Args:
        x: images (batch, 2 height, 2 width, inputs).
        kernel: (4, 4, inputs, outputs).

    Returns:
        Images (batch, height, width, outputs).
    """
    if not _on_cpu():
        return _native_convolution(x, kernel, 2, 1)
    batch, height, width, inputs = x.shape
    height, width, outputs = height // 2, width // 2, kernel.shape[-1]
    x = jnp.pad(x, _ONE_PIXEL).reshape(batch, height + 1, 2, width + 1, 2, inputs)
    x = x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, height + 1, width + 1, 4 * inputs)
    blocks = kernel.reshape(2, 2, 2, 2, inputs, outputs).transpose(0, 2, 1, 3, 4, 5)
    blocks = blocks.reshape(2, 2, 4 * inputs, outputs)
    return _sum(
        _product(x[:, row : row + height, column : column + width], blocks[row, column])
        for row in (0, 1)
        for column in (0, 1)
    )


def up_convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """4x4 transposed convolution with stride 2, which doubles height and width.

    Equal to `lax.conv_transpose(x, kernel, (2, 2), "SAME")`. Output pixels of one parity (phase)
    see 2x2 input pixels through the taps of that parity. On CPU one product computes all taps,
    each phase adds its four, and a depth-to-space interleaves the four phases.

    Args:
        x: images (batch, height, width, inputs).
        kernel: (4, 4, inputs, outputs).

    Returns:
        Images (batch, 2 height, 2 width, outputs).
    """
    if not _on_cpu():
        return lax.conv_transpose(x, kernel, (2, 2), "SAME")
    batch, height, width, inputs = x.shape
    outputs = kernel.shape[-1]
    taps = _product(x, kernel.transpose(2, 0, 1, 3).reshape(inputs, -1))
    taps = taps.reshape(batch, height, width, 4, 4, outputs)

    def phase(row: int, column: int) -> jax.Array:
        # Tap 2 a + row of an output pixel in this phase sees the input pixel a + row - 1 away.
        return _sum(
            jnp.pad(taps[:, :, :, 2 * down + row, 2 * right + column], _ONE_PIXEL)[
                :, down + row : down + row + height, right + column : right + column + width
            ]
            for down in (0, 1)
            for right in (0, 1)
        )

    rows = [jnp.stack([phase(row, 0), phase(row, 1)], axis=3) for row in (0, 1)]
    return jnp.stack(rows, axis=2).reshape(batch, 2 * height, 2 * width, outputs)


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


def upsample(x: jax.Array) -> jax.Array:
    """Doubles height and width by repeating pixels."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


def downsample(x: jax.Array) -> jax.Array:
    """Halves height and width by the mean of 2x2 pixels."""
    batch, height, width, features = x.shape
    return x.reshape(batch, height // 2, 2, width // 2, 2, features).mean(axis=(2, 4))


def _product(x: jax.Array, matrix: jax.Array) -> jax.Array:
    """Multiplies by a matrix as a product of two matrices: with more axes XLA is slower on CPU."""
    return (x.reshape(-1, x.shape[-1]) @ matrix).reshape(*x.shape[:-1], -1)


def _sum(images: Iterable[jax.Array]) -> jax.Array:
    return functools.reduce(jnp.add, images)


_ONE_PIXEL = ((0, 0), (1, 1), (1, 1), (0, 0))


def _on_cpu() -> bool:
    return jax.default_backend() == "cpu"


def _native_convolution(x: jax.Array, kernel: jax.Array, stride: int, padding: int) -> jax.Array:
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        [(padding, padding)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def _shifted(x: jax.Array, size: int, padding: int, stride: int) -> Iterator[jax.Array]:
    """Shifts the images for each tap of a kernel, in the order of its rows and columns."""
    height, width = (side + 2 * padding - size + 1 for side in x.shape[1:3])
    x = jnp.pad(x, ((0, 0), *[(padding, padding)] * 2, (0, 0)))
    for row in range(size):
        for column in range(size):
            yield x[:, row : row + height : stride, column : column + width : stride]


def _with_box(kernel: jax.Array) -> jax.Array:
    """Convolves a 3x3 kernel with a 2x2 box, which gives a 4x4 kernel."""
    rows = jnp.pad(kernel, ((0, 1), *[(0, 0)] * 3)) + jnp.pad(kernel, ((1, 0), *[(0, 0)] * 3))
    left, right = ((0, 0), (0, 1), (0, 0), (0, 0)), ((0, 0), (1, 0), (0, 0), (0, 0))
    return jnp.pad(rows, left) + jnp.pad(rows, right)


class Convolution(nnx.Module):
    """One of the convolutions above with its kernel and, optionally, a bias.

    Args:
        function: the convolution.
        size: height and width of its kernel.
        inputs: channels of the input.
        outputs: channels of the output.
        kernel_init: the distribution of the kernel as a matrix with `outputs` columns.
        use_bias: whether to add a bias, initially 0.
        rngs: the stream of initial values.
    """

    def __init__(
        self,
        function: Callable[[jax.Array, jax.Array], jax.Array],
        size: int,
        inputs: int,
        outputs: int,
        *,
        kernel_init: nnx.Initializer,
        use_bias: bool = True,
        rngs: nnx.Rngs,
    ):
        self.function = function
        # XLA compiles random numbers with four axes more slowly than a matrix.
        kernel = kernel_init(rngs.params(), (size * size * inputs, outputs))
        self.kernel = nnx.Param(kernel.reshape(size, size, inputs, outputs))
        self.bias = nnx.Param(jnp.zeros(outputs)) if use_bias else nnx.data(None)

    def __call__(self, x: jax.Array) -> jax.Array:
        """The convolution of images (batch, height, width, inputs)."""
        x = self.function(x, self.kernel[...])
        return x if self.bias is None else x + jnp.broadcast_to(self.bias[...], x.shape)


class SelfAttention(nnx.Module):
    """Self-attention over the pixels of an image (arXiv:1805.08318).

    x + gamma Wo(softmax(q(x) k(x)') v(x)), with gamma initially 0.

    Args:
        features: channels of the image.
        spectral_norm: whether the four kernels are spectrally normalized.
        rngs: the stream of initial values.
    """

    def __init__(self, features: int, *, spectral_norm: bool, rngs: nnx.Rngs):
        def linear(inputs: int, outputs: int) -> Any:
            initial = nnx.initializers.xavier_uniform()
            layer = nnx.Linear(inputs, outputs, use_bias=False, kernel_init=initial, rngs=rngs)
            return with_spectral_norm(layer, spectral_norm, rngs)

        narrow, wide = max(1, features // 8), max(1, features // 2)
        self.query, self.key = linear(features, narrow), linear(features, narrow)
        self.value, self.output = linear(features, wide), linear(wide, features)
        self.gamma = nnx.Param(jnp.zeros(()))

    def __call__(self, x: jax.Array) -> jax.Array:
        """Images (batch, height, width, features) of the same shape."""
        pixels = x.reshape(-1, x.shape[-1])
        query, key, value = (
            layer(pixels).reshape(x.shape[0], x.shape[1] * x.shape[2], -1)
            for layer in (self.query, self.key, self.value)
        )
        seen = jax.nn.softmax(query @ key.transpose(0, 2, 1), axis=-1) @ value
        seen = self.output(seen.reshape(pixels.shape[0], -1))
        return x + self.gamma[...] * seen.reshape(x.shape)


class SpectralNorm(nnx.Module):
    """A layer whose kernel W is divided by its largest singular value (arXiv:1802.05957).

    sigma = v'Wu by power iteration, v = Wu/|Wu| and u = W'v/|W'v|, W with the outputs as its
    columns; the gradient flows through sigma but not through u and v. Each application takes one
    iteration from the u that is kept, whose length does not matter: that of averaged weights is a
    mean of unit vectors. Only in training is the new u kept. nnx.SpectralNorm would keep the
    normalized kernel, and u on evaluation, too.

    Args:
        layer: a module with a `kernel`.
        rngs: the random stream of u.
    """

    def __init__(self, layer: Any, *, rngs: nnx.Rngs):
        self.layer = layer
        self.use_running_average = False
        matrix = self._matrix()
        u = _unit(jax.random.normal(rngs.params(), matrix.shape[1:]))
        # From a random u, one iteration per step needs a while to converge, and the first steps
        # would train a discriminator with a much larger Lipschitz constant.
        u = lax.fori_loop(0, 15, lambda _, u: _unit(matrix.T @ _unit(matrix @ u)), u)
        self.u = nnx.BatchStat(u)

    def _matrix(self) -> jax.Array:
        kernel = self.layer.kernel[...]
        return kernel.reshape(-1, kernel.shape[-1])

    def __call__(self, x: jax.Array) -> jax.Array:
        """The layer's output with its normalized kernel."""
        matrix = lax.stop_gradient(self._matrix())
        v = _unit(matrix @ lax.stop_gradient(self.u[...]))
        u = _unit(matrix.T @ v)
        if not self.use_running_average:
            self.u[...] = u
        kernel = self.layer.kernel[...]
        sigma = v @ self._matrix() @ u
        self.layer.kernel[...] = kernel / sigma
        output = self.layer(x)
        self.layer.kernel[...] = kernel
        return output


def _unit(vector: jax.Array) -> jax.Array:
    return vector / jnp.maximum(jnp.linalg.norm(vector), 1e-12)


def with_spectral_norm(layer: Any, wanted: bool, rngs: nnx.Rngs) -> Any:
    """The layer, under spectral normalization if that is wanted."""
    return SpectralNorm(layer, rngs=rngs) if wanted else layer


class MinibatchStandardDeviation(nnx.Module):
    """Appends one feature, the minibatch standard deviation (arXiv:1710.10196).

    It is the standard deviation over the examples of the batch, averaged over features and pixels.
    """

    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, ..., features) to (batch, ..., features + 1)."""
        deviation = jnp.sqrt(jnp.var(x.reshape(len(x), 1, *x.shape[1:]), axis=0) + 1e-8)
        feature = jnp.mean(deviation, axis=tuple(range(1, x.ndim)))
        feature = jnp.tile(feature, len(x)).reshape(-1, *[1] * (x.ndim - 1))
        return jnp.concatenate([x, jnp.broadcast_to(feature, (*x.shape[:-1], 1))], axis=-1)


class MinibatchDiscrimination(nnx.Module):
    """Appends each example's closeness to the rest of its batch (arXiv:1606.03498).

    o_b(i) = sum over j != i of exp(-|M_b(i) - M_b(j)|_1), where M(i) = x_i T has a row of
    `dimensions` values for each of `kernels` features b.

    Args:
        features: features of one example; x is (batch, features).
        kernels: number of features to append.
        dimensions: number of values that each of them compares.
        rngs: the random stream of T.
    """

    def __init__(self, features: int, *, kernels: int = 16, dimensions: int = 8, rngs: nnx.Rngs):
        self.kernels, self.dimensions = kernels, dimensions
        # Rows of unit variance keep exp(-distance) well above 0 for features of order one.
        initial = jax.random.normal(rngs.params(), (features, kernels * dimensions))
        self.kernel = nnx.Param(initial / (dimensions * features**0.5))

    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, features) to (batch, features + kernels)."""
        rows = (x @ self.kernel[...]).reshape(x.shape[0], self.kernels, self.dimensions)
        distances = jnp.sum(jnp.abs(rows[:, None] - rows[None]), axis=-1)
        closeness = jnp.sum(jnp.exp(-distances), axis=1) - 1
        return jnp.concatenate([x, closeness], axis=-1)


def minibatch_features(
    minibatch: Minibatch, features: int, rngs: nnx.Rngs
) -> tuple[list[Layer], int]:
    """The layers that let a discriminator compare (batch, features) across its batch.

    Args:
        minibatch: kind of comparison, or `none`.
        features: the size of the last axis.
        rngs: the stream of initial values.

    Returns:
        The layers, one or none, and the number of their output features.
    """
    if minibatch == "stddev":
        return [MinibatchStandardDeviation()], features + 1
    if minibatch == "discrimination":
        layer = MinibatchDiscrimination(features, rngs=rngs)
        return [layer], features + layer.kernels
    return [], features


def flatten(x: jax.Array) -> jax.Array:
    """(batch, ...) to (batch, features)."""
    return x.reshape(x.shape[0], -1)


def output_head(last: Any, features: bool) -> list[Layer]:
    """The output layers of a discriminator.

    Args:
        last: its last layer, from features (batch, ..., n) to outputs (batch, ..., outputs).
        features: whether to append the features to the outputs.

    Returns:
        The layers: to (batch, ...) for a single output, else to (batch, ..., outputs + n or 0).
    """
    return [WithInputs(last)] if features else [last, _alone]


def _alone(x: jax.Array) -> jax.Array:
    return x[..., 0] if x.shape[-1] == 1 else x


class WithInputs(nnx.Module):
    """Appends a layer's inputs to its outputs.

    Args:
        layer: a layer with inputs (batch, ..., n).
    """

    def __init__(self, layer: Any):
        self.layer = layer

    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, ..., n) to (batch, ..., outputs + n)."""
        return jnp.concatenate([self.layer(x), x], axis=-1)
