"""A monitor: a function of the newest metrics and the state that reports faults."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from gancli.adversarial.dynamics import TrainState
from gancli.registry import Registry


class Window(NamedTuple):
    """The input of a monitor.

    `rows` holds the metrics `names` of the steps up to `step`, (steps, metrics) float32. `state`
    is given only before it is saved, and then without rows, because they were checked before.
    """

    names: tuple[str, ...]
    rows: np.ndarray
    step: int
    state: TrainState | None = None


class Finding(NamedTuple):
    """The first faulty value, and the steps over which further ones occurred."""

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


def as_figures(found: Mapping[str, Any]) -> dict[str, float]:
    """Those that are finite, to six significant digits, as a line of metrics holds them."""
    return {name: float(f"{one:.6g}") for name, one in found.items() if np.isfinite(one)}


# Returns the fault in a window, or None.
Monitor = Callable[[Window], Finding | None]

MONITORS = Registry("monitor")
