"""Tokens against a discriminator whose output is a reward: its gradient is not needed."""

from typing import Annotated, Literal

import jax
import jax.numpy as jnp

from gancli.adversarial.dynamics import Aux, Turn
from gancli.adversarial.losses import Loss
from gancli.config import Config
from gancli.data.dataset import DataSpec
from gancli.registry import Bounds
from gancli.tasks.opponent import require_unpacked
from gancli.tasks.sequential import (
    Discriminate,
    Logits,
    Pretraining,
    Steps,
    Writing,
    adversarial_sequences,
    draw_sequences,
    sequence_keys,
    sequence_networks,
    token_log_likelihoods,
)
from gancli.tasks.task import TASKS, Task


@TASKS.register(
    "policy-gradient",
    reference="arXiv:1609.05473 (SeqGAN); Williams, 1992 (REINFORCE)",
    recipe={
        "loss": "non-saturating",
        "optimizer.generator.learning_rate": 1e-2,
        "optimizer.generator.beta1": 0.9,
        "optimizer.generator.beta2": 0.999,
        "optimizer.generator.clip_norm": 5.0,
        "optimizer.discriminator.learning_rate": 1e-4,
        "optimizer.discriminator.beta1": 0.9,
        "optimizer.discriminator.beta2": 0.999,
    },
)
def policy_gradient(
    config: Config,
    data: DataSpec,
    reward: Literal["probability", "loss"] = "probability",
    baseline: Literal["running", "batch", "none"] = "running",
    decay: Annotated[float, Bounds(0, 0.999999)] = 0.9,
    rollouts: Annotated[int, Bounds(0, 1024)] = 0,
    pretrain: Steps = 0,
    pretrain_discriminator: Steps = 0,
) -> Task:
    """Tokens by policy gradient: the discriminator's output rewards what was written (SeqGAN).

    The gradient is that of the mean of -(R_t - b_t) log p(y_t | y_<t), over sequences y of the
    generator's own and their places t. R_t is the reward of the finished sequence, or, by
    rollouts, the mean over sequences that begin as y up to t and that the generator finishes. R is
    σ of the discriminator's logit, or the generator's adversarial loss, negated. b_t is a running
    mean of R_t, or its mean over the other sequences of the batch, which leaves the gradient's
    expectation as it is.

    Args:
        config: the run's configuration.
        data: what the examples look like.
        reward: what R is.
        baseline: what b is.
        decay: share of the running mean that a step keeps.
        rollouts: how often each beginning is finished; 0 for the reward of the whole alone.
        pretrain: first steps in which the generator learns by likelihood instead.
        pretrain_discriminator: the last of them, in which the discriminator learns already.

    Returns:
        The task, with the players `discriminator` and `generator`.

    Raises:
        UserError: if the parts do not fit each other or the data.
    """
    require_unpacked(config, "task 'policy-gradient'")
    networks = sequence_networks(config, data)
    length, draws = data.shape[0], config.train.batch

    def draw(params: dict, keys: jax.Array, **given) -> jax.Array:
        tokens = draw_sequences(networks.recurrence, params, keys, length, **given)
        return jax.lax.stop_gradient(tokens)

    def write(params: dict, keys: jax.Array, step: jax.Array) -> jax.Array:
        return jax.nn.one_hot(draw(params, keys), data.vocabulary)

    def writing(loss: Loss) -> Writing:
        def reward_of(logits: Logits) -> jax.Array:
            if reward == "probability":
                return jax.nn.sigmoid(logits.fake)
            return -loss.generator(logits.real, logits.fake)

        def learn(
            params: dict, stats: dict, turn: Turn, discriminate: Discriminate
        ) -> tuple[jax.Array, Aux]:
            keys = sequence_keys(turn, draws)
            tokens = draw(params, keys)

            def reward_for(tokens: jax.Array) -> jax.Array:
                return reward_of(discriminate(jax.nn.one_hot(tokens, data.vocabulary)))

            def of_beginning(kept: jax.Array) -> jax.Array:
                def finished(number: jax.Array) -> jax.Array:
                    place = (kept * rollouts + number).astype(jnp.uint32)
                    own = jax.vmap(jax.random.fold_in, (0, None))(keys, length + place)
                    return reward_for(draw(params, own, prefix=tokens, kept=kept))

                return jax.lax.map(finished, jnp.arange(rollouts)).mean(axis=0)

            # Rewards of each place, (length, draws)
            whole = reward_for(tokens)
            rewards = jnp.broadcast_to(whole, (length, draws))
            if rollouts:
                begun = jax.lax.map(of_beginning, jnp.arange(1, length))
                rewards = jnp.concatenate([begun, whole[None]])
            rewards = jax.lax.stop_gradient(rewards.T)

            # What they are compared with
            means = rewards.mean(axis=0)
            expected, stats_after = jnp.zeros((1, length)), stats
            if baseline == "running":
                expected = stats["baseline"][jnp.newaxis]
                stats_after = {"baseline": decay * stats["baseline"] + (1 - decay) * means}
            elif baseline == "batch" and draws > 1:
                expected = (draws * means[jnp.newaxis] - rewards) / (draws - 1)
            chosen = token_log_likelihoods(networks.generator, params, tokens)
            surrogate = -((rewards - expected) * chosen).mean()
            return surrogate, Aux(stats_after, {"reward": whole.mean()})

        first = {"baseline": jnp.zeros(length)} if baseline == "running" else {}
        return Writing(write, learn, first)

    pretraining = Pretraining(pretrain, pretrain_discriminator)
    return adversarial_sequences(config, data, networks, pretraining, writing)
