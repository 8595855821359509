"""Shared parts of tasks that learn from pairs of a source and what shall be made of it."""

from collections.abc import Callable, Mapping
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from gancli.adversarial.dynamics import Aux, Game, Turn, Weights
from gancli.adversarial.keys import Stream
from gancli.config import Config
from gancli.data.dataset import DataSpec
from gancli.data.transform import to_float, to_uint8
from gancli.errors import UserError, shown
from gancli.networks import Interface, networks_of
from gancli.registry import Bounds
from gancli.tasks.opponent import build_opponent, require_unpacked
from gancli.tasks.task import Part, Task, Translator

Weight = Annotated[float, Bounds(0, 1e6)]


class Pairing(NamedTuple):
    """Where sources come from, and how a generator makes images of them.

    Sources have `channels` channels. `pair(batch)` returns the sources of a batch, and the real
    images of the same height and width that belong to them; `source(examples)` only the sources of
    examples of the data. `plain(sources)` only gives them the shape of images. The generator sees
    `given(sources)`, as the discriminator does beside an image, and `made(given, outputs)` is the
    image. `together` says whether pairs are two data sets; if not, sources are computed.
    """

    channels: int
    pair: Callable[[Mapping[str, jax.Array]], tuple[jax.Array, jax.Array]]
    source: Callable[[jax.Array], jax.Array]
    plain: Callable[[jax.Array], jax.Array]
    given: Callable[[jax.Array], jax.Array]
    made: Callable[[jax.Array, jax.Array], jax.Array]
    together: bool


def degraded(
    channels: int,
    source: Callable[[jax.Array], jax.Array],
    plain: Callable[[jax.Array], jax.Array],
) -> Pairing:
    """The pairs of a degradation: with the plain image p of a source, the image is p + G(p).

    Args:
        channels: of a source.
        source: degrades images (n, height, width, channels) in [-1, 1].
        plain: restores only the shape of what it returns.
    """

    def pair(batch: Mapping[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
        return source(batch["examples"]), batch["examples"]

    return Pairing(channels, pair, source, plain, plain, jnp.add, together=False)


class Objective(NamedTuple):
    """The weights of the generator's loss; see `paired_task`."""

    pixel: float
    feature: float
    adversarial: float


def paired_task(config: Config, data: DataSpec, pairing: Pairing, objective: Objective) -> Task:
    """A generator makes an image of its source, a discriminator tells it from the real one.

    The generator makes x of a source whose real image is y. It minimises λp mean |x - y| +
    λf mean |f(x) - f(y)| + λa times the adversarial loss of each patch, where f are the
    discriminator's last hidden features. The discriminator sees images, clipped to [-1, 1], with
    what the generator is given as further channels (arXiv:1611.07004). With λf = λa = 0 there is no
    discriminator.

    Args:
        config: the run's configuration.
        data: description of the images that shall be made.
        pairing: the pairs.
        objective: λp, λf and λa.

    Returns:
        The task, with the players `discriminator`, if there is one, and `generator`.

    Raises:
        UserError: if the parts do not fit each other.
    """
    require_unpacked(config, f"task {shown(config.task)}")
    if not any(objective):
        raise UserError("pixel=0,feature=0,adversarial=0", "at least one above 0")
    channels, features = data.shape[-1], objective.feature > 0
    one = jax.ShapeDtypeStruct((1, *data.shape[:2], pairing.channels), jnp.float32)
    beside = jax.eval_shape(pairing.given, one).shape[-1]
    interface = Interface(data.shape, 0, seen=channels + beside, features=features, source=beside)
    networks = networks_of(config, interface)
    generator = networks.generator
    judged = features or objective.adversarial > 0
    seen_as = data._replace(shape=interface.seen_shape)
    opponent = build_opponent(config, networks.discriminator, seen_as)
    loss, discriminator = opponent.loss, opponent.network

    def play(player: str, params: dict, stats: dict, turn: Turn) -> tuple[jax.Array, Aux]:
        sources, real = pairing.pair(turn.batch)
        given = pairing.given(sources)
        outputs, moved = generator.apply(params["generator"], stats["generator"], given, train=True)
        made = pairing.made(given, outputs)
        terms: dict[str, jax.Array] = {}
        if player == "generator" and objective.pixel:
            terms["pixel"] = objective.pixel * jnp.abs(made - real).mean()
        if not judged:
            return terms["pixel"], Aux(moved, terms)

        # The discriminator's logits of each patch
        def outputs_of(seen: jax.Array, carried: dict) -> tuple[jax.Array, dict]:
            outputs, carried = discriminator.apply(params["discriminator"], carried, seen)
            return outputs if features else outputs[..., jnp.newaxis], carried

        def seen(images: jax.Array, stream: Stream) -> jax.Array:
            beside = jnp.concatenate([images, given], axis=-1)
            key = turn.key(stream)
            return opponent.see(beside, key, turn, stats["discriminator"])

        shown = seen(real, Stream.REAL_INPUT)
        shown_made = seen(jnp.clip(made, -1, 1), Stream.FAKE_INPUT)
        of_real, carried = outputs_of(shown, stats["discriminator"])
        of_made, carried = outputs_of(shown_made, carried)
        real_logits, fake_logits = of_real[..., 0].reshape(-1), of_made[..., 0].reshape(-1)
        if player == "discriminator":
            total = loss.discriminator(real_logits, fake_logits).mean()

            def critic(pairs: jax.Array) -> jax.Array:
                # Slopes are in the image alone, as they are in no label of a conditional task.
                image, beside = pairs[..., :channels], pairs[..., channels:]
                pairs = jnp.concatenate([image, jax.lax.stop_gradient(beside)], axis=-1)
                return outputs_of(pairs, carried)[0][..., 0].mean(axis=(1, 2))

            logits = real_logits, fake_logits
            terms, aux = opponent.update(logits, (shown, shown_made), critic, carried, turn)
            return sum(terms.values(), total), aux
        if features:
            errors = jnp.abs(of_made - of_real)[..., 1:]
            terms["feature"] = objective.feature * errors.mean()
        if objective.adversarial:
            own = loss.generator(real_logits, fake_logits).mean()
            terms["adversarial"] = objective.adversarial * own
        return sum(terms.values(), jnp.float32(0)), Aux(moved, terms)

    of_players = {"discriminator": discriminator, "generator": generator}

    def initialize(key: jax.Array) -> dict[str, Weights]:
        keys = jax.random.split(key)
        return {
            player: Weights(*of_players[player].initialize(own))
            for player, own in zip(of_players, keys, strict=True)
            if player in players
        }

    def translate(weights: Weights, sources: jax.Array) -> jax.Array:
        given = pairing.given(sources)
        outputs, _ = generator.apply(weights.params, weights.stats, given, train=False)
        return pairing.made(given, outputs)

    def logits_of(weights: Weights, images: jax.Array, sources: jax.Array) -> tuple[jax.Array]:
        beside = jnp.concatenate([images, pairing.given(sources)], axis=-1)
        outputs, _ = discriminator.apply(weights.params, weights.stats, beside, train=False)
        return (outputs[..., 0] if features else outputs,)

    images = jax.ShapeDtypeStruct(data.shape, jnp.float32)
    if not pairing.together:
        one = jax.eval_shape(pairing.source, images.update(shape=(1, *data.shape)))
    judges = {"images": images, "sources": one.update(shape=one.shape[1:])}
    players = ("discriminator", "generator") if judged else ("generator",)
    return Task(
        game=Game(players, play),
        roles={player: player for player in players},
        networks={player: {"": of_players[player]} for player in players},
        initialize=initialize,
        sampler=Translator(
            "generator",
            pairing.channels,
            pairing.source,
            translate,
            pairing.plain,
            restores=True,
            multiple=generator.multiple,
        ),
        examples_per_update=config.train.batch,
        paired=pairing.together,
        parts={"discriminator": Part("discriminator", judges, ("logits",), logits_of)}
        if judged
        else {},
    )


def in_bytes(images: jax.Array) -> jax.Array:
    """Rounds images to 8 bits per value, as a file would hold them."""
    return to_float(to_uint8(images))
