"""R3GAN's networks: groups of channels, and how they start."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax
from parameter_counts import count_parameters

from gancli.networks import MODELS, Interface, convolutions
from gancli.networks.r3gan import LatentMaps, ResidualBlock, WeightedPixels, grouped_convolve


def values(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def by_xla(x, kernel):
    groups = x.shape[-1] // kernel.shape[2]
    names = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
        x, kernel, (1, 1), [(1, 1)] * 2, dimension_numbers=names, feature_group_count=groups
    )


@pytest.mark.parametrize("shape", [(3, 3, 2, 12), (3, 3, 6, 4), (3, 3, 1, 6)])
def test_grouped_convolution_and_its_gradients_equal_xlas_own(shape):
    x, kernel = values(2, 5, 7, 6), values(*shape, seed=1)
    np.testing.assert_allclose(grouped_convolve(x, kernel), by_xla(x, kernel), atol=1e-5)

    def slopes(function):
        return jax.grad(lambda x, kernel: jnp.sum(jnp.sin(function(x, kernel))), (0, 1))(x, kernel)

    for ours, theirs in zip(slopes(grouped_convolve), slopes(by_xla), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_on_an_accelerator_all_groups_are_one_convolution(monkeypatch):
    x, kernel = values(2, 4, 4, 6), values(3, 3, 2, 9)
    on_cpu = grouped_convolve(x, kernel)
    monkeypatch.setattr(convolutions, "_on_cpu", lambda: False)

    def traced_again(x, kernel):
        return grouped_convolve(x, kernel)

    text = str(jax.make_jaxpr(traced_again)(x, kernel))
    assert text.count("conv_general_dilated[") == 1
    assert "feature_group_count=3" in text
    np.testing.assert_allclose(jax.jit(traced_again)(x, kernel), on_cpu, atol=1e-5)


def test_a_block_starts_as_the_identity_with_scaled_kernels():
    """Of 4 blocks: deviations √(2 / (1.04 · √4)) / √inputs, of 64 and of 9 · 16 inputs."""
    block = ResidualBlock(64, 16, 4, nnx.Rngs(0))
    x = values(2, 4, 4, 64)
    np.testing.assert_array_equal(block(x), x)
    for layer, deviation in ((block.first, 0.980581 / 8), (block.grouped, 0.980581 / 12)):
        kernel = np.asarray(layer.kernel[...])
        assert kernel.std() == pytest.approx(deviation, rel=0.03)
        assert kernel.mean() == pytest.approx(0, abs=3 * deviation / kernel.size**0.5)


def test_a_block_by_hand():
    """One channel, 2 inner ones: x + (1, 2) f((3, 5) f((1, -1) x + (0, 1)) + (0, -1))."""
    block = ResidualBlock(1, 1, 1, nnx.Rngs(0))
    block.first.kernel[...] = jnp.array([1.0, -1.0]).reshape(1, 1, 1, 2)
    block.first.bias[...] = jnp.array([0.0, 1.0])
    block.grouped.kernel[...] = jnp.zeros((3, 3, 1, 2)).at[1, 1, 0].set(jnp.array([3.0, 5.0]))
    block.grouped.bias[...] = jnp.array([0.0, -1.0])
    block.last.kernel[...] = jnp.array([1.0, 2.0]).reshape(1, 1, 2, 1)
    # x = 2: f(2) = 2 and f(-1) = -0.2, then f(6) = 6 and f(-2) = -0.4: 2 + 6 - 0.8.
    assert float(block(jnp.full((1, 1, 1, 1), 2.0))[0, 0, 0, 0]) == pytest.approx(7.2, rel=1e-6)


def test_the_generator_starts_from_maps_and_the_discriminator_ends_with_weights():
    maps = LatentMaps(2, (1, 1), 3, nnx.Rngs(0))
    maps.maps[...] = jnp.array([[[1.0, 2.0, 3.0]]])
    maps.linear.kernel[...] = jnp.array([[1.0, 0.0, 2.0], [0.0, 1.0, 1.0]])
    np.testing.assert_allclose(maps(jnp.array([[10.0, 100.0]])), [[[[10.0, 200.0, 360.0]]]])
    pixels = WeightedPixels((2, 2), 1, nnx.Rngs(0))
    pixels.weights[...] = jnp.array([[1.0, 2.0], [3.0, 4.0]])[..., None]
    x = jnp.array([[1.0, 10.0], [100.0, 1000.0]]).reshape(1, 2, 2, 1)
    assert pixels(x).tolist() == [[4321.0]]


def test_parameter_counts_by_hand():
    """16x16 in 3 sides of 8, 16 and 32 channels; of a block, inner channels 16, 32 and 64."""
    pair = MODELS.build("r3gan:width=8,group=16", Interface((16, 16, 1), 3))
    blocks = sum(2 * c * 2 * c + 9 * 16 * 2 * c + 2 * 2 * c for c in (8, 16, 32))
    between = 32 * 16 + 16 * 8
    assert count_parameters(pair.generator) == 16 * 32 + 3 * 32 + blocks + between + 8
    assert count_parameters(pair.discriminator) == 8 + blocks + between + 16 * 32 + 32 + 1


def test_groups_are_as_large_as_the_channels_allow():
    pair = MODELS.build("r3gan:width=3,group=16", Interface((8, 8, 1), 3))
    params, _ = jax.eval_shape(pair.discriminator.initialize, jax.random.key(0))
    # 3 channels, 6 inner ones, of which groups of 2; then 6 and 12, groups of 4; 12 and 24, of 8.
    grouped = [
        params["layers"][name]["grouped"]["kernel"].shape
        for name in sorted(params["layers"], key=int)
        if "grouped" in params["layers"][name]
    ]
    assert grouped == [(3, 3, 2, 6), (3, 3, 4, 12), (3, 3, 8, 24)]


def test_the_variance_of_images_is_of_order_one_at_first():
    pair = MODELS.build("r3gan", Interface((16, 16, 3), 64))
    params, stats = pair.generator.initialize(jax.random.key(0))
    images = pair.generator.apply(params, stats, values(16, 64))[0]
    assert 0.2 < float(images.std()) < 0.9
