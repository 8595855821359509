"""Normalization of features, and what lets a generator's normalization depend on its codes."""

from collections.abc import Callable, Sequence
from math import gcd
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from gancli.errors import UserError
from gancli.networks.layers import Convolution, Layer, with_spectral_norm
from gancli.networks.network import Interface

Norm = Literal["none", "batch", "layer", "group"]
GeneratorNorm = Literal["none", "batch", "conditional", "layer", "group"]
TranslatorNorm = Literal["none", "batch", "instance"]


def normalization(
    norm: GeneratorNorm | TranslatorNorm, features: int, rngs: nnx.Rngs, codes: int = 0
) -> list[Callable[..., jax.Array]]:
    """The layers, one or none, that normalize (batch, ..., features) as an option names.

    Args:
        norm: `batch` over batch and pixels (arXiv:1502.03167), `conditional` like it with a gain
            and a bias that the codes choose (arXiv:1610.07629), `layer` over one example's
            features and pixels (arXiv:1607.06450), `group` over 16 groups of its features
            (arXiv:1803.08494), `instance` over one example's pixels (arXiv:1607.08022), `none`.
        features: the size of the last axis.
        rngs: the stream of initial values.
        codes: how many there are to choose by.

    Returns:
        The layers, to be spliced into a sequence.
    """
    if norm == "none":
        return []
    if norm == "batch":
        return [nnx.BatchNorm(features, momentum=0.9, rngs=rngs)]
    if norm == "conditional":
        return [ConditionalBatchNorm(features, codes, rngs=rngs)]
    groups = {"layer": 1, "group": gcd(features, 16), "instance": features}[norm]
    return [nnx.GroupNorm(features, num_groups=groups, rngs=rngs)]


def normalized_convolution(
    function: Callable[[jax.Array, jax.Array], jax.Array],
    size: int,
    inputs: int,
    outputs: int,
    norm: TranslatorNorm,
    kernel_init: nnx.Initializer,
    activation: Layer,
    rngs: nnx.Rngs,
    spectral_norm: bool = False,
) -> list[Layer]:
    """A convolution, its normalization and its activation; a bias where nothing normalizes.

    Args:
        function: the convolution.
        size: of its kernel's height and width.
        inputs: channels of the input.
        outputs: channels of the output.
        norm: the normalization.
        kernel_init: the distribution of the kernel.
        activation: what follows.
        rngs: the stream of initial values.
        spectral_norm: whether the kernel is spectrally normalized.

    Returns:
        The layers, to be spliced into a sequence.
    """
    layer = Convolution(
        function,
        size,
        inputs,
        outputs,
        use_bias=norm == "none",
        kernel_init=kernel_init,
        rngs=rngs,
    )
    layer = with_spectral_norm(layer, spectral_norm, rngs)
    return [layer, *normalization(norm, outputs, rngs), activation]


class ConditionalBatchNorm(nnx.Module):
    """Batch normalization whose gain and bias the codes choose (arXiv:1610.07629).

    (1 + c G) (x - mean) / deviation + c B, with G and B initially 0: each label has a row of its
    own, where c is one value of 1 among zeros.

    Args:
        features: the size of the last axis.
        codes: the values of c.
        rngs: the stream of initial values.
    """

    takes_codes = True

    def __init__(self, features: int, codes: int, *, rngs: nnx.Rngs):
        self.normalize = nnx.BatchNorm(
            features, momentum=0.9, use_scale=False, use_bias=False, rngs=rngs
        )
        self.gain = nnx.Param(jnp.zeros((codes, features)))
        self.bias = nnx.Param(jnp.zeros((codes, features)))

    def __call__(self, x: jax.Array, codes: jax.Array) -> jax.Array:
        """(batch, ..., features) and (batch, codes) to (batch, ..., features)."""
        between = (x.shape[0], *[1] * (x.ndim - 2), x.shape[-1])
        gain, bias = (codes @ matrix[...] for matrix in (self.gain, self.bias))
        return self.normalize(x) * (1 + gain.reshape(between)) + bias.reshape(between)


class CodedSequence(nnx.Sequential):
    """Layers one after another, of which those that take codes are given them, too."""

    takes_codes = True

    def __call__(self, x: jax.Array, codes: jax.Array | None = None) -> jax.Array:
        """What the last layer makes of x and (batch, codes)."""
        for layer in self.layers:
            x = layer(x, codes) if getattr(layer, "takes_codes", False) else layer(x)
        return x


class _FromInputs(nnx.Module):
    """A generator that divides its inputs into the noise, which its first layer sees, and codes."""

    def __init__(self, layers: CodedSequence, latent: int):
        self.layers, self.latent = layers, latent

    def __call__(self, inputs: jax.Array) -> jax.Array:
        return self.layers(inputs[:, : self.latent], inputs[:, self.latent :])


def first_inputs(interface: Interface, norm: GeneratorNorm) -> int:
    """What a generator's first layer sees: all inputs, or the noise if codes enter by the norm."""
    return interface.latent if norm == "conditional" else interface.inputs


def generator_module(
    layers: Sequence[Any], interface: Interface, norm: GeneratorNorm
) -> nnx.Module:
    """A generator of its layers.

    Args:
        layers: of which the first takes `first_inputs` values.
        interface: what the generator must fit.
        norm: its normalization.

    Returns:
        The module, of (batch, latent + codes).

    Raises:
        UserError: if the normalization is to depend on codes, and there are none.
    """
    if norm != "conditional":
        return CodedSequence(*layers)
    if not interface.codes:
        raise UserError(
            "generator_norm=conditional in a task that gives the generator no label",
            "none, batch, layer or group, or a task with labels or codes",
            "Choose --task conditional, for labelled data, or infogan",
        )
    return _FromInputs(CodedSequence(*layers), interface.latent)
