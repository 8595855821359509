"""Checkpoints of a run: complete or absent, and verified before they are used.

A checkpoint is written to a hidden folder while training continues, and one rename gives it the
name of its step, complete and durable. So a folder named after a step is a complete checkpoint
unless it was damaged later, which its checksums reveal. Orbax's own CheckpointManager can read
`checkpoints/`, too.
"""

import itertools
import json
import os
import re
import shutil
import stat
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from gancli.adversarial.dynamics import TrainState
from gancli.errors import UserError, printable
from gancli.files import (
    as_json,
    cannot_write,
    is_of_file_manager,
    read_text,
    require_utf8,
    sha256,
    sync,
)
from gancli.runs.state_files import CheckpointDamagedError, StateWriter
from gancli.system.processes import is_first, meet

CHECKSUMS = "checksums.json"

# Folders that a killed process may leave next to the steps.
_LEFT = re.compile(r"\.[0-9]+\.(partial|discarded|replaced)")
_MOST_BYTES_OF_CHECKSUMS = 16 * 2**20
_PROBLEMS_SHOWN = 5


class Checkpoints:
    """The folder `checkpoints/` of a run.

    Args:
        path: the folder.
        keep: number of newest checkpoints to keep.
        every: number of steps between scheduled checkpoints. An unscheduled one, saved at an
            interruption, is kept only until there is a newer one, so that the scheduled
            checkpoints do not depend on interruptions.
    """

    def __init__(self, path: Path, keep: int = 1, every: int = 1):
        self.path = path
        self.keep = keep
        self.every = every
        self.best: int | None = None  # The best step, which is also kept.
        self._writer: StateWriter | None = None
        self._pending: Future[None] | None = None

    def steps(self) -> list[int]:
        """The steps with a finished checkpoint, ascending."""
        if not self.path.is_dir():
            return []
        return sorted(
            int(entry.name)
            for entry in self.path.iterdir()
            if is_step(entry.name) and not entry.is_symlink() and (entry / CHECKSUMS).is_file()
        )

    def folder(self, step: int) -> Path:
        """The folder of a step's checkpoint."""
        return self.path / str(step)

    def save(self, state: TrainState, documents: Mapping[str, Any]) -> None:
        """Starts to write a checkpoint of the state's step, and returns before it is finished.

        In a job of several processes each process calls it.

        Args:
            state: the state, which may be donated or changed as soon as this returns.
            documents: JSON values to store with it, by file name.

        Raises:
            UserError: if this or the previous checkpoint could not be written.
        """
        self.wait()
        step = int(state.step)
        hidden = self.path / f".{step}.partial"
        try:
            if is_first():
                self.path.mkdir(parents=True, exist_ok=True)
                shutil.rmtree(hidden, ignore_errors=True)
                hidden.mkdir()
            meet("the folder of the checkpoint is there")
            if self._writer is None:
                self._writer = StateWriter()
                self._finisher = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
            self._writer.begin(hidden, state)
        except BaseException as error:
            shutil.rmtree(hidden, ignore_errors=True)
            if isinstance(error, OSError):
                raise cannot_write(self.folder(step), error) from error
            raise
        self._pending = self._finisher.submit(
            self._finish, self._writer, hidden, step, dict(documents)
        )

    def wait(self) -> None:
        """Waits for the checkpoint being written, and raises its error if it failed."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.result()

    def close(self) -> None:
        """Waits, and ends the writing threads."""
        try:
            self.wait()
        finally:
            if self._writer is not None:
                self._finisher.shutdown()
                self._writer.close()
                self._writer = None

    def clean(self) -> list[str]:
        """Removes the hidden folders and empty steps that a killed process left.

        It also restores a step that was being replaced.

        Returns:
            The names of the removed folders.

        Raises:
            UserError: if the file system refuses.
        """
        removed = []
        try:
            for entry in sorted(self.path.iterdir()) if self.path.is_dir() else []:
                if entry.is_symlink() or not entry.is_dir():
                    continue
                step = self.path / entry.stem[1:]
                if entry.name.endswith(".replaced") and is_left(entry.name) and not step.exists():
                    entry.rename(step)
                    continue
                if is_left(entry.name):
                    shutil.rmtree(entry)
                elif is_step(entry.name) and not any(entry.iterdir()):
                    entry.rmdir()
                else:
                    continue
                removed.append(entry.name)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        return removed

    def discard_after(self, step: int) -> None:
        """Removes the checkpoints of later steps, which must not be resumed from.

        Raises:
            UserError: if the file system refuses.
        """
        self.wait()
        try:
            self._discard([later for later in self.steps() if later > step])
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def _superseded(self, newest: int) -> list[int]:
        """The steps whose checkpoints are superseded by the newest one.

        Checkpoints of later steps must be damaged, or the run would have resumed from them, so they
        do not count.
        """
        steps = [step for step in self.steps() if step <= newest]
        scheduled = [step for step in steps if step % self.every == 0]
        return [step for step in steps if step not in (newest, self.best, *scheduled[-self.keep :])]

    def _discard(self, steps: list[int]) -> None:
        for step in steps:
            discarded = self.path / f".{step}.discarded"
            shutil.rmtree(discarded, ignore_errors=True)
            self.folder(step).rename(discarded)
            shutil.rmtree(discarded)

    def _finish(
        self, writer: StateWriter, hidden: Path, step: int, documents: dict[str, Any]
    ) -> None:
        """Waits for the state; the first process adds the rest, and removes old checkpoints."""
        try:
            writer.wait()
            if is_first():
                self._complete(hidden, documents)
                self._put_in_place(hidden, step)
                self._discard(self._superseded(step))
        except OSError as error:
            raise cannot_write(self.folder(step), error) from error
        finally:
            if is_first():
                shutil.rmtree(hidden, ignore_errors=True)

    def _complete(self, hidden: Path, documents: dict[str, Any]) -> None:
        """Adds documents and checksums to a state, and flushes everything to disk."""
        for name, value in documents.items():
            (hidden / name).write_text(as_json(value), encoding="utf-8")
        listed = list_files(hidden)
        sums = {name: sha256(hidden / name) for name in sorted(listed.files)}
        (hidden / CHECKSUMS).write_text(as_json(sums), encoding="utf-8")
        for name in (*sums, CHECKSUMS, *listed.folders):
            sync(hidden / name)
        sync(hidden)

    def _put_in_place(self, hidden: Path, step: int) -> None:
        """Gives a finished checkpoint its name; a previous one is kept until then."""
        folder, replaced = self.folder(step), self.path / f".{step}.replaced"
        shutil.rmtree(replaced, ignore_errors=True)
        if folder.exists():
            folder.rename(replaced)
        hidden.rename(folder)
        sync(self.path)
        sync(self.path.parent)
        shutil.rmtree(replaced, ignore_errors=True)


class Listing(NamedTuple):
    """The content of a folder: file sizes by name, folders, and problems."""

    files: dict[str, int]
    folders: list[str]
    problems: list[str]


def is_step(name: str) -> bool:
    """Whether a name is a step: a number as this program writes it."""
    return name.isascii() and name.isdecimal() and (name == "0" or name[0] != "0")


def is_left(name: str) -> bool:
    """Whether a name belongs to a folder that is being written or removed."""
    return _LEFT.fullmatch(name) is not None


def require_sound(checkpoint: Path) -> None:
    """Refuses a damaged checkpoint.

    Raises:
        CheckpointDamagedError: naming files that are missing, added or changed.
    """
    if problems := verify(checkpoint):
        more = len(problems) - _PROBLEMS_SHOWN
        raise CheckpointDamagedError(
            f"checkpoint {str(checkpoint)!r} is damaged: {'; '.join(problems[:_PROBLEMS_SHOWN])}"
            + (f"; and {more} more." if more > 0 else ".")
        )


def verify(checkpoint: Path) -> list[str]:
    """Compares a checkpoint's files with their checksums.

    Returns:
        The problems, one line per file; empty for a sound checkpoint.
    """
    found = list_files(checkpoint)
    if CHECKSUMS not in found.files:
        return [*found.problems, f"{CHECKSUMS} is missing"]
    try:
        text = read_text(checkpoint / CHECKSUMS, _MOST_BYTES_OF_CHECKSUMS)
        expected = json.loads(text)
        if not isinstance(expected, dict) or text != as_json(expected):
            return [*found.problems, f"{CHECKSUMS} was changed"]
    except (UserError, ValueError, RecursionError):
        return [*found.problems, f"{CHECKSUMS} was changed"]
    there = found.files.keys() - {CHECKSUMS}
    problems = [f"{printable(name)} is missing" for name in sorted(expected.keys() - there)]
    problems += [f"{printable(name)} was added" for name in sorted(there - expected.keys())]
    for name in sorted(there & expected.keys()):
        try:
            if sha256(checkpoint / name) != expected[name]:
                problems.append(f"{printable(name)} was changed")
        except OSError as error:
            problems.append(f"{printable(name)} cannot be read: {error.strerror}")
    return found.problems + problems


def list_files(folder: Path) -> Listing:
    """Lists a folder recursively, without what file managers leave; links are not followed.

    Returns:
        The content; anything that cannot be listed is a problem.
    """
    files: dict[str, int] = {}
    folders: list[str] = []
    problems: list[str] = []

    def cannot_list(error: OSError) -> None:
        name = printable(os.path.relpath(error.filename, folder))
        problems.append(f"{name} cannot be listed: {error.strerror}")

    for within, *names in os.walk(folder, onerror=cannot_list):
        names[0][:] = itertools.filterfalse(is_of_file_manager, names[0])
        own = itertools.filterfalse(is_of_file_manager, itertools.chain(*names))
        for path in (Path(within, name) for name in own):
            name, status = path.relative_to(folder).as_posix(), path.lstat()
            if stat.S_ISDIR(status.st_mode):
                folders.append(name)
            elif stat.S_ISREG(status.st_mode):
                files[name] = status.st_size
            else:
                kind = "a link" if stat.S_ISLNK(status.st_mode) else "neither a file nor a folder"
                problems.append(f"{printable(name)} is {kind}")
    return Listing(files, folders, sorted(problems))


def find_checkpoints(path: Path) -> list[Path]:
    """The checkpoints that a path names, in order of preference.

    Args:
        path: the folder of a checkpoint, inside or outside a run, or a run directory.

    Returns:
        The checkpoint's folder, or the folders of the run's checkpoints, newest first.

    Raises:
        UserError: if there is none.
    """
    require_utf8(path)  # Orbax reads no other.
    try:
        if (path / CHECKSUMS).is_file():
            return [path]
    except OSError as error:
        raise UserError(
            f"cannot read {printable(str(path))}: {error.strerror}", "a readable path"
        ) from None
    within = Checkpoints(path / "checkpoints")
    if not within.steps():
        what = "holds no checkpoint" if path.is_dir() else "does not exist"
        raise UserError(
            f"{str(path)!r} {what}",
            "a run directory made by gan train, or one of its checkpoints/STEP",
        )
    return [within.path / str(step) for step in reversed(within.steps())]
