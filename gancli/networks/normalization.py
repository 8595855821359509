"""Normalization of features, including normalization that depends on a generator's codes."""

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
    """The layers, one or none, that normalize (batch, ..., features).

    Args:
        norm: `batch` over batch and pixels (arXiv:1502.03167), `conditional` likewise with a gain
            and a bias that depend on the codes (arXiv:1610.07629), `layer` over one example's
            features and pixels (arXiv:1607.06450), `group` over 16 groups of its features
            (arXiv:1803.08494), `instance` over one example's pixels (arXiv:1607.08022), `none`.
        features: the size of the last axis.
        rngs: the stream of initial values.
        codes: number of codes.
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
    """A `Convolution`, its normalization and its activation, with a bias if nothing normalizes."""
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
    """Batch normalization with a gain and bias that depend on the codes (arXiv:1610.07629).

    (1 + c G) (x - mean) / deviation + c B, with G and B initially 0: if c is a one-hot label, each
    label has its own row.

    Args:
        features: the size of the last axis.
        codes: the number of values of c.
        rngs: the stream of initial values.
    """

    takes_codes = True
    is_normalization = True

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
    """A sequence of layers that passes the codes to the layers that take them."""

    takes_codes = True

    def __call__(self, x: jax.Array, codes: jax.Array | None = None) -> jax.Array:
        """Applies the layers to x and (batch, codes)."""
        for layer in self.layers:
            x = layer(x, codes) if getattr(layer, "takes_codes", False) else layer(x)
        return x


class _FromInputs(nnx.Module):
    """A generator that splits its inputs into noise, for its first layer, and codes."""

    def __init__(self, layers: CodedSequence, latent: int):
        self.layers, self.latent = layers, latent

    def __call__(self, inputs: jax.Array) -> jax.Array:
        return self.layers(inputs[:, : self.latent], inputs[:, self.latent :])

    def in_order(self) -> list[Any]:
        return [self.layers]


def first_inputs(interface: Interface, norm: GeneratorNorm) -> int:
    """Inputs of a generator's first layer: all, or only the noise if codes enter by the norm."""
    return interface.latent if norm == "conditional" else interface.inputs


def generator_module(
    layers: Sequence[Any], interface: Interface, norm: GeneratorNorm
) -> nnx.Module:
    """Builds a generator from its layers.

    Args:
        layers: the layers; the first takes `first_inputs` values.
        interface: what the generator must fit.
        norm: its normalization.

    Returns:
        The module, with inputs (batch, latent + codes).

    Raises:
        UserError: if the normalization needs codes, and there are none.
    """
    if norm != "conditional":
        return CodedSequence(*layers)
    if not interface.codes:
        raise UserError(
            "generator_norm=conditional in a task without labels or codes",
            "none, batch, layer or group, or a task with labels or codes",
            "Choose --task conditional, for labelled data, or infogan",
        )
    return _FromInputs(CodedSequence(*layers), interface.latent)
