"""Random keys as a function of (seed, step, update, stream): no generator state is saved."""

from enum import IntEnum

import jax


class Stream(IntEnum):
    """What a key is drawn for; each stream is independent of the others."""

    INITIALIZATION = 0
    LATENT = 1
    PENALTY = 2
    REAL_INPUT = 3
    FAKE_INPUT = 4
    CODE = 5
    PATH = 6
    READING = 7


def update_key(seed: jax.Array, step: jax.Array, update: jax.Array | int) -> jax.Array:
    """The key of one update: fold_in(fold_in(key, step), update).

    Args:
        seed: the run's key, from `jax.random.key(seed)`.
        step: the training step.
        update: the position of the update within its step, over all players.

    Returns:
        A key, to be divided by `stream_key`.
    """
    return jax.random.fold_in(jax.random.fold_in(seed, step), update)


def stream_key(key: jax.Array, stream: Stream) -> jax.Array:
    """The part of a key that belongs to one stream."""
    return jax.random.fold_in(key, int(stream))
