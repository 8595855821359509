"""Inputs of the discriminator."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from refusals import refused

from gancli.adversarial.augmentations import (
    AUGMENTATIONS,
    adapted,
    build_augmentations,
    instance_noise,
    pack,
    start_of_adaptation,
)

KEY = jax.random.key(0)


@pytest.mark.parametrize("name", AUGMENTATIONS.names())
def test_every_augmentation_keeps_shape_differs_by_image_and_is_differentiable(name):
    augment = AUGMENTATIONS.build(name)
    image = jax.random.uniform(jax.random.key(1), (1, 8, 8, 3), minval=-1)
    images = jnp.tile(image, (32, 1, 1, 1))
    changed = augment(images, KEY)
    assert changed.shape == images.shape
    assert len(np.unique(np.asarray(changed).round(5), axis=0)) > 1
    np.testing.assert_array_equal(changed, augment(images, KEY))
    slope = jax.grad(lambda x: augment(x, KEY).sum())(images)
    assert np.isfinite(slope).all()
    assert float(jnp.abs(slope).sum()) > 0


def test_translation_moves_whole_pixels_and_pads_with_zero():
    images = jnp.zeros((64, 8, 8, 1)).at[:, 4, 4].set(1.0)
    moved = np.asarray(AUGMENTATIONS.build("translation")(images, KEY))
    places = {tuple(place) for place in np.argwhere(moved[..., 0] == 1)[:, 1:]}
    assert places == {(row, column) for row in (3, 4, 5) for column in (3, 4, 5)}
    np.testing.assert_array_equal(moved.sum((1, 2, 3)), np.ones(64))


@pytest.mark.parametrize(
    ("ratio", "side", "reach"),
    [(0, 8, 0), (0.0625, 8, 1), (0.125, 20, 3)],
)
def test_translation_moves_by_at_most_its_ratio(ratio, side, reach):
    """As far as ⌊ratio · side + ½⌋ pixels, as arXiv:2006.10738's code does."""
    images = jnp.ones((400, 1, side, 1))
    moved = AUGMENTATIONS.build(f"translation:ratio={ratio}")(images, KEY)
    padded = np.asarray(moved == 0).sum(axis=(1, 2, 3))
    assert set(padded) == set(range(reach + 1))


# Options by which an augmentation does nothing.
NOTHING = (
    "color:strength=0",
    "translation:ratio=0",
    "cutout:ratio=0",
    "scaling:deviation=0",
    "affine:degrees=0,stretch=0,shear=0,shift=0",
    "brightness:deviation=0",
    "contrast:deviation=0",
    "saturation:deviation=0",
)


@pytest.mark.parametrize("spec", NOTHING)
def test_an_augmentation_of_extent_0_changes_nothing(spec):
    images = jax.random.uniform(jax.random.key(2), (16, 6, 9, 3), minval=-1)
    np.testing.assert_allclose(AUGMENTATIONS.build(spec)(images, KEY), images, atol=1e-6)


def test_cutout_clears_a_square():
    cut = np.asarray(AUGMENTATIONS.build("cutout:ratio=0.5")(jnp.ones((64, 8, 8, 1)), KEY))
    cleared = (cut == 0).sum((1, 2, 3))
    assert cleared.max() == 16
    assert set(np.unique(cut)) == {0.0, 1.0}


def test_flip_mirrors_left_and_right():
    image = jnp.arange(4.0).reshape(1, 1, 4, 1)
    flipped = np.asarray(AUGMENTATIONS.build("flip")(jnp.tile(image, (64, 1, 1, 1)), KEY))[
        :, 0, :, 0
    ]
    assert {tuple(row) for row in flipped} == {(0, 1, 2, 3), (3, 2, 1, 0)}


def test_affine_of_one_level_is_that_level():
    level = AUGMENTATIONS.build("affine:degrees=180,stretch=1,shear=1,shift=0.5")
    np.testing.assert_allclose(level(jnp.full((8, 6, 9, 1), -1.0), KEY), -1.0, rtol=1e-6)


def test_affine_turns_stretches_and_shears_a_ramp_about_its_centre():
    """A ramp's slope along its own axis and across it, as the matrix has them, where it is inside.

    Turned by φ: (cos φ, -sin φ); stretched by 2^u: (2^u, 0); sheared: (1, shear).
    """
    ramp = jnp.tile(jnp.arange(-10.0, 11.0)[None, None, :, None], (64, 21, 1, 1))

    def slopes(options):
        none = {"degrees": 0, "stretch": 0, "shear": 0, "shift": 0} | options
        spec = ",".join(f"{key}={value}" for key, value in none.items())
        moved = np.asarray(AUGMENTATIONS.build(f"affine:{spec}")(ramp, KEY))[..., 0]
        np.testing.assert_allclose(moved[:, 10, 10], 0, atol=1e-5)
        return moved[:, 10, 12] - moved[:, 10, 11], moved[:, 12, 10] - moved[:, 11, 10]

    along, across = slopes({"degrees": 60})
    np.testing.assert_allclose(along**2 + across**2, 1, rtol=1e-4)
    assert 0.5 <= along.min() < 0.6
    assert np.abs(across).max() > 0.75
    along, across = slopes({"stretch": 1})
    np.testing.assert_allclose(across, 0, atol=1e-5)
    assert 0.5 <= along.min() < 0.6
    assert 1.8 < along.max() <= 2
    along, across = slopes({"shear": 0.5})
    np.testing.assert_allclose(along, 1, atol=1e-5)
    assert 0.4 < np.abs(across).max() <= 0.5


def test_affine_shifts_by_a_share_of_the_side():
    ramp = jnp.tile(jnp.arange(-10.0, 11.0)[None, None, :, None], (64, 21, 1, 1))
    moved = AUGMENTATIONS.build("affine:degrees=0,stretch=0,shear=0,shift=0.2")(ramp, KEY)
    shifts = np.asarray(moved)[:, 10, 10, 0]
    assert 3.5 < np.abs(shifts).max() <= 4.2  # A fifth of 21 pixels.
    assert len(np.unique(shifts.round(3))) > 32


def test_composition_of_nothing_is_the_identity():
    images = jnp.ones((2, 4, 4, 1))
    assert build_augmentations(())(images, KEY) is images
    assert build_augmentations(())(images, KEY) is images


def test_augmentations_of_points_and_too_many_of_them_are_refused():
    with refused("'flip'", "points", "(2,)", remedy="inputs.augment"):
        build_augmentations(["flip"])(jnp.ones((4, 2)), KEY)
    with refused("10,000", "'flip'", allowed="16"):
        build_augmentations(["flip"] * 10_000)


def test_instance_noise_has_the_deviation():
    noise = instance_noise(jnp.zeros((10000, 2)), KEY, 0.5)
    assert float(noise.std()) == pytest.approx(0.5, rel=0.02)


def test_packing_joins_examples_along_channels():
    examples = jnp.arange(6.0).reshape(6, 1, 1, 1)
    np.testing.assert_array_equal(pack(examples, 3).reshape(2, 3), [[0, 2, 4], [1, 3, 5]])
    assert pack(examples, 1) is examples


# What ADA applies


def draws(spec, image, count=64):
    """What an augmentation makes of copies of an image (height, width, channels)."""
    return np.asarray(AUGMENTATIONS.build(spec)(jnp.tile(image, (count, 1, 1, 1)), KEY))


def test_rotation_turns_by_quarters():
    image = jnp.array([[1.0, 2.0], [3.0, 4.0]])[..., None]
    turned = {tuple(one.ravel()) for one in draws("rotation", image)}
    assert turned == {(1, 2, 3, 4), (2, 4, 1, 3), (4, 3, 2, 1), (3, 1, 4, 2)}


def test_rotation_of_images_that_are_not_square_is_refused():
    with refused("'rotation'", "4x6", remedy=("data.size", "inputs.augment")):
        AUGMENTATIONS.build("rotation")(jnp.ones((2, 4, 6, 1)), KEY)


def test_scaling_without_deviation_is_the_identity():
    image = jax.random.normal(KEY, (5, 6, 2))
    np.testing.assert_allclose(draws("scaling:deviation=0", image, 2)[1], image, atol=1e-6)


def test_scaling_enlarges_about_the_centre_alike_along_both_axes():
    """Of the slope 2 x + 3 y about the centre, scaling by s makes (2 x + 3 y) / s."""
    pixels = jnp.arange(9.0) - 4
    image = (2 * pixels[None, :] + 3 * pixels[:, None])[..., None]
    scaled = draws("scaling:deviation=0.5", image)[..., 0]
    factors = scaled[:, 4, 5] / 2  # One pixel right of the centre.
    assert factors.min() < 0.8
    assert factors.max() > 1.2
    np.testing.assert_allclose(scaled[:, 5, 4], 3 * factors, rtol=1e-4)
    np.testing.assert_allclose(scaled[:, 3, 3], -5 * factors, rtol=1e-4)
    np.testing.assert_allclose(np.log2(factors).std(), 0.5, rtol=0.3)
    # Made smaller, an image of ones has zeros around it.
    smaller = draws("scaling:deviation=0.5", jnp.ones((9, 9, 1)))[factors > 1.3][..., 0]
    assert len(smaller)
    assert (smaller[:, 0, 0] == 0).all()
    np.testing.assert_allclose(smaller[:, 4, 4], 1, rtol=1e-5)


def test_brightness_contrast_and_saturation_by_hand():
    """A pixel (0, 0.3, 0.6), of mean 0.3: added to, multiplied, and its colour multiplied."""
    pixel = jnp.array([0.0, 0.3, 0.6]).reshape(1, 1, 3)
    brighter = draws("brightness", pixel, 4000)[:, 0, 0]
    np.testing.assert_allclose(np.diff(brighter, axis=1), 0.3, atol=1e-6)
    assert brighter[:, 0].std() == pytest.approx(0.2, rel=0.05)
    multiplied = draws("contrast", pixel, 4000)[:, 0, 0]
    np.testing.assert_array_equal(multiplied[:, 0], 0)
    np.testing.assert_allclose(multiplied[:, 2], 2 * multiplied[:, 1], rtol=1e-5)
    assert np.log2(multiplied[:, 1] / 0.3).std() == pytest.approx(0.5, rel=0.05)
    coloured = draws("saturation", pixel, 4000)[:, 0, 0]
    np.testing.assert_allclose(coloured.mean(axis=1), 0.3, atol=1e-5)
    np.testing.assert_allclose(coloured[:, 1], 0.3, atol=1e-5)
    assert np.log2((coloured[:, 2] - 0.3) / 0.3).std() == pytest.approx(1, rel=0.05)
    grey = jnp.array([0.4]).reshape(1, 1, 1)
    np.testing.assert_allclose(draws("saturation", grey)[:, 0, 0, 0], 0.4, rtol=1e-6)


@pytest.mark.parametrize("probability", [0.0, 0.25, 1.0])
def test_each_image_is_augmented_with_the_probability(probability):
    augment = build_augmentations(["brightness", "contrast"])
    images = jnp.full((4000, 1, 1, 1), 0.5)
    changed = np.asarray(augment(images, KEY, jnp.float32(probability)) != images).ravel()
    # Neither of the two, each tossed for by itself: (1 - p)².
    assert changed.mean() == pytest.approx(1 - (1 - probability) ** 2, abs=0.03)


def test_the_probability_follows_the_signs_of_four_updates():
    """Of 50 examples each, and 1000 in which p goes from 0 to 1: p moves by 0.2."""
    carried, seen = start_of_adaptation(), []
    right, wrong = jnp.array([2.0, 0.1]), jnp.array([3.0, -1.0])
    for margins in [right] * 4 + [wrong] * 4 + [right] * 2 + [wrong] * 2:
        carried = adapted(carried, margins, 50, 0.6, 1000)
        seen.append(round(float(carried["p"]), 6))
    # Signs of mean 1, then 0, then 0.5, which is below 0.6; p is never below 0.
    assert seen == [0, 0, 0, 0.2, 0.2, 0.2, 0.2, 0, 0, 0, 0, 0]
    for _ in range(24):
        carried = adapted(carried, right, 50, 0.6, 1000)
    assert float(carried["p"]) == 1  # Not 1.2.
