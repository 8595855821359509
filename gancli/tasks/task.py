"""What a task is: the game it plays, how it starts, and how it samples."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax

from gancli.dynamics import Game, Weights
from gancli.registry import Registry


class Sampler(NamedTuple):
    """How a task makes examples from the weights of one player.

    `latents(key, indices)` gives the latents (n, latent) of the examples with these indices:
    that of example i depends on (key, i) alone. `generate(weights, latents)` gives examples
    (n, *shape), images in [-1, 1]. `interpolate(start, end, share)` goes between latents.
    """

    player: str
    latents: Callable[[jax.Array, jax.Array], jax.Array]
    generate: Callable[[Weights, jax.Array], jax.Array]
    interpolate: Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


class Task(NamedTuple):
    """Everything that training and sampling must know of a task.

    `roles` gives, for each player, the section of the optimizer's configuration that is its
    own; `initialize(key)` the initial weights of all players; an update draws
    `examples_per_update` examples of the data set.
    """

    game: Game
    roles: Mapping[str, str]
    initialize: Callable[[jax.Array], dict[str, Weights]]
    sampler: Sampler
    examples_per_update: int


TASKS = Registry("task")
