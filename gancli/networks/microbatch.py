"""Functions of a batch that are computed for a part of its examples at a time.

What a derivative needs of such a function is computed again for each part, and then held for that
part alone. Parameters gain the sum of the parts' gradients. Everything outside the function sees
the whole batch, so its random numbers, losses, penalties and statistics stay as they are.
"""

from collections.abc import Callable
from typing import Any

import jax

Tree = Any


def in_parts(
    function: Callable[[Tree], tuple[Tree, Tree]], size: int
) -> Callable[[Tree], tuple[Tree, Tree]]:
    """A function of examples that is computed for `size` of them at a time.

    Args:
        function: maps a pytree of arrays (n, ...) to another one, in which an example's values
            depend on that example alone, and to what does not depend on the examples.
        size: examples of a part; 0 for all at once.

    Returns:
        The function, for any multiple of `size` examples, with the same values and derivatives of
        any order, to rounding (gradient caching, arXiv:2101.06983).
    """
    if not size:
        return function
    again = jax.checkpoint(function, prevent_cse=False)  # The loop already separates both passes.

    def computed(examples: Tree) -> tuple[Tree, Tree]:
        # Neighbours are in different parts, so that devices that hold neighbours share each part.
        def divided(array: jax.Array) -> jax.Array:
            return array.reshape(size, -1, *array.shape[1:]).swapaxes(0, 1)

        def joined(array: jax.Array) -> jax.Array:
            return array.swapaxes(0, 1).reshape(-1, *array.shape[2:])

        of_parts, common = jax.lax.map(again, jax.tree.map(divided, examples))
        return jax.tree.map(joined, of_parts), jax.tree.map(lambda array: array[0], common)

    return computed
