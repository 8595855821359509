"""The training state on disk: an ordinary Orbax checkpoint in Orbax's own layout."""

import errno
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

from gancli.adversarial.dynamics import TrainState
from gancli.errors import GanError, UserError, excerpt, printable
from gancli.system.interruption import apart
from gancli.system.processes import is_first

FOLDER = "state"

_DIFFERENCES_SHOWN = 3
# More than Orbax writes beside the numbers: files and folders, and bytes for each of them and for
# each array.
_FILES_BESIDE, _BYTES_BESIDE = 24, 4096
_ORBAX_LOGS_TO = logging.getLogger("absl")


class CheckpointDamagedError(GanError):
    """A checkpoint with damaged files."""

    exit_status = 2


class Form(NamedTuple):
    """The type and shape of an array."""

    type: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.type} {self.shape}"


class StateWriter:
    """Writes one state after another while training continues.

    In a job of several processes each process writes its share of the arrays.
    """

    def __init__(self):
        # Threads that create folders would outlive an error.
        options = ocp.options.AsyncOptions(create_directories_asynchronously=False)
        # Weights hardly compress, and compression takes longer than writing.
        handler = ocp.PyTreeCheckpointHandler(use_compression=False)
        self._checkpointer = ocp.AsyncCheckpointer(handler, async_options=options)

    def begin(self, checkpoint: Path, state: TrainState) -> None:
        """Starts to write a state into a checkpoint's folder, and returns before it is finished.

        Args:
            checkpoint: the existing folder.
            state: the state, which may be donated as soon as this returns.

        Raises:
            OSError: if the file system refuses.
        """
        _ORBAX_LOGS_TO.addFilter(_is_not_of_orbax)
        # On CPU Orbax would read the same memory that the next step receives. Nothing is compiled
        # for this copy, as it would be for `jnp.copy` of each shape.
        places = jax.tree.map(lambda array: array.sharding, state)
        copy = jax.device_put(state, places, may_alias=False)
        folder = (checkpoint / FOLDER).absolute()
        if is_first():
            _require_room(folder, copy)
        _as_os_error(lambda: self._checkpointer.save(folder, args=ocp.args.PyTreeSave(copy)))

    def wait(self) -> None:
        """Waits until every process has written its share of the state.

        Raises:
            OSError: if the file system refuses.
        """
        try:
            _as_os_error(self._checkpointer.wait_until_finished)
        finally:
            _ORBAX_LOGS_TO.removeFilter(_is_not_of_orbax)

    def close(self) -> None:
        """Ends Orbax's threads."""
        self._checkpointer.close()


def by_path(tree: Any) -> dict[str, Any]:
    """Every array of a tree by path, such as `players/generator/params/layer/kernel`."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def forms(tree: Any) -> dict[str, Form]:
    """The form of every array by path."""
    return {
        path: Form(np.dtype(leaf.dtype).name, tuple(leaf.shape))
        for path, leaf in by_path(tree).items()
    }


def read_arrays(checkpoint: Path, like: Any) -> Any:
    """Reads only the arrays of a verified checkpoint that a tree contains.

    Args:
        checkpoint: the folder of one step.
        like: a `TrainState`, or nested dicts with some of its paths; abstract or concrete arrays.

    Returns:
        The same tree of arrays, on the first device of this process.

    Raises:
        CheckpointDamagedError: if Orbax cannot read it.
        UserError: if the state belongs to another configuration or version.
    """
    whole = isinstance(like, TrainState)
    # Orbax would leave out what is not there, and print traces for other shapes.
    _require_forms(checkpoint, forms(_description(checkpoint)), forms(like), whole)
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    ways = jax.tree.map(lambda _: ocp.ArrayRestoreArgs(sharding=device), like)
    return _read(checkpoint, item=like, restore_args=ways, partial_restore=not whole)


def digest(checkpoint: Path) -> str:
    """SHA-256 over path, type, shape and bytes (C order, little-endian) of every array.

    Each array, by path in ascending order, adds a line of JSON, `["path", "type", [shape]]`, and
    its bytes. Equal states have equal digests, although Orbax gives its files random names.

    Args:
        checkpoint: the folder of one step, with verified files.

    Raises:
        CheckpointDamagedError: if Orbax cannot read it.
    """
    as_numpy = ocp.RestoreArgs(restore_type=np.ndarray)
    ways = jax.tree.map(lambda _: as_numpy, _description(checkpoint))
    found = hashlib.sha256()
    for path, array in sorted(by_path(_read(checkpoint, restore_args=ways)).items()):
        found.update(json.dumps([path, array.dtype.name, list(array.shape)]).encode() + b"\n")
        found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def _read(checkpoint: Path, **arguments: Any) -> Any:
    """Reads a state; `arguments` are passed to Orbax's PyTreeRestore."""
    restore_args = ocp.args.PyTreeRestore(**arguments)
    return _by_orbax(checkpoint, lambda orbax, folder: orbax.restore(folder, args=restore_args))


def _description(checkpoint: Path) -> Any:
    """Orbax's metadata of the arrays of a state, as nested dicts."""

    def describe(orbax: ocp.Checkpointer, folder: Path) -> Any:
        held = orbax.metadata(folder).item_metadata
        if held is None:
            raise ValueError("it has no metadata")
        return held.tree

    return _by_orbax(checkpoint, describe)


def _by_orbax(checkpoint: Path, read: Callable[[ocp.Checkpointer, Path], Any]) -> Any:
    """Reads with Orbax in this process only, without the other processes of a job."""
    own = jax.process_index()
    options = ocp.options.MultiprocessingOptions(primary_host=own, active_processes={own})
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=options)
    with ocp.Checkpointer(handler, multiprocessing_options=options) as checkpointer:
        try:
            return apart(lambda: read(checkpointer, (checkpoint / FOLDER).absolute()))
        except Exception as error:
            raise CheckpointDamagedError(
                f"checkpoint {str(checkpoint)!r} is damaged: Orbax cannot read its state: "
                f"{excerpt(error)}."
            ) from error


def _require_forms(
    checkpoint: Path, held: Mapping[str, Form], expected: Mapping[str, Form], whole: bool
) -> None:
    """Refuses a state of other arrays than were expected, naming some of them."""
    if found := _differences(held, expected, whole):
        more = len(found) - _DIFFERENCES_SHOWN
        raise UserError(
            f"checkpoint {str(checkpoint)!r} holds another state than its configuration makes in "
            f"this version of gan: {'; '.join(found[:_DIFFERENCES_SHOWN])}"
            + (f"; and {more} more" if more > 0 else ""),
            "a checkpoint of the same configuration and a compatible version",
            "Use the version that wrote it, or start another run",
        )


def _differences(held: Mapping[str, Form], expected: Mapping[str, Form], whole: bool) -> list[str]:
    """The differences of two states, one line per array; `whole` also reports unexpected arrays."""
    lines = []
    for path in sorted(held.keys() | expected.keys()):
        there, here = held.get(path), expected.get(path)
        if here is None:
            if whole:
                lines.append(f"{printable(path)} is unexpected")
        elif there is None:
            lines.append(f"{path} is missing, {here} is expected")
        elif there != here:
            wanted = here.shape if here.type == there.type else here
            lines.append(f"{path} is {there}, {wanted} is expected")
    return lines


def _require_room(folder: Path, state: TrainState) -> None:
    """Finds out whether the disk has room, as threads of tensorstore would print traces.

    Raises:
        OSError: if it has none, or the user's quota.
    """
    leaves = jax.tree.leaves(state)
    size = sum(leaf.nbytes for leaf in leaves) + (len(leaves) + _FILES_BESIDE) * _BYTES_BESIDE
    room = folder.with_name(".room")
    room.mkdir()
    try:
        for number in range(_FILES_BESIDE):
            (room / str(number)).touch()
        if hasattr(os, "posix_fallocate"):
            with (room / "0").open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # It cannot be asked for.
            raise
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _as_os_error(action: Callable[[], Any]) -> None:
    """Runs an action of Orbax, and raises the OSError behind a failure of the file system."""
    try:
        action()
    except OSError:
        raise
    except Exception as error:
        for code in sorted(errno.errorcode, key=lambda code: -len(os.strerror(code))):
            if os.strerror(code) in str(error):
                raise OSError(code, os.strerror(code)) from error
        raise


def _is_not_of_orbax(record: logging.LogRecord) -> bool:
    """Whether to show a log line: Orbax's failures are raised as exceptions anyway."""
    return f"{os.sep}orbax{os.sep}" not in record.pathname
