"""Verification that everything in a run is as it was written, without writing anything."""

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
from gancli.files import is_of_file_manager, read_json, read_text
from gancli.runs.checkpoints import CHECKSUMS, is_left, is_step, list_files, verify
from gancli.runs.directory import DataIdentity, Run
from gancli.runs.metrics import MetricsFile
from gancli.runs.state_files import FOLDER as STATE
from gancli.runs.state_files import digest

# Longest time in seconds for which a file may be incomplete while it is written.
_SECONDS_OF_GRACE = 0.5


class CheckpointReport(NamedTuple):
    """The report of one checkpoint: its size, the digest of its state if readable, its problems."""

    name: str
    files: int
    bytes: int
    digest: str
    problems: tuple[str, ...]


class Report(NamedTuple):
    """The report of a run or one checkpoint: problems of each checkpoint, others, and notes."""

    path: Path
    checkpoints: tuple[CheckpointReport, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def problem_count(self) -> int:
        """Total number of problems."""
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
    """Checks that a run, or one of its checkpoints, is as it was written.

    It takes no lock and writes nothing; it waits for files that another process is writing, or
    notes them.

    Args:
        path: a run directory, or the folder of one checkpoint.

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
        problems.append(f"there is no checkpoint, but the run has made {step} steps")
    # Diverged states that the run has put aside.
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
    """Verifies every checkpoint in a folder by step; reports other entries as problems or notes."""
    checkpoints, problems, notes = [], [], []
    folder = run / within
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: (len(entry.name), entry.name))
    except FileNotFoundError:
        return [], [], []
    except OSError as error:
        return [], [f"{within} cannot be listed: {error.strerror}"], []
    for entry in entries:
        if is_of_file_manager(entry.name):
            continue
        name = f"{within}/{printable(entry.name)}"
        is_folder = entry.is_dir(follow_symlinks=False)
        if is_folder and is_step(entry.name):
            report = _verify_checkpoint(folder / entry.name)
            # The training process may have removed it meanwhile.
            if not report.problems or os.path.lexists(folder / entry.name):
                checkpoints.append(report)
        elif is_folder and is_left(entry.name):
            notes.append(f"{name} is being written, or was left by a killed process")
        else:
            problems.append(f"{name} is not a checkpoint")
    return checkpoints, problems, notes


def _verify_checkpoint(folder: Path) -> CheckpointReport:
    """Checks a checkpoint's checksums, and that its documents and state agree."""
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
    DataIdentity.from_json(Run(path.parent).status["data"])


def _reached(path: Path) -> int:
    """The step in a run's status, 0 if there is none."""
    try:
        held = read_json(path)
    except UserError:
        return 0  # An unreadable status is reported separately.
    step = held.get("step") if isinstance(held, dict) else None
    return step if isinstance(step, int) else 0


def _check_metrics(path: Path) -> None:
    if not os.path.lexists(path):
        return  # The file is created with the first line.
    if not stat.S_ISREG(path.lstat().st_mode):
        raise UserError("it is not a file")
    before, number = -1, 0
    for number, line in enumerate(MetricsFile(path).lines(), 1):
        if (step := line["step"]) <= before:
            raise UserError(f"line {number} has step {step} after step {before}")
        before = step
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 1))
        if file.read() not in (b"", b"\n"):
            raise UserError(f"it ends within line {number + 1}")


def _sample_problems(folder: Path) -> list[str]:
    """Problems of the samples, found without trusting headers or loading data."""
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
                    f"it has {status.st_size:,} bytes with an array of {array.nbytes:,}"
                )
        except FileNotFoundError:
            continue  # Removed meanwhile.
        except Exception as error:
            # NumPy parses the header as Python, which raises many kinds of errors.
            reason = excerpt(error)
            problems.append(f"samples/{printable(path.name)} is not an array: {reason}")
    return problems


def _found_by(check: Callable[[Path], Any], path: Path) -> list[str]:
    """A list with the problem that a check raises, or an empty one."""
    try:
        check(path)
    except GanError as error:
        return [f"{path.name}: {_without_remedy(error)}"]
    return []


def _after_grace(check: Callable[[Path], Any], path: Path) -> list[str]:
    """A problem that persists after a writer would have finished the file."""
    found = _found_by(check, path)
    if found:
        time.sleep(_SECONDS_OF_GRACE)
        found = _found_by(check, path)
    return found


def _without_remedy(error: GanError) -> str:
    return error.given if isinstance(error, UserError) else str(error)
