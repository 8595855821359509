"""Measurements of a state: literal values for generators that are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gancli.adversarial.dynamics import Aux, Game, Player, TrainState, Weights
from gancli.config import Config
from gancli.data.dataset import Dataset, DataSpec, Modes
from gancli.tasks import Sampler, Task
from gancli.training.monitors.probe import build_probe

CORNERS = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]], np.float32)
DATA = Dataset(
    DataSpec("corners", "points", (2,)), np.tile(CORNERS, (64, 1)), None, "", Modes(CORNERS, 0.1)
)
HELD_OUT = DATA._replace(examples=np.zeros((256, 2), np.float32))
# Of two corners drawn from four: equal, two sides, or the diagonal.
MEAN_DISTANCE = 0.5 * 2 + 0.25 * np.sqrt(8)


def task_of(generate) -> Task:
    """A generator whose samples are known, and a discriminator that scores the first axis up."""

    def play(player, params, stats, turn):
        real = jnp.square(turn.batch["examples"]).sum(axis=1)
        logits = {"logit/real": real.mean(), "logit/fake": jnp.float32(-2), "auc": jnp.float32(1)}
        return jnp.float32(0), Aux(stats, logits)

    sampler = Sampler(
        "generator", lambda key, indices, labels: jnp.asarray(indices)[:, None], generate
    )
    return Task(Game(("discriminator", "generator"), play), {}, {}, lambda key: {}, sampler, 64)


def measured(generate, held_out=None, kernel=None, dataset=DATA) -> dict[str, float]:
    own = Weights({"kernel": jnp.eye(2) if kernel is None else kernel}, {})
    raw = Player(*own, (), jax.tree.map(jnp.zeros_like, own))
    state = TrainState(jnp.int32(7), {"discriminator": raw, "generator": raw})
    figures, projections = build_probe(task_of(generate), Config(), dataset, held_out)(state)
    assert projections.keys() == {"discriminator", "generator"}
    return figures


def at_corners(weights, latents):
    """Every corner in turn; averaged weights, zeros, put all in the middle."""
    corners = jnp.asarray(CORNERS)[latents[:, 0] % 4]
    return corners * weights.params["kernel"].max()


def test_samples_like_the_data_are_as_diverse_and_near():
    found = measured(at_corners)
    assert found["diversity"] == pytest.approx(1)
    assert found["distance"] == pytest.approx(0, abs=0.01)
    assert found["modes/found"] == 1
    assert found["modes/near"] == 1
    # Averaged weights put them in the middle, sqrt(2) from each corner.
    spread = 256 / 255 * MEAN_DISTANCE
    assert found["restlessness"] == pytest.approx(np.sqrt(2) / spread, rel=1e-3)


def test_samples_at_one_corner_are_not():
    found = measured(lambda weights, latents: jnp.ones((len(latents), 2)))
    assert found["diversity"] == 0
    assert "spacing" not in found  # Real examples have equal ones, at a distance of 0.
    assert found["modes/found"] == 0.25
    assert found["modes/near"] == 1
    # 2 E|x-y| - E|y-y'| in 2 E|x-y|, the corners being 1 in the mean from any of them.
    assert found["distance"] == pytest.approx(0.5, abs=0.02)


def test_samples_off_all_modes():
    found = measured(lambda weights, latents: 5 + jax.nn.one_hot(latents[:, 0] % 2, 2))
    assert found["modes/found"] == found["modes/near"] == 0
    assert found["distance"] > 0.7


def test_overfitting_is_how_far_held_out_examples_fall():
    """Logits 2 of training examples, 0 of held-out ones, and -2 of samples."""
    found = measured(at_corners, HELD_OUT)
    assert found["overfitting"] == pytest.approx(0.5)
    assert "overfitting" not in measured(at_corners)


def test_copies_lie_nearer_to_training_examples_than_unseen_ones():
    """All of 256 samples are nearer than all of 256 examples: U is 0."""
    found = measured(at_corners, HELD_OUT)
    assert found["copying"] == pytest.approx(-(256**2 / 2) / np.sqrt(256**2 * 513 / 12), rel=1e-4)
    assert found["nearness"] == pytest.approx(0, abs=1e-3)


def test_samples_like_unseen_examples_are_no_copies():
    found = measured(lambda weights, latents: jnp.zeros((len(latents), 2)), HELD_OUT)
    assert found["copying"] == pytest.approx(0)
    assert found["nearness"] == pytest.approx(1)


def test_the_support_counts_different_samples():
    """Samples at four corners: a pair is of equal ones in 63 of 255 cases."""
    spread = DATA._replace(examples=np.random.default_rng(0).uniform(-1, 1, (256, 2)).astype("f"))
    assert measured(at_corners, dataset=spread)["support"] == pytest.approx(255 / 63)


def test_the_slope_is_that_between_real_examples_and_samples():
    """The logit is ‖x‖², so its slope is 2‖x‖: of the corners, which lie at sqrt(2), and of zeros
    at 0, sqrt(2) at the mean over the way between them."""
    found = measured(lambda weights, latents: jnp.zeros((len(latents), 2)))
    assert found["slope"] == pytest.approx(np.sqrt(2), rel=1e-3)


def test_drift_is_the_distance_to_averaged_weights():
    assert measured(at_corners)["generator/drift"] == pytest.approx(1)


def test_the_largest_singular_value_is_numpys():
    kernel = jnp.asarray(np.random.default_rng(0).normal(size=(2, 2, 3, 4)), jnp.float32)
    found = measured(lambda weights, latents: jnp.zeros((len(latents), 2)), kernel=kernel)
    largest = np.linalg.svd(np.asarray(kernel).reshape(12, 4), compute_uv=False)[0]
    assert found["generator/largest_singular_value"] == pytest.approx(largest, rel=0.01)
