"""Random keys as a function of (seed, stream, step, update): no generator state is saved."""

from enum import IntEnum

import jax


class Stream(IntEnum):
    """The purpose of a key; streams are disjoint.

    Their numbers lie above every index of an example, because the latents of an example are drawn
    from fold_in(key(seed), index).
    """

    INITIALIZATION = 2**31
    LATENT = 2**31 + 1
    CODE = 2**31 + 2
    REAL_INPUT = 2**31 + 3
    FAKE_INPUT = 2**31 + 4
    RECONSTRUCTED_INPUT = 2**31 + 5
    READING = 2**31 + 6
    PENALTY = 2**31 + 7
    PATH = 2**31 + 8
    POOL = 2**31 + 9
    PROBE = 2**31 + 10


def key_of(seed: jax.Array, stream: Stream, *place: jax.Array | int) -> jax.Array:
    """The key of a stream: fold_in(…fold_in(fold_in(key, stream), step)…, update).

    All draws of a stream pass the same count of numbers, so no key is the parent of another.

    Args:
        seed: the run's key, from `jax.random.key(seed)`.
        stream: the purpose of the draw.
        *place: numbers that distinguish its draws, such as the step.

    Returns:
        A key, to be used once or split.
    """
    for number in (int(stream), *place):
        seed = jax.random.fold_in(seed, number)
    return seed
