"""Parts of a batch: values, derivatives, memory, and which networks may be computed in parts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from refusals import refused

from gancli.config import Config
from gancli.config.settings import TrainSettings
from gancli.networks import Interface, networks_of
from gancli.networks.microbatch import in_parts

IMAGES = Interface((8, 8, 1), 3)


def built(model, interface=IMAGES, **train):
    return networks_of(Config(model=model, train=TrainSettings(**train)), interface)


def test_a_part_at_a_time_is_computed_in_the_order_of_the_examples():
    sizes = []

    def doubled(examples):
        sizes.append(len(examples["x"]))
        return 2 * examples["x"] + examples["y"], jnp.float32(7)

    x, y = jnp.arange(6.0).reshape(6, 1), 100 * jnp.arange(6.0).reshape(6, 1)
    found, common = in_parts(doubled, 2)({"x": x, "y": y})
    np.testing.assert_array_equal(found[:, 0], [0, 102, 204, 306, 408, 510])
    assert float(common) == 7
    assert set(sizes) == {2}
    assert in_parts(doubled, 0) is doubled


def test_derivatives_of_both_orders_by_hand():
    """f = Σ x² w³ over x = 1, 2, 3, 4: ∂f/∂w = 90 w², ∂²f/∂w² = 180 w, ∂²f/∂w∂x = 6 x w²."""
    x = jnp.arange(1.0, 5.0)

    def total(w, x):
        return in_parts(lambda x: (x**2 * w**3, None), 2)(x)[0].sum()

    of_w = jax.value_and_grad(jax.grad(total), argnums=(0, 1))
    first, (second, mixed) = jax.jit(of_w)(2.0, x)
    assert float(first) == float(second) == 360
    np.testing.assert_array_equal(mixed, 24 * x)


def test_an_update_in_parts_equals_that_of_the_whole_batch_and_holds_less():
    spec, points = "mlp:width=32,depth=2,spectral_norm=true", Interface((2,), 3)
    whole, parts = (built(spec, points, batch=256, microbatch=n).discriminator for n in (0, 16))
    params, stats = whole.initialize(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (256, 2))
    found = {}
    for name, network in {"whole": whole, "parts": parts}.items():

        def loss(params, network=network):
            def total(x):
                logits, moved = network.apply(params, stats, x)
                return jnp.tanh(logits).sum(), moved

            # As a penalty on the slope, and a loss that compares examples.
            slope, moved = jax.grad(total, has_aux=True)(x)
            logits = network.apply(params, moved, x)[0]
            return (slope**2).sum() + ((logits - logits.mean()) ** 2).sum(), moved

        compiled = jax.jit(jax.grad(loss, has_aux=True)).lower(params).compile()
        working = compiled.memory_analysis().temp_size_in_bytes
        found[name] = *jax.device_get(compiled(params)), working
    largest = max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(found["whole"][0]))
    for one, other in zip(*(jax.tree.leaves(found[name][0]) for name in found), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5 * largest)
    for one, other in zip(*(jax.tree.leaves(found[name][1]) for name in found), strict=True):
        np.testing.assert_array_equal(one, other)
    assert found["parts"][2] < found["whole"][2] / 2


def test_outside_training_no_number_of_examples_is_refused():
    networks = built("mlp:width=4", batch=8, microbatch=4)

    def shape(train):
        def made(key):
            weights = networks.generator.initialize(key)
            return networks.generator.apply(*weights, jnp.ones((5, 3)), train)[0]

        return jax.eval_shape(made, jax.random.key(0)).shape

    assert shape(train=False) == (5, 8, 8, 1)
    with pytest.raises(TypeError, match="reshape"):
        shape(train=True)


@pytest.mark.parametrize("size", [3, 16])
def test_parts_make_up_the_batch(size):
    with refused(f"microbatch was {size}", "batch=8", remedy=()):
        built("mlp:width=4", batch=8, microbatch=size)


@pytest.mark.parametrize(
    "model",
    [
        "dcgan",
        "maxout-mlp",
        "mlp:norm=batch",
        "mlp:minibatch=discrimination",
        "stylegan2:minibatch=stddev",
    ],
)
def test_networks_that_mix_the_examples_of_a_batch_are_refused(model):
    with refused("microbatch was 4", model, allowed="alone", remedy="norm"):
        built(model, batch=8, microbatch=4)
