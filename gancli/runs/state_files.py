"""The arrays of a state on disk: a few plain vectors, and the document that says what they are.

Orbax writes all arrays of a type joined to one vector, neither compressed nor chunked: two
small files a type, whatever the number of layers. So what is read back is bytes of a known
length, and no decoder is fed with what a stranger wrote. The default layout of Orbax cannot
be read in bounded memory: a b-tree of 336 kB makes tensorstore 0.1.86 take 5.7 GB.
"""

import contextlib
import errno
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from gancli.adversarial.dynamics import TrainState
from gancli.errors import GanError, UserError, printable
from gancli.files import as_json, read_json

NAME = "state.json"
# Raised when a state of before cannot be read.
FORMAT = 1

_FOLDER = "state"
_MOST_BYTES = 16 * 2**20
_TYPES = {
    np.dtype(kind).name: np.dtype(kind)
    for kind in (
        *(bool, "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", jnp.bfloat16, "float32", "float64"),
    )
}
_DIFFERENCES_SHOWN = 3
_BLOCK = 2**20
# More than Orbax writes beside the numbers.
_FILES_BESIDE, _BYTES_BESIDE = 16, 4096


class CheckpointDamagedError(GanError):
    """A checkpoint whose files are not those that were written."""

    exit_status = 2


class Form(NamedTuple):
    """What an array is, without its numbers."""

    type: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.type} {self.shape}"


class Description(NamedTuple):
    """What `state.json` says: the digest of the state, and the form of every array by path."""

    sha256: str
    arrays: dict[str, Form]


def forms(state: TrainState) -> dict[str, Form]:
    """The form of every array of a state, abstract or not, by path in ascending order."""
    return {
        path: Form(np.dtype(leaf.dtype).name, tuple(leaf.shape))
        for path, leaf in _by_path(state).items()
    }


def write_state(checkpoint: Path, state: TrainState) -> None:
    """Writes the vectors of a state and the document that describes them.

    Only this process takes part, whatever others there are in the job.

    Args:
        checkpoint: the folder of one step.
        state: of arrays that this process can read.

    Raises:
        OSError: if the file system refuses.
    """
    leaves, arrays = _by_path(state), forms(state)
    vectors = {
        kind: np.empty(length, _TYPES[kind]) for kind, length in _lengths(arrays).items() if length
    }
    parts = dict(_parts(vectors, arrays))
    for path, part in parts.items():
        part[...] = np.asarray(leaves[path])
    document = {
        "format": FORMAT,
        "sha256": _digest(arrays, _blocks_of(parts)),
        "arrays": {path: [form.type, list(form.shape)] for path, form in arrays.items()},
    }
    (checkpoint / NAME).write_text(as_json(document), encoding="utf-8")
    _write_vectors(checkpoint / _FOLDER, vectors)
    if problems := layout_problems(checkpoint, arrays):
        raise RuntimeError(f"Orbax has written another layout than is read: {problems[0]}")


def read_description(checkpoint: Path) -> Description:
    """Reads `state.json` and confirms that the files beside it have the lengths that it says.

    Args:
        checkpoint: the folder of one step.

    Returns:
        What it says, which fits what is on the disk.

    Raises:
        CheckpointDamagedError: if it is none, or the files are not what it says.
        UserError: if it is of another version.
    """
    document = None
    try:
        if (checkpoint / NAME).exists():  # Versions of before wrote none.
            document = read_json(checkpoint / NAME, _MOST_BYTES)
    except UserError as error:
        raise _damaged(checkpoint, [error.given]) from None
    form = document.get("format") if isinstance(document, dict) else None
    if not isinstance(document, dict) or form != FORMAT:
        raise UserError(
            f"the state of checkpoint {str(checkpoint)!r} has format {str(form)[:40]!r}",
            f"format {FORMAT}, which this version of gan reads",
            "Use the version that wrote it",
        )
    try:
        arrays = {path: _form(value) for path, value in sorted(document["arrays"].items())}
        description = Description(str(document["sha256"]), arrays)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(checkpoint, [f"{NAME} describes no state ({error!r:.200})"]) from None
    if problems := layout_problems(checkpoint, arrays):
        raise _damaged(checkpoint, problems)
    return description


def read_state(checkpoint: Path, like: TrainState) -> TrainState:
    """Reads a state whose files have been verified.

    Args:
        checkpoint: the folder of one step.
        like: a state of the same arrays, abstract or not.

    Returns:
        The state, on the first device of this process.

    Raises:
        CheckpointDamagedError: if what is read is not the state that was written.
        UserError: if it is the state of another configuration or version.
    """
    description = read_description(checkpoint)
    expected = forms(like)
    if description.arrays != expected:
        found = _differences(description.arrays, expected)
        more = len(found) - _DIFFERENCES_SHOWN
        raise UserError(
            f"checkpoint {str(checkpoint)!r} holds another state than its configuration makes in "
            f"this version of gan: {'; '.join(found[:_DIFFERENCES_SHOWN])}"
            + (f"; and {more} more" if more > 0 else ""),
            "a checkpoint of the same configuration and a compatible version",
            "Use the version that wrote it, or start another run",
        )
    parts = _read_parts(checkpoint, description)
    restored = jax.tree_util.tree_map_with_path(lambda path, _: parts[_name(path)], like)
    return jax.device_put(restored, jax.local_devices()[0], may_alias=False)


def require_digest(checkpoint: Path, description: Description) -> None:
    """Compares the state on the disk with its digest, in little memory.

    Raises:
        CheckpointDamagedError: if it is not the state that was written.
    """
    with contextlib.ExitStack() as stack:
        try:
            files = {
                kind: stack.enter_context((checkpoint / _FOLDER / kind / "0").open("rb"))
                for kind, length in _lengths(description.arrays).items()
                if length
            }

            def blocks(path: str) -> Iterator[bytes]:
                kind, shape = description.arrays[path]
                left = prod(shape) * _TYPES[kind].itemsize
                while left and (block := files[kind].read(min(left, _BLOCK))):
                    left -= len(block)
                    yield block

            _require_digest(checkpoint, description, blocks)
        except OSError as error:
            raise _unreadable(checkpoint, error) from None


def layout_problems(checkpoint: Path, arrays: Mapping[str, Form]) -> list[str]:
    """What is wrong with the lengths of a state's files, found without reading an array."""
    problems = []
    for kind, length in _lengths(arrays).items():
        if not length:
            continue
        name, type_ = f"{_FOLDER}/{kind}", _TYPES[kind]
        try:
            header = read_json(checkpoint / name / ".zarray", 2**16)
            if header != _zarr_header(type_, length):
                problems.append(f"{name}/.zarray is not that of {length:,} numbers of type {kind}")
            held = (checkpoint / name / "0").stat().st_size
            if held != length * type_.itemsize:
                needed = f"{length * type_.itemsize:,} according to {NAME}"
                problems.append(f"{name}/0 has {held:,} bytes, and {needed}")
        except UserError as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(f"{name}/0 cannot be read: {error.strerror}")
    return problems


def _read_parts(checkpoint: Path, description: Description) -> dict[str, np.ndarray]:
    """Reads the arrays of a description, by path, and compares them with its digest."""
    lengths = {kind: length for kind, length in _lengths(description.arrays).items() if length}
    try:
        vectors = {
            kind: np.fromfile(checkpoint / _FOLDER / kind / "0", _TYPES[kind], length)
            for kind, length in lengths.items()
        }
    except OSError as error:
        raise _unreadable(checkpoint, error) from None
    if lengths != {kind: len(vector) for kind, vector in vectors.items()}:
        raise _damaged(checkpoint, ["its state became shorter while it was read"])
    parts = dict(_parts(vectors, description.arrays))
    _require_digest(checkpoint, description, _blocks_of(parts))
    return parts


def _write_vectors(folder: Path, vectors: dict[str, np.ndarray]) -> None:
    """Lets Orbax write, alone in this process; a full disk becomes the OSError that it is."""
    _reserve(folder, sum(vector.nbytes for vector in vectors.values()))
    own = jax.process_index()
    options = ocp.options.MultiprocessingOptions(primary_host=own, active_processes={own})
    handler = ocp.PyTreeCheckpointHandler(
        use_ocdbt=False, use_zarr3=False, use_compression=False, multiprocessing_options=options
    )
    # A target size of 0 is none: a vector stays in one file.
    arguments = ocp.args.PyTreeSave(vectors, ocdbt_target_data_file_size=0)
    # What Orbax has to say arrives as an exception; its threads would also print it.
    logger = logging.getLogger("absl")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with ocp.Checkpointer(handler, multiprocessing_options=options) as checkpointer:
            checkpointer.save(folder.absolute(), args=arguments)
    except OSError:
        raise
    except Exception as error:
        for code in sorted(errno.errorcode, key=lambda code: -len(os.strerror(code))):
            if os.strerror(code) in str(error):
                raise OSError(code, os.strerror(code)) from error
        raise
    finally:
        logger.setLevel(before)


def _reserve(folder: Path, size: int) -> None:
    """Finds out whether there is room, which Orbax would report by traces of its threads.

    Raises:
        OSError: if the disk has no room, or the user's quota none.
    """
    room = folder.with_name(".room")
    room.mkdir()
    try:
        for number in range(_FILES_BESIDE):
            (room / str(number)).touch()
        if hasattr(os, "posix_fallocate"):
            with (room / "0").open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, size + _FILES_BESIDE * _BYTES_BESIDE)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # Cannot be asked for.
            raise
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _by_path(state: TrainState) -> dict[str, Any]:
    """Every leaf by its path, such as `players/generator/params/layer/kernel`, ascending."""
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return dict(sorted((_name(path), leaf) for path, leaf in leaves))


def _name(path: jax.tree_util.KeyPath) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _lengths(arrays: Mapping[str, Form]) -> dict[str, int]:
    """How many numbers there are of each type."""
    lengths: dict[str, int] = {}
    for form in arrays.values():
        lengths[form.type] = lengths.get(form.type, 0) + prod(form.shape)
    return lengths


def _parts(
    vectors: Mapping[str, np.ndarray], arrays: Mapping[str, Form]
) -> Iterator[tuple[str, np.ndarray]]:
    """Each array, by path in ascending order, as the next numbers in the vector of its type."""
    used = dict.fromkeys(vectors, 0)
    for path in sorted(arrays):
        kind, shape = arrays[path]
        if not (length := prod(shape)):
            yield path, np.empty(shape, _TYPES[kind])
            continue
        start, used[kind] = used[kind], used[kind] + length
        yield path, vectors[kind][start : start + length].reshape(shape)


def _digest(arrays: Mapping[str, Form], blocks: Callable[[str], Iterable[Any]]) -> str:
    """SHA-256 over path, type, shape and bytes (C order, little-endian) of every array.

    Each array, by path in ascending order, adds a line of JSON, `["path", "type", [shape]]`,
    and its bytes, which `blocks(path)` gives. Hosts of JAX are little-endian.
    """
    found = hashlib.sha256()
    for path in sorted(arrays):
        kind, shape = arrays[path]
        found.update(json.dumps([path, kind, list(shape)]).encode() + b"\n")
        for block in blocks(path):
            found.update(block)
    return found.hexdigest()


def _blocks_of(parts: Mapping[str, np.ndarray]) -> Callable[[str], Iterable[Any]]:
    return lambda path: [parts[path].reshape(-1).view(np.uint8).data]


def _require_digest(
    checkpoint: Path, description: Description, blocks: Callable[[str], Iterable[Any]]
) -> None:
    found = _digest(description.arrays, blocks)
    if found != description.sha256:
        said = f"{NAME} says {printable(description.sha256)[:12]}…"
        raise _damaged(checkpoint, [f"its state has the digest {found[:12]}…, and {said}"])


def _zarr_header(kind: np.dtype, length: int) -> dict[str, Any]:
    """The metadata of a vector in one uncompressed chunk (Zarr format 2)."""
    return {
        "zarr_format": 2,
        "shape": [length],
        "chunks": [length],
        "dtype": kind.str if kind.kind in "biuf" else kind.name,
        "compressor": None,
        "filters": None,
        "fill_value": None,
        "order": "C",
        "dimension_separator": ".",
    }


def _form(value: Any) -> Form:
    """The form that a document gives as [type, shape].

    Raises:
        ValueError: if it is none.
    """
    match value:
        case [str(kind), list(shape)] if kind in _TYPES and len(shape) <= 32:
            if all(type(side) is int and 0 <= side < 2**48 for side in shape):
                return Form(kind, tuple(shape))
    raise ValueError(f"{value!s:.100} is no [type, shape]")


def _differences(held: Mapping[str, Form], expected: Mapping[str, Form]) -> list[str]:
    """What distinguishes two states, one readable line an array."""
    lines = []
    for path in sorted(held.keys() | expected.keys()):
        there, here = held.get(path), expected.get(path)
        if here is None:
            lines.append(f"{printable(path)} is there and is not expected")
        elif there is None:
            lines.append(f"{path} is not there and {here} is expected")
        elif there != here:
            wanted = here.shape if here.type == there.type else here
            lines.append(f"{path} is {there} there and {wanted} is expected")
    return lines


def _unreadable(checkpoint: Path, error: OSError) -> CheckpointDamagedError:
    return _damaged(checkpoint, [f"its state cannot be read: {error.strerror}"])


def _damaged(checkpoint: Path, problems: list[str]) -> CheckpointDamagedError:
    return CheckpointDamagedError(
        f"checkpoint {str(checkpoint)!r} is damaged: {'; '.join(problems)}."
    )
