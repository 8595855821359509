"""The events of a training run, as `train` yields them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gancli.training.monitors import Change


class Started(NamedTuple):
    """Training begins or resumes, from `step` to `steps`."""

    step: int
    steps: int


class Compiled(NamedTuple):
    """The first step is done; from here on time goes into computing."""

    seconds: float


class Measured(NamedTuple):
    """Means of the metrics over the steps since the previous line, and the pace."""

    step: int
    values: dict[str, float]
    examples_per_second: float


class Advanced(NamedTuple):
    """Steps were dispatched."""

    step: int


class Sampled(NamedTuple):
    """Examples of the fixed latents were generated, in the format of `sample`.

    `labels` names the label of each example; it is empty where they have none.
    """

    step: int
    examples: np.ndarray
    labels: Sequence[str] = ()


class Evaluated(NamedTuple):
    """The figures of a step's samples by `metric/figure`, and the time that measuring took."""

    step: int
    figures: dict[str, float]
    seconds: float
    best: bool


class Diagnosed(NamedTuple):
    """A pathology begins, or has ended."""

    change: Change


class Saved(NamedTuple):
    """A checkpoint of a step is being written."""

    step: int


class Warned(NamedTuple):
    """A warning for the user."""

    message: str


class Waiting(NamedTuple):
    """The run waits for the runs that are trained together with it; a single run never does."""


class Operation(NamedTuple):
    """A compiled operation in a trace: how often it ran, and its share of all operations' time."""

    name: str
    calls: int
    seconds: float
    share: float


class Profiled(NamedTuple):
    """A trace of some steps was written; its costliest operations come first."""

    folder: Path
    steps: int
    operations: list[Operation]


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
    | Diagnosed
    | Saved
    | Warned
    | Waiting
    | Profiled
    | Finished
)
