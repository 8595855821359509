import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gancli.networks import layers
from gancli.networks.convolutions import down_convolve


def images(*shape, seed=0):
    return jax.random.normal(jax.random.key(seed), shape)


def values(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_resampling_by_hand():
    x = jnp.array([[[[1.0], [3.0]], [[5.0], [7.0]]]])
    assert layers.downsample(x).tolist() == [[[[4.0]]]]
    rows = [[1, 1, 3, 3], [1, 1, 3, 3], [5, 5, 7, 7], [5, 5, 7, 7]]
    assert layers.upsample(x)[0, :, :, 0].tolist() == rows


def top_singular_value(kernel):
    matrix = np.asarray(kernel, np.float64).reshape(-1, kernel.shape[-1])
    return np.linalg.svd(matrix, compute_uv=False)[0]


@pytest.fixture
def spectral():
    rngs = nnx.Rngs(0)
    layer = layers.Convolution(
        down_convolve, 4, 3, 6, kernel_init=nnx.initializers.normal(), rngs=rngs
    )
    return layers.SpectralNorm(layer, rngs=rngs)


def test_spectral_norm_divides_the_kernel_by_its_largest_singular_value(spectral):
    x = images(2, 8, 8, 3)
    # A kernel that u has not seen, as after a large step of training.
    spectral.layer.kernel[...] = images(4, 4, 3, 6, seed=5)
    kernel = spectral.layer.kernel[...]
    for _ in range(40):
        spectral(x)
    expected = down_convolve(x, kernel / top_singular_value(kernel))
    np.testing.assert_allclose(spectral(x), expected, rtol=1e-2, atol=1e-4)
    np.testing.assert_array_equal(spectral.layer.kernel[...], kernel)


def test_spectral_norm_starts_near_the_largest_singular_value(spectral):
    spectral.eval()
    x, kernel = images(2, 8, 8, 3), spectral.layer.kernel[...]
    ratio = down_convolve(x, kernel) / spectral(x)
    assert np.median(ratio) == pytest.approx(top_singular_value(kernel), rel=0.05)


def test_spectral_norm_keeps_its_vector_outside_training(spectral):
    x, before = images(2, 8, 8, 3), spectral.u[...]
    spectral.layer.kernel[...] = images(4, 4, 3, 6, seed=5)
    spectral.eval()
    spectral(x)
    np.testing.assert_array_equal(spectral.u[...], before)
    spectral.train()
    spectral(x)
    assert float(jnp.max(jnp.abs(spectral.u[...] - before))) > 1e-3


def test_spectral_norm_of_averaged_weights(spectral):
    """The mean of what was kept is no unit vector, here of length 0.5: the kernel's norm is 1."""
    x, before = images(2, 8, 8, 3), spectral.u[...]
    spectral.eval()
    expected = spectral(x)
    spectral.u[...] = 0.5 * before
    np.testing.assert_allclose(spectral(x), expected, rtol=1e-5)
    kernel = spectral.layer.kernel[...]
    np.testing.assert_allclose(
        spectral(x), down_convolve(x, kernel / top_singular_value(kernel)), rtol=0.02, atol=1e-4
    )


def test_spectral_norm_lets_the_gradient_through_sigma(spectral):
    # W/sigma(W) does not change with W's scale, so its derivative along W itself is 0.
    spectral.eval()
    definition, params, rest = nnx.split(spectral, nnx.Param, ...)
    x = images(2, 8, 8, 3)

    def total(kernel):
        module = nnx.merge(definition, params, rest, copy=True)
        module.layer.kernel[...] = kernel
        return jnp.sum(module(x) @ jnp.arange(6.0))

    kernel = spectral.layer.kernel[...]
    slope = jax.grad(total)(kernel)
    assert abs(float(jnp.sum(slope * kernel))) < 1e-2 * float(
        jnp.linalg.norm(slope) * jnp.linalg.norm(kernel)
    )
    assert float(jnp.linalg.norm(slope)) > 1


def test_minibatch_standard_deviation_by_hand():
    # Features of the two examples: (1, 5) and (3, 5): deviations 1 and 0, mean 0.5.
    x = jnp.array([[1.0, 5.0], [3.0, 5.0]])
    output = layers.MinibatchStandardDeviation()(x)
    np.testing.assert_allclose(output, [[1, 5, 0.5], [3, 5, 0.5]], atol=1e-3)


def test_minibatch_standard_deviation_of_images():
    # 0, 1, 4 and 7 have mean 3 and deviation √7.5 in each value.
    x = jnp.array([0.0, 1.0, 4.0, 7.0])[:, None, None, None] * jnp.ones((4, 2, 2, 3))
    output = layers.MinibatchStandardDeviation()(x)
    assert output.shape == (4, 2, 2, 4)
    np.testing.assert_allclose(output[..., 3], np.full((4, 2, 2), 7.5**0.5), rtol=1e-6)
    np.testing.assert_array_equal(output[..., :3], x)


def test_minibatch_discrimination_by_hand():
    layer = layers.MinibatchDiscrimination(1, kernels=1, dimensions=2, rngs=nnx.Rngs(0))
    layer.kernel[...] = jnp.array([[1.0, 2.0]])
    # Distances are 3 |x_i - x_j|: 0 and 1 are 3 apart, 0 and 0 none.
    output = layer(jnp.array([[0.0], [1.0], [0.0]]))
    near = float(np.exp(-3))
    np.testing.assert_allclose(output[:, 1], [1 + near, 2 * near, 1 + near], rtol=1e-5)


def test_self_attention_starts_as_the_identity_and_then_sees_the_whole_image():
    layer = layers.SelfAttention(8, spectral_norm=False, rngs=nnx.Rngs(0))
    x = images(1, 4, 4, 8)
    np.testing.assert_array_equal(layer(x), x)
    layer.gamma[...] = jnp.ones(())
    moved = layer(x.at[0, 3, 3].add(1.0)) - layer(x)
    assert float(jnp.max(jnp.abs(moved[0, 0, 0]))) > 1e-6


def test_self_attention_of_equal_pixels_adds_their_value():
    layer = layers.SelfAttention(8, spectral_norm=False, rngs=nnx.Rngs(0))
    layer.gamma[...] = jnp.full((), 2.0)
    pixel = images(8)
    x = jnp.broadcast_to(pixel, (1, 3, 3, 8))
    expected = pixel + 2 * (pixel @ layer.value.kernel[...] @ layer.output.kernel[...])
    np.testing.assert_allclose(layer(x), jnp.broadcast_to(expected, x.shape), atol=1e-5)
