"""What a task is: the game it plays, how it starts, and how it samples."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jax.typing import ArrayLike

from gancli.adversarial.dynamics import Game, Weights
from gancli.config import Config, flatten
from gancli.data.dataset import DataSpec
from gancli.errors import UserError, shown
from gancli.registry import Registry


class Sampler(NamedTuple):
    """How a task makes examples from the weights of one player.

    `latents(key, indices, labels)` gives the latents (n, latent) of the examples with these
    indices and labels: that of example i depends on the key, i and its label alone.
    `generate(weights, latents)` gives examples (n, *shape), images in [-1, 1], tokens int32.
    `interpolate(start, end, share)` goes between latents; None where nothing is between them.

    `classes` names the labels that can be asked for, none where examples have none. They are
    those of the data, or, where they were `learned`, codes whose meaning training found. The last
    `continuous` values of a latent are codes that go from -1 to 1.
    """

    player: str
    latents: Callable[[jax.Array, ArrayLike, ArrayLike], jax.Array]
    generate: Callable[[Weights, jax.Array], jax.Array]
    interpolate: Callable[[jax.Array, jax.Array, jax.Array], jax.Array] | None
    classes: tuple[str, ...] = ()
    continuous: int = 0
    learned: bool = False

    def labels(self, indices: np.ndarray, asked: Sequence[int] | np.ndarray = ()) -> np.ndarray:
        """The labels of the examples with these indices: those asked for, or all, in turn.

        Args:
            indices: (n,) of the examples.
            asked: labels, over and over; empty for every one there is.

        Returns:
            (n,) int32, zeros where there are no labels.
        """
        turn = np.asarray(asked if len(asked) else range(max(1, len(self.classes))), np.int32)
        return turn[np.asarray(indices) % len(turn)]

    def names(self, indices: np.ndarray, asked: Sequence[int] | np.ndarray = ()) -> list[str]:
        """The names of the labels of these examples; none where there are no labels."""
        if not self.classes:
            return []
        return [self.classes[label] for label in self.labels(indices, asked)]


class Translator(NamedTuple):
    """How a task makes images of other images, its sources, from the weights of one player.

    All are (n, height, width, channels) in [-1, 1]. `source(examples)` gives the sources of
    examples of the data, with `channels` channels; `translate(weights, sources)` what is made of
    sources of any height and width; `plain(sources)` images of the same shape for which nothing
    was learned, which results are held against. Where a source is made of its example, so that
    this is what it should become, the translator `restores`.
    """

    player: str
    channels: int
    source: Callable[[jax.Array], jax.Array]
    translate: Callable[[Weights, jax.Array], jax.Array]
    plain: Callable[[jax.Array], jax.Array]
    restores: bool


class Task(NamedTuple):
    """Everything that training and sampling must know of a task.

    `roles` gives, for each player, the section of the optimizer's configuration that is its
    own; `initialize(key)` the initial weights of all players; an update draws
    `examples_per_update` examples of the data set.

    Where examples have a likelihood, `log_likelihood(weights, examples)` gives log p(x) of each,
    (n,) in nats, or `bound(weights, examples, key, draw)` one draw of log p(x, z) - log q(z | x),
    the same z for the same key and draw: its mean is a lower bound of log p(x).
    `reconstruct(weights, examples)` gives them as they come back from their codes. A task between
    two data sets has a translator to the second as its sampler, and one `back` to the first.
    """

    game: Game
    roles: Mapping[str, str]
    initialize: Callable[[jax.Array], dict[str, Weights]]
    sampler: Sampler | Translator
    examples_per_update: int
    bound: Callable[[Weights, jax.Array, jax.Array, ArrayLike], jax.Array] | None = None
    reconstruct: Callable[[Weights, jax.Array], jax.Array] | None = None
    log_likelihood: Callable[[Weights, jax.Array], jax.Array] | None = None
    back: Translator | None = None

    def turned(self) -> "Task":
        """The task with its two ways exchanged.

        Raises:
            UserError: if it has no way back.
        """
        if self.back is None or not isinstance(self.sampler, Translator):
            raise UserError(
                "--back, and the generator has one way only",
                "one that was trained between two data sets",
                "Leave out --back, or train with --task cyclegan",
            )
        return self._replace(sampler=self.back, back=self.sampler)


TASKS = Registry("task")


def refuse_tokens(config: Config, data: DataSpec) -> None:
    """Refuses data that are tokens, in a task of images and points.

    Raises:
        UserError: naming the tasks that take them.
    """
    if data.kind == "tokens":
        raise UserError(
            f"task {shown(config.task)} with {shown(data.name)}, which holds tokens",
            "images or points; for tokens gumbel, policy-gradient or maximum-likelihood",
            "Choose another --task",
        )


def refuse_discriminator(config: Config) -> None:
    """Refuses what is set of a discriminator, in a task that has none.

    Raises:
        UserError: naming it.
    """
    own = flatten(config.model_dump(include={"loss", "penalties", "inputs"}))
    none = flatten({"loss": "", "penalties": (), "inputs": type(config.inputs)().model_dump()})
    given = [f"{key}={shown(value)}" for key, value in own.items() if value != none[key]]
    if given:
        raise UserError(
            f"task {TASKS.entry(config.task).name!r} with {', '.join(given)}, and it has no "
            "discriminator",
            "no loss, no penalties and no inputs",
            "Leave them out, or choose another --task",
        )
