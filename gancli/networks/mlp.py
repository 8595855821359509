"""Multi-layer perceptrons, for points and for small images as vectors."""

from math import prod

import jax
from flax import nnx

from gancli.networks.layers import (
    Layer,
    Minibatch,
    Norm,
    flatten,
    leaky_relu,
    minibatch_features,
    normalization,
    one_logit,
    with_spectral_norm,
)
from gancli.networks.network import MODELS, Architecture, Depth, Width, network


@MODELS.register("mlp", reference="arXiv:1406.2661")
def mlp(
    shape: tuple[int, ...],
    latent: int,
    packing: int,
    *,
    width: Width = 256,
    depth: Depth = 3,
    norm: Norm = "none",
    generator_norm: Norm = "none",
    spectral_norm: bool = False,
    minibatch: Minibatch = "none",
) -> Architecture:
    """Multi-layer perceptrons with ReLU (generator) and leaky ReLU (discriminator).

    Args:
        shape: of one example, points or image.
        latent: the generator's inputs.
        packing: examples that the discriminator judges together.
        width: units of a hidden layer.
        depth: hidden layers of each network.
        norm: normalization in the discriminator.
        generator_norm: normalization in the generator.
        spectral_norm: whether the discriminator's kernels have singular values of at most 1.
        minibatch: how the discriminator compares the examples of a batch.

    Returns:
        Generator and discriminator.
    """

    def generator(rngs: nnx.Rngs) -> nnx.Module:
        layers: list[Layer] = []
        features = latent
        for _ in range(depth):
            layers += [
                _linear(features, width, rngs, generator_norm == "none"),
                *normalization(generator_norm, width, rngs),
                nnx.relu,
            ]
            features = width
        return nnx.Sequential(*layers, nnx.Linear(features, prod(shape), rngs=rngs), shaped(shape))

    def discriminator(rngs: nnx.Rngs) -> nnx.Module:
        layers: list[Layer] = [flatten]
        features = packing * prod(shape)
        for _ in range(depth):
            linear = _linear(features, width, rngs, norm == "none")
            layers += [
                with_spectral_norm(linear, spectral_norm, rngs),
                *normalization(norm, width, rngs),
                leaky_relu,
            ]
            features = width
        comparison, features = minibatch_features(minibatch, features, rngs)
        last = with_spectral_norm(nnx.Linear(features, 1, rngs=rngs), spectral_norm, rngs)
        return nnx.Sequential(*layers, *comparison, last, one_logit)

    packed = (*shape[:-1], packing * shape[-1])
    return Architecture(network(generator, (latent,)), network(discriminator, packed))


def shaped(shape: tuple[int, ...]) -> Layer:
    """The generator's last step: vectors to points, or to images in [-1, 1] by tanh."""

    def finish(x: jax.Array) -> jax.Array:
        x = x.reshape(x.shape[0], *shape)
        return nnx.tanh(x) if len(shape) == 3 else x

    return finish


def _linear(inputs: int, outputs: int, rngs: nnx.Rngs, use_bias: bool) -> nnx.Linear:
    initial = nnx.initializers.he_normal()
    return nnx.Linear(inputs, outputs, use_bias=use_bias, kernel_init=initial, rngs=rngs)
