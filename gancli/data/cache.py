"""Decoded image sets on disk: written once, then opened as memory-mapped arrays.

An entry is a folder named by the hash of its key, with `examples.npy`, `labels.npy` where
there are labels, and `facts.json`. It is written under a temporary name, synchronised to disk
and renamed, so that an entry is either complete or does not exist.
"""

import array
import contextlib
import errno
import hashlib
import json
import os
import shutil
import time
import uuid
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gancli.data.dataset import Dataset, DataSpec, pixel_type
from gancli.data.facts import fingerprint
from gancli.errors import UserError, excerpt
from gancli.files import cache_root, load_json, open_regular, sync

FORMAT = 1
MOST_FACTS_BYTES = 1 << 26
# A file that is missing, not a regular file, or too large counts as damaged.
DAMAGES = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL, errno.EFBIG)
# Images of which none reaches this value of 255 look black.
DARK = 85
STALE_SECONDS = 24 * 60 * 60


class _DamagedError(Exception):
    """A damaged entry; the message describes the damage."""


def prepared_root() -> Path:
    """The folder of prepared TensorFlow Datasets: TFDS_DATA_DIR, else one in the cache."""
    if chosen := os.environ.get("TFDS_DATA_DIR"):
        return Path(os.path.expanduser(chosen))
    return cache_root() / "tensorflow_datasets"


def identity(paths: Iterable[Path]) -> str:
    """A hash that changes when one of these files is replaced, edited, added or removed.

    Its time of modification can be set by anybody, and copying keeps it; the time of its last
    change and its number in the file system cannot.

    Returns:
        The SHA-256, in hexadecimal, of every path, size, number and both times.
    """
    digest = hashlib.sha256()
    for path in paths:
        status = path.stat()
        facts = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        line = json.dumps([str(path.absolute()), *facts])
        digest.update(line.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def find(key: str) -> Dataset | None:
    """Opens the entry of a key, if there is one.

    Args:
        key: everything that decides the decoded bytes.

    Returns:
        The memory-mapped set, or None if it has not been decoded. A damaged entry is removed
        with a warning, and counts as not decoded.

    Raises:
        UserError: if the entry cannot be read or a damaged one cannot be removed.
    """
    folder = _folder(key)
    try:
        if not folder.is_dir():
            return None
        return _open(folder, key)
    except _DamagedError as damage:
        warnings.warn(
            f"The decoded data set in {folder} is damaged ({damage}); it is decoded again.",
            stacklevel=2,
        )
        with disk(folder):
            _discard(folder)
        return None
    except OSError as error:
        raise disk_error(folder, excerpt(error)) from error


def decode_once(
    key: str,
    count: int,
    shape: tuple[int, ...],
    items: Iterable[tuple[np.ndarray, int]],
    classes: tuple[str, ...] = (),
    notices: Sequence[str] = (),
    white: int = 255,
    bits: int = 8,
) -> Dataset:
    """Decodes a set into the cache, or opens its entry.

    Args:
        key: everything that decides the decoded bytes.
        count: number of examples that `items` yields.
        shape: the shape of one example.
        items: each example, uint8 or uint16, with its label (any number if there are no classes);
            read only if the set is not in the cache.
        classes: the names of the labels; empty if the examples have none.
        notices: what the user must know of how the files were read.
        white: the value in the files that has become the largest.
        bits: of the values of an example, 8 or 16.

    Returns:
        The memory-mapped set.

    Raises:
        UserError: if the cache cannot be written, for example because the disk is full.
    """
    if (decoded := find(key)) is not None:
        return decoded
    final = _folder(key)
    partial = final.with_name(f"{final.name}.partial-{uuid.uuid4().hex}")
    with disk(final):
        partial.mkdir(parents=True)
        remove_stale([*final.parent.glob("*.partial-*"), *final.parent.glob("*.damaged-*")])
    try:
        _require_space(partial, count, (*shape, bits // 8))
        _write(partial, key, (count, *shape), items, classes, notices, white, bits)
        _publish(partial, final)
        return _open(final, key)
    except _DamagedError as damage:
        raise UserError(
            f"the decoded data set in {final} is damaged when it is read back: {damage}",
            "a disk without errors",
            "Set GAN_CACHE to a folder on another disk",
        ) from damage
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _folder(key: str) -> Path:
    name = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return cache_root() / "decoded" / name


def disk_error(place: Path, reason: str) -> UserError:
    """The error for a path in the cache that cannot be read or written."""
    return UserError(
        f"the cache folder {place.parent} cannot be used: {reason}",
        "a readable and writable folder with free space",
        "Free some space, or set the environment variable GAN_CACHE to another folder",
    )


@contextlib.contextmanager
def disk(place: Path) -> Iterator[None]:
    """Turns errors of the disk into an error that names the cache."""
    try:
        yield
    except OSError as error:
        raise disk_error(place, excerpt(error)) from error


def _require_space(folder: Path, count: int, shape: tuple[int, ...]) -> None:
    needed = count * int(np.prod(shape, dtype=object))
    with disk(folder):
        free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"decoding {count} examples of shape {shape} needs {needed:,} bytes and "
            f"{folder.parent} has {free:,} left",
            "a cache folder with room for the decoded data set",
            "Free some space, or set the environment variable GAN_CACHE to another folder",
        )


def _write(
    folder: Path,
    key: str,
    shape: tuple[int, ...],
    items: Iterable[tuple[np.ndarray, int]],
    classes: tuple[str, ...],
    notices: Sequence[str],
    white: int,
    bits: int,
) -> None:
    """Writes the examples in order: a full disk is then an error, where a map would crash."""
    labels, highest, kind = array.array("i"), 0, pixel_type(bits)
    with disk(folder), (folder / "examples.npy").open("wb") as file:
        header = {"descr": kind.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for number, (example, label) in enumerate(items):
            if example.shape != shape[1:] or example.dtype != kind or number == shape[0]:
                raise ValueError(f"example {number} is {example.dtype} {example.shape}")
            labels.append(label)
            highest = max(highest, int(example.max()))
            file.write(np.ascontiguousarray(example, kind).data)
        _synchronise(file)
    if len(labels) != shape[0]:
        raise ValueError(f"{len(labels)} examples were decoded instead of {shape[0]}")
    numbers = np.frombuffer(labels, np.int32) if classes else None
    with disk(folder):
        if numbers is not None:
            with (folder / "labels.npy").open("wb") as file:
                np.save(file, numbers, allow_pickle=False)
                _synchronise(file)
        examples = _mapped(folder / "examples.npy", kind, shape)
        digest = fingerprint(examples, numbers)
        facts = {
            "format": FORMAT,
            "key": key,
            "shape": shape,
            "bits": bits,
            "classes": classes,
            "fingerprint": digest,
            "notices": [*notices, *_darkness(highest, white, bits)],
        }
        with (folder / "facts.json").open("w", encoding="utf-8") as file:
            json.dump(facts, file, indent=2)
            _synchronise(file)
        sync(folder)


def _darkness(highest: int, white: int, bits: int) -> tuple[str, ...]:
    """What to do about images that use little of their range, where the largest value says so."""
    most = 2**bits - 1
    if highest * 255 >= DARK * most:
        return ()
    if not highest:
        return ("every pixel is black",)
    levels = (2**bits - 1 for bits in range(1, 17))
    level = next(level for level in levels if level * most + white // 2 >= highest * white)
    return (
        f"the images are nearly black, their largest value is {highest} of {most}: if white is "
        f"{level} in the files, add --set data.white_level={level}",
    )


def _synchronise(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _publish(partial: Path, final: Path) -> None:
    """Gives the entry its name, unless another process has decoded the same set first."""
    try:
        partial.rename(final)
        sync(final.parent)
    except OSError as error:
        if not (final / "facts.json").is_file():
            raise disk_error(final, excerpt(error)) from error


def _open(folder: Path, key: str) -> Dataset:
    """Opens an entry after checking that it is intact.

    Raises:
        _DamagedError: if a file is missing, malformed, or of the wrong size or shape.
        OSError: if the disk refuses, for example without permission.
    """
    try:
        facts = load_json(folder / "facts.json", MOST_FACTS_BYTES)
        shape, classes = tuple(facts["shape"]), tuple(facts["classes"])
        if facts["format"] != FORMAT or facts["key"] != key:
            raise _DamagedError("facts.json belongs to another set")
        bits = facts.get("bits", 8)  # What was written before there were 16 has none.
        examples = _mapped(folder / "examples.npy", pixel_type(bits), shape)
        labels = None
        if classes:
            labels = np.array(_mapped(folder / "labels.npy", np.dtype(np.int32), shape[:1]))
        # What was written before there were notices has none.
        notices = tuple(facts.get("notices", ()))
        spec = DataSpec("decoded", "image", shape[1:], classes, bits=bits)
        return Dataset(spec, examples, labels, facts["fingerprint"], notices=notices)
    except OSError as error:
        if error.errno not in DAMAGES:
            raise
        raise _DamagedError(f"{error.filename}: {excerpt(error)}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _DamagedError(f"{type(error).__name__}: {excerpt(error)}") from error


def _mapped(path: Path, kind: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """Memory-maps an array; nothing is allocated even for a damaged header."""
    open_regular(path).close()
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except OSError:
        raise
    except Exception as error:
        # NumPy's parser raises nearly anything for a damaged header.
        raise _DamagedError(f"{path.name}: {excerpt(error)}") from error
    if array.dtype != kind or array.shape != shape or not array.flags.c_contiguous:
        raise _DamagedError(f"{path.name} holds {array.dtype} {array.shape}, not {shape}")
    if path.stat().st_size != array.offset + array.nbytes:
        raise _DamagedError(f"{path.name} has the wrong size")
    return array


def _discard(folder: Path) -> None:
    """Removes an entry atomically, so that no other process opens a part of it."""
    aside = folder.with_name(f"{folder.name}.damaged-{uuid.uuid4().hex}")
    with contextlib.suppress(FileNotFoundError):
        folder.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


def remove_stale(places: Iterable[Path]) -> None:
    """Removes unfinished entries of killed processes, a day after their last write."""
    for left in places:
        with contextlib.suppress(FileNotFoundError):
            newest = max(path.lstat().st_mtime for path in (left, *left.rglob("*")))
            if time.time() - newest > STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
