"""StyleGAN2's networks: a mapping network, modulated convolutions, equalized learning rates."""

from collections.abc import Callable
from itertools import accumulate
from math import prod
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from gancli.networks.convolutions import (
    convolve,
)
from gancli.networks.layers import (
    Convolution,
    Layer,
    MinibatchStandardDeviation,
    flatten,
    leaky_relu,
    output_head,
)
from gancli.networks.network import MODELS, Architecture, Interface, Width, architecture
from gancli.networks.pyramid import channels_by_side, smallest_map
from gancli.networks.resampling import (
    convolve_smooth_downsample,
    smooth_downsample,
    smooth_upsample,
    smooth_upsample_convolve,
)
from gancli.registry import Bounds

# Learning rate factor of the mapping network's layers.
_OF_MAPPING = 0.01
_EPSILON = 1e-8
# The stream of the draws of mixing, beside that of noise, of a latent's key.
_OF_MIXING = 1

Noise = Literal["random", "constant", "none"]


@MODELS.register("stylegan2", also="stylegan", reference="arXiv:1912.04958")
def stylegan2(
    interface: Interface,
    *,
    width: Width = 32,
    style: Width = 128,
    mapping: Annotated[int, Bounds(2, 8)] = 4,
    minibatch: Literal["none", "stddev"] = "none",
    mixing: Annotated[float, Bounds(0, 1)] = 0.0,
) -> Architecture:
    """StyleGAN2's networks: the latent becomes a style that modulates every convolution.

    The generator adds up images of all sizes (skips), the discriminator is residual. All weights
    start from N(0, 1) and are divided by the root of their number of inputs when they are applied
    (equalized learning rate). The published learning rate is 0.0025 with Adam's betas 0 and 0.99,
    ten times that of other networks. Published are a mapping of 8 layers, a style of 512,
    minibatch=stddev (here over the whole batch), and no tanh, which bounds images here. Codes
    enter the mapping network by an embedding. With `mixing` (published 0.9), that share of the
    images of a training step takes the w of another latent, drawn from N(0, I), from a random
    layer on.

    Args:
        interface: what the networks must fit.
        width: channels at the image's size; they double at each halving, up to 8 * width.
        style: number of values of w, the output of the mapping network.
        mapping: number of layers of the mapping network.
        minibatch: how the discriminator compares the images of a batch; a penalty then includes
            the effect of an image on the logits of the others.
        mixing: probability of mixed styles in training, of each image.

    Raises:
        UserError: if the examples are not images of a supported size.
    """
    smallest = smallest_map("stylegan2", interface)
    channels = channels_by_side(interface.shape, width)

    def generator(rngs: nnx.Rngs) -> nnx.Module:
        return StyleGenerator(interface, smallest, channels[::-1], style, mapping, mixing, rngs)

    def discriminator(rngs: nnx.Rngs) -> nnx.Module:
        features = channels[0]
        layers: list[Layer] = [_equal(convolve, 1, interface.seen_shape[-1], features, rngs)]
        layers.append(_activated)
        for outputs in channels[1:]:
            layers.append(ResidualDownBlock(features, outputs, rngs))
            features = outputs
        compared = minibatch == "stddev"
        layers += [MinibatchStandardDeviation()] if compared else []
        layers += [
            _equal(convolve, 3, features + compared, features, rngs),
            _activated,
            flatten,
            EqualLinear(prod(smallest) * features, features, rngs=rngs),
            _activated,
        ]
        last = EqualLinear(features, interface.outputs, rngs=rngs)
        return nnx.Sequential(*layers, *output_head(last, interface.features))

    return architecture(interface, generator, discriminator)


class StyleGenerator(nnx.Module):
    """Maps latents to styles and styles to images, adding the images of all sizes.

    During training each image has its own noise, a function of its latent. Outside training all
    images share the noise that was drawn with the initial values and is carried in the statistics.

    Args:
        interface: what it must fit.
        size: height and width of the smallest feature map, in pixels.
        channels: channels at each size, from the smallest to the image's.
        style: number of values of w.
        mapping: number of layers of the mapping network.
        mixing: probability of mixed styles in training.
        rngs: the stream of initial values.
    """

    def __init__(
        self,
        interface: Interface,
        size: tuple[int, int],
        channels: list[int],
        style: int,
        mapping: int,
        mixing: float,
        rngs: nnx.Rngs,
    ):
        self.latent, self.styles, self.mixing = interface.latent, style, mixing
        # One w for each convolution, and one for the last image; others share the next layer's.
        self.style_layers = 2 * len(channels)
        self.use_running_average = False  # Set by train() and eval().
        self.embedding = nnx.data(
            EqualLinear(interface.codes, style, rngs=rngs) if interface.codes else None
        )
        inputs = interface.latent + (style if interface.codes else 0)
        self.mapping = nnx.List(
            EqualLinear(style if level else inputs, style, rate=_OF_MAPPING, rngs=rngs)
            for level in range(mapping)
        )
        features, colours = channels[0], interface.shape[-1]
        self.start = nnx.Param(jax.random.normal(rngs.params(), (*size, features)))
        self.layers = nnx.List([StyledLayer(convolve, size, features, features, style, rngs)])
        self.images = nnx.List([StyledImage(features, colours, style, rngs)])
        for outputs in channels[1:]:
            size = (2 * size[0], 2 * size[1])
            self.layers += [
                StyledLayer(smooth_upsample_convolve, size, features, outputs, style, rngs),
                StyledLayer(convolve, size, outputs, outputs, style, rngs),
            ]
            self.images.append(StyledImage(outputs, colours, style, rngs))
            features = outputs

    def __call__(
        self, inputs: jax.Array, styles: jax.Array | None = None, noise: Noise | None = None
    ) -> jax.Array:
        """(batch, latent + codes), and styles and noise as in `Network`, to images."""
        training = not self.use_running_average
        w = styles
        if w is None:
            w = self.mixed(inputs) if training and self.mixing else self.style_of(inputs)

        def style(layer: int) -> jax.Array:
            return w[:, layer] if w.ndim == 3 else w

        noises = self.noises(inputs, noise or ("random" if training else "constant"))
        x = jnp.broadcast_to(self.start[...], (inputs.shape[0], *self.start.shape))
        x = self.layers[0](x, style(0), noises[0])
        total = self.images[0](x, style(1))
        for level, image in enumerate(self.images[1:]):
            for index in (1 + 2 * level, 2 + 2 * level):
                x = self.layers[index](x, style(index), noises[index])
            total = smooth_upsample(total) + image(x, style(3 + 2 * level))
        return nnx.tanh(total)

    def in_order(self) -> list[Any]:
        """Its layers: the mapping network, then at each size the styled ones and their image."""
        first, *mapping = self.mapping
        start, *layers = self.layers
        of_levels = zip(layers[::2], layers[1::2], self.images[1:], strict=True)
        return [
            first if self.embedding is None else (self.embedding, first),
            *mapping,
            (self.start, start),
            self.images[0],
            *(layer for level in of_levels for layer in level),
        ]

    def style_of(self, inputs: jax.Array) -> jax.Array:
        """(batch, latent + codes) to w, (batch, styles)."""
        w = _normalized(inputs[:, : self.latent])
        if self.embedding is not None:
            embedded = _normalized(self.embedding(inputs[:, self.latent :]))
            w = jnp.concatenate([w, embedded], axis=1)
        for layer in self.mapping:
            w = _activated(layer(w))
        return w

    def mixed(self, inputs: jax.Array) -> jax.Array:
        """The w of each layer, (batch, layers, styles), mixed with probability `mixing`."""
        keys = jax.vmap(lambda key: jax.random.fold_in(key, _OF_MIXING))(_keys_of(inputs))

        def drawn(key: jax.Array) -> tuple[jax.Array, jax.Array]:
            of_noise, of_layer, of_choice = jax.random.split(key, 3)
            first = jax.random.randint(of_layer, (), 1, self.style_layers)
            chosen = jax.random.bernoulli(of_choice, self.mixing)
            noise = jax.random.normal(of_noise, (self.latent,))
            return noise, jnp.where(chosen, first, self.style_layers)

        noise, first = jax.vmap(drawn)(keys)
        own = self.style_of(inputs)
        other = self.style_of(jnp.concatenate([noise, inputs[:, self.latent :]], axis=1))
        taken = jnp.arange(self.style_layers)[None] >= first[:, None]
        return jnp.where(taken[..., None], other[:, None], own[:, None])

    def noises(self, inputs: jax.Array, noise: Noise) -> list[jax.Array]:
        """The noise of each layer, (batch, height, width, 1); only random noise has a batch."""
        fixed = [layer.noise[...] for layer in self.layers]
        if noise == "constant":
            return fixed
        if noise == "none":
            return [jnp.zeros_like(own) for own in fixed]
        ends = list(accumulate(own.size for own in fixed))
        drawn = jax.vmap(lambda key: jax.random.normal(key, ends[-1:]))(_keys_of(inputs))
        parts = jnp.split(drawn, ends[:-1], axis=1)
        return [part.reshape(-1, *own.shape) for part, own in zip(parts, fixed, strict=True)]


class StyledLayer(nnx.Module):
    """A modulated and demodulated 3x3 convolution, noise times a learned strength, activation."""

    def __init__(
        self,
        function: Callable[[jax.Array, jax.Array], jax.Array],
        size: tuple[int, int],
        inputs: int,
        outputs: int,
        style: int,
        rngs: nnx.Rngs,
    ):
        self.modulated = Modulated(function, 3, inputs, outputs, style, True, rngs)
        self.noise = nnx.BatchStat(jax.random.normal(rngs.params(), (*size, 1)))
        self.strength = nnx.Param(jnp.zeros(()))
        self.bias = nnx.Param(jnp.zeros(outputs))

    def __call__(self, x: jax.Array, w: jax.Array, noise: jax.Array) -> jax.Array:
        """(batch, ..., inputs), (batch, styles) and noise to (batch, height, width, outputs)."""
        x = self.modulated(x, w)
        x += jnp.broadcast_to(self.strength[...] * noise, x.shape)
        return _activated(x + jnp.broadcast_to(self.bias[...], x.shape))


class StyledImage(nnx.Module):
    """A modulated 1x1 convolution to the channels of an image."""

    def __init__(self, inputs: int, outputs: int, style: int, rngs: nnx.Rngs):
        self.modulated = Modulated(convolve, 1, inputs, outputs, style, False, rngs)
        self.bias = nnx.Param(jnp.zeros(outputs))

    def __call__(self, x: jax.Array, w: jax.Array) -> jax.Array:
        """(batch, height, width, inputs), (batch, styles) to (batch, height, width, outputs)."""
        image = self.modulated(x, w)
        return image + jnp.broadcast_to(self.bias[...], image.shape)


class Modulated(nnx.Module):
    """A convolution whose kernel each example's style scales (arXiv:1912.04958, section 2.2).

    With s = A w + b the kernel is k'[..., i, o] = s_i k[..., i, o], divided by √(Σ k'² + ε), summed
    over all axes except o, if demodulated. Scaling the inputs by s and the outputs by the inverse
    root is equivalent, with one kernel for the whole batch.

    Args:
        function: the convolution.
        size: height and width of its kernel.
        inputs: channels of the input.
        outputs: channels of the output.
        style: values of w.
        demodulate: whether to normalize outputs to unit variance.
        rngs: the stream of initial values.
    """

    def __init__(
        self,
        function: Callable[[jax.Array, jax.Array], jax.Array],
        size: int,
        inputs: int,
        outputs: int,
        style: int,
        demodulate: bool,
        rngs: nnx.Rngs,
    ):
        self.demodulate = demodulate
        self.affine = EqualLinear(style, inputs, start=1.0, rngs=rngs)
        self.convolution = _equal(function, size, inputs, outputs, rngs, use_bias=False)

    def __call__(self, x: jax.Array, w: jax.Array) -> jax.Array:
        """(batch, height, width, inputs), (batch, styles) to images of `outputs` channels."""
        scales = self.affine(w)
        x = self.convolution(x * scales[:, None, None])
        if self.demodulate:
            kernel = _divided(self.convolution.kernel[...])
            squares = jnp.sum(kernel**2, axis=(0, 1))
            norms = jnp.matmul(scales**2, squares, precision=lax.Precision.HIGHEST)
            x = x * lax.rsqrt(norms + _EPSILON)[:, None, None]
        return x


class ResidualDownBlock(nnx.Module):
    """3x3, 3x3 to half the height and width, added to a downsampled 1x1, divided by √2."""

    def __init__(self, inputs: int, outputs: int, rngs: nnx.Rngs):
        self.first = _equal(convolve, 3, inputs, inputs, rngs)
        self.second = _equal(convolve_smooth_downsample, 3, inputs, outputs, rngs)
        self.skip = _equal(convolve, 1, inputs, outputs, rngs, use_bias=False)

    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, height, width, inputs) to (batch, height / 2, width / 2, outputs)."""
        residual = _activated(self.second(_activated(self.first(x))))
        return (residual + self.skip(smooth_downsample(x))) / 2**0.5


class EqualLinear(nnx.Module):
    """A linear layer with an equalized learning rate (arXiv:1710.10196, section 4.1).

    r (x W / √inputs + b), where W starts from N(0, 1) / r.

    Args:
        inputs: number of inputs of one example.
        outputs: number of outputs of one example.
        start: initial value of r b.
        rate: r, the learning rate factor.
        rngs: the stream of initial values.
    """

    def __init__(
        self, inputs: int, outputs: int, *, start: float = 0.0, rate: float = 1.0, rngs: nnx.Rngs
    ):
        self.rate = rate
        self.kernel = nnx.Param(jax.random.normal(rngs.params(), (inputs, outputs)) / rate)
        self.bias = nnx.Param(jnp.full(outputs, start / rate))

    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, inputs) to (batch, outputs)."""
        return self.rate * (x @ _divided(self.kernel[...]) + self.bias[...][jnp.newaxis])


def _equal(
    function: Callable[[jax.Array, jax.Array], jax.Array],
    size: int,
    inputs: int,
    outputs: int,
    rngs: nnx.Rngs,
    use_bias: bool = True,
) -> Convolution:
    """A convolution with an equalized learning rate."""
    return Convolution(
        lambda x, kernel: function(x, _divided(kernel)),
        size,
        inputs,
        outputs,
        kernel_init=nnx.initializers.normal(1.0),
        use_bias=use_bias,
        rngs=rngs,
    )


def _divided(kernel: jax.Array) -> jax.Array:
    """Divides a kernel (..., outputs) by the root of the number of inputs of an output."""
    return kernel / prod(kernel.shape[:-1]) ** 0.5


def _activated(x: jax.Array) -> jax.Array:
    """A leaky ReLU that approximately keeps the variance."""
    return leaky_relu(x) * 2**0.5


def _normalized(x: jax.Array) -> jax.Array:
    """Normalizes vectors (batch, n) to a mean square of 1."""
    return x * lax.rsqrt(jnp.mean(x**2, axis=1, keepdims=True) + _EPSILON)


def _keys_of(inputs: jax.Array) -> jax.Array:
    """A random key for each latent that depends only on its bits, (batch,)."""
    words = lax.bitcast_convert_type(lax.stop_gradient(inputs), jnp.uint32)
    # Odd factors, so that the order of the values matters and no bits are lost.
    factors = 2 * jnp.arange(words.shape[1], dtype=jnp.uint32) + 1
    sums = jnp.sum(words * factors[jnp.newaxis], axis=1, dtype=jnp.uint32)
    return jax.vmap(lambda word: jax.random.fold_in(jax.random.key(0), word))(sums)
