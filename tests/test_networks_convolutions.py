"""Convolutions: values and derivatives are those of XLA's own, in every way to compute them."""

from functools import partial

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


# The three maps of stride 2


def halved(x, kernel):
    return native(x, kernel, 2, 1)


def doubled(y, kernel):
    shape = (len(y), 2 * y.shape[1], 2 * y.shape[2], kernel.shape[2])
    _, transpose = jax.vjp(lambda x: halved(x, kernel), jnp.zeros(shape))
    return transpose(y)[0]


def kernel_between(x, y):
    shape = (4, 4, x.shape[-1], y.shape[-1])
    _, transpose = jax.vjp(lambda kernel: halved(x, kernel), jnp.zeros(shape))
    return transpose(y)[0]


def native_slide(x, kernel, padding):
    return native(x, kernel, 1, padding)


def kernel_slid(x, y, padding):
    shape = (x.shape[1] + 2 * padding - y.shape[1] + 1,) * 2 + (x.shape[-1], y.shape[-1])
    _, transpose = jax.vjp(lambda kernel: native(x, kernel, 1, padding), jnp.zeros(shape))
    return transpose(y)[0]


REFERENCES = {"down": halved, "up": doubled, "kernel_of": kernel_between}
WAYS = {
    "_down_natively": halved,
    "_down_by_products": halved,
    "_up_by_products": doubled,
    "_kernel_by_products": kernel_between,
    "_kernel_at_once": kernel_between,
}


def operands(name, batch, height, width, inputs, outputs):
    x, y = (
        values(batch, 2 * height, 2 * width, inputs),
        values(batch, height, width, outputs, seed=1),
    )
    kernel = values(4, 4, inputs, outputs, seed=2) / (16 * inputs) ** 0.5
    return {"down": (x, kernel), "up": (y, kernel), "kernel": (x, y)}[name.split("_")[0]]


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("shape", [(2, 3, 5, 3, 7), (1, 1, 1, 1, 1), (3, 7, 4, 5, 2)])
def test_every_way_gives_the_same_values(name, shape):
    one, other = operands(name.strip("_"), *shape)
    expected = WAYS[name](one, other)
    np.testing.assert_allclose(getattr(convolutions, name)(one, other), expected, atol=1e-4)


# Each side of the rule.
SIDES = {
    "few channels": (2, 8, 8, 3, 5),
    "small images": (2, 4, 4, 16, 8),
    "large images": (2, 8, 9, 16, 8),
}


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("shape", SIDES.values(), ids=SIDES)
def test_values_and_first_and_second_derivatives_are_xlas(name, shape):
    """Those of a function that is not linear, so that no derivative is 0; forwards, too."""
    compared(getattr(convolutions, name), REFERENCES[name], *operands(name, *shape))


def compared(mine, reference, one, other):
    along = values(*one.shape, seed=3), values(*other.shape, seed=4)

    def all_of(function):
        def loss(one, other):
            return jnp.square(function(one, other)).mean()

        def first(one, other):
            return jax.grad(loss, (0, 1))(one, other)

        def penalty(one, other):
            return sum(jnp.square(part).sum() for part in first(one, other))

        second = jax.grad(penalty, (0, 1))(one, other)
        return (
            function(one, other), first(one, other), second,
            jax.jvp(first, (one, other), along)[1],
        )  # fmt: skip

    found, expected = jax.jit(lambda: (all_of(mine), all_of(reference)))()
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        scale = float(jnp.abs(theirs).max())
        np.testing.assert_allclose(ours / scale, theirs / scale, atol=2e-5)


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)])
def test_each_of_several_has_its_own_derivatives(name, axes):
    one, other = operands(name, 2, 3, 4, 2, 3)
    given = zip((one, other), axes, strict=True)
    several = [each if axis is None else np.stack([each, -2 * each]) for each, axis in given]

    def gradients_of(function):
        return jax.vmap(lambda a, b: gradients(function, a, b), axes)(*several)

    mine, theirs = gradients_of(getattr(convolutions, name)), gradients_of(REFERENCES[name])
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


# Stride 1: (size, padding, inputs, outputs)
SLIDES = [(3, 1, 3, 5), (3, 1, 5, 3), (4, 1, 2, 3), (3, 0, 2, 4), (7, 3, 3, 2), (2, 1, 1, 1)]


@pytest.mark.parametrize("slide", SLIDES)
def test_values_and_first_and_second_derivatives_of_stride_1_are_xlas(slide):
    size, padding, inputs, outputs = slide
    height, width = 5, 7
    x = values(2, height + size - 1 - 2 * padding, width + size - 1 - 2 * padding, inputs)
    y = values(2, height, width, outputs, seed=1)
    kernel = values(size, size, inputs, outputs, seed=2)
    pairs = [
        (convolutions.slide, native_slide, (x, kernel)),
        (convolutions.slide_kernel_of, kernel_slid, (x, y)),
    ]
    for mine, reference, given in pairs:
        compared(partial(mine, padding=padding), partial(reference, padding=padding), *given)


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)])
def test_each_of_several_has_its_own_derivatives_with_stride_1(axes):
    given = zip((values(2, 4, 5, 2), values(3, 3, 2, 3, seed=1)), axes, strict=True)
    several = [each if axis is None else np.stack([each, -2 * each]) for each, axis in given]

    def gradients_of(function):
        return jax.vmap(lambda a, b: gradients(function, a, b), axes)(*several)

    mine, theirs = (
        gradients_of(partial(convolutions.slide, padding=1)),
        gradients_of(partial(native_slide, padding=1)),
    )
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("name", ["down", "up", "kernel_of", "slide", "slide_kernel_of"])
def test_products_of_bfloat16_are_summed_in_float32(name):
    """The result is that of float32 for these operands, rounded once; so are its derivatives."""
    function = getattr(convolutions, name)
    if name.startswith("slide"):
        function = partial(function, padding=1)
    images, halves, kernel = values(2, 8, 8, 16), values(2, 4, 4, 3), values(4, 4, 16, 3)
    given = {
        "down": (images, kernel),
        "up": (halves, kernel),
        "kernel_of": (images, halves),
        "slide": (images, kernel[:3, :3]),
        "slide_kernel_of": (images, values(2, 8, 8, 3)),
    }[name]
    rounded = [jnp.asarray(x, jnp.bfloat16) for x in given]
    exact = [x.astype(jnp.float32) for x in rounded]

    def derivatives(x, y):
        made, back = jax.vjp(function, x, y)
        return made, back(jnp.ones_like(made))

    for ours, theirs in zip(
        jax.tree.leaves(derivatives(*rounded)), jax.tree.leaves(derivatives(*exact)), strict=True
    ):
        assert ours.dtype == jnp.bfloat16
        np.testing.assert_allclose(ours.astype(jnp.float32), theirs, rtol=2**-8, atol=1e-5)


@pytest.mark.parametrize("name", ["down", "convolve"])
def test_in_a_loop_the_gradient_of_a_kernel_is_a_product(name):
    """XLA's own is up to a hundred times slower there."""
    x, kernel = operands("down", 2, 8, 8, 16, 8)

    def descended(kernel):
        def body(_, kernel):
            return kernel - jax.grad(lambda k: getattr(convolutions, name)(x, k).sum())(kernel)

        return lax.fori_loop(0, 2, body, kernel)

    text = jax.jit(descended).lower(kernel).as_text()
    assert "dot_general" in text
    assert "convolution" not in text
