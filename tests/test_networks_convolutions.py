"""Convolutions: values and derivatives are those of XLA's own, in every way to compute them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from gancli.networks import convolutions
from gancli.networks.layers import Convolution, downsample, upsample


def values(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def gradients(function, x, kernel):
    return jax.grad(lambda x, kernel: jnp.sum(jnp.sin(function(x, kernel))), (0, 1))(x, kernel)


def native(x, kernel, stride, padding):
    names = ("NHWC", "HWIO", "NHWC")
    edges = [(padding, padding)] * 2
    return lax.conv_general_dilated(x, kernel, (stride, stride), edges, dimension_numbers=names)


CONVOLUTIONS = {
    "3x3, fewer inputs": (
        convolutions.convolve,
        lambda x, kernel: native(x, kernel, 1, 1),
        (3, 3, 2, 5),
    ),
    "3x3, fewer outputs": (
        convolutions.convolve,
        lambda x, kernel: native(x, kernel, 1, 1),
        (3, 3, 5, 2),
    ),
    "1x1": (convolutions.convolve, lambda x, kernel: native(x, kernel, 1, 0), (1, 1, 2, 5)),
    "valid": (
        lambda x, kernel: convolutions.convolve(x, kernel, padding=0),
        lambda x, kernel: native(x, kernel, 1, 0),
        (3, 3, 5, 2),
    ),
    "stride 2, fewer inputs": (
        lambda x, kernel: convolutions.convolve(x, kernel, padding=1, stride=2),
        lambda x, kernel: native(x, kernel, 2, 1),
        (3, 3, 2, 5),
    ),
    "stride 2, fewer outputs": (
        lambda x, kernel: convolutions.convolve(x, kernel, padding=0, stride=2),
        lambda x, kernel: native(x, kernel, 2, 0),
        (3, 3, 5, 2),
    ),
    "down": (convolutions.down_convolve, lambda x, kernel: native(x, kernel, 2, 1), (4, 4, 3, 5)),
    "up": (
        convolutions.up_convolve,
        lambda x, kernel: lax.conv_transpose(x, kernel, (2, 2), "SAME"),
        (4, 4, 3, 5),
    ),
    "upsample": (
        convolutions.upsample_convolve,
        lambda x, kernel: native(upsample(x), kernel, 1, 1),
        (3, 3, 3, 5),
    ),
    "downsample": (
        convolutions.convolve_downsample,
        lambda x, kernel: downsample(native(x, kernel, 1, 1)),
        (3, 3, 3, 5),
    ),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions_and_their_gradients_equal_xlas_own(name):
    function, reference, shape = CONVOLUTIONS[name]
    x, kernel = values(2, 6, 8, shape[2]), values(*shape)

    @jax.jit
    def both(x, kernel):
        one, other = ((f(x, kernel), *gradients(f, x, kernel)) for f in (function, reference))
        return one, other

    for ours, theirs in zip(*both(x, kernel), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-4)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_on_an_accelerator_the_same_convolutions_are_xlas_own(name, monkeypatch):
    function, _, shape = CONVOLUTIONS[name]
    x, kernel = values(2, 6, 8, shape[2]), values(*shape)
    on_cpu = jax.jit(function)(x, kernel)
    monkeypatch.setattr(convolutions, "_on_cpu", lambda: False)

    def traced_again(x, kernel):
        return function(x, kernel)

    assert "conv_general_dilated" in str(jax.make_jaxpr(traced_again)(x, kernel))
    np.testing.assert_allclose(jax.jit(traced_again)(x, kernel), on_cpu, atol=2e-5)


def test_the_up_convolution_equals_flax_with_the_same_kernel():
    ours = Convolution(
        convolutions.up_convolve, 4, 3, 5, kernel_init=nnx.initializers.normal(), rngs=nnx.Rngs(0)
    )
    theirs = nnx.ConvTranspose(3, 5, (4, 4), (2, 2), padding="SAME", rngs=nnx.Rngs(1))
    theirs.kernel[...] = ours.kernel[...]
    ours.bias[...] = theirs.bias[...] = jnp.arange(5.0)
    x = values(2, 7, 7, 3)
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-5)


@pytest.mark.parametrize("name", ["down_convolve", "convolve"])
def test_in_a_loop_the_gradient_of_a_kernel_is_a_product(name):
    """XLA's own is up to a hundred times slower there."""
    x, kernel = values(2, 16, 16, 16), values(4, 4, 16, 8)

    def descended(kernel):
        def body(_, kernel):
            return kernel - jax.grad(lambda k: getattr(convolutions, name)(x, k).sum())(kernel)

        return lax.fori_loop(0, 2, body, kernel)

    text = jax.jit(descended).lower(kernel).as_text()
    assert "dot_general" in text
    assert "convolution" not in text
