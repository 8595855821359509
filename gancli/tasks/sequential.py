"""Shared parts of token tasks: drawing sequences, their likelihood, and pre-training."""

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from gancli.adversarial.dynamics import Aux, Game, Turn, Weights
from gancli.adversarial.keys import Stream
from gancli.adversarial.losses import Loss
from gancli.config import Config
from gancli.data.dataset import DataSpec
from gancli.errors import UserError, shown
from gancli.networks import Interface, Network, Recurrence, networks_of
from gancli.networks.recurrent import START, draw_tokens, log_likelihoods
from gancli.registry import Bounds
from gancli.tasks.opponent import build_opponent
from gancli.tasks.task import Sampler, Task

# Options that several tasks share.
Steps = Annotated[int, Bounds(0, 2**31 - 1)]

# (logits (n, vocabulary), keys (n,) of the position, its number) -> what is written there.
Choice = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


class SequenceNetworks(NamedTuple):
    """The networks of a token task, and the recurrence of its generator."""

    generator: Network
    discriminator: Network
    recurrence: Recurrence


class Pretraining(NamedTuple):
    """Pre-training: the number of first steps in which the generator learns by likelihood.

    The discriminator learns only in the last `discriminator` of them.
    """

    generator: int
    discriminator: int


class Logits(NamedTuple):
    """The discriminator's logits of real and generated sequences, each (n,)."""

    real: jax.Array
    fake: jax.Array


# The discriminator's logits of the batch and of generated sequences (n, length, vocabulary).
Discriminate = Callable[[jax.Array], Logits]


class Writing(NamedTuple):
    """How a task's generator writes sequences and learns from the discriminator.

    `write(params, keys, step)` returns sequences (n, length, vocabulary) as the discriminator sees
    them. `learn(params, stats, turn, discriminate)` returns the generator's loss and `Aux`; its
    statistics start as `stats`.
    """

    write: Callable[[Any, jax.Array, jax.Array], jax.Array]
    learn: Callable[[Any, Any, Turn, Discriminate], tuple[jax.Array, Aux]]
    stats: Any


def sequence_networks(config: Config, data: DataSpec) -> SequenceNetworks:
    """The networks of a configuration, for data that are tokens.

    Raises:
        UserError: if the data are not tokens, or the model does not generate tokens.
    """
    if data.kind != "tokens":
        raise UserError(
            f"task {shown(config.task)} with {shown(data.name)}, which has no tokens",
            "tokens, such as oracle or a .txt file",
            "Choose another --dataset, or --task generation",
        )
    seen = config.inputs.packing * data.vocabulary
    interface = Interface(data.shape, 0, seen=seen, vocabulary=data.vocabulary)
    built = networks_of(config, interface)
    assert built.recurrence is not None  # Models without one refuse tokens.
    return SequenceNetworks(built.generator, built.discriminator, built.recurrence)


def sequence_keys(turn: Turn, count: int) -> jax.Array:
    """Keys (count,) of the sequences of an update, one for each sequence."""
    return turn.divided(jax.random.split(turn.key(Stream.LATENT), count))


def draw_sequences(
    recurrence: Recurrence,
    params: Any,
    keys: jax.Array,
    length: int,
    prefix: jax.Array | None = None,
    kept: jax.Array | int = 0,
) -> jax.Array:
    """Draws sequences from the generator; sequence i depends only on its key.

    Args:
        recurrence: recurrence of the generator.
        params: parameters of the generator.
        keys: (n,) keys.
        length: length of the sequences.
        prefix: sequences (n, length) to keep the beginning of; None for none.
        kept: number of tokens to keep.

    Returns:
        (n, length) int32.
    """

    def choose(logits: jax.Array, keys: jax.Array, place: jax.Array) -> jax.Array:
        drawn = draw_tokens(logits, jax.vmap(jax.random.uniform)(keys))
        return drawn if prefix is None else jnp.where(place < kept, prefix[:, place], drawn)

    first = jnp.full(keys.shape[0], START, jnp.int32)
    return _written(recurrence, params, keys, length, first, choose)


def relaxed_sequences(
    recurrence: Recurrence,
    params: Any,
    keys: jax.Array,
    length: int,
    vocabulary: int,
    temperature: jax.Array,
    straight_through: bool,
) -> jax.Array:
    """Draws differentiable sequences by Gumbel-softmax (arXiv:1611.01144).

    y = softmax((l + g) / τ), l the logits and g Gumbel noise; for τ → 0 a token of the generator's
    distribution. Each output is the next input. With straight_through the output is the token
    with the largest share, with the gradient of y.

    Args:
        recurrence: recurrence of the generator.
        params: parameters of the generator.
        keys: (n,) keys.
        length: length of the sequences.
        vocabulary: number of different tokens.
        temperature: τ.
        straight_through: whether to output whole tokens.

    Returns:
        Shares (n, length, vocabulary), which add up to 1 at each position.
    """

    def choose(logits: jax.Array, keys: jax.Array, place: jax.Array) -> jax.Array:
        noise = jax.vmap(lambda key: jax.random.gumbel(key, (vocabulary,)))(keys)
        soft = jax.nn.softmax((logits + noise) / temperature)
        if not straight_through:
            return soft
        hard = jax.nn.one_hot(soft.argmax(axis=1), vocabulary)
        return hard + (soft - jax.lax.stop_gradient(soft))

    first = jax.nn.one_hot(jnp.full(len(keys), START), vocabulary)
    return _written(recurrence, params, keys, length, first, choose)


def token_log_likelihoods(
    generator: Network, params: Any, tokens: jax.Array, train: bool = True
) -> jax.Array:
    """Log p of each token given the tokens before it, (n, length), by teacher forcing."""
    logits, _ = generator.apply(params, {}, tokens, train)
    return log_likelihoods(logits, tokens)


def likelihood_loss(generator: Network, params: Any, tokens: jax.Array) -> jax.Array:
    """The mean of -log p over sequences and positions, in nats per token."""
    return -token_log_likelihoods(generator, params, tokens).mean()


def adversarial_sequences(
    config: Config,
    data: DataSpec,
    networks: SequenceNetworks,
    pretraining: Pretraining,
    writing: Callable[[Loss], Writing],
) -> Task:
    """A token generator against a discriminator of sequences, after pre-training by likelihood.

    Returns:
        The task, with the players `discriminator` and `generator`. Metrics of a phase are 0
        outside it.

    Raises:
        UserError: if the parts do not fit each other or the data.
    """
    if pretraining.discriminator > pretraining.generator:
        raise UserError(
            f"pretrain_discriminator was {pretraining.discriminator} with "
            f"pretrain={pretraining.generator}, whose last steps it counts",
            f"at most {pretraining.generator}",
        )
    opponent = build_opponent(config, networks.discriminator, data)
    loss = opponent.loss
    own = writing(loss)
    draws = config.train.batch * config.inputs.packing
    begin = pretraining.generator - pretraining.discriminator

    def play(player: str, params: dict, stats: dict, turn: Turn) -> tuple[jax.Array, Aux]:
        tokens = turn.batch["examples"]
        weights, carried = params["discriminator"], stats["discriminator"]

        def see(sequences: jax.Array, stream: Stream) -> jax.Array:
            return opponent.see(sequences, turn.key(stream), turn, carried)

        real = see(jax.nn.one_hot(tokens, data.vocabulary), Stream.REAL_INPUT)

        def seen(fake: jax.Array) -> jax.Array:
            return see(fake, Stream.FAKE_INPUT)

        def outputs_of(examples: jax.Array, carried: Any) -> tuple[jax.Array, Any]:
            return opponent.network.apply(weights, carried, examples, train=True)

        if player == "generator":

            def discriminate(fake: jax.Array) -> Logits:
                of_real, moved = outputs_of(real, carried)
                return Logits(of_real, outputs_of(seen(fake), moved)[0])

            def against_discriminator() -> tuple[jax.Array, Aux]:
                return own.learn(params["generator"], stats["generator"], turn, discriminate)

            def by_likelihood() -> tuple[jax.Array, Aux]:
                nothing = _nothing(against_discriminator, stats["generator"])
                value = likelihood_loss(networks.generator, params["generator"], tokens)
                return value, nothing[1]

            return _from(pretraining.generator, turn.step, by_likelihood, against_discriminator)

        def against_generator() -> tuple[jax.Array, Aux]:
            keys = sequence_keys(turn, draws)
            fake = seen(jax.lax.stop_gradient(own.write(params["generator"], keys, turn.step)))
            of_real, moved = outputs_of(real, carried)
            of_fake, moved = outputs_of(fake, moved)
            total = loss.discriminator(of_real, of_fake).mean()
            terms, aux = opponent.update(
                (of_real, of_fake),
                (real, fake),
                lambda examples: outputs_of(examples, moved)[0],
                moved,
                turn,
            )
            return sum(terms.values(), total), aux

        def waiting() -> tuple[jax.Array, Aux]:
            return _nothing(against_generator, carried)

        return _from(begin, turn.step, waiting, against_generator)

    def initialize(key: jax.Array) -> dict[str, Weights]:
        keys = jax.random.split(key)
        return {
            "discriminator": Weights(*opponent.network.initialize(keys[0])),
            "generator": Weights(networks.generator.initialize(keys[1])[0], own.stats),
        }

    return Task(
        game=Game(("discriminator", "generator"), play),
        roles={"discriminator": "discriminator", "generator": "generator"},
        networks={
            "discriminator": {"": opponent.network},
            "generator": {"": networks.generator},
        },
        initialize=initialize,
        sampler=sequence_sampler(networks.recurrence, data),
        examples_per_update=draws,
        log_likelihood=log_likelihood_with(networks.generator),
    )


def sequence_sampler(recurrence: Recurrence, data: DataSpec) -> Sampler:
    """The sampler of sequences: a latent is the key that a sequence is drawn from."""

    def latents(key: jax.Array, indices: Any, labels: Any) -> jax.Array:
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.asarray(indices))
        return jax.random.key_data(keys)

    def generate(weights: Weights, latents: jax.Array) -> jax.Array:
        keys = jax.random.wrap_key_data(latents)
        return draw_sequences(recurrence, weights.params, keys, data.shape[0])

    return Sampler("generator", latents, generate)


def log_likelihood_with(generator: Network) -> Callable[[Weights, jax.Array], jax.Array]:
    """The function from a generator's weights and sequences to log p of each, (n,) in nats."""

    def log_likelihood(weights: Weights, examples: jax.Array) -> jax.Array:
        return token_log_likelihoods(generator, weights.params, examples, train=False).sum(axis=1)

    return log_likelihood


def _written(
    recurrence: Recurrence,
    params: Any,
    keys: jax.Array,
    length: int,
    first: jax.Array,
    choose: Choice,
) -> jax.Array:
    """Writes sequences (n, length, ...): each token is chosen from logits and is the next input."""

    def write(carry: tuple[Any, jax.Array], place: jax.Array):
        state, before = carry
        state, logits = recurrence.step(params, state, before)
        of_place = jax.vmap(jax.random.fold_in, (0, None))(keys, place)
        written = choose(logits, of_place, place)
        return (state, written), written

    begin = (recurrence.start(params, keys.shape[0]), first)
    _, written = jax.lax.scan(write, begin, jnp.arange(length))
    return written.swapaxes(0, 1)


def _from(
    begin: int,
    step: jax.Array,
    before: Callable[[], tuple[jax.Array, Aux]],
    after: Callable[[], tuple[jax.Array, Aux]],
) -> tuple[jax.Array, Aux]:
    """Chooses between two functions: one before a step, and another from that step on."""
    return jax.lax.cond(step < begin, before, after) if begin else after()


def _nothing(play: Callable[[], tuple[jax.Array, Aux]], stats: Any) -> tuple[jax.Array, Aux]:
    """A loss and metrics of 0 in the form that a player returns, and unchanged statistics."""
    loss, aux = jax.tree.map(lambda like: jnp.zeros(like.shape, like.dtype), jax.eval_shape(play))
    return loss, Aux(stats, aux.metrics)
