"""Restoring images: what is taken from them, and what the generator lowers, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_tasks import NARROW, colours, config, play

from gancli.adversarial.dynamics import Turn
from gancli.data import load
from gancli.data.dataset import DataSpec
from gancli.data.transform import to_float, to_uint8
from gancli.tasks.program import build_task

GREY = DataSpec("x", "image", (8, 8, 1))
COLOUR = DataSpec("x", "image", (8, 8, 3))


def task_of(spec, data=GREY, **values):
    return build_task(config("image", task=spec, model=f"unet:{NARROW},depth=1", **values), data)


def losses(task, images, **of_discriminator):
    """The loss of each player and its metrics, with a generator that changes nothing."""
    weights = task.initialize(jax.random.key(0))
    params = {name: own.params for name, own in weights.items()}
    params["generator"] = jax.tree.map(jnp.zeros_like, params["generator"])
    stats = {name: own.stats for name, own in weights.items()}
    turn = Turn({"examples": images}, jax.random.key(1), jnp.int32(0))
    found = {}
    for player in task.game.players:
        loss, aux = task.game.loss(player, params, stats, turn)
        found[player] = (float(loss), aux.metrics)
    return found


def test_small_images_hold_the_mean_of_flat_squares():
    """Bicubic interpolation keeps what is constant; 8 bits hold a level that is one of theirs."""
    level = to_float(np.uint8(100))
    images = jnp.full((2, 8, 8, 1), level)
    translator = task_of("super-resolution:factor=4").sampler
    sources = translator.source(images)
    assert sources.shape == (2, 2, 2, 1)
    np.testing.assert_array_equal(to_uint8(sources), 100)
    np.testing.assert_allclose(translator.plain(sources), images, atol=1e-6)


def test_small_images_are_rounded_to_bytes():
    images = jax.random.uniform(jax.random.key(0), (3, 8, 8, 1), minval=-1.0)
    sources = task_of("super-resolution:factor=2").sampler.source(images)
    levels = (np.asarray(sources) + 1) * 127.5
    np.testing.assert_allclose(levels, np.round(levels), atol=1e-4)


def test_grey_is_the_luma_of_colours():
    """ITU-R BT.601: 0.299 of 255 is 76, 0.587 is 150 and 0.114 is 29, rounded."""
    images = np.zeros((3, 1, 1, 3), np.uint8)
    images[np.arange(3), 0, 0, np.arange(3)] = 255
    translator = task_of("colorization", COLOUR).sampler
    grey = translator.source(to_float(jnp.asarray(images)))
    assert np.ravel(to_uint8(grey)).tolist() == [76, 150, 29]
    assert translator.plain(grey).shape == (3, 1, 1, 3)
    assert translator.channels == 1


def test_pixels_alone_have_no_discriminator():
    """Black and white halves: their luma repeated is off by nothing, the colours by what it is."""
    task = task_of("colorization:pixel=10,adversarial=0", COLOUR)
    assert task.game.players == ("generator",)
    images = np.zeros((1, 8, 8, 3), np.uint8)
    images[..., 0] = 255  # Red, of luma 76: off by 179, 76 and 76 levels.
    loss, metrics = losses(task, to_float(jnp.asarray(images)))["generator"]
    assert loss == pytest.approx(10 * (179 + 76 + 76) / 3 / 127.5, rel=1e-5)
    assert list(metrics) == ["pixel"]


@pytest.mark.slow
def test_the_terms_add_up_to_the_generators_loss():
    task = task_of("super-resolution:factor=2,pixel=3,feature=2,adversarial=0.5")
    images = to_float(jnp.asarray(load("digits").examples[:4]))
    loss, metrics = losses(task, images)["generator"]
    assert set(metrics) == {"pixel", "feature", "adversarial"}
    assert loss == pytest.approx(sum(float(value) for value in metrics.values()), rel=1e-5)
    plain = task.sampler.plain(task.sampler.source(images))
    assert float(metrics["pixel"]) == pytest.approx(3 * float(jnp.abs(plain - images).mean()))


@pytest.mark.slow
def test_flat_images_leave_nothing_to_tell_apart():
    """Made and real are the same: a Wasserstein critic gains nothing, features do not differ."""
    task = task_of("super-resolution:factor=2,feature=1", loss="wasserstein", penalties=[])
    images = jnp.full((2, 8, 8, 1), to_float(np.uint8(7)))
    found = losses(task, images)
    assert found["discriminator"][0] == pytest.approx(0, abs=1e-5)
    assert float(found["generator"][1]["feature"]) == pytest.approx(0, abs=1e-5)


def test_images_of_any_size_are_translated():
    task = task_of("super-resolution:factor=2")
    weights = task.initialize(jax.random.key(0))["generator"]
    made = task.sampler.translate(weights, jnp.zeros((1, 5, 7, 1)))
    assert made.shape == (1, 10, 14, 1)


@pytest.mark.slow
@pytest.mark.parametrize("values", [{"penalties": ["r1"]}, {"inputs__noise": 0.1}])
def test_penalties_and_noise_apply_to_pairs(values):
    configuration = config(
        "image", task="colorization", model=f"unet:{NARROW},depth=1", train__batch=4, **values
    )
    _, _, metrics = play(configuration, data=colours())
    assert all(np.isfinite(value).all() for value in metrics.values())


def test_slopes_are_counted_in_the_image_and_not_in_its_source():
    """A discriminator that is blind to the image has no slope, however it depends on the source."""
    model = "unet:width=1,depth=1,discriminator_width=1,discriminator_levels=0"
    values = {"task": "super-resolution:factor=2", "penalties": ["gradient-penalty:weight=3"]}
    task = build_task(config("image", model=model, **values), GREY)

    def blind(kernel):
        # Of the first layer's inputs, the image and its source, one channel each
        return kernel.at[:, :, 0].set(0) if kernel.ndim == 4 and kernel.shape[2] == 2 else kernel

    @jax.jit
    def metrics(images):
        weights = task.initialize(jax.random.key(0))
        params = {name: own.params for name, own in weights.items()}
        params["discriminator"] = jax.tree.map(blind, params["discriminator"])
        stats = {name: own.stats for name, own in weights.items()}
        turn = Turn({"examples": images}, jax.random.key(1), jnp.int32(0))
        return task.game.loss("discriminator", params, stats, turn)[1].metrics

    found = metrics(jnp.tile(jnp.linspace(-1, 1, 64).reshape(1, 8, 8, 1), (2, 1, 1, 1)))
    assert float(found["penalty/gradient-penalty"]) == pytest.approx(3)  # 3 (0 - 1)²
    assert float(found["logit/real"]) != 0
