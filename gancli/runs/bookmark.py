"""Where a run stands beside its state: what a checkpoint remembers so that it goes on exactly."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gancli.errors import UserError
from gancli.files import read_json
from gancli.runs.directory import versions
from gancli.runs.metrics import BEGINNING, Mark

NAME = "progress.json"
# Raised when a checkpoint of before cannot be gone on with.
FORMAT = 1


class Best(NamedTuple):
    """The evaluation that was best so far, and how many there were since."""

    figure: str
    value: float
    step: int
    since: int


class Bookmark(NamedTuple):
    """What is remembered.

    `since_last_line` (steps, metrics) holds the metrics of the steps whose line is not
    written yet, `metrics` the end of those that are. `last_sample` tells that the sample of
    this step was made only because the run ended, so one that goes on makes none there.
    `rollbacks` are those that were made to come here. `best` is None where no evaluation has
    been made for it. `pending` tells that what is due at this step (evaluation, line, sample)
    has not been done.
    """

    since_last_line: np.ndarray
    metrics: Mark
    last_sample: bool
    rollbacks: tuple[dict[str, Any], ...]
    best: Best | None
    pending: bool
    versions: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        """The bookmark as a JSON object."""
        return {
            "format": FORMAT,
            **self._asdict(),
            "since_last_line": self.since_last_line.tolist(),
        }

    def other_versions(self) -> list[str]:
        """The packages that have another version now, one readable line each."""
        return [
            f"{name} {self.versions.get(name, 'none')} then, {now} now"
            for name, now in versions().items()
            if self.versions.get(name) != now
        ]


def first_page() -> Bookmark:
    """The bookmark of a run at step 0."""
    return Bookmark(np.zeros((0, 0), np.float32), BEGINNING, False, (), None, False, versions())


def read_bookmark(checkpoint: Path) -> Bookmark:
    """Reads the bookmark of a checkpoint whose files have been verified.

    Raises:
        UserError: if it is none, or belongs to an incompatible version.
    """
    path = checkpoint / NAME
    held = read_json(path)
    if not isinstance(held, dict) or held.get("format") != FORMAT:
        form = held.get("format") if isinstance(held, dict) else None
        raise UserError(
            f"{str(path)!r} has format {form!r}",
            f"format {FORMAT}, which this version of gan reads",
            "Go on with the version that wrote it",
        )
    try:
        rows = np.asarray(held["since_last_line"], np.float64)
        if np.abs(rows).max(initial=0.0) > np.finfo(np.float32).max:
            raise ValueError("since_last_line holds what no metric can be")
        rows = rows.astype(np.float32)
        if rows.ndim != 2 and rows.size:
            raise ValueError(f"since_last_line of shape {rows.shape}")
        rollbacks = tuple(dict(one) for one in held["rollbacks"])
        found = {str(name): str(version) for name, version in held["versions"].items()}
        bookmark = Bookmark(
            rows if rows.size else np.zeros((0, 0), np.float32),
            Mark.from_json(held["metrics"]),
            bool(held["last_sample"]),
            rollbacks,
            _read_best(held["best"]),
            bool(held["pending"]),
            found,
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(f"{str(path)!r} is damaged: {error!r}", "what gan train wrote") from None
    _require_compatible(path, bookmark.versions.get("gan", ""))
    return bookmark


def _read_best(held: Any) -> Best | None:
    match held:
        case None:
            return None
        case [str(figure), int() | float() as value, int(step), int(since)]:
            return Best(figure, float(value), step, since)
    raise ValueError(f"best {held!r}")


def _require_compatible(path: Path, wrote: str) -> None:
    """Versions of gan are compatible that share their first two numbers."""
    now = versions()["gan"]
    if wrote.split(".")[:2] != now.split(".")[:2]:
        raise UserError(
            f"{str(path)!r} was written by gan {wrote or 'of no version'}, and this is gan {now}: "
            "the same configuration may mean other networks",
            f"gan {'.'.join(now.split('.')[:2])}.x",
            "Go on with the version that wrote it, or start another run",
        )
