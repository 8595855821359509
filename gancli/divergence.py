"""Whether training has diverged: values that are not finite, losses that explode."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gancli.config import Config
from gancli.dynamics import TrainState

# The quantity that a finding names, by the part of a player's state that it is in.
OF_PARTS = {
    "params": "a parameter",
    "stats": "a carried statistic",
    "opt_state": "a moment of the optimizer",
    "average": "an averaged weight",
}


class Finding(NamedTuple):
    """The first value that was wrong, and over which steps others were."""

    player: str
    quantity: str
    value: str
    first: int
    last: int

    def __str__(self) -> str:
        steps = f"step {self.first}" + (
            f" and more up to step {self.last}" if self.last > self.first else ""
        )
        return f"{self.quantity} of the {self.player} was {self.value} at {steps}"


def find_in_metrics(
    names: tuple[str, ...], rows: np.ndarray, step: int, loss_limit: float
) -> Finding | None:
    """Looks for the first metric that is not finite, and the first loss beyond its limit.

    Args:
        names: of the columns, `player/quantity`.
        rows: (steps, metrics) float32, the last row of them at `step`.
        step: the last row's.
        loss_limit: a loss of greater magnitude has exploded.

    Returns:
        What was found, None for nothing.
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
    """Looks for a part of a player's state that is not finite; metrics need not show it yet.

    Args:
        state: the state.

    Returns:
        What was found, None for nothing.
    """
    step = int(state.step)
    for player, parts in jax.device_get(_finite(state)).items():
        for part, finite in parts.items():
            if not finite:
                return Finding(player, OF_PARTS[part], "not finite", step, step)
    return None


def lowered(config: Config, rollbacks: int) -> Config:
    """The configuration with learning rates as they are after some rollbacks.

    Args:
        config: the run's.
        rollbacks: how many there were; every one multiplies by `divergence.factor`.

    Returns:
        The configuration to compute with.
    """
    factor = config.divergence.factor**rollbacks
    players = {
        role: own.model_copy(update={"learning_rate": own.learning_rate * factor})
        for role, own in config.optimizer
    }
    optimizer = config.optimizer.model_copy(update=players)
    return config.model_copy(update={"optimizer": optimizer})
