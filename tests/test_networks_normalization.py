"""Normalization of features, and what the codes of a generator do to it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gancli.networks.normalization import ConditionalBatchNorm, normalization


def images(*shape):
    return jax.random.normal(jax.random.key(0), shape)


@pytest.mark.parametrize(("norm", "groups"), [("layer", 1), ("group", 4)])
def test_group_and_layer_normalization_leave_each_group_with_mean_0_and_variance_1(norm, groups):
    (layer,) = normalization(norm, 12, nnx.Rngs(0))
    output = layer(5 + 3 * images(2, 6, 6, 12))
    grouped = np.asarray(output).reshape(2, 36, groups, 12 // groups)
    np.testing.assert_allclose(grouped.mean(axis=(1, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(grouped.var(axis=(1, 3)), 1, atol=1e-3)


def test_layer_normalization_ignores_the_rest_of_the_batch():
    (layer,) = normalization("layer", 4, nnx.Rngs(0))
    x = images(3, 5, 5, 4)
    np.testing.assert_allclose(layer(x)[:1], layer(x[:1]), atol=1e-5)


def test_no_normalization_is_no_layer():
    assert normalization("none", 4, nnx.Rngs(0)) == []


def test_conditional_batch_normalization_by_hand():
    """Mean 2, deviation 1: (1, 3) becomes (-1, 1), times 1 + gain and plus bias of its code."""
    layer = ConditionalBatchNorm(1, 2, rngs=nnx.Rngs(0))
    layer.gain[...], layer.bias[...] = jnp.array([[1.0], [2.0]]), jnp.array([[0.0], [10.0]])
    normalized = layer(jnp.array([[1.0], [3.0]]), jnp.eye(2))
    np.testing.assert_allclose(normalized, [[-2.0], [13.0]], atol=1e-3)
