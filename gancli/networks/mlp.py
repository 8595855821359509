"""Multi-layer perceptrons for points, and for small images as vectors."""

from math import prod
from typing import Any

import jax
from flax import nnx

from gancli.networks.layers import (
    Layer,
    Minibatch,
    flatten,
    leaky_relu,
    minibatch_features,
    output_head,
    with_spectral_norm,
)
from gancli.networks.network import MODELS, Architecture, Depth, Interface, Width, architecture
from gancli.networks.normalization import (
    GeneratorNorm,
    Norm,
    first_inputs,
    generator_module,
    normalization,
)


@MODELS.register("mlp", reference="arXiv:1406.2661")
def mlp(
    interface: Interface,
    *,
    width: Width = 256,
    depth: Depth = 3,
    norm: Norm = "none",
    generator_norm: GeneratorNorm = "none",
    spectral_norm: bool = False,
    minibatch: Minibatch = "none",
) -> Architecture:
    """Multi-layer perceptrons with ReLU (generator) and leaky ReLU (discriminator).

    Args:
        interface: what the networks must fit.
        width: units of a hidden layer.
        depth: hidden layers of each network.
        norm: normalization in the discriminator.
        generator_norm: normalization in the generator.
        spectral_norm: whether the discriminator's kernels have singular values of at most 1.
        minibatch: how the discriminator compares the examples of a batch.

    Raises:
        UserError: if the normalization needs codes that the generator does not receive.
    """
    shape = interface.shape

    def generator(rngs: nnx.Rngs) -> nnx.Module:
        layers: list[Any] = []
        features = first_inputs(interface, generator_norm)
        for _ in range(depth):
            layers += [
                _linear(features, width, rngs, generator_norm == "none"),
                *normalization(generator_norm, width, rngs, interface.codes),
                nnx.relu,
            ]
            features = width
        layers += [nnx.Linear(features, prod(shape), rngs=rngs), shaped(shape)]
        return generator_module(layers, interface, generator_norm)

    def discriminator(rngs: nnx.Rngs) -> nnx.Module:
        layers: list[Layer] = [flatten]
        features = prod(interface.seen_shape)
        for _ in range(depth):
            linear = _linear(features, width, rngs, norm == "none")
            layers += [
                with_spectral_norm(linear, spectral_norm, rngs),
                *normalization(norm, width, rngs),
                leaky_relu,
            ]
            features = width
        comparison, features = minibatch_features(minibatch, features, rngs)
        last = nnx.Linear(features, interface.outputs, rngs=rngs)
        last = with_spectral_norm(last, spectral_norm, rngs)
        return nnx.Sequential(*layers, *comparison, *output_head(last, interface.features))

    return architecture(interface, generator, discriminator)


def shaped(shape: tuple[int, ...]) -> Layer:
    """The generator's output layer: vectors to points, or to images in [-1, 1] by tanh."""

    def finish(x: jax.Array) -> jax.Array:
        x = x.reshape(x.shape[0], *shape)
        return nnx.tanh(x) if len(shape) == 3 else x

    return finish


def _linear(inputs: int, outputs: int, rngs: nnx.Rngs, use_bias: bool) -> nnx.Linear:
    initial = nnx.initializers.he_normal()
    return nnx.Linear(inputs, outputs, use_bias=use_bias, kernel_init=initial, rngs=rngs)
