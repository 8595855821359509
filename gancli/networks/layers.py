"""Shared layers that flax lacks, or that are faster here."""

from collections.abc import Callable
from functools import partial
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


def upsample(x: jax.Array) -> jax.Array:
    """Doubles height and width by repeating pixels."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


def downsample(x: jax.Array) -> jax.Array:
    """Halves height and width by the mean of 2x2 pixels."""
    batch, height, width, features = x.shape
    return x.reshape(batch, height // 2, 2, width // 2, 2, features).mean(axis=(2, 4))


class Convolution(nnx.Module):
    """A convolution of images with its kernel and, optionally, a bias.

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
        u = lax.fori_loop(0, 15, lambda _, u: _unit(_exact(matrix.T, _unit(_exact(matrix, u)))), u)
        self.u = nnx.BatchStat(u)

    def _matrix(self) -> jax.Array:
        kernel = self.layer.kernel[...]
        return kernel.reshape(-1, kernel.shape[-1])

    def __call__(self, x: jax.Array) -> jax.Array:
        """The layer's output with its normalized kernel."""
        matrix = lax.stop_gradient(self._matrix())
        v = _unit(_exact(matrix, lax.stop_gradient(self.u[...])))
        u = _unit(_exact(matrix.T, v))
        if not self.use_running_average:
            self.u[...] = u
        kernel = self.layer.kernel[...]
        sigma = _exact(_exact(v, self._matrix()), u)
        self.layer.kernel[...] = kernel / sigma
        output = self.layer(x)
        self.layer.kernel[...] = kernel
        return output


# The norm of a kernel stays exact where products are in bfloat16.
_exact = partial(jnp.matmul, precision=lax.Precision.HIGHEST)


def _unit(vector: jax.Array) -> jax.Array:
    return vector / jnp.maximum(jnp.linalg.norm(vector), 1e-12)


def with_spectral_norm(layer: Any, wanted: bool, rngs: nnx.Rngs) -> Any:
    """The layer, under spectral normalization if that is wanted."""
    return SpectralNorm(layer, rngs=rngs) if wanted else layer


class MinibatchStandardDeviation(nnx.Module):
    """Appends one feature, the minibatch standard deviation (arXiv:1710.10196).

    It is the standard deviation over the examples of the batch, averaged over features and pixels.
    """

    compares_batch = True

    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, ..., features) to (batch, ..., features + 1)."""
        deviation = jnp.sqrt(jnp.var(x.reshape(x.shape[0], 1, *x.shape[1:]), axis=0) + 1e-8)
        feature = jnp.mean(deviation, axis=tuple(range(1, x.ndim)))
        feature = jnp.tile(feature, x.shape[0]).reshape(-1, *[1] * (x.ndim - 1))
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

    compares_batch = True

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
