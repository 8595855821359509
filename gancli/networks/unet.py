"""U-Nets: image-to-image networks with skip connections for fine structure."""

from functools import partial
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from flax import nnx

from gancli.networks.convolutions import (
    convolve,
    down_convolve,
    up_convolve,
)
from gancli.networks.layers import (
    Convolution,
    leaky_relu,
    published_normal,
)
from gancli.networks.network import MODELS, Architecture, Interface, Width, translating
from gancli.networks.normalization import TranslatorNorm, normalized_convolution
from gancli.networks.patches import filled_up, patch_discriminator
from gancli.registry import Bounds

_INITIAL = nnx.initializers.he_normal()


@MODELS.register("unet", reference="arXiv:1505.04597, 1611.07004 (pix2pix)")
def unet(
    interface: Interface,
    *,
    width: Width = 32,
    depth: Annotated[int, Bounds(1, 8)] = 2,
    norm: TranslatorNorm = "none",
    discriminator_width: Width = 32,
    discriminator_levels: Annotated[int, Bounds(0, 6)] = 2,
    discriminator_norm: TranslatorNorm = "none",
    spectral_norm: bool = False,
) -> Architecture:
    """U-Net, an encoder and decoder with skip connections at each size, and PatchGAN.

    Args:
        interface: what the networks must fit.
        width: channels of the largest feature map; they double at each halving.
        depth: number of halvings of the image.
        norm: normalization in the generator.
        discriminator_width: channels of the discriminator's first layer.
        discriminator_levels: number of halvings in the discriminator.
        discriminator_norm: normalization in the discriminator.
        spectral_norm: whether the discriminator's kernels have singular values of at most 1.

    Raises:
        UserError: if the task gives the generator noise.
    """
    discriminator = patch_discriminator(
        interface, discriminator_width, discriminator_levels, discriminator_norm, spectral_norm
    )
    return translating(interface, partial(_UNet, width, depth, norm), discriminator)


class _UNet(nnx.Module):
    def __init__(
        self,
        width: int,
        depth: int,
        norm: TranslatorNorm,
        inputs: int,
        outputs: int,
        rngs: nnx.Rngs,
    ):
        self.multiple = 2**depth
        self.first = Convolution(convolve, 3, inputs, width, kernel_init=_INITIAL, rngs=rngs)
        self.level = _Level(width, depth, norm, rngs)
        # Small, so that the first translations stay close to their sources.
        self.last = Convolution(
            convolve, 3, 2 * width, outputs, kernel_init=published_normal(), rngs=rngs
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, height, width, inputs) to (batch, height, width, outputs)."""
        height, width = x.shape[1:3]
        x = self.level(nnx.relu(self.first(filled_up(x, self.multiple))))
        return self.last(x)[:, :height, :width]

    def in_order(self) -> list[Any]:
        return [self.first, self.level, self.last]


class _Level(nnx.Module):
    """Concatenates features with the output of a U-Net of half their size; twice the channels."""

    def __init__(self, width: int, depth: int, norm: TranslatorNorm, rngs: nnx.Rngs):
        def block(function: Any, size: int, inputs: int, outputs: int, activation: Any) -> Any:
            return nnx.Sequential(
                *normalized_convolution(
                    function, size, inputs, outputs, norm, _INITIAL, activation, rngs
                )
            )

        deeper, wide = depth > 1, 2 * width
        self.down = block(down_convolve, 4, width, wide, leaky_relu)
        self.inner = (
            _Level(wide, depth - 1, norm, rngs)
            if deeper
            else block(convolve, 3, wide, wide, nnx.relu)
        )
        self.up = block(up_convolve, 4, 2 * wide if deeper else wide, width, nnx.relu)

    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, height, width, width) to (batch, height, width, 2 * width)."""
        return jnp.concatenate([x, self.up(self.inner(self.down(x)))], axis=-1)

    def in_order(self) -> list[Any]:
        return [self.down, self.inner, self.up]
