"""Networks as pure functions: what is carried beside their statistics, and other latents."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gancli.networks import MODELS, Interface, carrying
from gancli.networks.network import network

KEY = jax.random.key(0)


class Doubled(nnx.Module):
    """Doubles its input, and adds a shift of one value to that."""

    styles = 1

    def __init__(self, rngs):
        self.factor = nnx.Param(jnp.full((1,), 2.0))

    def __call__(self, x, shift=None):
        w = x * self.factor[...][None]
        return w if shift is None else w + shift


def test_what_is_carried_stays_beside_a_networks_own_statistics():
    plain = MODELS.build("mlp:width=4,generator_norm=batch", Interface((2,), 3)).generator
    both = carrying(plain, {"mean": jnp.float32(7), "more": {"p": jnp.zeros(())}})
    params, stats = both.initialize(KEY)
    own_params, own_stats = plain.initialize(KEY)
    jax.tree.map(np.testing.assert_array_equal, params, own_params)
    assert (float(stats["mean"]), float(stats["more"]["p"])) == (7, 0)
    x = jnp.ones((4, 3))
    output, moved = both.apply(params, stats, x, train=True)
    expected, own_moved = plain.apply(own_params, own_stats, x, train=True)
    np.testing.assert_array_equal(output, expected)
    jax.tree.map(np.testing.assert_array_equal, moved["network"], own_moved)
    assert float(moved["mean"]) == 7
    assert both.normalizes_batch


def test_a_network_that_carries_nothing_is_itself():
    plain = MODELS.build("mlp", Interface((2,), 3)).generator
    assert carrying(plain, {}) is plain


def test_a_shift_reaches_the_latent_inside():
    own = carrying(network(Doubled, (1,)), {"mean": jnp.zeros(())})
    params, stats = own.initialize(KEY)
    assert own.styles == 1
    output, _ = own.apply(params, stats, jnp.array([[3.0]]), shift=jnp.array([[10.0]]))
    assert output.tolist() == [[16.0]]
    assert own.apply(params, stats, jnp.array([[3.0]]))[0].tolist() == [[6.0]]


def test_a_network_without_another_latent_has_no_styles():
    plain = MODELS.build("mlp", Interface((2,), 3)).generator
    assert plain.styles == 0
    with pytest.raises(ValueError, match="shift"):
        plain.apply(*plain.initialize(KEY), jnp.ones((1, 3)), shift=jnp.ones((1, 3)))
