"""The game of one generator against one discriminator, with or without labels and codes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gancli.adversarial.augmentations import (
    adapted,
    build_augmentations,
    instance_noise,
    pack,
    start_of_adaptation,
)
from gancli.adversarial.dynamics import Aux, Game, Turn, Weights
from gancli.adversarial.keys import Stream, stream_key
from gancli.adversarial.losses import LOSSES
from gancli.adversarial.penalties import AppliedPenalty, Critic, build_penalty
from gancli.config import Config
from gancli.data.dataset import DataSpec
from gancli.errors import UserError, shown
from gancli.networks import MODELS, Interface, Network, carrying
from gancli.tasks.latents import Distribution, draw_noise, interpolation, latents_by_index
from gancli.tasks.path_length import PathLength, path_term, require_fitting
from gancli.tasks.reading import Reader
from gancli.tasks.task import Sampler, Task, refuse_tokens


class Pipeline(NamedTuple):
    """What examples go through before the discriminator sees them.

    `see(examples, key, step, stats)` gives what it sees, of its own statistics. These hold what is
    `carried` beside its network's, and `follow(stats, margins)` moves that by the logits (n,) of
    real examples, less the one that is on neither side; it returns metrics, too.
    """

    see: Callable[[jax.Array, jax.Array, jax.Array, Any], jax.Array]
    carried: Mapping[str, Any]
    follow: Callable[[Any, jax.Array], tuple[Any, dict[str, jax.Array]]]


class Condition(NamedTuple):
    """How labels or codes enter the game; by default there are none.

    A generator takes `codes` values beside its noise: `draw(key, count, batch)` gives them for
    an update, (count, codes), and `of_label(key, label)` those of one sample, (codes,). They are
    also shown to a discriminator that is `told` them, as further channels of what it sees. Of
    its `outputs`, `logits(outputs, codes)` makes the logits (n,) of what it saw, and
    `terms(player, real, fake, codes)`, of its outputs for both, what is added to a player's loss
    beside the adversarial one, by name. With a `reader`, a third player reads the codes.

    `classes`, `continuous` and `learned` are the sampler's.
    """

    codes: int = 0
    draw: Callable[[jax.Array, int, Mapping[str, jax.Array]], jax.Array] = (
        lambda key, count, batch: jnp.zeros((count, 0))
    )
    of_label: Callable[[jax.Array, jax.Array], jax.Array] = lambda key, label: jnp.zeros(0)
    told: bool = False
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
    """A generator learns to make what the data set holds, against a discriminator.

    Args:
        config: the run's configuration.
        data: what the examples look like.
        latent: dimensions of the noise.
        distribution: of the noise.
        condition: how labels or codes enter.
        path: how much the lengths of paths on images count; those of the noise, where the
            generator maps it to no other latent.

    Returns:
        The task, with the players `discriminator` and `generator`, and between them `reader`,
        where there is one.

    Raises:
        UserError: if the parts do not fit each other or the data.
    """
    refuse_tokens(config, data)
    packing = config.inputs.packing
    channels = data.shape[-1] + (condition.codes if condition.told else 0)
    networks = MODELS.build(
        config.model,
        Interface(data.shape, latent, condition.codes, packing * channels, condition.outputs),
    )
    loss = LOSSES.build(config.loss)
    penalties = fitting_penalties(config, networks.discriminator)
    pipeline = input_pipeline(config, penalties, data)
    require_fitting(path, networks.generator, config)
    generator = carrying(networks.generator, path.carried())
    discriminator = carrying(networks.discriminator, pipeline.carried)
    draws, reader = config.train.batch * packing, condition.reader

    def play(player: str, params: dict, stats: dict, turn: Turn) -> tuple[jax.Array, Aux]:
        # Inputs of the discriminator
        noise = draw_noise(stream_key(turn.key, Stream.LATENT), (draws, latent), distribution)
        codes = condition.draw(stream_key(turn.key, Stream.CODE), draws, turn.batch)
        latents = jnp.concatenate([noise, codes], axis=1)

        def generate(latents: jax.Array, **options: jax.Array) -> tuple[jax.Array, Any]:
            weights, carried = params["generator"], stats["generator"]
            return generator.apply(weights, carried, latents, train=True, **options)

        def see(examples: jax.Array, stream: Stream) -> jax.Array:
            key = stream_key(turn.key, stream)
            return pipeline.see(examples, key, turn.step, stats["discriminator"])

        made, generator_stats = generate(latents)
        read: dict[str, jax.Array] = {}
        if reader and player != "discriminator":
            own = (params["reader"], stats["reader"])
            key = stream_key(turn.key, Stream.READING)
            read, moved = reader.terms(player, own, (turn.batch["examples"], made), codes, key)
            if player == "reader":
                return sum(read.values(), jnp.float32(0)), Aux(moved, read)
        real, fake = see(turn.batch["examples"], Stream.REAL_INPUT), see(made, Stream.FAKE_INPUT)
        codes = pack(codes, packing)

        # Its verdicts
        weights, carried = params["discriminator"], stats["discriminator"]

        def judge(examples: jax.Array, stats: Any) -> tuple[jax.Array, Any]:
            seen = with_planes(examples, codes) if condition.told else examples
            return discriminator.apply(weights, stats, seen, train=True)

        real_outputs, moved = judge(real, carried)
        fake_outputs, moved = judge(fake, moved)
        real_logits = condition.logits(real_outputs, codes)
        fake_logits = condition.logits(fake_outputs, codes)
        terms = condition.terms(player, real_outputs, fake_outputs, codes) | read
        if player == "generator":
            total = loss.generator(real_logits, fake_logits).mean()
            if not path.weight:
                return sum(terms.values(), total), Aux(generator_stats, terms)

            # The lengths of paths on its images
            def shifted(shift: jax.Array) -> jax.Array:
                if generator.styles:
                    return generate(latents, shift=shift)[0]
                return generate(latents.at[:, :latent].add(shift))[0]

            shift = jnp.zeros((draws, generator.styles or latent))
            mean = stats["generator"]["path_length"]
            terms["path_length/penalty"], mean = path_term(path, shifted, shift, mean, turn)
            metrics = terms | {"path_length/mean": mean}
            return sum(terms.values(), total), Aux(generator_stats | {"path_length": mean}, metrics)

        # The discriminator's own loss and penalties
        def critic(examples: jax.Array) -> jax.Array:
            return condition.logits(judge(examples, moved)[0], codes)

        total = loss.discriminator(real_logits, fake_logits).mean()
        terms |= penalty_terms(penalties, critic, real, fake, turn)
        margins = real_logits - middle(real_logits, fake_logits, loss.threshold)
        moved, of_inputs = pipeline.follow(moved, margins)
        metrics = verdicts(real_logits, fake_logits, loss.threshold) | terms | of_inputs
        return sum(terms.values(), total), Aux(moved, metrics)

    def initialize(key: jax.Array) -> dict[str, Weights]:
        own = stream_key(key, Stream.INITIALIZATION)
        keys = jax.random.split(own)
        weights = {
            "discriminator": Weights(*discriminator.initialize(keys[0])),
            "generator": Weights(*generator.initialize(keys[1])),
        }
        if reader:
            key = stream_key(own, Stream.READING)
            weights["reader"] = Weights(*reader.network.initialize(key))
        return weights

    def generate(weights: Weights, latents: jax.Array) -> jax.Array:
        return generator.apply(weights.params, weights.stats, latents, train=False)[0]

    return Task(
        game=Game(("discriminator", *(["reader"] if reader else []), "generator"), play),
        roles={
            "discriminator": "discriminator",
            **({"reader": "discriminator"} if reader else {}),
            "generator": "generator",
        },
        initialize=initialize,
        sampler=Sampler(
            "generator",
            latents_by_index(latent, distribution, condition.of_label),
            generate,
            interpolation(latent, distribution),
            condition.classes,
            condition.continuous,
            condition.learned,
        ),
        examples_per_update=draws,
    )


def cross_entropy(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """The mean cross-entropy of classes, -Σ t log softmax(x), in nats.

    Args:
        logits: (batch, classes).
        targets: (batch, classes), of which each row adds up to 1.

    Returns:
        A scalar.
    """
    return -(targets * jax.nn.log_softmax(logits)).sum(axis=1).mean()


def require_unpacked(config: Config, what: str, allowed: str = "1") -> None:
    """Refuses packing where the discriminator is asked of single examples.

    Raises:
        UserError: naming what asks.
    """
    if config.inputs.packing > 1:
        raise UserError(
            f"inputs.packing was {config.inputs.packing} with {what}, which judges single examples",
            allowed,
            "Leave out inputs.packing",
        )


def fitting_penalties(config: Config, discriminator: Network) -> tuple[AppliedPenalty, ...]:
    """The penalties of a configuration.

    Raises:
        UserError: if they do not fit the discriminator.
    """
    penalties = tuple(build_penalty(spec) for spec in config.penalties)
    if penalties and discriminator.normalizes_batch:
        raise UserError(
            f"penalty {shown(config.penalties[0])} with batch normalization in the discriminator "
            f"of {shown(config.model)}: it would mix the examples whose slopes are penalised one "
            "by one",
            "batch normalization without a penalty, or a penalty with another norm",
            "Leave out norm=batch, or choose norm=none",
        )
    return penalties


def penalty_terms(
    penalties: Sequence[AppliedPenalty],
    critic: Critic,
    real: jax.Array,
    fake: jax.Array,
    turn: Turn,
) -> dict[str, jax.Array]:
    """What penalties add to a discriminator's loss, by name; a lazy one adds it all at its steps.

    Args:
        penalties: those that apply.
        critic: gives the logits (n,) of examples.
        real: what the discriminator sees of real examples.
        fake: the same of generated ones.
        turn: whose key they draw from.

    Returns:
        Scalars.
    """
    terms: dict[str, jax.Array] = {}
    key = stream_key(turn.key, Stream.PENALTY)
    for index, applied in enumerate(penalties):
        own_key = jax.random.fold_in(key, index)

        def value(penalty=applied.penalty, own_key=own_key) -> jax.Array:
            return penalty(critic, real, fake, own_key).mean()

        if applied.every > 1:
            due = turn.step % applied.every == 0
            penalty = jax.lax.cond(due, value, lambda: jnp.float32(0)) * applied.every
        else:
            penalty = value()
        # One may be given twice, with other options.
        name = f"penalty/{applied.name}"
        terms[name] = terms[name] + penalty if name in terms else penalty
    return terms


def with_planes(examples: jax.Array, codes: jax.Array) -> jax.Array:
    """Examples (n, ..., channels) with codes (n, codes) as further, constant channels."""
    between = codes.reshape(len(codes), *[1] * (examples.ndim - 2), -1)
    planes = jnp.broadcast_to(between, (*examples.shape[:-1], codes.shape[1]))
    return jnp.concatenate([examples, planes], axis=-1)


def input_pipeline(config: Config, penalties: Sequence[AppliedPenalty], data: DataSpec) -> Pipeline:
    """What an example goes through before the discriminator sees it.

    Raises:
        UserError: if it, or a penalty, does not fit the examples.
    """
    inputs = config.inputs
    augment, adaptive = build_augmentations(inputs.augment), inputs.augment_target > 0
    if adaptive and not inputs.augment:
        raise UserError(
            f"inputs.augment_target was {inputs.augment_target:g} without an augmentation whose "
            "probability could follow it",
            "inputs.augment with at least one, or inputs.augment_target=0",
            'Set inputs.augment, for example to ["flip", "translation", "color"]',
        )

    def see(examples: jax.Array, key: jax.Array, step: jax.Array, stats: Any) -> jax.Array:
        augment_key, noise_key = jax.random.split(key)
        examples = augment(examples, augment_key, stats["augment"]["p"] if adaptive else None)
        if inputs.noise:
            examples = instance_noise(
                examples, noise_key, step, inputs.noise, inputs.noise_decay_steps
            )
        return pack(examples, inputs.packing)

    def follow(stats: Any, margins: jax.Array) -> tuple[Any, dict[str, jax.Array]]:
        if not adaptive:
            return stats, {}
        seen = config.train.batch * inputs.packing
        target, images = inputs.augment_target, inputs.augment_images
        moved = adapted(stats["augment"], margins, seen, target, images)
        return stats | {"augment": moved}, {"augment/p": moved["p"]}

    carried = {"augment": start_of_adaptation()} if adaptive else {}

    # Applied to such examples, abstractly: a misfit shows at once.
    def apply(examples: jax.Array, key: jax.Array) -> None:
        seen = see(examples, key, jnp.int32(0), carried)
        for applied in penalties:
            applied.penalty(lambda x: x.sum(tuple(range(1, x.ndim))), seen, seen, key)

    examples = jax.ShapeDtypeStruct((2 * inputs.packing, *data.seen_shape), jnp.float32)
    jax.eval_shape(apply, examples, jax.random.key(0))
    return Pipeline(see, carried, follow)


def middle(real_logits: jax.Array, fake_logits: jax.Array, threshold: float | None) -> jax.Array:
    """The logit on neither side: the loss's threshold, or half-way between the means."""
    if threshold is None:
        return 0.5 * (real_logits.mean() + fake_logits.mean())
    return jnp.float32(threshold)


def verdicts(
    real_logits: jax.Array, fake_logits: jax.Array, threshold: float | None
) -> dict[str, jax.Array]:
    """Mean logits, and the share of each kind on the right side of the threshold."""
    bound = middle(real_logits, fake_logits, threshold)
    return {
        "logit/real": real_logits.mean(),
        "logit/fake": fake_logits.mean(),
        "accuracy/real": (real_logits > bound).mean(dtype=jnp.float32),
        "accuracy/fake": (fake_logits < bound).mean(dtype=jnp.float32),
    }
