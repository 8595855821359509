"""Path length regularization: generators whose slopes are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from refusals import refused
from test_tasks import config, play

from gancli.adversarial.dynamics import Turn
from gancli.adversarial.keys import Stream
from gancli.data.dataset import DataSpec
from gancli.tasks.path_length import PathLength, path_lengths, path_term
from gancli.tasks.program import build_task

KEY = jax.random.key(0)
SPEC = DataSpec("x", "image", (8, 8, 1), ("zero", "one"))


def test_lengths_of_a_linear_generator_by_hand():
    """G(w) = (3 w, 4 w) of one number: 3 y1 + 4 y2, of deviation 5 and mean length 5 √(2/π)."""
    slopes = jnp.array([[3.0, 4.0]])
    lengths = path_lengths(lambda shift: shift @ slopes, jnp.zeros((20_000, 1)), KEY)
    assert lengths.shape == (20_000,)
    assert float(lengths.mean()) == pytest.approx(3.989423, rel=0.02)
    assert float((lengths**2).mean()) == pytest.approx(25, rel=0.03)


def test_lengths_for_a_known_direction_by_hand():
    """G(w) = A w: ‖A'y‖ with the y that the key gives, whatever w is."""
    matrix = np.array([[1.0, 2.0], [0.0, -1.0], [3.0, 0.5]], np.float32)
    expected = np.linalg.norm(np.asarray(jax.random.normal(KEY, (4, 3))) @ matrix, axis=1)
    for start in (0.0, 7.0):
        lengths = path_lengths(
            lambda w, start=start: (start + w) @ matrix.T, jnp.zeros((4, 2)), KEY
        )
        np.testing.assert_allclose(lengths, expected, rtol=1e-5)


def test_lengths_do_not_depend_on_the_number_of_pixels():
    """One number that brightens all pixels, of 16 or 64 of them: deviation √16 / √16 and so on."""
    for side in (4, 8):
        every = jnp.ones((1, side, side, 1))
        images = lambda shift, every=every: shift[:, :, None, None] * every  # noqa: E731
        lengths = path_lengths(images, jnp.zeros((20_000, 1)), KEY)
        assert float((lengths**2).mean()) == pytest.approx(1, rel=0.03)


def test_a_generator_that_ignores_its_latent_has_length_0_and_a_finite_slope():
    def total(scale):
        return path_lengths(lambda shift: scale * shift, jnp.zeros((3, 2)), KEY).sum()

    value, slope = jax.value_and_grad(total)(0.0)
    assert value == 0
    assert np.isfinite(slope)


def test_the_term_and_its_mean_by_hand():
    """Lengths 3 |y|: a = 0.01 of their mean, and 2 · 4 · mean (3 |y| - a)² at each fourth step."""
    path = PathLength(2.0, 4)

    def images(shift):
        return 3 * shift

    def at(step, mean):
        turn = Turn({}, KEY, jnp.int32(step))
        return path_term(path, images, jnp.zeros((5, 1)), jnp.float32(mean), turn)

    for step, before in ((0, 0.0), (8, 2.0)):
        key = Turn({}, KEY, jnp.int32(step)).key(Stream.PATH)
        lengths = 3 * np.abs(np.asarray(jax.random.normal(key, (5, 1)))[:, 0])
        value, mean = at(step, before)
        after = before + 0.01 * (lengths.mean() - before)
        assert float(mean) == pytest.approx(after, rel=1e-5)
        assert float(value) == pytest.approx(8 * ((lengths - after) ** 2).mean(), rel=1e-5)
    for step in (1, 2, 3, 5):
        value, mean = at(step, 2.0)
        assert (float(value), float(mean)) == (0, 2)


def test_the_mean_is_no_variable_of_the_loss():
    """λ k mean (s y - a)²: its slope in s is 2 λ k mean ((s y - a) y), a being a number."""

    def value(scale):
        turn = Turn({}, KEY, jnp.int32(0))
        path = PathLength(1.0, 1)
        return path_term(path, lambda shift: scale * shift, jnp.zeros((5, 1)), jnp.zeros(()), turn)[
            0
        ]

    key = Turn({}, KEY, jnp.int32(0)).key(Stream.PATH)
    y = np.abs(np.asarray(jax.random.normal(key, (5, 1)))[:, 0])
    mean = 0.01 * 2 * y.mean()
    assert float(jax.grad(value)(2.0)) == pytest.approx(2 * ((2 * y - mean) * y).mean(), rel=1e-5)


OF_TASK = {
    "generation": {"model": "mlp:width=8,depth=1", "loss": "minimax"},
    "conditional": {"model": "mlp:width=8,depth=1", "loss": "minimax"},
}


@pytest.mark.parametrize("task", OF_TASK)
def test_it_is_added_at_its_steps_logged_and_carried(task):
    values = OF_TASK[task] | {"train__batch": 8}
    spec = f"{task}:latent=2,path_length=2,path_every=3"
    _, plain_state, plain = play(config("image", task=f"{task}:latent=2", **values), 1, "digits")
    _, state, metrics = play(config("image", task=spec, **values), 5, "digits")
    penalty, mean = (metrics[f"generator/path_length/{name}"] for name in ("penalty", "mean"))
    assert (penalty > 0).tolist() == [True, False, False, True, False]
    assert mean[0] == mean[2] < mean[3] == mean[4]
    np.testing.assert_allclose(
        metrics["generator/loss"][0] - plain["generator/loss"][0], penalty[0], rtol=1e-3
    )
    carried = state.players["generator"].stats
    assert float(carried["path_length"]) == mean[4]
    assert "path_length" not in plain_state.players["generator"].stats


@pytest.mark.parametrize(
    ("model", "latents"), [("mlp:width=4,depth=1", "noise"), ("stylegan2:width=2,style=3", "w")]
)
def test_the_latent_is_w_where_there_is_one_and_else_the_noise(model, latents, monkeypatch):
    """Seen by the shape of what is added to it: labels are no part of it."""
    shapes = []

    def seen(path, images, shift, mean, turn):
        shapes.append((shift.shape, images(shift).shape))
        return path_term(path, images, shift, mean, turn)

    monkeypatch.setattr("gancli.tasks.adversarial.path_term", seen)
    values = {"model": model, "loss": "minimax", "train__batch": 4}
    task = build_task(config("image", task="conditional:latent=5,path_length=1", **values), SPEC)

    def loss(key):
        weights = task.initialize(key)
        params = {name: own.params for name, own in weights.items()}
        stats = {name: own.stats for name, own in weights.items()}
        batch = {"examples": jnp.zeros((4, 8, 8, 1)), "labels": jnp.zeros(4, jnp.int32)}
        return task.game.loss("generator", params, stats, Turn(batch, key, jnp.int32(0)))[0]

    jax.eval_shape(loss, KEY)
    assert shapes == [((4, 5 if latents == "noise" else 3), (4, 8, 8, 1))]


def test_batch_normalization_in_the_generator_is_refused():
    with refused("path_length=2", "'dcgan", remedy=("generator_norm=none", "stylegan2", "r3gan")):
        build_task(config("image", task="generation:path_length=2", model="dcgan"), SPEC)
    build_task(
        config("image", task="generation:path_length=2", model="dcgan:generator_norm=none"), SPEC
    )
