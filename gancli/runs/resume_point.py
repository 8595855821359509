"""The resume point of a run: everything besides the state that an exact resume needs."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gancli.errors import UserError
from gancli.files import read_json
from gancli.runs.metrics import BEGINNING, Mark

NAME = "resume.json"


class Best(NamedTuple):
    """The best evaluation so far, and the number of evaluations since."""

    figure: str
    value: float
    step: int
    since: int


class ResumePoint(NamedTuple):
    """The resume point.

    `since_last_line` (steps, metrics) holds the metrics since the last written line, and `metrics`
    the end of the written lines. `last_sample` says that the sample of this step exists only
    because the run ended, so that a longer run has none there. `rollbacks` are the rollbacks before
    this step. `best` is None without an evaluation. `pending` says that the evaluation, line and
    sample that are due at this step are not done yet.
    """

    since_last_line: np.ndarray
    metrics: Mark
    last_sample: bool
    rollbacks: tuple[dict[str, Any], ...]
    best: Best | None
    pending: bool

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
    return ResumePoint(np.zeros((0, 0), np.float32), BEGINNING, False, (), None, False)


def read_resume_point(checkpoint: Path) -> ResumePoint:
    """Reads the resume point of a checkpoint whose files have been verified.

    Raises:
        UserError: if it is damaged.
    """
    path = checkpoint / NAME
    held = read_json(path)
    try:
        rows = np.asarray(held["since_last_line"], np.float64)
        if np.abs(rows).max(initial=0.0) > np.finfo(np.float32).max:
            raise ValueError("since_last_line has impossible metrics")
        rows = rows.astype(np.float32)
        if rows.ndim != 2 and rows.size:
            raise ValueError(f"since_last_line of shape {rows.shape}")
        rollbacks = tuple(dict(one) for one in held["rollbacks"])
        return ResumePoint(
            rows if rows.size else np.zeros((0, 0), np.float32),
            Mark.from_json(held["metrics"]),
            bool(held["last_sample"]),
            rollbacks,
            _read_best(held["best"]),
            bool(held["pending"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(
            f"{str(path)!r} is damaged: {error!r}", "a file that gan train wrote"
        ) from None


def _read_best(held: Any) -> Best | None:
    match held:
        case None:
            return None
        case [str(figure), int() | float() as value, int(step), int(since)]:
            return Best(figure, float(value), step, since)
    raise ValueError(f"best {held!r}")
