"""Path-length regularization: equal steps in latent space should change images equally."""

from collections.abc import Callable
from math import prod
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from gancli.adversarial.dynamics import Turn
from gancli.adversarial.keys import Stream
from gancli.config import Config
from gancli.errors import UserError, shown
from gancli.networks import Network
from gancli.registry import Bounds

# Options that several tasks share.
PathWeight = Annotated[float, Bounds(0, 1_000_000)]
PathInterval = Annotated[int, Bounds(1, 1_000_000)]

# The weight of a new batch in the running mean.
_SHARE = 0.01


class PathLength(NamedTuple):
    """The weight of path-length regularization, 0 for none, and its interval in steps."""

    weight: float = 0.0
    every: int = 4

    def carried(self) -> dict[str, jax.Array]:
        """Initial values carried with the generator's statistics: the mean a, if it is needed."""
        return {"path_length": jnp.zeros(())} if self.weight else {}


def require_fitting(path: PathLength, generator: Network, config: Config) -> None:
    """Refuses a generator that mixes the latents of a batch.

    Raises:
        UserError: naming the model.
    """
    if path.weight and generator.normalizes_batch:
        raise UserError(
            f"path_length={path.weight:g} with batch normalization in the generator of "
            f"{shown(config.model)}: it would mix images whose slopes are measured separately",
            "a generator without it",
            "Choose generator_norm=none, or model stylegan2 or r3gan",
        )


def path_lengths(
    images: Callable[[jax.Array], jax.Array], shift: jax.Array, key: jax.Array
) -> jax.Array:
    """The path length of each image: its change per step in latent space, in a random direction.

    ‖Jᵀ y‖, J = ∂g(w)/∂w, y ~ N(0, I / pixels) of the image's shape. All layers have one w, whose
    gradient is the sum of theirs; the authors' code gives each layer a w of its own, and takes
    the root of the mean of ‖Jᵀ y‖² over layers.

    Args:
        images: maps a shift of the latents w, (n, values), to examples (n, *shape), each of which
            depends only on its own latent.
        shift: zeros, (n, values).
        key: random key of y.

    Returns:
        (n,) (arXiv:1912.04958, section 3.2).
    """

    def projected(shift: jax.Array) -> jax.Array:
        made = images(shift)
        direction = jax.random.normal(key, made.shape) / prod(made.shape[1:-1]) ** 0.5
        return jnp.sum(made * direction)

    squared = jnp.sum(jax.grad(projected)(shift) ** 2, axis=1)
    # Written so that the derivative is finite where the gradient vanishes.
    positive = squared > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squared, 1.0)), 0.0)


def path_term(
    path: PathLength,
    images: Callable[[jax.Array], jax.Array],
    shift: jax.Array,
    mean: jax.Array,
    turn: Turn,
) -> tuple[jax.Array, jax.Array]:
    """The path-length term of a generator's loss at this step, and the new mean.

    λ k (‖Jᵀ y‖ - a)² at every k-th step and nothing at others; there, too, a moves a hundredth of
    the way to the batch's mean, and is no variable of the loss. In the authors' code its
    newest hundredth is one.

    Args:
        path: λ and k.
        images: as in `path_lengths`.
        shift: zeros, (n, values).
        mean: a before the step.
        turn: the turn, with its step and key.

    Returns:
        Two scalars (arXiv:1912.04958, equation 4, which is applied lazily as in section 3.1).
    """

    def due() -> tuple[jax.Array, jax.Array]:
        lengths = path_lengths(images, shift, turn.key(Stream.PATH))
        moved = mean + _SHARE * (jax.lax.stop_gradient(lengths).mean() - mean)
        return path.weight * path.every * ((lengths - moved) ** 2).mean(), moved

    return jax.lax.cond(turn.step % path.every == 0, due, lambda: (jnp.zeros(()), mean))
