"""What happens while a run trains, as `train` yields it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


class Started(NamedTuple):
    """Training begins or goes on, from `step` to `steps`."""

    step: int
    steps: int


class Compiled(NamedTuple):
    """The first step is done: what follows is computing."""

    seconds: float


class Measured(NamedTuple):
    """Means of the metrics over the steps since the line before, and the pace."""

    step: int
    values: dict[str, float]
    examples_per_second: float


class Advanced(NamedTuple):
    """Steps were dispatched."""

    step: int


class Sampled(NamedTuple):
    """Examples of the fixed latents were made, as `sample` gives them.

    `labels` names the label of each; it is empty where they have none.
    """

    step: int
    examples: np.ndarray
    labels: Sequence[str] = ()


class Evaluated(NamedTuple):
    """What the samples of a step were measured to be, by `metric/figure`, and what it took."""

    step: int
    figures: dict[str, float]
    seconds: float
    best: bool


class Saved(NamedTuple):
    """A checkpoint of a step is being written."""

    step: int


class Warned(NamedTuple):
    """Something that the user should know."""

    message: str


class Waiting(NamedTuple):
    """The run waits for those that it is trained together with; one alone never does."""


class Finished(NamedTuple):
    """The last step is done and everything is on disk."""

    step: int
    seconds: float
    goodput: dict[str, Any]


Event = (
    Started
    | Compiled
    | Measured
    | Advanced
    | Sampled
    | Evaluated
    | Saved
    | Warned
    | Waiting
    | Finished
)
