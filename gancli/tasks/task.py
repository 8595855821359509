"""The interface of a task: its game, its initial state, and its sampling."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.typing import ArrayLike

from gancli.adversarial.dynamics import Game, Weights
from gancli.config import Config, flatten
from gancli.data.dataset import DataSpec
from gancli.errors import UserError, shown
from gancli.networks import Network, Styles
from gancli.registry import Registry
from gancli.tasks.latents import LatentSpace


class Sampler(NamedTuple):
    """How a task generates examples from the weights of one player.

    `latents(key, indices, labels)` returns the latents (n, latent) of the examples with these
    indices and labels; that of example i depends only on the key, i and its label.
    `generate(weights, latents)` returns examples (n, *shape), images in [-1, 1], tokens int32.

    If latents are noise and codes, `space` describes them. If the generator has `styles`,
    `styles.of(params, stats, latents)` returns their w for the params and stats of the player, and
    `generate` also takes the arguments `styles` and `noise` (see `Network`).

    `classes` names the labels that can be requested, and is empty if there are none. They are
    labels of the data or, if `learned`, codes whose meaning training has found; one-hot, they
    follow the noise. The last `continuous` values of a latent are codes in [-1, 1].
    """

    player: str
    latents: Callable[[jax.Array, ArrayLike, ArrayLike], jax.Array]
    generate: Callable[..., jax.Array]
    space: LatentSpace | None = None
    styles: Styles | None = None
    classes: tuple[str, ...] = ()
    continuous: int = 0
    learned: bool = False

    def labels(self, indices: np.ndarray, asked: Sequence[int] | np.ndarray = ()) -> np.ndarray:
        """The labels of the examples with these indices, cycling through the requested labels.

        Args:
            indices: (n,) indices of the examples.
            asked: labels to cycle through; empty for all labels.

        Returns:
            (n,) int32, zeros if there are no labels.
        """
        turn = np.asarray(asked if len(asked) else range(max(1, len(self.classes))), np.int32)
        return turn[np.asarray(indices) % len(turn)]

    def names(self, indices: np.ndarray, asked: Sequence[int] | np.ndarray = ()) -> list[str]:
        """The names of the labels of these examples; empty if there are no labels."""
        if not self.classes:
            return []
        return [self.classes[label] for label in self.labels(indices, asked)]


def generating(
    network: Network,
    space: LatentSpace,
    own: Callable[[Weights], Weights] = lambda weights: weights,
    **labels: Any,
) -> Sampler:
    """The sampler of a network that generates from noise and codes, of the player `generator`.

    Args:
        network: the generator.
        space: what it takes.
        own: gives its weights, of those of the player.
        **labels: `classes`, `continuous` and `learned` of the sampler.
    """

    def generate(weights: Weights, latents: jax.Array, **options: Any) -> jax.Array:
        return network.apply(*own(weights), latents, train=False, **options)[0]

    styles = network.styles
    if styles is not None:
        of = styles.of
        styles = styles._replace(
            of=lambda params, stats, latents: of(*own(Weights(params, stats)), latents)
        )
    return Sampler("generator", space.draw, generate, space, styles, **labels)


class Translator(NamedTuple):
    """How an image-to-image task translates source images with the weights of one player.

    All images are (n, height, width, channels) in [-1, 1]. `source(examples)` returns the sources
    of examples of the data, with `channels` channels. `translate(weights, sources)` returns the
    translations of sources of any height and width. `plain(sources)` returns untranslated images
    of the same shape, the baseline. If the desired result of a source is known, its example or the
    other image of its pair, the translator `restores`. Its network fills up sides to multiples of
    `multiple`.
    """

    player: str
    channels: int
    source: Callable[[jax.Array], jax.Array]
    translate: Callable[[Weights, jax.Array], jax.Array]
    plain: Callable[[jax.Array], jax.Array]
    restores: bool
    multiple: int = 1


class Part(NamedTuple):
    """A trained function of a player that can be used without its task.

    `inputs` describe one example of each input by its name, and `outputs` name the arrays that
    `apply(weights, *inputs)` returns as a tuple; all have a batch axis. Images of inputs may have
    any sides that are multiples of `multiple`, or only the described ones if it is 0.
    """

    player: str
    inputs: Mapping[str, jax.ShapeDtypeStruct]
    outputs: tuple[str, ...]
    apply: Callable[..., tuple[jax.Array, ...]]
    multiple: int = 0


class Task(NamedTuple):
    """Everything that training and sampling need to know about a task.

    `roles` maps each player to its section of the optimizer's configuration, `networks` to its
    networks by their place in its weights, such as `decoder` (empty for weights that are those of
    one network). `initialize(key)` returns the initial weights of all players, and an update draws
    `examples_per_update` examples of the data set.

    If examples have a likelihood, `log_likelihood(weights, examples)` returns log p(x) of each,
    (n,) in nats, or `bound(weights, examples, key, draw)` one draw of log p(x, z) - log q(z | x),
    with the same z for the same key and draw; its mean is a lower bound of log p(x).
    `reconstruct(weights, examples)` decodes the codes of examples. A task between two data sets
    has a translator to the second set as its sampler, and a translator `back` to the first, unless
    the examples of the sets are `paired`, in order. `parts` are its other trained functions, the
    discriminator and the encoder. `bits` are those of the values of stored images.
    """

    game: Game
    roles: Mapping[str, str]
    networks: Mapping[str, Mapping[str, Network]]
    initialize: Callable[[jax.Array], dict[str, Weights]]
    sampler: Sampler | Translator
    examples_per_update: int
    bound: Callable[[Weights, jax.Array, jax.Array, ArrayLike], jax.Array] | None = None
    reconstruct: Callable[[Weights, jax.Array], jax.Array] | None = None
    log_likelihood: Callable[[Weights, jax.Array], jax.Array] | None = None
    back: Translator | None = None
    paired: bool = False
    parts: Mapping[str, Part] = MappingProxyType({})
    bits: int = 8

    def turned(self) -> "Task":
        """The task with its two directions exchanged.

        Raises:
            UserError: if it has only one direction.
        """
        if self.back is None or not isinstance(self.sampler, Translator):
            raise UserError(
                "--back with a generator that translates in one direction only",
                "a generator that was trained between two data sets",
                "Leave out --back, or train with --task cyclegan",
            )
        return self._replace(sampler=self.back, back=self.sampler)


TASKS = Registry("task")

# The names of examples of each kind, as inputs and outputs of parts.
EXAMPLES = {"image": "images", "points": "points", "tokens": "tokens"}


def refuse_tokens(config: Config, data: DataSpec) -> None:
    """Refuses data that are tokens, in a task of images and points.

    Raises:
        UserError: naming the tasks for tokens.
    """
    if data.kind == "tokens":
        raise UserError(
            f"task {shown(config.task)} with {shown(data.name)}, which has tokens",
            "images or points; for tokens gumbel, policy-gradient or maximum-likelihood",
            "Choose another --task",
        )


def refuse_discriminator(config: Config) -> None:
    """Refuses settings of a discriminator in a task that has none.

    Raises:
        UserError: naming the settings.
    """
    own = flatten(config.model_dump(include={"loss", "penalties", "inputs"}))
    none = flatten({"loss": "", "penalties": (), "inputs": type(config.inputs)().model_dump()})
    given = [f"{key}={shown(value)}" for key, value in own.items() if value != none[key]]
    if given:
        raise UserError(
            f"task {TASKS.entry(config.task).name!r}, which has no discriminator, with "
            f"{', '.join(given)}",
            "no loss, no penalties and no inputs",
            "Leave them out, or choose another --task",
        )
