"""Whether everything in a run is as it was written: reads, and writes nothing."""

import itertools
import json
import os
import stat
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gancli.config import from_json
from gancli.errors import GanError, UserError, excerpt, printable
from gancli.files import read_json, read_text
from gancli.runs.checkpoints import CHECKSUMS, is_left, is_step, list_files, verify
from gancli.runs.directory import DataIdentity
from gancli.runs.state_files import FOLDER as STATE
from gancli.runs.state_files import digest

_LONGEST_LINE = 2**20
# For how long a file may be in the middle of being written.
_SECONDS_OF_GRACE = 0.5


class CheckpointReport(NamedTuple):
    """One checkpoint: what it holds, its state's digest where it has one, what is wrong."""

    name: str
    files: int
    bytes: int
    digest: str
    problems: tuple[str, ...]


class Report(NamedTuple):
    """A run, or one checkpoint: what is wrong in each checkpoint and beside them, and notes."""

    path: Path
    checkpoints: tuple[CheckpointReport, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def problem_count(self) -> int:
        """How many problems there are in all."""
        return len(self.problems) + sum(len(one.problems) for one in self.checkpoints)

    def as_json(self) -> dict[str, Any]:
        """The report as a JSON object."""
        return {
            "path": str(self.path),
            "sound": self.problem_count == 0,
            "checkpoints": [one._asdict() for one in self.checkpoints],
            "problems": list(self.problems),
            "notes": list(self.notes),
        }


def verify_path(path: Path) -> Report:
    """Compares a run, or one of its checkpoints, with what was written.

    Takes no lock and writes nothing: what another process is writing is waited for or noted.

    Args:
        path: a run directory, or the folder of one checkpoint.

    Returns:
        What was found.

    Raises:
        UserError: if the path is neither.
    """
    try:
        names = set(os.listdir(path))
    except OSError as error:
        raise UserError(
            f"cannot read {str(path)!r}: {error.strerror}", "a run directory or a checkpoint"
        ) from None
    if names & {CHECKSUMS, STATE}:
        return Report(path, (_verify_checkpoint(path),), (), ())
    if not names & {"config.json", "run.json", "checkpoints"}:
        raise UserError(
            f"{str(path)!r} is not a run",
            "a directory made by gan train, or one of its checkpoints/STEP",
            "Check the path",
        )
    checkpoints, problems, notes = _verify_checkpoints(path, "checkpoints")
    if not (checkpoints or problems) and (step := _reached(path / "run.json")):
        problems.append(f"there is no checkpoint, and the run has made {step} steps")
    # The states in which it diverged, which a run puts aside.
    aside, problems_aside, notes_aside = _verify_checkpoints(path, "diverged")
    checkpoints += [one._replace(name=f"diverged/{one.name}") for one in aside]
    notes += notes_aside
    problems = [
        *_found_by(_check_config, path / "config.json"),
        *_found_by(_check_status, path / "run.json"),
        *problems,
        *problems_aside,
        *_after_grace(_check_metrics, path / "metrics.jsonl"),
        *_sample_problems(path / "samples"),
    ]
    return Report(path, tuple(checkpoints), tuple(problems), tuple(notes))


def _verify_checkpoints(
    run: Path, within: str
) -> tuple[list[CheckpointReport], list[str], list[str]]:
    """Every checkpoint in a folder by step; what else is there, as problems and as notes."""
    checkpoints, problems, notes = [], [], []
    folder = run / within
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: (len(entry.name), entry.name))
    except FileNotFoundError:
        return [], [], []
    except OSError as error:
        return [], [f"{within} cannot be listed: {error.strerror}"], []
    for entry in entries:
        name = f"{within}/{printable(entry.name)}"
        is_folder = entry.is_dir(follow_symlinks=False)
        if is_folder and is_step(entry.name):
            report = _verify_checkpoint(folder / entry.name)
            # One that the process that trains has removed meanwhile is of no interest.
            if not report.problems or os.path.lexists(folder / entry.name):
                checkpoints.append(report)
        elif is_folder and is_left(entry.name):
            notes.append(f"{name} is being written, or was left by a process that was killed")
        else:
            problems.append(f"{name} is not a checkpoint")
    return checkpoints, problems, notes


def _verify_checkpoint(folder: Path) -> CheckpointReport:
    """Compares a checkpoint with its checksums, and its documents and state with each other."""
    sizes = list_files(folder).files.values()
    problems, found = verify(folder), ""
    if not problems:
        problems = [
            *_found_by(_check_config, folder / "config.json"),
            *_found_by(lambda path: DataIdentity.from_json(read_json(path)), folder / "data.json"),
        ]
        try:
            found = digest(folder)
        except GanError as error:
            problems.append(_without_remedy(error))
    return CheckpointReport(folder.resolve().name, len(sizes), sum(sizes), found, tuple(problems))


def _check_config(path: Path) -> None:
    from_json(read_text(path), str(path))


def _check_status(path: Path) -> None:
    held = read_json(path)
    if not isinstance(held, dict) or not {"status", "data", "restarts"} <= held.keys():
        raise UserError("it is not the status of a run")
    DataIdentity.from_json(held["data"])


def _reached(path: Path) -> int:
    """The step that a run has noted, 0 where it has noted none."""
    try:
        held = read_json(path)
    except UserError:
        return 0  # That it cannot be read is a problem of its own.
    step = held.get("step") if isinstance(held, dict) else None
    return step if isinstance(step, int) else 0


def _check_metrics(path: Path) -> None:
    before = -1
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise UserError("it is not a file")
        with path.open("rb") as file:
            for number in itertools.count(1):
                if not (line := file.readline(_LONGEST_LINE)):
                    return
                if not line.endswith(b"\n") and len(line) < _LONGEST_LINE:
                    raise UserError(f"it ends within line {number}")
                if (step := _step(line)) is None:
                    raise UserError(f"line {number} is no metrics")
                if step <= before:
                    raise UserError(f"line {number} has step {step} after step {before}")
                before = step
    except FileNotFoundError:
        return  # It is made with the first line.
    except OSError as error:
        raise UserError(f"it cannot be read: {error.strerror}") from None


def _step(line: bytes) -> int | None:
    """The step of a line of metrics, None if it is no such line."""
    try:
        held = json.loads(line)
    except (ValueError, RecursionError):
        return None
    step = held.get("step") if isinstance(held, dict) else None
    return step if isinstance(step, int) else None


def _sample_problems(folder: Path) -> list[str]:
    """What is wrong with the samples; no header is believed and nothing of them is loaded."""
    problems = []
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".npy")
    except FileNotFoundError:
        return ["samples are missing"]
    except OSError as error:
        return [f"samples cannot be listed: {error.strerror}"]
    for path in paths:
        try:
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):
                raise ValueError("it is not a regular file")
            with warnings.catch_warnings(action="ignore"):
                array = np.lib.format.open_memmap(path, mode="r")
            if array.offset + array.nbytes != status.st_size:
                raise ValueError(
                    f"it has {status.st_size:,} bytes, and an array of {array.nbytes:,}"
                )
        except FileNotFoundError:
            continue  # Removed meanwhile.
        except Exception as error:
            # NumPy parses the header as Python, whose errors are of many kinds.
            reason = excerpt(error)
            problems.append(f"samples/{printable(path.name)} is not an array: {reason}")
    return problems


def _found_by(check: Callable[[Path], Any], path: Path) -> list[str]:
    """The problem that a check raises, in a list."""
    try:
        check(path)
    except GanError as error:
        return [f"{path.name}: {_without_remedy(error)}"]
    return []


def _after_grace(check: Callable[[Path], Any], path: Path) -> list[str]:
    """The problem of a file that is there still after a writer would have finished."""
    found = _found_by(check, path)
    if found:
        time.sleep(_SECONDS_OF_GRACE)
        found = _found_by(check, path)
    return found


def _without_remedy(error: GanError) -> str:
    return error.given if isinstance(error, UserError) else str(error)
