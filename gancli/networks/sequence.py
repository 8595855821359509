"""A recurrent token generator, and a convolutional discriminator of sequences."""

from typing import Annotated

import jax
import jax.numpy as jnp
from flax import nnx

from gancli.errors import UserError
from gancli.networks import recurrent
from gancli.networks.layers import (
    Layer,
    leaky_relu,
    output_head,
    with_spectral_norm,
)
from gancli.networks.network import (
    MODELS,
    Architecture,
    Interface,
    Network,
    Params,
    Recurrence,
    Stats,
    Width,
    network,
)
from gancli.registry import Bounds

# Initial deviation of every weight of the generator (arXiv:1609.05473).
_DEVIATION = 0.1


@MODELS.register("sequence", reference="arXiv:1609.05473; discriminator arXiv:1408.5882")
def sequence(
    interface: Interface,
    *,
    hidden: Width = 32,
    embedding: Width = 32,
    width: Width = 64,
    longest: Annotated[int, Bounds(1, 64)] = 5,
    spectral_norm: bool = False,
) -> Architecture:
    """Networks for sequences of tokens: an LSTM generator, and a convolutional discriminator.

    The discriminator embeds the tokens, or shares of tokens, and convolves them with kernels of 1
    to `longest` tokens. It takes the maximum of each feature over the positions, followed by a
    linear layer; its activation is the leaky ReLU of the other discriminators.

    Args:
        interface: what the networks must fit.
        hidden: size of the generator's state.
        embedding: size of the generator's token embedding.
        width: size of the discriminator's token embedding, and features of each kernel.
        longest: length of the longest kernel in tokens, at most that of the sequence.
        spectral_norm: whether the discriminator's kernels have singular values of at most 1.

    Returns:
        The generator, with its recurrence, and the discriminator.

    Raises:
        UserError: if the examples are not sequences of tokens.
    """
    vocabulary = interface.vocabulary
    if not vocabulary:
        raise UserError(
            f"model 'sequence' was given examples of shape {interface.shape}, not tokens",
            "sequences of tokens with 'sequence'",
            "Use model mlp, which takes points and images",
        )

    def initialize(key: jax.Array) -> tuple[Params, Stats]:
        return recurrent.normal_weights(key, vocabulary, embedding, hidden, _DEVIATION), {}

    def apply(params: Params, stats: Stats, x: jax.Array, train: bool = True):
        return recurrent.forced_logits(params, x), stats

    def discriminator(rngs: nnx.Rngs) -> nnx.Module:
        length, values = interface.seen_shape
        sizes = range(1, min(longest, length) + 1)
        kernels = [
            with_spectral_norm(nnx.Linear(size * width, width, rngs=rngs), spectral_norm, rngs)
            for size in sizes
        ]
        embed = nnx.Linear(values, width, use_bias=False, rngs=rngs)
        last = nnx.Linear(len(kernels) * width, interface.outputs, rngs=rngs)
        layers: list[Layer] = [
            with_spectral_norm(embed, spectral_norm, rngs),
            LargestOverPlaces(kernels),
            *output_head(with_spectral_norm(last, spectral_norm, rngs), interface.features),
        ]
        return nnx.Sequential(*layers)

    return Architecture(
        Network(
            jax.jit(initialize),
            apply,
            normalizes_batch=False,
            layers=(("embedding",), ("kernel", "bias"), ("output_kernel", "output_bias")),
            generates=True,
        ),
        network(discriminator, interface.seen_shape),
        Recurrence(recurrent.start, recurrent.step),
    )


class LargestOverPlaces(nnx.Module):
    """Convolutions of a sequence, followed by the maximum over all positions.

    Each convolution is a matrix product with the concatenated values below its kernel.

    Args:
        kernels: layers with inputs (batch, size · features), for the sizes 1, 2, and so on.
    """

    def __init__(self, kernels: list[Layer]):
        self.kernels = nnx.List(kernels)

    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, length, features) to (batch, outputs of all kernels)."""
        found = []
        for size, kernel in enumerate(self.kernels, start=1):
            places = x.shape[1] - size + 1
            below = [x[:, first : first + places] for first in range(size)]
            seen = jnp.concatenate(below, axis=2)
            values = kernel(seen.reshape(-1, seen.shape[2])).reshape(x.shape[0], places, -1)
            found.append(leaky_relu(values.max(axis=1)))
        return jnp.concatenate(found, axis=1)
