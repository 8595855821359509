"""The resume point of a run: everything besides the state that an exact resume needs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gancli.files import read_json
from gancli.runs.metrics import BEGINNING, Mark

NAME = "resume.json"


class Best(NamedTuple):
    """The best evaluation so far, and the number of evaluations since."""

    figure: str
    value: float
    step: int
    since: int


class Projected(NamedTuple):
    """Random projections of the players' parameters at a step, for the monitors."""

    step: int
    players: Mapping[str, Sequence[float]]


class ResumePoint(NamedTuple):
    """The resume point.

    `since_last_line` (steps, metrics) holds the metrics since the last written line, and `metrics`
    the end of the written lines. `last_sample` says that the sample of this step exists only
    because the run ended, so that a longer run has none there. `rollbacks` are the rollbacks before
    this step. `best` is None without an evaluation. `pending` says that the evaluation, line and
    sample that are due at this step are not done yet. `projections` are those of the newest two
    measurements.
    """

    since_last_line: np.ndarray
    metrics: Mark
    last_sample: bool
    rollbacks: tuple[Mapping[str, Any], ...]
    best: Best | None
    pending: bool
    projections: tuple[Projected, ...]

    def as_json(self) -> dict[str, Any]:
        """The resume point as a JSON object."""
        return {**self._asdict(), "since_last_line": self.since_last_line.tolist()}

    def only_at_the_end(self, step: int, every: int) -> str:
        """What a run has of this step only because it ended there, and loses if it goes on.

        Args:
            step: of this point.
            every: how many steps lie between checkpoints.
        """
        found = {
            "its samples": self.last_sample,
            "its line of metrics": len(self.since_last_line) > 0,
            "its checkpoint": step % every != 0,
        }
        return ", ".join(what for what, is_so in found.items() if is_so)


def beginning() -> ResumePoint:
    """The resume point of a run at step 0."""
    return ResumePoint(np.zeros((0, 0), np.float32), BEGINNING, False, (), None, False, ())


def read_resume_point(checkpoint: Path) -> ResumePoint:
    """Reads the resume point of a checkpoint whose files have been verified."""
    held = read_json(checkpoint / NAME)
    rows = np.asarray(held["since_last_line"], np.float32)
    return ResumePoint(
        rows if rows.size else np.zeros((0, 0), np.float32),
        Mark(*held["metrics"]),
        held["last_sample"],
        tuple(held["rollbacks"]),
        Best(*held["best"]) if held["best"] else None,
        held["pending"],
        tuple(Projected(*one) for one in held.get("projections", ())),  # Earlier versions had none.
    )
