"""A long short-term memory (LSTM) that writes sequences of tokens, as functions of its weights.

The weights are a plain dict: `embedding` (vocabulary, e), `kernel` (e + h, 4 h) and `bias` (4 h,)
of the gates, `output_kernel` (h, vocabulary) and `output_bias` (vocabulary,). Before its first
token, every sequence has token 0.
"""

from typing import Any

import jax
import jax.numpy as jnp

from gancli.networks.network import Params

# The state after the tokens so far: output and cell, each (batch, h).
State = tuple[jax.Array, jax.Array]

START = 0
_TOGETHER = 128  # tokens per block of probabilities


def normal_weights(
    key: jax.Array,
    vocabulary: int,
    embedding: int,
    hidden: int,
    deviation: float,
    dtype: Any = jnp.float32,
) -> Params:
    """Initial weights and biases N(0, deviation²), as in arXiv:1609.05473.

    Args:
        key: random key.
        vocabulary: number of different tokens.
        embedding: e, size of a token's embedding.
        hidden: h, size of the state.
        deviation: standard deviation of each weight and bias.
        dtype: type of the weights.
    """
    shapes = {
        "embedding": (vocabulary, embedding),
        "kernel": (embedding + hidden, 4 * hidden),
        "bias": (4 * hidden,),
        "output_kernel": (hidden, vocabulary),
        "output_bias": (vocabulary,),
    }
    keys = jax.random.split(key, len(shapes))
    return {
        name: deviation * jax.random.normal(own, shape, dtype)
        for own, (name, shape) in zip(keys, shapes.items(), strict=True)
    }


def start(weights: Params, batch: int) -> State:
    """The initial state, before any token."""
    nothing = jnp.zeros((batch, weights["output_kernel"].shape[0]), weights["kernel"].dtype)
    return nothing, nothing


def read(weights: Params, state: State, embedded: jax.Array) -> State:
    """Reads one token of each sequence.

    c' = σ(f) c + σ(i) tanh(g) and h' = σ(o) tanh(c'), with the gates (i, f, g, o) =
    [x, h] kernel + bias (Hochreiter and Schmidhuber, 1997; forget gate Gers et al., 2000).

    Args:
        weights: weights of the LSTM.
        state: the state before the token.
        embedded: x, the embedding of the token, (batch, e).

    Returns:
        The new state; its first part, h', is the output.
    """
    output, cell = state
    gates = jnp.concatenate([embedded, output], axis=1) @ weights["kernel"]
    gates += weights["bias"][jnp.newaxis]
    enter, keep, candidate, show = jnp.split(gates, 4, axis=1)
    cell = jax.nn.sigmoid(keep) * cell + jax.nn.sigmoid(enter) * jnp.tanh(candidate)
    return jax.nn.sigmoid(show) * jnp.tanh(cell), cell


def logits_of(weights: Params, output: jax.Array) -> jax.Array:
    """The logits (..., vocabulary) of the next token from outputs (..., h)."""
    logits = output @ weights["output_kernel"]
    return logits + jnp.broadcast_to(weights["output_bias"], logits.shape)


def step(weights: Params, state: State, inputs: jax.Array) -> tuple[State, jax.Array]:
    """Reads one token, and returns the logits of the next one.

    Args:
        weights: weights of the LSTM.
        state: the state before the token.
        inputs: tokens (batch,), or the shares of all tokens (batch, vocabulary), whose embedding
            is the weighted mean of the tokens' embeddings.

    Returns:
        The new state, and the logits (batch, vocabulary) of the next token.
    """
    embedding = weights["embedding"]
    embedded = embedding[inputs] if inputs.ndim == 1 else inputs @ embedding
    state = read(weights, state, embedded)
    return state, logits_of(weights, state[0])


def forced_logits(weights: Params, tokens: jax.Array) -> jax.Array:
    """The logits of each token given the tokens before it (teacher forcing).

    Args:
        weights: weights of the LSTM.
        tokens: (batch, length).

    Returns:
        (batch, length, vocabulary).
    """
    before = jnp.pad(tokens[:, :-1], ((0, 0), (1, 0)), constant_values=START)
    embedded = weights["embedding"][before].swapaxes(0, 1)

    def advance(state: State, now: jax.Array) -> tuple[State, jax.Array]:
        state = read(weights, state, now)
        return state, state[0]

    _, outputs = jax.lax.scan(advance, start(weights, len(tokens)), embedded)
    return logits_of(weights, outputs.swapaxes(0, 1))


def log_likelihoods(logits: jax.Array, tokens: jax.Array) -> jax.Array:
    """Log softmax(logits) of tokens (batch, length), of the same shape, in nats."""
    chosen = jnp.take_along_axis(logits, tokens[..., None], axis=-1)[..., 0]
    return chosen - jax.nn.logsumexp(logits, axis=-1)


def draw_tokens(logits: jax.Array, shares: jax.Array) -> jax.Array:
    """Draws tokens by inversion: the first token whose cumulative probability exceeds a share.

    This needs one random number per draw, whereas Gumbel noise needs one for each token of the
    vocabulary. Probabilities are summed by blocks, then within the block that is hit.

    Args:
        logits: (batch, vocabulary).
        shares: (batch,), uniform in [0, 1).

    Returns:
        (batch,) int32.
    """
    batch, vocabulary = logits.shape
    most = logits.max(axis=1, keepdims=True)
    weights = jnp.pad(jnp.exp(logits - most), ((0, 0), (0, -vocabulary % _TOGETHER)))
    blocks = weights.reshape(batch, -1, _TOGETHER)
    reached = jnp.cumsum(blocks.sum(axis=2), axis=1)
    sought = (shares * reached[:, -1])[:, None]
    # Rounding may put the result just beyond the end.
    block = jnp.minimum((reached <= sought).sum(axis=1), reached.shape[1] - 1)[:, None]
    within = jnp.take_along_axis(blocks, block[:, :, None], axis=1)[:, 0]
    before = jnp.take_along_axis(jnp.pad(reached, ((0, 0), (1, 0))), block, axis=1)
    place = (jnp.cumsum(within, axis=1) <= sought - before).sum(axis=1)
    tokens = block[:, 0] * _TOGETHER + jnp.minimum(place, _TOGETHER - 1)
    return jnp.minimum(tokens, vocabulary - 1).astype(jnp.int32)
