"""Directions of a generator whose Jacobian is known, and mixed styles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from refusals import refused
from test_tasks import config
from tiny_runs import digits_run, points_run, tokens_run

from gancli.data.dataset import DataSpec
from gancli.evaluation.generator import load_generator
from gancli.evaluation.latents import Draw
from gancli.evaluation.sampling import sample_weights
from gancli.evaluation.variation import directions, mix, require_directions, require_styles
from gancli.tasks import Sampler
from gancli.tasks.latents import LatentSpace
from gancli.tasks.program import build_task


def test_directions_are_those_of_the_largest_singular_values():
    """G(z) = U S V z + b: a step of one deviation, 1, along row k of V moves pixel k by S_k."""
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0].astype(np.float32)
    singular = np.float32([0.05, 0.2, 0.1])

    def generate(weights, latents):
        moved = (latents[:, :3] @ rotation.T) * singular[None] + latents[:, 3:]
        return jnp.pad(moved, ((0, 0), (0, 1))).reshape(-1, 2, 2, 1)

    space = LatentSpace(3, "normal", lambda key, label: jnp.full((1,), 0.1))
    generator = load_generator(digits_run())
    task = generator.task._replace(sampler=Sampler("generator", space.draw, generate, space))
    generator = generator._replace(task=task)
    made = directions(generator, Draw(4), 2, (-1, 0, 1))
    assert made.shape == (2, 3, 2, 2, 1)
    change = (made[:, 2].astype(float) - made[:, 1]).reshape(2, 4) / 127.5
    # The deviation of 1,024 values is within 7 % of 1, and pixels are whole numbers.
    np.testing.assert_allclose(np.abs(change), [[0, 0.2, 0, 0], [0, 0, 0.1, 0]], atol=0.02)
    back = (made[:, 0].astype(float) - made[:, 1]).reshape(2, 4) / 127.5
    np.testing.assert_allclose(back, -change, atol=0.01)
    np.testing.assert_array_equal(made[0, 1], made[1, 1])


@pytest.mark.slow
def test_mixed_styles_are_coarse_of_one_and_fine_of_the_other():
    values = {"model": "stylegan2:width=2,style=3,mapping=2", "loss": "minimax"}
    task = build_task(config("image", **values), DataSpec("x", "image", (8, 8, 1)))
    weights = task.initialize(jax.random.key(0))["generator"]
    generator = load_generator(digits_run())._replace(task=task, weights=weights)
    coarse, fine, mixed = mix(generator, Draw(2), 2, 3)
    sources = next(sample_weights(task, weights, Draw(2), 5))
    assert np.abs(np.concatenate([coarse, fine]).astype(int) - sources).max() <= 1
    styles = task.sampler.styles
    latents = task.sampler.latents(jax.random.key(2), np.arange(5), np.zeros(5, np.int32))
    w = styles.of(weights.params, weights.stats, latents)
    of_both = jnp.stack([w[1]] * 3 + [w[4]] * 3)[None]  # Six layers.
    own = task.sampler.generate(weights, latents[1:2], styles=of_both)
    expected = np.asarray(127.5 * own[0] + 127.5)
    np.testing.assert_allclose(mixed[1, 2], expected, atol=1)
    moved = directions(generator, Draw(2), 3, (-1, 0, 1))
    assert np.abs(moved[:, 1].astype(int) - sources[0]).max() <= 1
    assert (moved[:, 0] != moved[:, 2]).any()


def test_what_has_no_directions_or_styles_is_refused():
    digits = load_generator(digits_run())
    with refused("--directions 65", allowed="1 to 64"):
        require_directions(digits, 65)
    with refused("--mix", "'dcgan:width=4'", allowed="stylegan2", remedy="--mix"):
        require_styles(digits, "--mix")
    for run in (points_run, tokens_run):
        with refused("--directions", allowed="images from noise", remedy="--directions"):
            require_directions(load_generator(run()), 1)
