"""Patch discriminators: one logit for each region of an image of any size."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from gancli.networks.convolutions import (
    convolve,
    down_convolve,
)
from gancli.networks.layers import (
    Convolution,
    Layer,
    leaky_relu,
    output_head,
    published_normal,
    with_spectral_norm,
)
from gancli.networks.network import Interface
from gancli.networks.normalization import TranslatorNorm, normalized_convolution


def patch_discriminator(
    interface: Interface, width: int, levels: int, norm: TranslatorNorm, spectral_norm: bool
) -> Callable[[nnx.Rngs], nnx.Module]:
    """PatchGAN: a convolutional discriminator with a logit for each patch (arXiv:1611.07004).

    4x4 convolutions that halve the image, then a 3x3 convolution, and another for the logits.

    Args:
        interface: what it must fit.
        width: channels of the first layer; they double at each level, up to 8 * width.
        levels: number of halvings; a logit sees 12, 26, 54 or 110 pixels a side with 1, 2, 3
            or 4.
        norm: normalization, not on the first layer.
        spectral_norm: whether kernels have singular values of at most 1.

    Returns:
        A function that builds the module, with inputs (batch, height, width, channels).
    """
    normal = published_normal()

    def make(rngs: nnx.Rngs) -> nnx.Module:
        layers: list[Layer] = [lambda x: filled_up(x, 2**levels)]
        inputs = interface.seen_shape[-1]
        for level in range(levels + 1):
            function, size = (down_convolve, 4) if level < levels else (convolve, 3)
            outputs, own = width * 2 ** min(level, 3), norm if level else "none"
            layers += normalized_convolution(
                function, size, inputs, outputs, own, normal, leaky_relu, rngs, spectral_norm
            )
            inputs = outputs
        last = Convolution(convolve, 3, inputs, interface.outputs, kernel_init=normal, rngs=rngs)
        last = with_spectral_norm(last, spectral_norm, rngs)
        return nnx.Sequential(*layers, *output_head(last, interface.features))

    return make


def filled_up(x: jax.Array, multiple: int) -> jax.Array:
    """Pads images to sides that are a multiple of a number, by repeating last row and column."""
    height, width = (-side % multiple for side in x.shape[1:3])
    if not height and not width:
        return x
    return jnp.pad(x, ((0, 0), (0, height), (0, width), (0, 0)), mode="edge")
