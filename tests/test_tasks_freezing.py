"""Frozen layers: which parameters they are in every model and task, and that no move moves them."""

import jax
import jax.numpy as jnp
import pytest
from refusals import refused
from test_tasks_matching import OF_TASKS

from gancli.adversarial.dynamics import Turn
from gancli.config import Layer
from gancli.data.dataset import DataSpec
from gancli.networks import MODELS
from gancli.runs.state_files import by_path
from gancli.tasks import TASKS
from gancli.tasks.freezing import layer_counts
from gancli.tasks.program import Parts, build_moves, build_parts
from gancli.tasks.recipes import resolve

IMAGES = DataSpec("test", "image", (8, 8, 1), ("a", "b"))
TOKENS = DataSpec("test", "tokens", (4,), vocabulary=5)
SMALL = {
    "mlp": "mlp:width=2",
    "maxout-mlp": "maxout-mlp:width=2,maxout_width=2",
    "dcgan": "dcgan:width=2,norm=batch,dense=2",
    "resnet": "resnet:width=2,attention=true",
    "r3gan": "r3gan:width=2,group=2",
    "stylegan2": "stylegan2:width=2,style=2,mapping=2",
    "unet": "unet:width=2,depth=1,discriminator_width=2",
    "cyclegan": "cyclegan:width=2,blocks=1,discriminator_width=2",
    "sequence": "sequence:hidden=2,embedding=2,width=2",
}
TASK_OF_MODEL = {"unet": "super-resolution", "cyclegan": "cyclegan:pool=4", "sequence": "gumbel"}


def spec_of(task: str) -> DataSpec:
    if task in ("gumbel", "policy-gradient", "maximum-likelihood"):
        return TOKENS
    if task == "colorization":
        return IMAGES._replace(shape=(8, 8, 3))
    return IMAGES._replace(target=IMAGES) if task.startswith(("cyclegan", "paired")) else IMAGES


def config_of(model: str, task: str, **finetune):
    values = {f"finetune.{key}": value for key, value in finetune.items()}
    given = {"model": model, "task": task, "train.batch": 4, **values}
    return resolve([Layer("test", given)], spec_of(task).kind).config


def parts_of(model: str, task: str, **finetune) -> Parts:
    return build_parts(config_of(model, task, source="runs/a", **finetune), spec_of(task))


def frozen_names(parts: Parts) -> dict[str, set[str]]:
    """The paths of the frozen parameters of the players that have any."""
    return {
        player: {path for path, is_frozen in by_path(own.frozen).items() if is_frozen}
        for player, own in parts.optimizers.items()
        if own.frozen is not None
    }


def test_layers_are_counted_from_the_latent_and_from_the_image():
    model = "dcgan:width=2,norm=batch,spectral_norm=false"
    parts = parts_of(model, "generation:latent=3", freeze_generator=1, freeze_discriminator=2)
    # Two levels: a linear layer with its norm, and a convolution; two convolutions.
    assert frozen_names(parts) == {
        "generator": {"layers/0/kernel", "layers/2/scale", "layers/2/bias"},
        "discriminator": {"layers/0/kernel", "layers/0/bias"}
        | {f"layers/2/{name}" for name in ("kernel",)}
        | {f"layers/3/{name}" for name in ("scale", "bias")},
    }
    assert frozen_names(parts_of(model, "generation", freeze_generator=0)) == {}


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS.names())
def test_every_task_can_freeze_as_many_layers_as_its_players_have(task):
    model = OF_TASKS[task]
    free = build_parts(config_of(model, task), spec_of(task))
    counts = layer_counts(free.task)
    assert {"generator"} <= counts.keys() == {*free.task.roles} - {"reader"}
    asked = {f"freeze_{player}": count for player, count in counts.items()}
    parts = parts_of(model, task, **asked)
    whole = jax.eval_shape(parts.start, jax.random.key(0)).players
    for player, names in frozen_names(parts).items():
        every = {*by_path(whole[player].params)}
        assert names == {path for path in every if not path.startswith("encoder/")}
    for player, count in counts.items():
        key = f"freeze_{player}"
        with refused(key, str(count + 1), f"{count} layers", allowed=str(count)):
            parts_of(model, task, **{key: count + 1})


def test_a_player_that_a_task_has_not_cannot_be_frozen():
    with refused("freeze_discriminator", "vae", "0 layers", allowed="0"):
        parts_of("mlp:width=2", "vae", freeze_discriminator=1)


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_untrained_layers_are_not_frozen(player):
    config = config_of("mlp:width=2", "generation", **{f"freeze_{player}": 1})
    with refused(f"freeze_{player}", "finetune.source", remedy="--from"):
        build_parts(config, IMAGES)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS.names())
def test_no_move_of_any_model_changes_what_is_frozen(model):
    """In the traced computation, frozen parameters and their averages go through as they are."""
    task = TASK_OF_MODEL.get(model, "generation:latent=3")
    config = config_of(SMALL[model], task, source="a", freeze_generator=1, freeze_discriminator=2)
    spec = spec_of(task)
    parts = build_parts(config, spec)
    frozen = frozen_names(parts)
    assert all(frozen[player] for player in ("generator", "discriminator"))
    players = jax.eval_shape(parts.start, jax.random.key(0)).players
    kind = jnp.int32 if spec.kind == "tokens" else jnp.float32
    examples = jax.ShapeDtypeStruct((4, *spec.shape), kind)
    batch = {"examples": examples, "target": examples}
    moving: dict[str, set[str]] = {}
    for move in build_moves(config, parts, 10):

        def play(players, batch, key, step, move=move):
            return move.play(players, Turn(batch, key, step))[0]

        given = players, batch, jax.random.key(0), jnp.int32(0)
        jaxpr = jax.make_jaxpr(play)(*given).jaxpr
        paths = by_path(players)
        for path, before, after in zip(paths, jaxpr.invars, jaxpr.outvars, strict=False):
            player, kind_of_array, name = path.split("/", 2)
            name = name.removeprefix("params/") if kind_of_array == "average" else name
            if before is not after and kind_of_array in ("params", "average"):
                moving.setdefault(player, set()).add(name)
    for player, names in frozen.items():
        assert not names & moving[player]
        trained = {*by_path(players[player].params)} - names
        assert trained <= moving[player]
