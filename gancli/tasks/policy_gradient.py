"""Tokens by policy gradient: the discriminator's output is a reward, without its gradient."""

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
    also="seqgan",
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
    """Tokens by policy gradient: the discriminator's output is the reward (SeqGAN).

    The gradient is that of the mean of -(R_t - b_t) log p(y_t | y_<t) over generated sequences y
    and their positions t. R_t is the reward of the finished sequence. With rollouts it is the mean
    reward of sequences that begin as y up to t and that the generator completes. R is σ of the
    discriminator's logit, or the negated adversarial loss of the generator. The baseline b_t is a
    running mean of R_t, or the mean of R_t over the other sequences of the batch; it does not
    change the expectation of the gradient.

    Args:
        config: the run's configuration.
        data: description of the examples.
        reward: definition of R.
        baseline: definition of b.
        decay: share of the running mean that a step keeps.
        rollouts: number of completions of each beginning; 0 for only the final reward.
        pretrain: number of first steps in which the generator learns by likelihood instead.
        pretrain_discriminator: number of the last of these steps in which the discriminator
            already learns.

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
        def learn(
            params: dict, stats: dict, turn: Turn, discriminate: Discriminate
        ) -> tuple[jax.Array, Aux]:
            keys = sequence_keys(turn, draws)
            tokens = draw(params, keys)

            def reward_for(tokens: jax.Array) -> jax.Array:
                logits = discriminate(jax.nn.one_hot(tokens, data.vocabulary))
                if reward == "probability":
                    return jax.nn.sigmoid(logits.fake)
                return -loss.generator(logits.real, logits.fake)

            def of_beginning(kept: jax.Array) -> jax.Array:
                def finished(number: jax.Array) -> jax.Array:
                    place = (kept * rollouts + number).astype(jnp.uint32)
                    own = jax.vmap(jax.random.fold_in, (0, None))(keys, length + place)
                    return reward_for(draw(params, own, prefix=tokens, kept=kept))

                return jax.lax.map(finished, jnp.arange(rollouts)).mean(axis=0)

            # Rewards of each position, (length, draws)
            whole = reward_for(tokens)
            rewards = jnp.broadcast_to(whole, (length, draws))
            if rollouts:
                begun = jax.lax.map(of_beginning, jnp.arange(1, length))
                rewards = jnp.concatenate([begun, whole[None]])
            rewards = jax.lax.stop_gradient(rewards.T)

            # Their baselines
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
