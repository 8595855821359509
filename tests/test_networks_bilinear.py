"""The bilinear maps: values and derivatives are those of XLA, in every way to compute them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_networks_convolutions import gradients, native, values

from gancli.networks import bilinear


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
    "down_natively": halved,
    "down_by_products": halved,
    "up_by_products": doubled,
    "kernel_by_products": kernel_between,
    "kernel_at_once": kernel_between,
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
    one, other = operands(name, *shape)
    expected = WAYS[name](one, other)
    np.testing.assert_allclose(getattr(bilinear, name)(one, other), expected, atol=1e-4)


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
    compared(getattr(bilinear, name), REFERENCES[name], *operands(name, *shape))


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

    mine, theirs = gradients_of(getattr(bilinear, name)), gradients_of(REFERENCES[name])
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
        (bilinear.slide, native_slide, (x, kernel)),
        (bilinear.slide_kernel_of, kernel_slid, (x, y)),
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
        gradients_of(partial(bilinear.slide, padding=1)),
        gradients_of(partial(native_slide, padding=1)),
    )
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("name", ["down", "up", "kernel_of", "slide", "slide_kernel_of"])
def test_products_of_bfloat16_are_summed_in_float32(name):
    """The result is that of float32 for these operands, rounded once; so are its derivatives."""
    function = getattr(bilinear, name)
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
