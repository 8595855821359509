"""R3GAN's networks: residual blocks of grouped convolutions, without normalization."""

from math import gcd, prod
from typing import Annotated

import jax
import jax.numpy as jnp
from flax import nnx

from gancli.networks.convolutions import (
    convolve,
    grouped_convolve,
)
from gancli.networks.layers import (
    Convolution,
    Layer,
    leaky_relu,
    output_head,
)
from gancli.networks.network import MODELS, Architecture, Interface, Width, architecture
from gancli.networks.pyramid import channels_by_side, smallest_map
from gancli.networks.resampling import smooth_downsample, smooth_upsample
from gancli.registry import Bounds

# Ratio of a block's inner channels to its outer ones.
_EXPANSION = 2
# Gains that keep the variance without an activation, and after a leaky ReLU of slope 0.2.
_LINEAR = nnx.initializers.variance_scaling(1.0, "fan_in", "normal")
_AFTER_ACTIVATION = 2 / (1 + 0.2**2)


@MODELS.register("r3gan", reference="arXiv:2501.05441")
def r3gan(
    interface: Interface,
    *,
    width: Width = 16,
    blocks: Annotated[int, Bounds(1, 4)] = 1,
    group: Annotated[int, Bounds(1, 1024)] = 16,
) -> Architecture:
    """R3GAN's networks: residual blocks of grouped 3x3 convolutions.

    There are residual blocks at each size of the feature maps, and a 1x1 convolution and the filter
    [1, 3, 3, 1] between sizes. The generator starts from learned maps of the smallest size, each
    times a linear function of the latent. The discriminator ends with a weight for each pixel and
    channel, and a linear layer. Published: 2 blocks, groups of 16, and a width of 96 (FFHQ of
    256x256). The published networks have neither the tanh that bounds images here, nor a bias in
    the last layer. Use them with the loss relativistic, whose recipe is R3GAN's.

    Args:
        interface: what the networks must fit.
        width: channels at the image's size; they double at each halving, up to 8 * width.
        blocks: residual blocks at each size.
        group: channels per group of the 3x3 convolutions, limited to divisors of twice the width.

    Raises:
        UserError: if the examples are not images of a supported size.
    """
    shape = interface.shape
    smallest = smallest_map("r3gan", interface)
    channels = channels_by_side(shape, width)
    total = blocks * len(channels)

    def residual_blocks(features: int, rngs: nnx.Rngs) -> list[Layer]:
        return [ResidualBlock(features, group, total, rngs) for _ in range(blocks)]

    def generator(rngs: nnx.Rngs) -> nnx.Module:
        features = channels[-1]
        layers: list[Layer] = [LatentMaps(interface.inputs, smallest, features, rngs)]
        layers += residual_blocks(features, rngs)
        for outputs in channels[-2::-1]:
            layers += [_linear(features, outputs, rngs), smooth_upsample]
            layers += residual_blocks(outputs, rngs)
            features = outputs
        return nnx.Sequential(*layers, _linear(features, shape[-1], rngs), nnx.tanh)

    def discriminator(rngs: nnx.Rngs) -> nnx.Module:
        features = channels[0]
        layers: list[Layer] = [_linear(interface.seen_shape[-1], features, rngs)]
        layers += residual_blocks(features, rngs)
        for outputs in channels[1:]:
            layers += [smooth_downsample, _linear(features, outputs, rngs)]
            layers += residual_blocks(outputs, rngs)
            features = outputs
        last = nnx.Linear(features, interface.outputs, kernel_init=_LINEAR, rngs=rngs)
        return nnx.Sequential(
            *layers,
            WeightedPixels(smallest, features, rngs),
            *output_head(last, interface.features),
        )

    return architecture(interface, generator, discriminator)


class ResidualBlock(nnx.Module):
    """x + W3 f(W2 f(W1 x + b1) + b2), f a leaky ReLU: 1x1, grouped 3x3 on more channels, 1x1.

    W3 is initially 0. The gains of W1 and W2 are the variance-preserving ones times L^(-1/4), L
    being the number of blocks of the network (Fixup, arXiv:1901.09321).

    Args:
        features: channels of input and output.
        group: channels per group, limited to divisors of the inner channels.
        total: L.
        rngs: the stream of initial values.
    """

    def __init__(self, features: int, group: int, total: int, rngs: nnx.Rngs):
        inner = _EXPANSION * features
        scale = _AFTER_ACTIVATION / total**0.5
        initial = nnx.initializers.variance_scaling(scale, "fan_in", "normal")
        self.first = Convolution(convolve, 1, features, inner, kernel_init=initial, rngs=rngs)
        self.grouped = Convolution(
            grouped_convolve, 3, gcd(group, inner), inner, kernel_init=initial, rngs=rngs
        )
        self.last = Convolution(
            convolve,
            1,
            inner,
            features,
            kernel_init=nnx.initializers.zeros,
            use_bias=False,
            rngs=rngs,
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        """Images (batch, height, width, features) of the same shape."""
        inner = leaky_relu(self.grouped(leaky_relu(self.first(x))))
        return x + self.last(inner)


class LatentMaps(nnx.Module):
    """Learned maps, each times a linear function of the latent, as a generator's first layer.

    Args:
        inputs: values of a latent.
        size: height and width of the maps, in pixels.
        features: number of maps.
        rngs: the stream of initial values.
    """

    def __init__(self, inputs: int, size: tuple[int, int], features: int, rngs: nnx.Rngs):
        self.maps = nnx.Param(jax.random.normal(rngs.params(), (*size, features)))
        self.linear = nnx.Linear(inputs, features, use_bias=False, kernel_init=_LINEAR, rngs=rngs)

    def __call__(self, latents: jax.Array) -> jax.Array:
        """(batch, inputs) to (batch, height, width, features)."""
        return self.linear(latents)[:, None, None] * self.maps[...][None]


class WeightedPixels(nnx.Module):
    """A weighted sum of each channel's pixels, with one weight per pixel.

    Args:
        size: height and width of the image, in pixels.
        features: channels.
        rngs: the stream of initial values.
    """

    def __init__(self, size: tuple[int, int], features: int, rngs: nnx.Rngs):
        weights = jax.random.normal(rngs.params(), (*size, features))
        self.weights = nnx.Param(weights / prod(size) ** 0.5)

    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, height, width, features) to (batch, features)."""
        return jnp.sum(x * self.weights[...][jnp.newaxis], axis=(1, 2))


def _linear(inputs: int, outputs: int, rngs: nnx.Rngs) -> Convolution:
    """A 1x1 convolution without a bias."""
    return Convolution(convolve, 1, inputs, outputs, kernel_init=_LINEAR, use_bias=False, rngs=rngs)
