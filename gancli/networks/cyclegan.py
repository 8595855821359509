"""CycleGAN's networks: image-to-image by residual blocks at a quarter of the image size."""

from functools import partial
from typing import Annotated, Any

import jax
from flax import nnx

from gancli.networks.convolutions import (
    convolve,
    down_convolve,
    up_convolve,
)
from gancli.networks.layers import (
    Convolution,
    published_normal,
)
from gancli.networks.network import MODELS, Architecture, Interface, Width, translating
from gancli.networks.normalization import TranslatorNorm, normalized_convolution
from gancli.networks.patches import filled_up, patch_discriminator
from gancli.registry import Bounds


@MODELS.register("cyclegan", reference="arXiv:1703.10593, appendix 7.2")
def cyclegan(
    interface: Interface,
    *,
    width: Width = 32,
    blocks: Annotated[int, Bounds(1, 64)] = 3,
    norm: TranslatorNorm = "instance",
    discriminator_width: Width = 32,
    discriminator_levels: Annotated[int, Bounds(0, 6)] = 2,
    discriminator_norm: TranslatorNorm = "instance",
    spectral_norm: bool = False,
) -> Architecture:
    """CycleGAN's residual generator, which keeps the content of an image, and PatchGAN.

    7x7 convolution, two halvings, residual blocks, two doublings, 7x7 convolution. The paper uses
    a width of 64 and 6 blocks for 128 pixels a side, 9 for 256.

    Args:
        interface: what the networks must fit.
        width: channels of the largest feature map; they double at each halving.
        blocks: residual blocks.
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
    return translating(interface, partial(_ResidualTranslator, width, blocks, norm), discriminator)


class _ResidualTranslator(nnx.Module):
    def __init__(
        self,
        width: int,
        blocks: int,
        norm: TranslatorNorm,
        inputs: int,
        outputs: int,
        rngs: nnx.Rngs,
    ):
        # Without normalization, such small weights would suppress the signal.
        initial = nnx.initializers.he_normal() if norm == "none" else published_normal()

        def layer(function: Any, size: int, inputs: int, outputs: int) -> list[Any]:
            return normalized_convolution(
                function, size, inputs, outputs, norm, initial, nnx.relu, rngs
            )

        self.multiple, widest = 4, 4 * width
        self.layers = nnx.Sequential(
            *layer(convolve, 7, inputs, width),
            *layer(down_convolve, 4, width, 2 * width),
            *layer(down_convolve, 4, 2 * width, widest),
            *(
                _Residual(
                    [*layer(convolve, 3, widest, widest), *layer(convolve, 3, widest, widest)]
                )
                for _ in range(blocks)
            ),
            *layer(up_convolve, 4, widest, 2 * width),
            *layer(up_convolve, 4, 2 * width, width),
            Convolution(convolve, 7, width, outputs, kernel_init=published_normal(), rngs=rngs),
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, height, width, inputs) to (batch, height, width, outputs)."""
        height, width = x.shape[1:3]
        return self.layers(filled_up(x, self.multiple))[:, :height, :width]

    def in_order(self) -> list[Any]:
        return [self.layers]


class _Residual(nnx.Module):
    """Residual block of two layers; the last has no ReLU."""

    def __init__(self, layers: list[Any]):
        self.layers = nnx.Sequential(*layers[:-1])

    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, height, width, features) of the same shape."""
        return x + self.layers(x)
