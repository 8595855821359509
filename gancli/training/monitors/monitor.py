"""A monitor: a function of the newest metrics, and of the state, that reports what is wrong."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from gancli.adversarial.dynamics import TrainState
from gancli.registry import Registry


class Window(NamedTuple):
    """What a monitor sees.

    `rows` are the metrics `names` of the steps up to `step`, (steps, metrics) float32. `state` is
    None but where it is about to be saved; the rows have been seen by then, and there are none.
    """

    names: tuple[str, ...]
    rows: np.ndarray
    step: int
    state: TrainState | None = None


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


# What is wrong in a window; None for nothing.
Monitor = Callable[[Window], Finding | None]

MONITORS = Registry("monitor")
