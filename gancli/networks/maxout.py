"""The networks of PacGAN's experiments on rings and grids of points."""

from math import prod
from typing import Annotated

import jax
import jax.numpy as jnp
from flax import nnx

from gancli.networks.layers import Layer, flatten, output_head, published_normal
from gancli.networks.mlp import shaped
from gancli.networks.network import MODELS, Architecture, Interface, Width, architecture
from gancli.networks.normalization import normalization
from gancli.registry import Bounds


@MODELS.register("maxout-mlp", reference="arXiv:1712.04086")
def maxout_mlp(
    interface: Interface,
    *,
    width: Width = 400,
    maxout_width: Width = 200,
    pieces: Annotated[int, Bounds(1, 64)] = 5,
) -> Architecture:
    """PacGAN's perceptrons: batch-normalized ReLU generator, maxout discriminator.

    Args:
        interface: what the networks must fit.
        width: units of each of the generator's four hidden layers.
        maxout_width: units of each of the discriminator's three hidden layers.
        pieces: number of linear functions per maxout unit (arXiv:1302.4389).
    """
    normal, shape = published_normal(), interface.shape

    def generator(rngs: nnx.Rngs) -> nnx.Module:
        layers: list[Layer] = []
        inputs = interface.inputs
        for _ in range(4):
            layers += [
                nnx.Linear(inputs, width, use_bias=False, kernel_init=normal, rngs=rngs),
                *normalization("batch", width, rngs),
                nnx.relu,
            ]
            inputs = width
        last = nnx.Linear(inputs, prod(shape), kernel_init=normal, rngs=rngs)
        return nnx.Sequential(*layers, last, shaped(shape))

    def discriminator(rngs: nnx.Rngs) -> nnx.Module:
        def largest_piece(x: jax.Array) -> jax.Array:
            return jnp.max(x.reshape(x.shape[0], maxout_width, pieces), axis=-1)

        layers: list[Layer] = [flatten]
        inputs = prod(interface.seen_shape)
        for _ in range(3):
            linear = nnx.Linear(inputs, maxout_width * pieces, kernel_init=normal, rngs=rngs)
            layers += [linear, largest_piece]
            inputs = maxout_width
        last = nnx.Linear(inputs, interface.outputs, kernel_init=normal, rngs=rngs)
        return nnx.Sequential(*layers, *output_head(last, interface.features))

    return architecture(interface, generator, discriminator)
