"""Application of functions to examples in blocks of one size."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np


def in_blocks(
    function: Callable[[np.ndarray], Any], size: int, examples: np.ndarray | Iterable[np.ndarray]
) -> Iterator[Any]:
    """Applies a function to blocks of `size` examples.

    Memory does not grow with the number of examples, and a jitted function is compiled once: the
    last block is padded with zeros, and the results of the padding are cut off.

    Args:
        function: maps (size, ...) to arrays, one or a tree of them, with first axis `size`.
        size: number of examples in a block.
        examples: (n, ...), maybe memory-mapped; or parts of it, in order.

    Yields:
        The function's results as NumPy arrays with first axis `size`; the last ones are shorter.
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
    """Yields consecutive examples, `size` at a time; the remainder comes last."""
    rest: np.ndarray | None = None
    for part in parts:
        joined = part if rest is None else np.concatenate([rest, part])
        whole = len(joined) // size * size
        for start in range(0, whole, size):
            yield joined[start : start + size]
        rest = joined[whole:] if whole < len(joined) else None
    if rest is not None:
        yield rest
