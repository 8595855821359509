"""Paired translation: which image belongs to which source, and what the generator lowers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from refusals import refused
from test_tasks import NARROW, config

from gancli.adversarial.dynamics import Turn
from gancli.data import load
from gancli.data.batches import batch_source
from gancli.data.dataset import DataSpec, towards
from gancli.tasks.program import build_task

GREY = DataSpec("edges", "image", (8, 8, 1))
COLOUR = DataSpec("photographs", "image", (8, 8, 3))
BOTH = GREY._replace(target=COLOUR)


def task_of(spec, data=BOTH, **values):
    return build_task(config("image", task=spec, model=f"unet:{NARROW},depth=1", **values), data)


def test_the_generator_makes_the_other_image_of_the_pair():
    """A generator of zeros makes grey: off by |y| from colours y of 1 and -0.5."""
    task = task_of("paired:pixel=10,adversarial=0")
    assert task.game.players == ("generator",)
    weights = task.initialize(jax.random.key(0))["generator"]
    still = jax.tree.map(jnp.zeros_like, weights.params)
    target = jnp.where(jnp.arange(8) < 4, 1.0, -0.5)[:, None, None] * jnp.ones((8, 8, 3))
    batch = {"examples": jnp.ones((2, 8, 8, 1)), "target": jnp.stack([target, target])}
    turn = Turn(batch, jax.random.key(1), jnp.int32(0))
    params, stats = {"generator": still}, {"generator": weights.stats}
    loss, _ = task.game.loss("generator", params, stats, turn)
    assert float(loss) == pytest.approx(10 * 0.75)


def test_a_translation_has_the_channels_of_the_target_and_any_size():
    task = task_of("paired")
    weights = task.initialize(jax.random.key(0))["generator"]
    made = task.sampler.translate(weights, jnp.zeros((1, 5, 7, 1)))
    assert made.shape == (1, 5, 7, 3)
    assert task.sampler.plain(jnp.zeros((1, 5, 7, 1))).shape == (1, 5, 7, 3)
    assert float(jnp.abs(made).max()) <= 1


@pytest.mark.parametrize("resident", [0, 2**30])
def test_a_batch_holds_pairs(resident):
    digits = load("digits")
    pairs = towards(digits, digits._replace(examples=255 - digits.examples))
    for paired in (True, False):
        source = batch_source(pairs, 8, 3, resident, paired)
        batch = source.materialize(source.resident, next(source.arguments(5)))
        opposite = np.allclose(batch["examples"], -np.asarray(batch["target"]), atol=1e-6)
        assert opposite is paired


def test_data_without_pairs_are_refused():
    with refused("'paired'", "'edges'", remedy="data.paired"):
        task_of("paired", data=GREY)
    with refused("'paired'", "'edges'", remedy="data.paired"):
        task_of("paired", data__paired="")
    with refused("'photographs'", "'super-resolution:factor=2'", remedy=("cyclegan", "paired")):
        task_of("super-resolution:factor=2")
