"""A cache of arrays that take long to compute; damaged entries are computed again."""

import hashlib
import io
import os
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gancli.data.cache import disk, disk_error
from gancli.errors import UserError, excerpt
from gancli.files import cache_root, replacing

_BROKEN = (
    zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError,
    RuntimeError, OverflowError, KeyError, MemoryError,
)  # fmt: skip


class Like(NamedTuple):
    """The expected shape and type of an array."""

    shape: tuple[int, ...]
    dtype: type[np.generic]


def cached_arrays(
    room: str,
    key: str,
    like: Mapping[str, Like],
    compute: Callable[[], Mapping[str, ArrayLike]],
) -> dict[str, np.ndarray]:
    """Returns arrays by name, from the cache or computed now.

    Args:
        room: the folder within the cache, such as `features`.
        key: everything that decides the values.
        like: the expected form of each array, by name.
        compute: computes the arrays if they are missing in the cache, or damaged there, which
            also warns.

    Returns:
        The arrays of `like`.

    Raises:
        UserError: if the cache cannot be read or written.
    """
    name = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    path = cache_root() / room / f"{name}.npz"
    if (arrays := _read(path, like)) is not None:
        return arrays
    arrays = {name: np.asarray(array) for name, array in compute().items()}
    _check(arrays, like)
    _write(path, arrays)
    return arrays


def _read(path: Path, like: Mapping[str, Like]) -> dict[str, np.ndarray] | None:
    """The arrays of a file, or None if it is missing or damaged."""
    try:
        # Each member is read completely, which checks its checksum before its header is parsed.
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(f"{name}.npy") for name in like}
        arrays = {
            name: np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
            for name, content in members.items()
        }
        _check(arrays, like)
        return arrays
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise disk_error(path, excerpt(error)) from None
    except _BROKEN as error:
        warnings.warn(
            f"{path} is damaged ({excerpt(error)}); its content is computed again.", stacklevel=3
        )
        return None


def _check(arrays: Mapping[str, np.ndarray], like: Mapping[str, Like]) -> None:
    """Refuses arrays that do not have the expected form.

    Raises:
        ValueError: naming the array.
    """
    if arrays.keys() != like.keys():
        raise ValueError(f"it holds {sorted(arrays)}, not {sorted(like)}")
    for name, (shape, dtype) in like.items():
        array = arrays[name]
        if array.dtype != dtype or array.shape != shape:
            raise ValueError(f"{name} is {array.dtype} {array.shape}")
        if not (finite := np.isfinite(array)).all():
            raise ValueError(f"{name} has values that are not finite, such as {array[~finite][0]}")


def _write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    with disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with replacing(path) as beside, beside.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
    except UserError as error:
        raise disk_error(path, error.given) from None
