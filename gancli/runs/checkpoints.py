"""Checkpoints of a run: Orbax writes the state, and a checksum of every file stands beside.

A checkpoint is written to a hidden folder by a thread of its own and appears under its step
by one rename, complete and verified. So a folder named by a step is a whole checkpoint
or was damaged afterwards, which its checksums tell.
"""

import os
import shutil
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from gancli.dynamics import TrainState
from gancli.errors import GanError, UserError
from gancli.runs.files import cannot_write, read_json, sha256, write_json

CHECKSUMS = "checksums.json"


class CheckpointDamagedError(GanError):
    """A checkpoint whose files are not those that were written."""

    exit_status = 2


class Checkpoints:
    """The folder `checkpoints/` of a run.

    Args:
        path: the folder.
        keep: how many of the newest checkpoints stay.
    """

    def __init__(self, path: Path, keep: int = 1):
        self.path = path
        self.keep = keep
        self._worker: ThreadPoolExecutor | None = None
        self._pending: Future[None] | None = None

    def steps(self) -> list[int]:
        """The steps that have a finished checkpoint, ascending."""
        if not self.path.is_dir():
            return []
        return sorted(
            int(entry.name)
            for entry in self.path.iterdir()
            if entry.name.isdecimal() and (entry / CHECKSUMS).is_file()
        )

    def folder(self, step: int) -> Path:
        """Where the checkpoint of a step is."""
        return self.path / str(step)

    def save(self, state: TrainState, documents: Mapping[str, Any]) -> None:
        """Begins to write a checkpoint of the state's step; returns before it is done.

        Args:
            state: the state; it may be donated or changed as soon as this returns.
            documents: JSON values to be kept beside it, by file name.

        Raises:
            UserError: if the previous checkpoint could not be written.
        """
        self.wait()
        copy = jax.tree.map(jnp.copy, state)
        self._worker = self._worker or ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending = self._worker.submit(self._write, copy, dict(documents))

    def wait(self) -> None:
        """Waits for the checkpoint being written; raises what went wrong with it."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.result()

    def close(self) -> None:
        """Waits and ends the writing thread."""
        try:
            self.wait()
        finally:
            if self._worker is not None:
                self._worker.shutdown()
                self._worker = None

    def _write(self, state: TrainState, documents: dict[str, Any]) -> None:
        """Writes a checkpoint beside its place, moves it there and lets old ones go."""
        step = int(state.step)
        hidden = self.path / f".{step}.partial"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(hidden, ignore_errors=True)
            hidden.mkdir()
            with ocp.StandardCheckpointer() as checkpointer:
                checkpointer.save((hidden / "state").absolute(), state)
            for name, value in documents.items():
                write_json(hidden / name, value)
            files = [path for path in sorted(hidden.rglob("*")) if path.is_file()]
            sums = {str(path.relative_to(hidden)): sha256(path) for path in files}
            write_json(hidden / CHECKSUMS, sums)
            for path in [*files, *{path.parent for path in files}]:
                _sync(path)
            if (self.path / str(step)).exists():
                shutil.rmtree(self.path / str(step))
            hidden.rename(self.path / str(step))
            _sync(self.path)
            for old in self.steps()[: -self.keep]:
                discarded = (self.path / str(old)).rename(self.path / f".{old}.discarded")
                shutil.rmtree(discarded)
        except OSError as error:
            shutil.rmtree(hidden, ignore_errors=True)
            raise cannot_write(self.path / str(step), error) from error


def require_sound(checkpoint: Path) -> None:
    """Refuses a checkpoint whose files are not those that were written.

    Raises:
        CheckpointDamagedError: naming each file that is missing, added or changed.
    """
    if problems := verify(checkpoint):
        raise CheckpointDamagedError(
            f"checkpoint {str(checkpoint)!r} is damaged: {'; '.join(problems)}."
        )


def verify(checkpoint: Path) -> list[str]:
    """Compares a checkpoint's files with their checksums.

    Args:
        checkpoint: the folder of one step.

    Returns:
        What is wrong, one line a file; empty for a sound checkpoint.
    """
    try:
        expected = read_json(checkpoint / CHECKSUMS)
    except UserError as error:
        return [str(error)]
    if not isinstance(expected, dict):
        return [f"{CHECKSUMS} is not an object"]
    files = (path for path in checkpoint.rglob("*") if path.is_file())
    found = {str(path.relative_to(checkpoint)) for path in files} - {CHECKSUMS}
    problems = [f"{name} is missing" for name in sorted(set(expected) - found)]
    problems += [f"{name} was added" for name in sorted(found - set(expected))]
    return problems + [
        f"{name} was changed"
        for name in sorted(set(expected) & found)
        if sha256(checkpoint / name) != expected[name]
    ]


def restore(checkpoint: Path, like: TrainState) -> TrainState:
    """Reads a checkpoint's state after verifying every file.

    Args:
        checkpoint: the folder of one step.
        like: a state of the same shapes and types, abstract or not.

    Returns:
        The state, on this machine's default device.

    Raises:
        CheckpointDamagedError: if a file is not as it was written.
    """
    require_sound(checkpoint)
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    target = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device), like
    )
    with ocp.StandardCheckpointer() as checkpointer:
        return checkpointer.restore((checkpoint / "state").absolute(), target)


def find_checkpoints(path: Path) -> list[Path]:
    """The checkpoints that a path names, the one to use first.

    Args:
        path: a checkpoint's folder, alone or in a run, or a run directory.

    Returns:
        That checkpoint's folder, or those of the run from the newest to the oldest.

    Raises:
        UserError: if there is none.
    """
    if (path / CHECKSUMS).is_file():
        return [path]
    within = Checkpoints(path / "checkpoints")
    if not within.steps():
        what = "holds no checkpoint" if path.is_dir() else "does not exist"
        raise UserError(
            f"{str(path)!r} {what}",
            "a run directory made by gan train, or one of its checkpoints/STEP",
        )
    return [within.path / str(step) for step in reversed(within.steps())]


def _sync(path: Path) -> None:
    """Makes a file or folder durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
