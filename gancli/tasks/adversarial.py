"""The game of one generator against one discriminator, with or without labels and codes."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gancli.adversarial.augmentations import pack
from gancli.adversarial.dynamics import Aux, Game, Turn, Weights
from gancli.adversarial.keys import Stream
from gancli.config import Config
from gancli.data.dataset import DataSpec
from gancli.networks import Interface, carrying, networks_of
from gancli.tasks.latents import Distribution, LatentSpace, draw_noise
from gancli.tasks.opponent import build_opponent
from gancli.tasks.path_length import PathLength, path_term, require_fitting
from gancli.tasks.reading import Reader
from gancli.tasks.task import EXAMPLES, Part, Task, generating, refuse_tokens


class Condition(NamedTuple):
    """How labels or codes enter the game; by default there are none.

    The generator takes `codes` values besides its noise: `draw(key, count, batch)` returns those
    of an update, (count, codes), and `of_label(key, label)` those of one sample, (codes,). If
    `told` is set, the discriminator sees them as further channels of its input. It has `outputs`
    outputs: `logits(outputs, codes)` turns them into logits (n,), which depend on the codes if
    `told` or `compared` is set, and
    `terms(player, real, fake, codes)` turns the outputs for real and fake into terms of a
    player's loss besides the adversarial one, by name. With a `reader`, a third player reads the
    codes.

    `classes`, `continuous` and `learned` are passed to the sampler.
    """

    codes: int = 0
    draw: Callable[[jax.Array, int, Mapping[str, jax.Array]], jax.Array] = (
        lambda key, count, batch: jnp.zeros((count, 0))
    )
    of_label: Callable[[jax.Array, jax.Array], jax.Array] = lambda key, label: jnp.zeros(0)
    told: bool = False
    compared: bool = False
    outputs: int = 1
    logits: Callable[[jax.Array, jax.Array], jax.Array] = lambda outputs, codes: outputs
    terms: Callable[[str, jax.Array, jax.Array, jax.Array], dict[str, jax.Array]] = (
        lambda player, real, fake, codes: {}
    )
    reader: Reader | None = None
    classes: tuple[str, ...] = ()
    continuous: int = 0
    learned: bool = False


def adversarial_task(
    config: Config,
    data: DataSpec,
    latent: int,
    distribution: Distribution,
    condition: Condition = Condition(),  # noqa: B008 - it is immutable
    path: PathLength = PathLength(),  # noqa: B008 - it is immutable
) -> Task:
    """A generator learns the distribution of the data against a discriminator.

    Args:
        config: the run's configuration.
        data: description of the examples.
        latent: dimensions of the noise.
        distribution: distribution of the noise.
        condition: how labels or codes enter the game.
        path: weight of the path-length regularization, in the noise if the generator has no
            mapping network.

    Returns:
        The task, with the players `discriminator` and `generator`, and between them `reader` if
        there is one.

    Raises:
        UserError: if the parts do not fit each other or the data.
    """
    refuse_tokens(config, data)
    packing = config.inputs.packing
    channels = data.shape[-1] + (condition.codes if condition.told else 0)
    networks = networks_of(
        config,
        Interface(data.shape, latent, condition.codes, packing * channels, condition.outputs),
    )
    opponent = build_opponent(config, networks.discriminator, data)
    loss, discriminator = opponent.loss, opponent.network
    require_fitting(path, networks.generator, config)
    generator = carrying(networks.generator, path.carried())
    draws, reader = config.train.batch * packing, condition.reader

    def play(player: str, params: dict, stats: dict, turn: Turn) -> tuple[jax.Array, Aux]:
        # Inputs of the discriminator
        noise = draw_noise(turn.key(Stream.LATENT), (draws, latent), distribution)
        codes = condition.draw(turn.key(Stream.CODE), draws, turn.batch)
        latents = turn.divided(jnp.concatenate([noise, codes], axis=1))

        def generate(latents: jax.Array, **options: jax.Array) -> tuple[jax.Array, Any]:
            weights, carried = params["generator"], stats["generator"]
            return generator.apply(weights, carried, latents, train=True, **options)

        def see(examples: jax.Array, stream: Stream) -> jax.Array:
            return opponent.see(examples, turn.key(stream), turn, stats["discriminator"])

        made, generator_stats = generate(latents)
        read: dict[str, jax.Array] = {}
        if reader and player != "discriminator":
            own = (params["reader"], stats["reader"])
            key = turn.key(Stream.READING)
            read, moved = reader.terms(player, own, (turn.batch["examples"], made), codes, key)
            if player == "reader":
                return sum(read.values(), jnp.float32(0)), Aux(moved, read)
        real, fake = see(turn.batch["examples"], Stream.REAL_INPUT), see(made, Stream.FAKE_INPUT)
        codes = pack(codes, packing)

        # Its logits
        weights, carried = params["discriminator"], stats["discriminator"]

        def discriminate(examples: jax.Array, stats: Any) -> tuple[jax.Array, Any]:
            seen = with_planes(examples, codes) if condition.told else examples
            return discriminator.apply(weights, stats, seen, train=True)

        real_outputs, moved = discriminate(real, carried)
        fake_outputs, moved = discriminate(fake, moved)
        real_logits = condition.logits(real_outputs, codes)
        fake_logits = condition.logits(fake_outputs, codes)
        terms = condition.terms(player, real_outputs, fake_outputs, codes) | read
        if player == "generator":
            total = loss.generator(real_logits, fake_logits).mean()
            if not path.weight:
                return sum(terms.values(), total), Aux(generator_stats, terms)

            # Path-length regularization
            def shifted(shift: jax.Array) -> jax.Array:
                if generator.styles is None:
                    return generate(latents.at[:, :latent].add(shift))[0]
                own = params["generator"], stats["generator"]
                return generate(latents, styles=generator.styles.of(*own, latents) + shift)[0]

            values = latent if generator.styles is None else generator.styles.size
            shift = jnp.zeros((draws, values))
            mean = stats["generator"]["path_length"]
            terms["path_length/penalty"], mean = path_term(path, shifted, shift, mean, turn)
            metrics = terms | {"path_length/mean": mean}
            return sum(terms.values(), total), Aux(generator_stats | {"path_length": mean}, metrics)

        # The discriminator's own loss and penalties
        def critic(examples: jax.Array) -> jax.Array:
            return condition.logits(discriminate(examples, moved)[0], codes)

        total = loss.discriminator(real_logits, fake_logits).mean()
        logits = real_logits, fake_logits
        added, aux = opponent.update(logits, (real, fake), critic, moved, turn)
        terms |= added
        return sum(terms.values(), total), Aux(aux.stats, aux.metrics | terms)

    def initialize(key: jax.Array) -> dict[str, Weights]:
        keys = jax.random.split(key, 3)
        weights = {
            "discriminator": Weights(*discriminator.initialize(keys[0])),
            "generator": Weights(*generator.initialize(keys[1])),
        }
        if reader:
            weights["reader"] = Weights(*reader.network.initialize(keys[2]))
        return weights

    def logits_of(weights: Weights, examples: jax.Array, *given: jax.Array) -> tuple[jax.Array]:
        codes = given[0] if given else jnp.zeros((examples.shape[0], 0))
        seen = with_planes(examples, codes) if condition.told else examples
        outputs, _ = discriminator.apply(weights.params, weights.stats, seen, train=False)
        return (condition.logits(outputs, codes),)

    inputs = {EXAMPLES[data.kind]: (*data.shape[:-1], packing * data.shape[-1])}
    if condition.told or condition.compared:
        inputs["codes"] = (packing * condition.codes,)
    inputs = {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in inputs.items()}

    return Task(
        game=Game(("discriminator", *(["reader"] if reader else []), "generator"), play),
        roles={
            "discriminator": "discriminator",
            **({"reader": "discriminator"} if reader else {}),
            "generator": "generator",
        },
        networks={
            "discriminator": {"": discriminator},
            **({"reader": {"": reader.network}} if reader else {}),
            "generator": {"": generator},
        },
        initialize=initialize,
        sampler=generating(
            generator,
            LatentSpace(latent, distribution, condition.of_label),
            classes=condition.classes,
            continuous=condition.continuous,
            learned=condition.learned,
        ),
        examples_per_update=draws,
        parts={"discriminator": Part("discriminator", inputs, ("logits",), logits_of)},
    )


def cross_entropy(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """The mean cross-entropy of classes, -Σ t log softmax(x), in nats.

    Args:
        logits: (batch, classes).
        targets: (batch, classes), each row adding up to 1.

    Returns:
        A scalar.
    """
    return -(targets * jax.nn.log_softmax(logits)).sum(axis=1).mean()


def with_planes(examples: jax.Array, codes: jax.Array) -> jax.Array:
    """Appends codes (n, codes) to examples (n, ..., channels) as constant channels."""
    between = codes.reshape(codes.shape[0], *[1] * (examples.ndim - 2), -1)
    planes = jnp.broadcast_to(between, (*examples.shape[:-1], codes.shape[1]))
    return jnp.concatenate([examples, planes], axis=-1)
