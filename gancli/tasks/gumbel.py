"""Tokens by Gumbel-softmax: the discriminator's gradient flows through relaxed samples."""

from typing import Annotated

import jax
import jax.numpy as jnp

from gancli.adversarial.dynamics import Aux, Turn
from gancli.adversarial.losses import Loss
from gancli.config import Config
from gancli.data.dataset import DataSpec
from gancli.networks.microbatch import in_parts
from gancli.registry import Bounds
from gancli.tasks.sequential import (
    Discriminate,
    Pretraining,
    Steps,
    Writing,
    adversarial_sequences,
    relaxed_sequences,
    sequence_keys,
    sequence_networks,
)
from gancli.tasks.task import TASKS, Task

_Temperature = Annotated[float, Bounds(1e-3, 1e3)]


@TASKS.register(
    "gumbel",
    reference="arXiv:1611.04051; Gumbel-softmax arXiv:1611.01144, 1611.00712",
    recipe={
        "optimizer.generator.learning_rate": 1e-3,
        "optimizer.generator.beta1": 0.9,
        "optimizer.generator.beta2": 0.999,
        "optimizer.generator.clip_norm": 5.0,
    },
)
def gumbel(
    config: Config,
    data: DataSpec,
    temperature: _Temperature = 1.0,
    last_temperature: _Temperature = 0.1,
    cooling: Steps = 2000,
    straight_through: bool = True,
    pretrain: Steps = 0,
    pretrain_discriminator: Steps = 0,
) -> Task:
    """Tokens relaxed by Gumbel-softmax, so that the discriminator's gradient reaches them.

    The generator outputs softmax((l + g) / τ), g Gumbel noise, which is also its next input; τ
    falls geometrically from the first to the last temperature. With straight_through it outputs
    whole tokens with the same gradient. Without it the discriminator can tell relaxed tokens from
    real, whole ones until τ is low. Samples are always whole tokens.

    Args:
        config: the run's configuration.
        data: description of the examples.
        temperature: initial τ of adversarial training.
        last_temperature: final τ.
        cooling: number of steps between them; 0 for the final temperature from the first step on.
        straight_through: whether the generator outputs whole tokens.
        pretrain: number of first steps in which the generator learns by likelihood instead.
        pretrain_discriminator: number of the last of these steps in which the discriminator
            already learns.

    Returns:
        The task, with the players `discriminator` and `generator`.

    Raises:
        UserError: if the parts do not fit each other or the data.
    """
    networks = sequence_networks(config, data)
    draws = config.train.batch * config.inputs.packing

    def temperature_at(step: jax.Array) -> jax.Array:
        share = jnp.clip((step - pretrain) / cooling, 0.0, 1.0) if cooling else 1.0
        return jnp.float32(temperature) * (last_temperature / temperature) ** share

    def write(params: dict, keys: jax.Array, step: jax.Array) -> jax.Array:
        def written(keys: jax.Array) -> tuple[jax.Array, None]:
            sequences = relaxed_sequences(
                networks.recurrence,
                params,
                keys,
                data.shape[0],
                data.vocabulary,
                temperature_at(step),
                straight_through,
            )
            return sequences, None

        return in_parts(written, config.train.microbatch)(keys)[0]

    def writing(loss: Loss) -> Writing:
        def learn(
            params: dict, stats: dict, turn: Turn, discriminate: Discriminate
        ) -> tuple[jax.Array, Aux]:
            logits = discriminate(write(params, sequence_keys(turn, draws), turn.step))
            metrics = {"temperature": temperature_at(turn.step)}
            return loss.generator(logits.real, logits.fake).mean(), Aux(stats, metrics)

        return Writing(write, learn, {})

    pretraining = Pretraining(pretrain, pretrain_discriminator)
    return adversarial_sequences(config, data, networks, pretraining, writing)
