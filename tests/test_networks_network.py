"""Networks as pure functions: what is carried beside their statistics, and other latents."""

import jax
import jax.extend.core as jex
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gancli.networks import MODELS, Interface, carrying
from gancli.networks.network import network

KEY = jax.random.key(0)
# What a model is built for that does not make images of noise.
INTERFACES = {
    "unet": Interface((8, 8, 1), 0, source=1),
    "cyclegan": Interface((8, 8, 1), 0, source=1),
    "sequence": Interface((6,), 0, vocabulary=5),
}


class Doubled(nnx.Module):
    """Doubles its input, which is its w, of one value for each of three layers."""

    styles, style_layers = 1, 3

    def __init__(self, rngs):
        self.factor = nnx.Param(jnp.full((1,), 2.0))

    def style_of(self, x):
        return x * self.factor[...][None]

    def __call__(self, x, styles=None):
        return self.style_of(x) if styles is None else styles


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


def test_styles_are_made_of_the_input_and_replaced():
    own = carrying(network(Doubled, (1,)), {"mean": jnp.zeros(())})
    params, stats = own.initialize(KEY)
    x = jnp.array([[3.0]])
    assert (own.styles.size, own.styles.layers) == (1, 3)
    assert own.styles.of(params, stats, x).tolist() == [[6.0]]
    assert own.apply(params, stats, x, styles=jnp.array([[10.0]]))[0].tolist() == [[10.0]]
    assert own.apply(params, stats, x)[0].tolist() == [[6.0]]


def test_a_network_without_a_mapping_has_no_styles():
    plain = MODELS.build("mlp", Interface((2,), 3)).generator
    assert plain.styles is None
    with pytest.raises(ValueError, match="styles"):
        plain.apply(*plain.initialize(KEY), jnp.ones((1, 3)), styles=jnp.ones((1, 3)))


class Half(nnx.Module):
    """A part of a network that is neither a sequence nor says its order."""

    def __init__(self, rngs):
        self.last, self.first = (nnx.Linear(3, 3, rngs=rngs) for _ in range(2))

    def __call__(self, x):
        return self.last(self.first(x))


class Whole(nnx.Module):
    """Two halves whose attributes are not in the order in which they compute."""

    def __init__(self, rngs):
        self.a, self.b = Half(rngs), nnx.Sequential(Half(rngs), nnx.relu, Half(rngs))
        self.norm, self.gain = nnx.BatchNorm(3, rngs=rngs), nnx.Param(jnp.ones(3))

    def __call__(self, x):
        return self.norm(self.a(self.b(x * self.gain[...][None])))

    def in_order(self):
        return [(self.gain, self.b.layers[0]), self.b.layers[2], self.a, self.norm]


def test_layers_are_told_by_the_module_and_a_normalization_joins_the_one_before():
    layers = network(Whole, (3,)).layers
    assert layers == (("gain", "b/layers/0"), ("b/layers/2",), ("a", "norm"))


def layers_by_use(own, inputs):
    """The layers in the order in which their parameters first meet what depends on the input.

    An independent way: by the dependencies in the traced computation.
    """
    params, stats = jax.eval_shape(own.initialize, KEY)
    leaves = jax.tree_util.tree_leaves_with_path(params)
    traced = jax.make_jaxpr(lambda params, stats, x: own.apply(params, stats, x)[0])
    jaxpr = traced(params, stats, inputs).jaxpr
    meant = {}
    for variable, (path, _) in zip(jaxpr.invars, leaves, strict=False):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        layers = [
            number
            for number, layer in enumerate(own.layers)
            if any(name == part or name.startswith(f"{part}/") for part in layer)
        ]
        assert len(layers) == 1, (name, layers)  # Each parameter belongs to one layer.
        meant[variable] = set(layers)
    of_input, order = {jaxpr.invars[-1]}, []
    for equation in jaxpr.eqns:
        known = [variable for variable in equation.invars if type(variable) is not jex.Literal]
        found = set().union(*(meant.get(variable, set()) for variable in known))
        if of_input & {*known}:
            order += sorted(found - {*order})
            of_input |= {*equation.outvars}
        else:
            meant |= dict.fromkeys(equation.outvars, found)
    return order


@pytest.mark.parametrize("name", MODELS.names())
def test_the_layers_of_every_model_are_in_the_order_of_its_computation(name):
    interface = INTERFACES.get(name, Interface((8, 8, 1), 3, codes=2))
    spec = {"resnet": "resnet:attention=true,norm=batch", "dcgan": "dcgan:dense=4"}.get(name, name)
    pair = MODELS.build(spec, interface)
    assert (pair.generator.generates, pair.discriminator.generates) == (True, False)
    seen = jax.ShapeDtypeStruct((4, *interface.seen_shape), jnp.float32)
    given = jax.ShapeDtypeStruct((4, interface.inputs), jnp.float32)
    if interface.source:
        given = jax.ShapeDtypeStruct((4, *interface.shape[:2], interface.source), jnp.float32)
    if interface.vocabulary:
        given = jax.ShapeDtypeStruct((4, *interface.shape), jnp.int32)
    for own, inputs in ((pair.generator, given), (pair.discriminator, seen)):
        assert len(own.layers) >= 3
        assert layers_by_use(own, inputs) == [*range(len(own.layers))]
