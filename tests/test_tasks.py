"""Every task: two steps move every player, sampling depends on seed and index alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gancli.config import Layer, resolve
from gancli.data import DataRequest, load
from gancli.data.dataset import DataSpec
from gancli.errors import UserError
from gancli.execution import build_execution
from gancli.losses import LOSSES
from gancli.networks import MODELS
from gancli.penalties import PENALTIES
from gancli.program import build_program, build_task
from gancli.tasks import TASKS

RING = "ring8:count=500"


def config(kind="points", **values):
    flat = {key.replace("__", "."): value for key, value in values.items()}
    return resolve([Layer("test", flat)], kind, MODELS).config


def play(configuration, steps=2, data=RING):
    program = build_program(configuration, load(data))
    state = program.initial_state(0)
    before = jax.tree.map(np.array, state)
    execution = build_execution(program.moves, program.source, 0, state, steps)
    advance, rows = execution.compile(), []
    while int(state.step) < steps:
        progress = advance(state, execution.draw(steps - int(state.step)))
        state = progress.state
        rows.append(progress.rows())
    return before, state, dict(zip(execution.names, np.concatenate(rows).T, strict=True))


SMALL = {"loss": "non-saturating", "model": "mlp:width=16,depth=2", "train__batch": 20}


@pytest.mark.parametrize("task", TASKS.names())
def test_two_steps_move_every_player_and_its_average(task):
    before, after, metrics = play(config(task=f"{task}:latent=2", **SMALL))
    for name, player in after.players.items():
        moved = jax.tree.map(
            lambda a, b: bool((a != b).any()), before.players[name].params, player.params
        )
        assert all(jax.tree.leaves(moved)), name
        assert (player.average is None) == (name == "discriminator")
    assert all(np.isfinite(values).all() for values in metrics.values())
    assert {"discriminator/loss", "generator/loss", "discriminator/accuracy/real"} <= set(metrics)


@pytest.mark.parametrize("loss", LOSSES.names())
def test_every_loss_plays_with_its_recipe(loss):
    _, _, metrics = play(config(**{**SMALL, "loss": loss}))
    assert all(np.isfinite(values).all() for values in metrics.values())


@pytest.mark.parametrize("penalty", sorted(set(PENALTIES.names()) - {"consistency"}))
def test_every_penalty_is_logged_and_added(penalty):
    """The first step's loss with the penalty is that without it, plus the penalty."""
    _, _, plain = play(config(**SMALL), steps=1)
    _, _, metrics = play(config(penalties=[penalty], **SMALL), steps=1)
    added = metrics[f"discriminator/penalty/{penalty}"]
    assert (added > 0).all()
    np.testing.assert_allclose(
        metrics["discriminator/loss"] - plain["discriminator/loss"], added, rtol=1e-3, atol=1e-6
    )


def test_lazy_penalty_is_applied_at_its_steps_and_weighted():
    _, _, metrics = play(config(penalties=["drift:weight=1,every=3"], **SMALL), steps=7)
    assert (metrics["discriminator/penalty/drift"] > 0).tolist() == [
        True, False, False, True, False, False, True,
    ]  # fmt: skip
    _, _, each = play(config(penalties=["drift:weight=1"], **SMALL), steps=1)
    np.testing.assert_allclose(
        metrics["discriminator/penalty/drift"][0],
        3 * each["discriminator/penalty/drift"][0],
        rtol=1e-5,
    )


@pytest.mark.parametrize(
    "values",
    [
        {"inputs__packing": 3},
        {"inputs__noise": 0.1, "inputs__noise_decay_steps": 10},
        {"optimizer__discriminator__clip_weights": 0.01},
        {"train__dynamics": "extragradient"},
        {"train__dynamics": "consensus:weight=0.1"},
        {"train__discriminator_steps": "1 epoch"},
        {"train__generator_steps": 2},
        {"task": "generation:latent=3,distribution=uniform"},
        {"average__decay": 0.0},
    ],
)
def test_variations_play(values):
    _, after, metrics = play(config(**{**SMALL, **values}))
    assert all(np.isfinite(value).all() for value in metrics.values())
    if values.get("optimizer__discriminator__clip_weights"):
        largest = max(
            float(abs(w).max()) for w in jax.tree.leaves(after.players["discriminator"].params)
        )
        assert largest == pytest.approx(0.01)
    if "average__decay" in values:
        assert after.players["generator"].average is None


def test_augmented_images_play():
    small = {"model": "dcgan:width=4", "train__batch": 8, "inputs__augment": ["color", "cutout"]}
    _, _, metrics = play(config("image", penalties=["consistency"], **small), data="digits")
    assert (metrics["discriminator/penalty/consistency"] > 0).all()


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_latents_depend_on_seed_and_index_alone(distribution):
    task = build_task(
        config(task=f"generation:latent=3,distribution={distribution}"),
        DataSpec("x", "points", (2,)),
    )
    latents = task.sampler.latents
    many = latents(jax.random.key(1), jnp.arange(1000))
    np.testing.assert_array_equal(many[17:19], latents(jax.random.key(1), jnp.array([17, 18])))
    assert (latents(jax.random.key(2), jnp.arange(1000)) != many).all()
    deviation = 1.0 if distribution == "normal" else 3**-0.5
    assert float(many.std()) == pytest.approx(deviation, rel=0.05)
    assert float(many.mean()) == pytest.approx(0, abs=0.05)


def test_interpolation_goes_from_start_to_end_and_keeps_the_norm():
    task = build_task(config(), DataSpec("x", "points", (2,)))
    start, end = jnp.array([1.0, 0.0]), jnp.array([0.0, 1.0])
    between = task.sampler.interpolate
    np.testing.assert_allclose(between(start, end, 0.0), start, atol=1e-6)
    np.testing.assert_allclose(between(start, end, 1.0), end, atol=1e-6)
    np.testing.assert_allclose(between(start, end, 0.5), [0.707107, 0.707107], atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        (
            "image",
            {"model": "mlp:norm=batch", "task": "generation:latent=0"},
            "latent of task.*'0'.*1 to",
        ),
        ("points", {"inputs__augment": ["color"]}, "augmentation of images"),
        ("points", {"model": "dcgan"}, "dcgan"),
        ("image", {"model": "dcgan:norm=batch", "penalties": ["r1"]}, "mix the examples"),
    ],
)
def test_parts_that_do_not_fit_are_refused(kind, values, words):
    shape = (8, 8, 1) if kind == "image" else (2,)
    with pytest.raises(UserError, match=words):
        build_task(config(kind, **values), DataSpec("x", kind, shape))


@pytest.mark.parametrize("setting", ["0 epochs", "many", "epoch of two", 0])
def test_bad_periods_are_refused(setting):
    with pytest.raises(UserError, match=r"train\.discriminator_steps"):
        play(config(train__discriminator_steps=setting, **SMALL))


def test_a_batch_larger_than_the_set_is_refused():
    with pytest.raises(UserError, match="holds 500"):
        build_program(config(train__batch=501), load(RING, DataRequest()))
