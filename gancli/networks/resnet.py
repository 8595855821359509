"""Residual networks: upsampling blocks in the generator, downsampling ones in the discriminator."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from gancli.networks.convolutions import (
    convolve,
    convolve_downsample,
    upsample_convolve,
)
from gancli.networks.layers import (
    Convolution,
    Layer,
    Minibatch,
    SelfAttention,
    downsample,
    minibatch_features,
    output_head,
    upsample,
    with_spectral_norm,
)
from gancli.networks.network import MODELS, Architecture, Interface, Width, architecture
from gancli.networks.normalization import (
    CodedSequence,
    GeneratorNorm,
    Norm,
    first_inputs,
    generator_module,
    normalization,
)
from gancli.networks.pyramid import channels_by_side, smallest_map

# He initialization of the residual's kernels, whose inputs passed a ReLU (arXiv:1502.01852).
_RESIDUAL = nnx.initializers.he_uniform()
_LINEAR = nnx.initializers.xavier_uniform()


@MODELS.register("resnet", also="sngan", reference="arXiv:1704.00028, arXiv:1802.05957")
def resnet(
    interface: Interface,
    *,
    width: Width = 64,
    norm: Norm = "none",
    generator_norm: GeneratorNorm = "batch",
    spectral_norm: bool = False,
    generator_spectral_norm: bool = False,
    attention: bool = False,
    minibatch: Minibatch = "none",
) -> Architecture:
    """Residual networks of 3x3 convolutions, as of WGAN-GP and SNGAN, with optional attention.

    Args:
        interface: what the networks must fit.
        width: channels next to the image; they double at each level, up to 8 * width.
        norm: normalization in the discriminator, not in its first block.
        generator_norm: normalization in the generator.
        spectral_norm: whether the discriminator's kernels have singular values of at most 1.
        generator_spectral_norm: the same for the generator.
        attention: whether to add self-attention (arXiv:1805.08318), at the first feature map with
            sides of at most 16, or else at the smallest one.
        minibatch: how the discriminator compares the images of a batch.

    Raises:
        UserError: if the examples are not images of a supported size, or the normalization needs
            codes that the generator does not receive.
    """
    shape, codes = interface.shape, interface.codes
    rows, columns = smallest_map("resnet", interface)
    channels = channels_by_side(shape, width)[:-1]  # After each halving.
    # The larger side of each feature map; sides above the smallest map's are halved.
    sides = [max(rows, columns) << level for level in reversed(range(len(channels)))]
    attended = next((side for side in sides if side <= 16), sides[-1]) if attention else None

    def generator(rngs: nnx.Rngs) -> nnx.Module:
        spectral = generator_spectral_norm
        inputs, deepest = first_inputs(interface, generator_norm), channels[-1]
        first = nnx.Linear(inputs, rows * columns * deepest, kernel_init=_LINEAR, rngs=rngs)
        layers: list[Any] = [
            with_spectral_norm(first, spectral, rngs),
            lambda x: x.reshape(-1, rows, columns, deepest),
        ]
        inputs = deepest
        for side, outputs in zip(reversed(sides), [*channels[-2::-1], channels[0]], strict=True):
            if side == attended:
                layers.append(SelfAttention(inputs, spectral_norm=spectral, rngs=rngs))
            layers.append(
                ResidualBlock(inputs, outputs, "double", generator_norm, spectral, rngs, codes)
            )
            inputs = outputs
        last = Convolution(convolve, 3, inputs, shape[-1], kernel_init=_LINEAR, rngs=rngs)
        layers += [
            *normalization(generator_norm, inputs, rngs, codes),
            nnx.relu,
            with_spectral_norm(last, spectral, rngs),
            nnx.tanh,
        ]
        return generator_module(layers, interface, generator_norm)

    def discriminator(rngs: nnx.Rngs) -> nnx.Module:
        layers: list[Layer] = [
            FirstBlock(interface.seen_shape[-1], channels[0], norm, spectral_norm, rngs),
        ]
        inputs = channels[0]
        for side, outputs in zip(sides, [*channels[1:], channels[-1]], strict=True):
            if side == attended:
                layers.append(SelfAttention(inputs, spectral_norm=spectral_norm, rngs=rngs))
            change = "halve" if side > sides[-1] else "keep"
            layers.append(ResidualBlock(inputs, outputs, change, norm, spectral_norm, rngs))
            inputs = outputs
        comparison, features = minibatch_features(minibatch, inputs, rngs)
        last = nnx.Linear(features, interface.outputs, kernel_init=_LINEAR, rngs=rngs)
        return nnx.Sequential(
            *layers,
            *normalization(norm, inputs, rngs),
            nnx.relu,
            # SNGAN sums over the pixels, WGAN-GP takes the mean: with kernels of any size, a sum
            # would start with logits that saturate the losses.
            partial(jnp.sum if spectral_norm else jnp.mean, axis=(1, 2)),
            *comparison,
            *output_head(with_spectral_norm(last, spectral_norm, rngs), interface.features),
        )

    return architecture(interface, generator, discriminator)


class ResidualBlock(nnx.Module):
    """Norm, ReLU, 3x3, norm, ReLU, 3x3, added to a 1x1; it may double or halve the image.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        change: what happens to height and width: doubled by repeating pixels before the first
            convolution, halved by the mean of 2x2 after the second, or kept.
        norm: the normalization.
        spectral_norm: whether kernels are spectrally normalized.
        rngs: the stream of initial values.
        codes: number of codes that gains and biases may depend on.
    """

    takes_codes = True

    def __init__(
        self,
        inputs: int,
        outputs: int,
        change: Literal["double", "halve", "keep"],
        norm: GeneratorNorm,
        spectral_norm: bool,
        rngs: nnx.Rngs,
        codes: int = 0,
    ):
        self.change = change
        function = upsample_convolve if change == "double" else convolve
        first = _convolution(function, inputs, outputs, norm, rngs)
        function = convolve_downsample if change == "halve" else convolve
        second = _convolution(function, outputs, outputs, norm, rngs)
        self.residual = CodedSequence(
            *normalization(norm, inputs, rngs, codes),
            nnx.relu,
            with_spectral_norm(first, spectral_norm, rngs),
            *normalization(norm, outputs, rngs, codes),
            nnx.relu,
            with_spectral_norm(second, spectral_norm, rngs),
        )
        # The identity if the channels are equal.
        equal = inputs == outputs
        self.skip = _identity if equal else _projection(inputs, outputs, spectral_norm, rngs)

    def __call__(self, x: jax.Array, codes: jax.Array | None = None) -> jax.Array:
        """(batch, height, width, inputs) to (batch, height', width', outputs)."""
        residual = self.residual(x, codes)
        skipped = self.skip(downsample(x) if self.change == "halve" else x)
        return residual + (upsample(skipped) if self.change == "double" else skipped)


class FirstBlock(nnx.Module):
    """The discriminator's first block: 3x3, ReLU, 3x3, mean of 2x2, added to a downsampled 1x1.

    An image must not pass a ReLU or a normalization before the first kernel.

    Args:
        inputs: channels of the packed images.
        outputs: channels of the output.
        norm: the normalization of the blocks that follow.
        spectral_norm: whether kernels are spectrally normalized.
        rngs: the stream of initial values.
    """

    def __init__(self, inputs: int, outputs: int, norm: Norm, spectral_norm: bool, rngs: nnx.Rngs):
        first = _convolution(convolve, inputs, outputs, "none", rngs)
        second = _convolution(convolve_downsample, outputs, outputs, norm, rngs)
        self.residual = nnx.Sequential(
            with_spectral_norm(first, spectral_norm, rngs),
            nnx.relu,
            with_spectral_norm(second, spectral_norm, rngs),
        )
        self.skip = _projection(inputs, outputs, spectral_norm, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, height, width, inputs) to (batch, height / 2, width / 2, outputs)."""
        return self.residual(x) + self.skip(downsample(x))


def _convolution(
    function: Callable[[jax.Array, jax.Array], jax.Array],
    inputs: int,
    outputs: int,
    norm: GeneratorNorm,
    rngs: nnx.Rngs,
) -> Convolution:
    """A 3x3 convolution of the residual, with a bias if nothing normalizes."""
    bias = norm == "none"
    return Convolution(
        function, 3, inputs, outputs, kernel_init=_RESIDUAL, use_bias=bias, rngs=rngs
    )


def _projection(inputs: int, outputs: int, spectral_norm: bool, rngs: nnx.Rngs) -> Layer:
    layer = Convolution(
        convolve, 1, inputs, outputs, kernel_init=_LINEAR, use_bias=False, rngs=rngs
    )
    return with_spectral_norm(layer, spectral_norm, rngs)


def _identity(x: jax.Array) -> jax.Array:
    return x
