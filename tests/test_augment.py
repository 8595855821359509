"""Inputs of the discriminator."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gancli.augment import AUGMENTATIONS, build_augmentations, compose, instance_noise, pack
from gancli.errors import UserError

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


def test_composition_of_nothing_is_the_identity():
    images = jnp.ones((2, 4, 4, 1))
    assert compose(())(images, KEY) is images
    assert build_augmentations(())(images, KEY) is images


def test_augmentations_of_points_and_too_many_of_them_are_refused():
    with pytest.raises(UserError, match=r"'flip'.*points \(2,\)"):
        build_augmentations(["flip"])(jnp.ones((4, 2)), KEY)
    assert build_augmentations(["flip"] * 16)(jnp.ones((1, 2, 2, 1)), KEY).shape == (1, 2, 2, 1)
    with pytest.raises(UserError, match=r"10,000 augmentations.*at most 16"):
        build_augmentations(["flip"] * 10_000)


@pytest.mark.parametrize(
    ("step", "decay_steps", "deviation"),
    [(0, 100, 0.5), (50, 100, 0.25), (100, 100, 0.0), (900, 100, 0.0), (900, 0, 0.5)],
)
def test_instance_noise_decays_linearly(step, decay_steps, deviation):
    noise = instance_noise(jnp.zeros((10000, 2)), KEY, jnp.int32(step), 0.5, decay_steps)
    assert float(noise.std()) == pytest.approx(deviation, rel=0.02)


def test_packing_joins_examples_along_channels():
    examples = jnp.arange(6.0).reshape(6, 1, 1, 1)
    np.testing.assert_array_equal(pack(examples, 3).reshape(2, 3), [[0, 2, 4], [1, 3, 5]])
    assert pack(examples, 1) is examples
