"""Sequences from a random network, whose distribution is known exactly."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

import numpy as np

from gancli.data.dataset import (
    DATASETS,
    DataRequest,
    Dataset,
    DataSpec,
    Seed,
    refuse_size,
    require_split,
)
from gancli.data.facts import fingerprint
from gancli.errors import UserError
from gancli.registry import Bounds

SPLITS = ("train", "test")
# Multiplications to write a set; the published set takes 34 billion, about ten seconds.
MOST_WORK = 40_000_000_000
MOST_WEIGHTS = 10_000_000
_BLOCK = 1_000


@DATASETS.register("oracle", reference="arXiv:1609.05473, section 5.1")
def oracle(
    request: DataRequest,
    *,
    length: Annotated[int, Bounds(2, 1024)] = 20,
    vocabulary: Annotated[int, Bounds(2, 65_536)] = 5000,
    count: Annotated[int, Bounds(1, 10_000_000)] = 10_000,
    seed: Seed = 0,
    hidden: Annotated[int, Bounds(1, 1024)] = 32,
) -> Dataset:
    """Sequences of tokens from a random LSTM, so that their likelihood is known.

    Its embeddings, weights and biases are N(0, 1), drawn once. It begins with token 0 and draws
    each next token from its softmax. Everything is computed on the CPU in float64, so that the
    sequences do not depend on the rounding of a device.

    Args:
        request: only its `split` applies; `test` is an independent draw of the same network.
        length: length of a sequence in tokens.
        vocabulary: number of different tokens.
        count: number of sequences, drawn once.
        seed: decides the network and the sequences.
        hidden: size of the network's state and of its embeddings.

    Returns:
        Tokens (count, length) int32, with their likelihood.

    Raises:
        UserError: if the request does not apply to tokens, or the set is too large.
    """
    refuse_size("oracle", request, "tokens")
    require_split("oracle", request.split, SPLITS)
    work = count * length * (vocabulary + 8 * hidden + 100) * max(32, hidden)
    if work > MOST_WORK or hidden * vocabulary > MOST_WEIGHTS:
        raise UserError(
            f"oracle with {count:,} sequences of {length:,} tokens, a vocabulary of "
            f"{vocabulary:,} and {hidden:,} hidden values",
            "count · length · (vocabulary + 8 hidden + 100) · max(32, hidden) of at most "
            f"{MOST_WORK:,}, hidden · vocabulary of at most {MOST_WEIGHTS:,}",
            "Choose a smaller count or vocabulary",
        )
    network = _Network(vocabulary, hidden, seed)
    examples = _written(network, SPLITS.index(request.split), count, length)
    spec = DataSpec("oracle", "tokens", (length,), vocabulary=vocabulary)
    return Dataset(
        spec, examples, None, fingerprint(examples), log_likelihood=network.log_likelihood
    )


class _Network(NamedTuple):
    """The random LSTM; networks with the same options are equal.

    It imports JAX only when it computes, because other data sets do not need it.
    """

    vocabulary: int
    hidden: int
    seed: int

    def write(self, branch: int, count: int, length: int) -> np.ndarray:
        """Draws sequences (count, length) int32; sequence i depends only on the branch and i."""
        import jax
        import jax.numpy as jnp

        from gancli.networks import recurrent

        with _exactly():
            weights = self._weights()
            key = jax.random.fold_in(jax.random.key(self.seed), 1 + branch)

            @jax.jit
            def write_block(weights, indices):
                own = jax.vmap(lambda index: jax.random.fold_in(key, index))(indices)
                shares = jax.vmap(lambda key: jax.random.uniform(key, (length,), jnp.float64))(own)

                def write_one(carry, now):
                    state, before = carry
                    state, logits = recurrent.step(weights, state, before)
                    token = recurrent.draw_tokens(logits, now)
                    return (state, token), token

                first = jnp.full(len(indices), recurrent.START, jnp.int32)
                begin = (recurrent.start(weights, len(indices)), first)
                return jax.lax.scan(write_one, begin, shares.T)[1].T

            starts = range(0, count, _BLOCK)
            block = np.arange(min(_BLOCK, count))
            rows = [np.asarray(write_block(weights, start + block)) for start in starts]
        return np.concatenate(rows)[:count]

    def log_likelihood(self, examples: np.ndarray) -> np.ndarray:
        """Log p of sequences (n, length), (n,) float64 in nats."""
        import jax

        from gancli.networks import recurrent

        @jax.jit
        def of_block(weights, tokens):
            logits = recurrent.forced_logits(weights, tokens)
            return recurrent.log_likelihoods(logits, tokens).sum(axis=1)

        # Block size: the probabilities of a block take some hundred mebibytes.
        rows = max(1, 10_000_000 // (self.vocabulary * examples.shape[1]))
        with _exactly():
            weights = self._weights()
            starts = range(0, len(examples), rows)
            blocks = [np.asarray(examples[start : start + rows], np.int32) for start in starts]
            return np.concatenate([np.asarray(of_block(weights, block)) for block in blocks])

    def _weights(self) -> dict[str, Any]:
        import jax
        import jax.numpy as jnp

        from gancli.networks import recurrent

        key = jax.random.fold_in(jax.random.key(self.seed), 0)
        sizes = (self.vocabulary, self.hidden, self.hidden)
        return recurrent.normal_weights(key, *sizes, 1.0, jnp.float64)


@functools.lru_cache(maxsize=4)
def _written(network: _Network, branch: int, count: int, length: int) -> np.ndarray:
    """The sequences of a network, cached because a comparison loads them for each run."""
    examples = network.write(branch, count, length)
    examples.flags.writeable = False
    return examples


@contextlib.contextmanager
def _exactly() -> Iterator[None]:
    """Computes in float64 on the CPU, even if there is another device."""
    import jax

    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        yield
