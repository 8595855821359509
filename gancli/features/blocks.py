"""Functions of examples, applied in blocks of one size."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np


def in_blocks(
    function: Callable[[np.ndarray], Any], size: int, examples: np.ndarray | Iterable[np.ndarray]
) -> Iterator[Any]:
    """Applies a function to so many examples at a time, whatever the parts that they come in.

    Memory is bounded in their number, and a compiled function is compiled once: the last
    block is filled up with zeros, and what the function made of those is cut off.

    Args:
        function: (size, ...) to arrays, one or a tree of them, of first side `size`.
        size: examples in a block.
        examples: (n, ...), maybe memory-mapped; or parts of it, in order.

    Yields:
        NumPy arrays as the function gives them, of first side `size`, the last of less.
    """
    parts = [examples] if isinstance(examples, np.ndarray) else examples
    for block in _blocks(parts, size):
        full = block
        if len(block) < size:
            full = np.zeros((size, *block.shape[1:]), block.dtype)
            full[: len(block)] = block
        wanted = slice(len(block))
        yield jax.tree.map(lambda array, wanted=wanted: np.asarray(array)[wanted], function(full))


def _blocks(parts: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Consecutive examples, `size` at a time; what is left over comes last."""
    rest: np.ndarray | None = None
    for part in parts:
        joined = part if rest is None else np.concatenate([rest, part])
        whole = len(joined) // size * size
        for start in range(0, whole, size):
            yield joined[start : start + size]
        rest = joined[whole:] if whole < len(joined) else None
    if rest is not None:
        yield rest
