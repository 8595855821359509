"""Resampling with the filter [1, 3, 3, 1]: against zeros put between pixels, and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gancli.networks import convolutions
from gancli.networks.resampling import (
    convolve_smooth_downsample,
    smooth_downsample,
    smooth_upsample,
    smooth_upsample_convolve,
)

FILTER = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64


def values(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def spread(image, factor=2):
    """An image (height, width, channels) with zeros between its pixels and far beyond its edges."""
    height, width, channels = image.shape
    whole = np.zeros((factor * height + 16, factor * width + 16, channels))
    whole[8 : 8 + factor * height : factor, 8 : 8 + factor * width : factor] = image
    return whole


def filtered(whole, before):
    """Each pixel's weighted sum of four by four, the first of them `before` pixels before it."""
    made = np.zeros_like(whole)
    for row in range(4):
        for column in range(4):
            places = (before - row, before - column)
            made += FILTER[row, column] * np.roll(whole, places, axis=(0, 1))
    return made


def convolved(whole, kernel):
    """Each pixel's 3x3 neighbours times a kernel."""
    made = np.zeros((*whole.shape[:2], kernel.shape[-1]))
    for row in range(3):
        for column in range(3):
            made += np.roll(whole, (1 - row, 1 - column), axis=(0, 1)) @ kernel[row, column]
    return made


def test_upsampling_by_hand():
    """Along a row, (4, 8) becomes (3, 20/4, 28/4, 6); along a column of one pixel, 3/4 of it."""
    x = jnp.array([4.0, 8.0]).reshape(1, 1, 2, 1)
    row = [0.75 * value for value in (3, 5, 7, 6)]
    np.testing.assert_allclose(smooth_upsample(x)[0, :, :, 0], [row, row])


def test_downsampling_by_hand():
    """Along a row, (8, 16) becomes (24 + 48)/8; a column of two alike, 6/8 of it."""
    x = jnp.array([8.0, 16.0]).reshape(1, 1, 2, 1) * jnp.ones((1, 2, 1, 1))
    np.testing.assert_allclose(smooth_downsample(x), [[[[6.75]]]])


def test_even_images_stay_even_away_from_the_edges():
    x = jnp.full((1, 6, 6, 2), 3.0)
    np.testing.assert_allclose(smooth_upsample(x)[:, 1:-1, 1:-1], 3, rtol=1e-6)
    np.testing.assert_allclose(smooth_downsample(x)[:, 1:-1, 1:-1], 3, rtol=1e-6)


@pytest.mark.parametrize("shape", [(3, 5), (4, 4)])
def test_upsampling_is_zeros_between_pixels_and_the_filter(shape):
    x = values(*shape, 2)
    height, width = 2 * shape[0], 2 * shape[1]
    expected = 4 * filtered(spread(x), 2)[8 : 8 + height, 8 : 8 + width]
    np.testing.assert_allclose(smooth_upsample(x[None])[0], expected, atol=1e-5)


@pytest.mark.parametrize("channels", [(2, 5), (5, 2)])
def test_upsampling_and_a_kernel_are_zeros_between_pixels_the_filter_and_the_kernel(channels):
    x, kernel = values(3, 5, channels[0]), values(3, 3, *channels)
    expected = 4 * convolved(filtered(spread(x), 2), kernel)[8:14, 8:18]
    np.testing.assert_allclose(smooth_upsample_convolve(x[None], kernel)[0], expected, atol=1e-4)


def test_downsampling_is_the_filter_at_every_other_pixel():
    x = values(6, 4, 2)
    expected = filtered(spread(x, 1), 1)[8:14:2, 8:12:2]
    np.testing.assert_allclose(smooth_downsample(x[None])[0], expected, atol=1e-5)


@pytest.mark.parametrize("channels", [(2, 5), (5, 2)])
def test_the_filter_and_a_kernel_at_every_other_pixel(channels):
    x, kernel = values(6, 4, channels[0]), values(3, 3, *channels)
    expected = convolved(filtered(spread(x, 1), 1), kernel)[8:14:2, 8:12:2]
    np.testing.assert_allclose(convolve_smooth_downsample(x[None], kernel)[0], expected, atol=1e-4)


@pytest.mark.parametrize("function", [smooth_upsample_convolve, convolve_smooth_downsample])
def test_a_mirrored_image_and_kernel_give_the_mirrored_image(function):
    x, kernel = values(1, 6, 8, 3), values(3, 3, 3, 4)
    plain = function(x, kernel)
    mirrored = function(x[:, ::-1, ::-1], kernel[::-1, ::-1])
    np.testing.assert_allclose(mirrored[:, ::-1, ::-1], plain, atol=1e-5)


@pytest.mark.parametrize("function", [smooth_upsample_convolve, convolve_smooth_downsample])
def test_on_an_accelerator_they_hold_xlas_convolution_and_are_the_same(function, monkeypatch):
    x, kernel = values(2, 4, 6, 3), values(3, 3, 3, 5)
    on_cpu = function(x, kernel)
    monkeypatch.setattr(convolutions, "_on_cpu", lambda: False)

    def traced_again(x, kernel):
        return function(x, kernel)

    assert "conv_general_dilated" in str(jax.make_jaxpr(traced_again)(x, kernel))
    np.testing.assert_allclose(jax.jit(traced_again)(x, kernel), on_cpu, atol=1e-5)
