"""How far parameters move between measurements, estimated from a fixed random projection."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gancli.runs.resume_point import Projected
from gancli.training.monitors.monitor import as_figures

# A prime, so that the channels of a kernel do not fall into the same values again and again.
_VALUES = 61


def projection(params: Any) -> jax.Array:
    """A fixed random projection S of all parameters w together, with E‖Sw‖² = ‖w‖².

    Each value is the sum of every 61st parameter times a fixed random sign (the count sketch of
    Charikar, Chen and Farach-Colton, 2002).

    Returns:
        (61,) float32.
    """
    total, first = jnp.zeros(_VALUES), 0
    for leaf in jax.tree.leaves(params):
        padded = jnp.pad(leaf.ravel(), (0, -leaf.size % _VALUES))
        total += (padded * _signs(first, padded.size)).reshape(-1, _VALUES).sum(axis=0)
        first += padded.size
    return total


def motion(before: Sequence[Projected], now: Projected) -> dict[str, float]:
    """Estimates how far, and in which direction, parameters have moved.

    Args:
        before: earlier projections, in order.
        now: the newest ones.

    Returns:
        These figures, of which it leaves out what is not finite:

        - `PLAYER/moved`: ‖w - w'‖ / ‖w‖, w' being the parameters at the measurement before, with a
          standard error of 9 % of it;
        - `PLAYER/turn`: the angle between the last two displacements, in degrees, with one of 7: 0
          straight on, 90 across, 180 back.
    """
    figures: dict[str, float] = {}
    for player, newest in now.players.items():
        path = np.array([*(one.players[player] for one in before[-2:]), newest])
        steps = np.diff(path, axis=0)
        lengths = np.linalg.norm(steps, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            if len(steps):
                figures[f"{player}/moved"] = lengths[-1] / np.linalg.norm(path[-1])
            if len(steps) > 1:
                cosine = steps[0] @ steps[1] / lengths.prod()
                figures[f"{player}/turn"] = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return as_figures(figures)


def _signs(first: int, count: int) -> jax.Array:
    """±1 for each index from `first` on, by the finalizer of MurmurHash3."""
    mixed = jax.lax.iota(jnp.uint32, count) + np.uint32(first)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        mixed = (mixed ^ (mixed >> np.uint32(shift))) * np.uint32(factor)
    return 1 - 2 * (mixed >> np.uint32(31)).astype(jnp.float32)
