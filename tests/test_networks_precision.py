"""Products in bfloat16: which are rounded, in every model, and what stays in float32."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend.core import jaxprs_in_params

from gancli.config import Config
from gancli.config.settings import TrainSettings
from gancli.errors import UserError
from gancli.networks import MODELS, Interface, networks_of
from gancli.networks.precision import in_bfloat16

PRODUCTS = ("dot_general", "conv_general_dilated", "down", "up", "kernel_of", "slide")
INTERFACES = (
    Interface((8, 8, 1), 3),
    Interface((2,), 3),
    Interface((8, 8, 1), 0, source=1),
    Interface((6,), 0, vocabulary=5),
)
# With every kind of product that a model may hold.
SPECS = {
    "mlp": "mlp:width=8,norm=layer,generator_norm=batch,spectral_norm=true,minibatch=stddev",
    "dcgan": "dcgan:width=4,spectral_norm=true,minibatch=discrimination",
    "resnet": "resnet:width=4,attention=true,spectral_norm=true",
    "unet": "unet:width=4,norm=batch,discriminator_norm=instance,spectral_norm=true",
    "cyclegan": "cyclegan:width=4,blocks=1,norm=batch,discriminator_width=4",
    "sequence": "sequence:hidden=4,embedding=3,width=4,longest=2,spectral_norm=true",
}


@functools.cache
def built(name, precision):
    """A model's networks in a precision, and the first interface that it fits."""
    train = TrainSettings(precision=precision)
    for interface in INTERFACES:
        try:
            config = Config(model=SPECS.get(name, f"{name}:width=4"), train=train)
            return networks_of(config, interface), interface
        except UserError:
            continue
    raise AssertionError(name)


def given(interface, role):
    """A batch of what a network takes, abstract."""
    if role == "discriminator":
        shape = interface.seen_shape
    elif interface.vocabulary:
        return jax.ShapeDtypeStruct((4, *interface.shape), jnp.int32)
    elif interface.source:
        shape = (*interface.shape[:2], interface.source)
    else:
        shape = (interface.inputs,)
    return jax.ShapeDtypeStruct((4, *shape), jnp.float32)


def products(jaxpr):
    """The type of each product, in the order in which they are computed."""
    found = []
    for equation in jaxpr.eqns:
        if equation.primitive.name in PRODUCTS:
            first, second = (atom.aval.dtype.name for atom in equation.invars)
            assert first == second
            found.append(first)
        for inner in jaxprs_in_params(equation.params):
            found += products(inner)
    return found


def types(tree):
    return {leaf.dtype.name for leaf in jax.tree.leaves(tree)}


@pytest.mark.parametrize("role", ["generator", "discriminator"])
@pytest.mark.parametrize("name", MODELS.names())
def test_every_models_products_are_in_bfloat16_but_those_of_its_last_layer(name, role):
    pair, interface = built(name, "bfloat16")
    network, x = getattr(pair, role), given(interface, role)
    weights = jax.eval_shape(network.initialize, jax.random.key(0))
    plain = getattr(built(name, "float32")[0], role)
    traced, (output, stats) = jax.make_jaxpr(network.apply, return_shape=True)(*weights, x)
    assert jax.tree.map(lambda a: (a.shape, a.dtype), weights) == jax.tree.map(
        lambda a: (a.shape, a.dtype), jax.eval_shape(plain.initialize, jax.random.key(0))
    )
    assert types([weights[0], output]) == {"float32"}
    assert types(stats) == types(weights[1])
    of_products = products(traced.jaxpr)
    assert "bfloat16" in of_products
    assert of_products[-1] == "float32"
    without = products(jax.make_jaxpr(plain.apply)(*weights, x).jaxpr)
    assert len(of_products) == len(without)
    assert set(without) == {"float32"}


def test_so_are_those_of_a_generator_that_writes_token_by_token():
    pair, _ = built("sequence", "bfloat16")
    assert pair.recurrence
    params, _ = pair.generator.initialize(jax.random.key(0))
    state = pair.recurrence.start(params, 4)
    traced, made = jax.make_jaxpr(pair.recurrence.step, return_shape=True)(
        params, state, jnp.zeros(4, jnp.int32)
    )
    assert products(traced.jaxpr) == ["bfloat16", "float32"]
    assert types(made) == {"float32"}


def test_norms_of_kernels_stay_in_float32():
    config = Config(
        model="mlp:width=8,depth=1,spectral_norm=true", train=TrainSettings(precision="bfloat16")
    )
    network = networks_of(config, Interface((2,), 3)).discriminator
    weights = jax.eval_shape(network.initialize, jax.random.key(0))
    x = jnp.zeros((4, 2))
    # Four of the power iteration and its sigma, then the layer, twice.
    norms = ["float32"] * 4
    of_products = products(jax.make_jaxpr(network.apply)(*weights, x).jaxpr)
    assert of_products == [*norms, "bfloat16", *norms, "float32"]


def chain(x, first, second):
    return jnp.tanh(x @ first) @ second, x @ first


# Its neighbours in bfloat16, which has 8 significant bits, are 1 and ROUNDED.
HELD = 1 + 3 * 2**-9
ROUNDED = 1 + 2**-7


def test_operands_are_rounded_before_they_are_multiplied():
    one, exact = jnp.ones((1, 1)), jnp.full((1, 1), HELD)
    changed = in_bfloat16(lambda x, w: ((x @ w) @ one,), output=0)
    assert float(changed(one, exact)[0][0, 0]) == ROUNDED
    # Alone, the same product is the last one.
    alone = in_bfloat16(lambda x, w: (x @ w,), output=0)
    assert float(alone(one, exact)[0][0, 0]) == HELD


def test_a_product_that_states_its_precision_keeps_it():
    def norm(x, w):
        return (jnp.matmul(x, w, precision=lax.Precision.HIGHEST) @ w,)

    traced = jax.make_jaxpr(in_bfloat16(norm, output=0))(jnp.ones((2, 2)), jnp.ones((2, 2)))
    assert products(traced.jaxpr) == ["float32", "float32"]


def test_results_beside_the_output_do_not_count_as_last_layers():
    args = jnp.ones((2, 2)), jnp.ones((2, 2)), jnp.ones((2, 2))
    traced = jax.make_jaxpr(in_bfloat16(chain, output=0))(*args)
    assert products(traced.jaxpr) == ["bfloat16", "float32", "bfloat16"]


def test_derivatives_of_any_order_are_products_in_bfloat16():
    rng = np.random.default_rng(0)
    first, second = (jnp.asarray(rng.normal(size=(3, 3)), jnp.float32) for _ in range(2))
    x = jnp.asarray(rng.normal(size=(2, 3)), jnp.float32)

    def penalty(function):
        def of(first, x):
            gradient = jax.grad(lambda x: function(x, first, second)[0].sum())(x)
            return jnp.sum(gradient**2)

        return jax.grad(of)

    changed = penalty(in_bfloat16(chain, output=0))
    traced = products(jax.make_jaxpr(changed)(first, x).jaxpr)
    assert traced.count("bfloat16") > traced.count("float32")
    np.testing.assert_allclose(changed(first, x), penalty(chain)(first, x), rtol=0.05, atol=0.02)


def test_products_inside_a_loop_are_in_bfloat16():
    def looped(x, w):
        last, every = lax.scan(lambda x, _: (jnp.tanh(x @ w), x), x, length=2)
        return last @ w, every

    traced = jax.make_jaxpr(in_bfloat16(looped, output=0))(jnp.ones((2, 2)), jnp.ones((2, 2)))
    assert products(traced.jaxpr) == ["bfloat16", "float32"]
    # What is carried reaches the output from any iteration.
    traced = jax.make_jaxpr(in_bfloat16(looped, output=1))(jnp.ones((2, 2)), jnp.ones((2, 2)))
    assert products(traced.jaxpr)[0] == "float32"


def test_products_inside_another_branch_are_refused():
    def branched(x, w):
        return (lax.cond(x.sum() > 0, lambda: x @ w, lambda: x) @ w,)

    with pytest.raises(TypeError, match="cond"):
        in_bfloat16(branched, output=0)(jnp.ones((2, 2)), jnp.ones((2, 2)))
