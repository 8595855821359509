"""Noise to examples: one generator against one discriminator."""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import jax
import jax.numpy as jnp

from gancli.augment import build_augmentations, instance_noise, pack
from gancli.config import Config, InputSettings
from gancli.data.dataset import DataSpec
from gancli.dynamics import Aux, Game, Turn, Weights
from gancli.errors import UserError
from gancli.keys import Stream, stream_key
from gancli.losses import LOSSES
from gancli.networks import MODELS
from gancli.penalties import AppliedPenalty, build_penalty
from gancli.registry import Bounds, shown
from gancli.tasks.task import TASKS, Sampler, Task

# Maps examples, a random key and the step to what the discriminator sees of the examples.
Pipeline = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


@TASKS.register("generation", reference="arXiv:1406.2661")
def generation(
    config: Config,
    data: DataSpec,
    latent: Annotated[int, Bounds(1, 65536)] = 64,
    distribution: Literal["normal", "uniform"] = "normal",
) -> Task:
    """Noise to examples: a generator learns to make what the data set holds.

    Args:
        config: the run's configuration.
        data: what the examples look like.
        latent: dimensions of the noise.
        distribution: of the noise: standard normal, or uniform in [-1, 1].

    Returns:
        The task, with the players `discriminator` and `generator`.

    Raises:
        UserError: if the parts do not fit each other or the data.
    """
    packing = config.inputs.packing
    networks = MODELS.build(config.model, data.shape, latent, packing)
    loss = LOSSES.build(config.loss)
    penalties = tuple(build_penalty(spec) for spec in config.penalties)
    if penalties and networks.discriminator.normalizes_batch:
        raise UserError(
            f"penalty {shown(config.penalties[0])} with batch normalization in the discriminator "
            f"of {shown(config.model)}: it would mix the examples whose slopes are penalised one "
            "by one",
            "batch normalization without a penalty, or a penalty with another norm",
            "Leave out norm=batch, or choose norm=none",
        )
    see = _input_pipeline(config.inputs)
    _try_on_examples(see, penalties, data, packing)
    draws = config.train.batch * packing

    def draw_latents(key: jax.Array, count: int) -> jax.Array:
        if distribution == "uniform":
            return jax.random.uniform(key, (count, latent), minval=-1.0)
        return jax.random.normal(key, (count, latent))

    def play(player: str, params: dict, stats: dict, turn: Turn) -> tuple[jax.Array, Aux]:
        # Inputs of the discriminator
        noise = draw_latents(stream_key(turn.key, Stream.LATENT), draws)
        fake, generator_stats = networks.generator.apply(
            params["generator"], stats["generator"], noise, train=True
        )
        real = see(turn.batch["examples"], stream_key(turn.key, Stream.REAL_INPUT), turn.step)
        fake = see(fake, stream_key(turn.key, Stream.FAKE_INPUT), turn.step)

        # Its verdicts
        weights, carried = params["discriminator"], stats["discriminator"]
        real_logits, moved = networks.discriminator.apply(weights, carried, real, train=True)
        fake_logits, moved = networks.discriminator.apply(weights, moved, fake, train=True)
        if player == "generator":
            return loss.generator(real_logits, fake_logits).mean(), Aux(generator_stats, {})

        # The discriminator's own loss and penalties
        def critic(examples: jax.Array) -> jax.Array:
            return networks.discriminator.apply(weights, moved, examples, train=True)[0]

        total = loss.discriminator(real_logits, fake_logits).mean()
        metrics = _verdicts(real_logits, fake_logits, loss.threshold)
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
            total += penalty
            metrics[f"penalty/{applied.name}"] = penalty
        return total, Aux(moved, metrics)

    def initialize(key: jax.Array) -> dict[str, Weights]:
        keys = jax.random.split(stream_key(key, Stream.INITIALIZATION))
        return {
            "discriminator": Weights(*networks.discriminator.initialize(keys[0])),
            "generator": Weights(*networks.generator.initialize(keys[1])),
        }

    def latents(key: jax.Array, indices: jax.Array) -> jax.Array:
        keys = jax.vmap(lambda index: jax.random.fold_in(key, index))(indices)
        return jax.vmap(lambda own: draw_latents(own, 1)[0])(keys)

    def generate(weights: Weights, noise: jax.Array) -> jax.Array:
        return networks.generator.apply(weights.params, weights.stats, noise, train=False)[0]

    straight = distribution == "uniform" or latent == 1
    return Task(
        game=Game(("discriminator", "generator"), play),
        roles={"discriminator": "discriminator", "generator": "generator"},
        initialize=initialize,
        sampler=Sampler("generator", latents, generate, _linear if straight else _spherical),
        examples_per_update=draws,
    )


def _input_pipeline(inputs: InputSettings) -> Pipeline:
    """What an example goes through before the discriminator sees it."""
    augment = build_augmentations(inputs.augment)

    def see(examples: jax.Array, key: jax.Array, step: jax.Array) -> jax.Array:
        augment_key, noise_key = jax.random.split(key)
        examples = augment(examples, augment_key)
        if inputs.noise:
            examples = instance_noise(
                examples, noise_key, step, inputs.noise, inputs.noise_decay_steps
            )
        return pack(examples, inputs.packing)

    return see


def _try_on_examples(
    see: Pipeline, penalties: Sequence[AppliedPenalty], data: DataSpec, packing: int
) -> None:
    """Applies what not all examples fit to such examples, abstractly: a misfit shows at once."""

    def apply(examples: jax.Array, key: jax.Array) -> None:
        seen = see(examples, key, jnp.int32(0))
        for applied in penalties:
            applied.penalty(lambda x: x.sum(tuple(range(1, x.ndim))), seen, seen, key)

    examples = jax.ShapeDtypeStruct((2 * packing, *data.shape), jnp.float32)
    jax.eval_shape(apply, examples, jax.random.key(0))


def _verdicts(
    real_logits: jax.Array, fake_logits: jax.Array, threshold: float | None
) -> dict[str, jax.Array]:
    """Mean logits, and the share of each kind on the right side of the threshold."""
    real_mean, fake_mean = real_logits.mean(), fake_logits.mean()
    bound = 0.5 * (real_mean + fake_mean) if threshold is None else threshold
    return {
        "logit/real": real_mean,
        "logit/fake": fake_mean,
        "accuracy/real": (real_logits > bound).mean(dtype=jnp.float32),
        "accuracy/fake": (fake_logits < bound).mean(dtype=jnp.float32),
    }


def _linear(start: jax.Array, end: jax.Array, share: jax.Array) -> jax.Array:
    return start + share * (end - start)


def _spherical(start: jax.Array, end: jax.Array, share: jax.Array) -> jax.Array:
    """Great-circle interpolation, which keeps the norm typical of normal noise (1609.04468)."""
    cosine = jnp.vdot(start, end) / (jnp.linalg.norm(start) * jnp.linalg.norm(end))
    angle = jnp.arccos(jnp.clip(cosine, -1 + 1e-6, 1 - 1e-6))
    return (jnp.sin((1 - share) * angle) * start + jnp.sin(share * angle) * end) / jnp.sin(angle)
