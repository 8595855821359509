"""StyleGAN2's networks: modulation, noise, styles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax
from parameter_counts import count_parameters

from gancli.networks import MODELS, Interface
from gancli.networks.convolutions import (
    convolve,
)
from gancli.networks.resampling import smooth_upsample_convolve
from gancli.networks.stylegan2 import (
    EqualLinear,
    Modulated,
    ResidualDownBlock,
    StyledLayer,
    StyleGenerator,
)

LATENT = 5
SMALL = "stylegan2:width=4,style=8,mapping=2"


def values(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.fixture(scope="module")
def generator():
    """One with strengths of noise that are not 0, as if it had been trained, its weights."""
    network = MODELS.build(SMALL, Interface((8, 8, 1), LATENT)).generator
    params, stats = network.initialize(jax.random.key(0))
    params = jax.tree.map(lambda leaf: leaf if leaf.ndim else jnp.full_like(leaf, 0.3), params)
    apply = jax.jit(network.apply, static_argnames=("train", "noise"))
    return network._replace(apply=apply), params, stats


@pytest.mark.parametrize("demodulate", [True, False])
def test_modulation_equals_a_kernel_of_each_examples_own(demodulate):
    layer = Modulated(convolve, 3, 4, 6, 2, demodulate, nnx.Rngs(0))
    layer.affine.bias[...] = jnp.asarray(1 + values(4, seed=3))
    x, w = values(3, 5, 5, 4), values(3, 2, seed=1)
    kernel = np.asarray(layer.convolution.kernel[...], np.float64) / np.sqrt(9 * 4)
    scales = w @ np.asarray(layer.affine.kernel[...]) / np.sqrt(2)
    scales = scales + np.asarray(layer.affine.bias[...])
    for index in range(3):
        own = kernel * np.asarray(scales[index])[:, None]
        if demodulate:
            own /= np.sqrt((own**2).sum((0, 1, 2)) + 1e-8)
        names = ("NHWC", "HWIO", "NHWC")
        expected = lax.conv_general_dilated(
            x[index : index + 1], own.astype(np.float32), (1, 1), "SAME", dimension_numbers=names
        )
        np.testing.assert_allclose(layer(x, w)[index : index + 1], expected, atol=1e-4)


def test_demodulated_outputs_of_unit_noise_have_unit_variance():
    layer = Modulated(convolve, 1, 64, 32, 4, True, nnx.Rngs(0))
    made = layer(values(2, 32, 32, 64), 100 * values(2, 4, seed=1))
    assert float(made.std()) == pytest.approx(1, rel=0.05)


def test_demodulation_suits_upsampling_too():
    """Style times 1000 changes nothing."""
    layer = Modulated(smooth_upsample_convolve, 3, 4, 6, 2, True, nnx.Rngs(0))
    layer.affine.bias[...] = jnp.zeros(4)
    x, w = values(2, 4, 4, 4), values(2, 2, seed=1)
    np.testing.assert_allclose(layer(x, 1000 * w), layer(x, w), rtol=1e-3, atol=1e-4)


def test_equalized_layers_by_hand():
    """Rate 0.01: kernels and biases are a hundred times as large, and a hundredth of it is used."""
    layer = EqualLinear(4, 1, start=0.5, rate=0.01, rngs=nnx.Rngs(0))
    assert layer.bias[...].tolist() == [50.0]
    layer.kernel[...] = jnp.array([[100.0], [200.0], [300.0], [400.0]])
    # 0.01 (1000 / 2 + 50)
    assert float(layer(jnp.ones((1, 4)))[0, 0]) == pytest.approx(5.5, rel=1e-6)
    wide = EqualLinear(400, 50, rate=0.01, rngs=nnx.Rngs(0))
    assert float(wide.kernel[...].std()) == pytest.approx(100, rel=0.03)


def test_a_step_of_the_mapping_is_a_hundredth_of_others():
    """A gradient is r times that of a layer that learns at the full rate."""
    one, other = (EqualLinear(3, 2, rate=rate, rngs=nnx.Rngs(0)) for rate in (1.0, 0.01))
    slopes = [
        jax.grad(lambda layer: layer(jnp.ones((1, 3))).sum())(layer) for layer in (one, other)
    ]
    full, slow = (np.asarray(slope.kernel[...]) for slope in slopes)
    np.testing.assert_allclose(slow, 0.01 * full, rtol=1e-6)


def test_a_block_of_the_discriminator_keeps_variance():
    block = ResidualDownBlock(32, 48, nnx.Rngs(0))
    made = block(jnp.full((1, 8, 8, 32), 1.0))
    assert made.shape == (1, 4, 4, 48)
    # 1 of mean square 1 stays of order 1 where the filter sees no edge.
    assert float((made[:, 1:3, 1:3] ** 2).mean()) == pytest.approx(1, rel=0.5)


def test_latents_are_normalized_so_that_their_length_is_of_no_account(generator):
    network, params, stats = generator
    z = values(3, LATENT)
    one, other = (network.apply(params, stats, x, train=False)[0] for x in (z, 7 * z))
    np.testing.assert_allclose(one, other, atol=1e-5)
    assert float(jnp.abs(one[0] - one[1]).max()) > 1e-3


def test_noise_in_training_is_of_each_latent_and_else_one_for_all(generator):
    network, params, stats = generator
    z = np.tile(values(1, LATENT), (2, 1))
    trained, moved = network.apply(params, stats, z)
    np.testing.assert_array_equal(trained[0], trained[1])
    np.testing.assert_array_equal(trained, network.apply(params, stats, z)[0])
    jax.tree.map(np.testing.assert_array_equal, moved, stats)
    # The same direction, so that only the noise can differ: by the latent's bits in training.
    z[1] *= 2
    trained = network.apply(params, stats, z)[0]
    assert float(jnp.abs(trained[0] - trained[1]).max()) > 1e-3
    still = network.apply(params, stats, z, train=False)[0]
    np.testing.assert_allclose(still[0], still[1], atol=1e-5)
    assert float(jnp.abs(trained[0] - still[0]).max()) > 1e-3


def test_noise_of_every_layer_differs_and_an_examples_does_not_depend_on_its_batch(generator):
    network, params, stats = generator
    z = values(4, LATENT)
    together, alone = (network.apply(params, stats, x)[0] for x in (z, z[2:3]))
    np.testing.assert_allclose(together[2:3], alone, atol=1e-5)
    noises = [np.asarray(layer["noise"]) for layer in stats["layers"].values()]
    assert [noise.shape for noise in noises] == [
        (2, 2, 1),
        (4, 4, 1),
        (4, 4, 1),
        (8, 8, 1),
        (8, 8, 1),
    ]
    assert (noises[1] != noises[2]).all()


def test_noise_is_added_times_its_strength():
    """With a kernel of 0 a layer gives √2 f(0.5 n): √2 for n = 2, and -0.2 √2 for n = -2."""
    layer = StyledLayer(convolve, (2, 2), 1, 1, 2, nnx.Rngs(0))
    layer.modulated.convolution.kernel[...] = jnp.zeros((3, 3, 1, 1))
    layer.strength[...] = jnp.full((), 0.5)
    noise = jnp.array([[2.0, -2.0], [0.0, 1.0]]).reshape(1, 2, 2, 1)
    made = layer(jnp.zeros((1, 2, 2, 1)), jnp.zeros((1, 2)), noise)[0, :, :, 0]
    np.testing.assert_allclose(made, 2**0.5 * np.array([[1, -0.2], [0, 0.5]]), atol=1e-6)


def test_noise_is_standard_normal():
    model = StyleGenerator(
        Interface((32, 32, 1), LATENT), (4, 4), [4, 4, 4, 4], 8, 2, 0.0, nnx.Rngs(0)
    )
    drawn = model.noises(jnp.asarray(values(16, LATENT)), "random")
    assert [noise.shape[1] for noise in drawn] == [4, 8, 8, 16, 16, 32, 32]
    every = np.concatenate([np.asarray(noise).ravel() for noise in drawn])
    assert every.mean() == pytest.approx(0, abs=0.02)
    assert every.std() == pytest.approx(1, rel=0.02)
    assert len(np.unique(every)) > 0.99 * len(every)


def test_styles_are_those_of_the_mapping_network_and_replace_them(generator):
    """With another latent's styles, the image becomes the other's."""
    network, params, stats = generator
    assert (network.styles.size, network.styles.layers) == (8, 6)

    def styles(z):
        w = z / np.sqrt((z**2).mean(1, keepdims=True) + 1e-8)
        for name in ("0", "1"):
            own = params["mapping"][name]
            w = 0.01 * (
                w @ np.asarray(own["kernel"]) / np.sqrt(len(own["kernel"]))
                + np.asarray(own["bias"])
            )
            w = np.sqrt(2) * np.where(w > 0, w, 0.2 * w)
        return w

    here, there = values(2, LATENT), values(2, LATENT, seed=1)
    w = jnp.asarray(styles(there), jnp.float32)
    np.testing.assert_allclose(network.styles.of(params, stats, there), w, atol=1e-5)
    image = network.apply(params, stats, there, train=False)[0]
    for given in (w, jnp.tile(w[:, None], (1, 6, 1))):
        made = network.apply(params, stats, here, train=False, styles=given)[0]
        np.testing.assert_allclose(made, image, atol=1e-4)


def test_noise_is_chosen_outside_training(generator):
    network, params, stats = generator
    z = values(2, LATENT)
    constant, none, random = (
        np.asarray(network.apply(params, stats, z, train=False, noise=noise)[0])
        for noise in ("constant", "none", "random")
    )
    np.testing.assert_allclose(constant, network.apply(params, stats, z, train=False)[0], atol=1e-5)
    np.testing.assert_allclose(random, network.apply(params, stats, z)[0], atol=1e-5)
    silent = jax.tree.map(jnp.zeros_like, stats)
    np.testing.assert_allclose(none, network.apply(params, silent, z, train=False)[0], atol=1e-5)
    assert min(np.abs(constant - other).max() for other in (none, random)) > 1e-3


@pytest.mark.slow
def test_styles_are_mixed_from_a_random_layer_on_in_training_alone():
    """Of half the images, whose layers from 1 to 5 on have another w."""
    interface = Interface((8, 8, 1), LATENT)
    model = StyleGenerator(interface, (2, 2), [4, 4, 4], 8, 2, 0.5, nnx.Rngs(0))
    z = jnp.asarray(values(400, LATENT))
    own, mixed = np.asarray(model.style_of(z)), np.asarray(model.mixed(z))
    assert mixed.shape == (400, 6, 8)
    same = (mixed == own[:, None]).all(axis=2)
    assert same[:, 0].all()
    assert (same[:, :-1] >= same[:, 1:]).all()  # Once another, always another.
    assert np.mean(~same[:, -1]) == pytest.approx(0.5, abs=0.1)
    first = same[~same[:, -1]].sum(axis=1)
    assert np.bincount(first, minlength=6).tolist()[0] == 0
    assert set(first) == {1, 2, 3, 4, 5}
    model.eval()
    image = np.asarray(model(z[:2]))
    np.testing.assert_array_equal(image, model(z[:2], styles=model.style_of(z[:2])))


def test_codes_are_embedded_and_change_the_image():
    network = MODELS.build(SMALL, Interface((8, 8, 1), LATENT, codes=3)).generator
    params, stats = network.initialize(jax.random.key(0))
    assert params["embedding"]["kernel"].shape == (3, 8)
    assert params["mapping"]["0"]["kernel"].shape == (LATENT + 8, 8)
    z = np.concatenate([np.tile(values(1, LATENT), (3, 1)), np.eye(3, dtype=np.float32)], axis=1)
    images = jax.jit(network.apply, static_argnames="train")(params, stats, z, train=False)[0]
    assert float(jnp.abs(images[1:] - images[:1]).max(axis=(1, 2, 3)).min()) > 1e-3


def test_parameter_counts_by_hand():
    """8x8: 16, 8 and 4 channels at 2, 4 and 8 pixels; style 8, 2 layers of mapping, 5 latents."""
    pair = MODELS.build(SMALL, Interface((8, 8, 1), LATENT))
    layers = [(16, 16), (16, 8), (8, 8), (8, 4), (4, 4)]
    styled = sum(9 * i * o + (8 * i + i) + o + 1 for i, o in layers)
    images = sum(c + (8 * c + c) + 1 for c in (16, 8, 4))
    mapping = 5 * 8 + 8 + 8 * 8 + 8
    assert count_parameters(pair.generator) == 4 * 16 + styled + images + mapping
    blocks = sum(9 * i * i + i + 9 * i * o + o + i * o for i, o in ((4, 8), (8, 16)))
    end = 9 * 16 * 16 + 16 + 4 * 16 * 16 + 16 + 16 + 1
    assert count_parameters(pair.discriminator) == 4 + 4 + blocks + end


def test_minibatch_deviation_sees_the_rest_of_the_batch():
    network = MODELS.build(f"{SMALL},minibatch=stddev", Interface((8, 8, 1), LATENT)).discriminator
    params, stats = network.initialize(jax.random.key(0))
    apply, x = jax.jit(network.apply), values(4, 8, 8, 1)
    together = apply(params, stats, x)[0]
    # A copy: what was passed may still be read.
    others = np.concatenate([x[:1], 3 * x[1:]])
    assert abs(float(together[0] - apply(params, stats, others)[0][0])) > 1e-6
