"""Layers that keep the weights of the run that they come from (FreezeD, arXiv:2002.10964)."""

from typing import Any

import jax

from gancli.config import Config
from gancli.errors import UserError, shown
from gancli.networks import Network
from gancli.tasks.task import Task

# What a layer's number counts from, by player.
_NEAREST_TO = {"discriminator": "image", "generator": "latent"}


def frozen_parameters(config: Config, task: Task) -> dict[str, Any]:
    """Which parameters do not train: of each network of a player its first layers.

    Of a player `generator` these are the networks that generate examples, not an encoder.

    Returns:
        A tree of truth values like its parameters for each player with frozen layers.

    Raises:
        UserError: if there is no source of their weights, or there are fewer layers.
    """
    for player, count in config.finetune.frozen.items():
        _check(config, task, player, count)
    return {
        player: _in_frozen_layers(_networks(task, player), count, task, player)
        for player, count in config.finetune.frozen.items()
        if count
    }


def layer_counts(task: Task) -> dict[str, int]:
    """How many layers of each player can be frozen, by player."""
    return {
        player: min(len(network.layers) for network in networks.values())
        for player in _NEAREST_TO
        if (networks := _networks(task, player))
    }


def _check(config: Config, task: Task, player: str, count: int) -> None:
    """Refuses more layers than a player has, and frozen layers without a source."""
    key = f"freeze_{player}"
    if count and not config.finetune.source:
        raise UserError(
            f"finetune.{key} was {count} without finetune.source: untrained layers would be frozen",
            "0, or a run that the layers come from",
            "Add --from RUN, or leave it out",
        )
    there = layer_counts(task).get(player, 0)
    if count > there:
        raise UserError(
            f"finetune.{key} was {count} with model {shown(config.model)} and task "
            f"{shown(config.task)}, whose {player} has {there} layers",
            f"at most {there}, counted from the {_NEAREST_TO[player]}",
        )


def _networks(task: Task, player: str) -> dict[str, Network]:
    """The networks of a player whose layers are counted, by their place in its weights."""
    own = task.networks.get(player, {})
    return {
        place: network
        for place, network in own.items()
        if network.generates or player != "generator"
    }


def _in_frozen_layers(networks: dict[str, Network], count: int, task: Task, player: str) -> Any:
    """Whether each parameter of a player is in one of the first layers of these networks."""
    weights = jax.eval_shape(task.initialize, jax.random.key(0))[player]
    frozen = [
        tuple(filter(None, (place, *path.split("/"))))
        for place, network in networks.items()
        for layer in network.layers[:count]
        for path in layer
    ]

    def is_frozen(path: Any, _: Any) -> bool:
        names = tuple(str(part.key) for part in path)
        return any(names[: len(start)] == start for start in frozen)

    return jax.tree_util.tree_map_with_path(is_frozen, weights.params)
