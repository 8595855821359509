"""Detection of divergence: values that are not finite, and losses that explode."""

import jax
import jax.numpy as jnp
import numpy as np

from gancli.adversarial.dynamics import TrainState
from gancli.adversarial.schedules import scaled
from gancli.config import Config
from gancli.training.monitors.monitor import MONITORS, Finding, Monitor, Window

# The quantity that a finding names, by the part of a player's state.
OF_PARTS = {
    "params": "a parameter",
    "stats": "a carried statistic",
    "opt_state": "a moment of the optimizer",
    "average": "an averaged weight",
}


@MONITORS.register("divergence", reference="IEEE 754-2019")
def divergence(config: Config) -> Monitor:
    """Values that are not finite, and losses beyond `divergence.loss_limit`.

    Args:
        config: configuration of the run.

    Returns:
        The monitor. It also checks the state where it is given one, because metrics may not yet
        show a fault in the state.
    """
    limit = config.divergence.loss_limit

    def watch(window: Window) -> Finding | None:
        found = find_in_metrics(window.names, window.rows, window.step, limit)
        if found is None and window.state is not None:
            return find_in_state(window.state)
        return found

    return watch


def find_in_metrics(
    names: tuple[str, ...], rows: np.ndarray, step: int, loss_limit: float
) -> Finding | None:
    """Looks for the first metric that is not finite, and the first loss beyond its limit.

    Args:
        names: names of the columns, `player/quantity`.
        rows: (steps, metrics) float32, the last row at `step`.
        step: step of the last row.
        loss_limit: a loss of greater magnitude has exploded.

    Returns:
        The finding, or None.
    """
    losses = np.array([name.endswith("/loss") for name in names])
    with np.errstate(invalid="ignore"):
        bad = ~np.isfinite(rows) | (losses & (np.abs(rows) > loss_limit))
    places = np.argwhere(bad)
    if not len(places):
        return None
    row, column = places[0]
    player, _, quantity = names[column].partition("/")
    before = step - len(rows) + 1
    value = float(rows[row, column])
    shown = f"{value:.4g}"
    if np.isfinite(value):
        shown += f" (beyond divergence.loss_limit={loss_limit:g})"
    return Finding(player, quantity, shown, before + int(row), before + int(places[-1][0]))


@jax.jit
def _finite(state: TrainState) -> dict[str, dict[str, jax.Array]]:
    return {
        name: {
            part: jnp.all(jnp.array([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]))
            for part, tree in player._asdict().items()
        }
        for name, player in state.players.items()
    }


def find_in_state(state: TrainState) -> Finding | None:
    """Looks for a part of a player's state that is not finite, which metrics may not show yet.

    Args:
        state: the state.

    Returns:
        The finding, or None.
    """
    step = int(state.step)
    for player, parts in jax.device_get(_finite(state)).items():
        for part, finite in parts.items():
            if not finite:
                return Finding(player, OF_PARTS[part], "not finite", step, step)
    return None


def lowered(config: Config) -> dict[str, float | str]:
    """The learning rates of a configuration times `divergence.factor`, by dotted key."""
    return {
        f"optimizer.{role}.learning_rate": scaled(own.learning_rate, config.divergence.factor)
        for role, own in config.optimizer
    }
