"""Images and labels in one NumPy .npz file."""

import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gancli.data import cache
from gancli.data.dataset import DataRequest, Dataset
from gancli.data.formats.images import check_size
from gancli.data.transform import check_request, fit_pixels, fitted_shape, with_channels
from gancli.errors import UserError, cut, excerpt, shown, unknown_name
from gancli.files import ALWAYS_ALLOWED_BYTES, may_expand, open_regular

ALLOWED = (
    "an .npz with `images` of shape (N, H, W), (N, H, W, 1) or (N, H, W, 3), uint8, and "
    "optionally `labels` of shape (N,), integers"
)
LARGEST_BY_COLUMNS = 4 * ALWAYS_ALLOWED_BYTES


class _Header(NamedTuple):
    """What an array says of itself; `start` is where its values begin, in bytes."""

    shape: tuple[int, ...]
    by_columns: bool
    type: np.dtype
    start: int


def read(path: Path, request: DataRequest) -> Dataset:
    """Reads images, and labels where there are any, from an .npz file.

    Args:
        path: the file; its arrays are `images` and, optionally, `labels`.
        request: the size and fit; the only split is `train`.

    Returns:
        Images (count, height, width, 1 or 3) uint8. Labels are numbered in ascending order
        of the integers in the file, which become the names of the classes.

    Raises:
        UserError: if the file is not such an .npz, is damaged, or declares absurd sizes.
    """
    check_request(request)
    if request.split != "train":
        raise unknown_name("split of an .npz file", request.split, ["train"])
    try:
        key = f"npz {cache.identity([path])} {request.size} {request.fit}"
        if (decoded := cache.find(key)) is None:
            with open_regular(path) as file, zipfile.ZipFile(file) as archive:
                decoded = _decode(key, path, archive, request)
    except UserError:
        raise
    except Exception as error:
        # Of damaged bytes zipfile, zlib and NumPy's parser of headers raise nearly anything.
        raise _refused(path, f"cannot be read ({excerpt(error)})") from error
    return cache.image_set(path.stem, decoded)


def _decode(key: str, path: Path, archive: zipfile.ZipFile, request: DataRequest) -> cache.Decoded:
    if "images.npy" not in archive.namelist():
        names = ", ".join(sorted(archive.namelist())[:10]) or "0 arrays"
        raise _refused(path, f"has no array `images`; it holds {cut(names)}")
    images = _header(path, archive, "images")
    shape = images.shape
    if len(shape) < 3 or shape[3:] not in ((), (1,), (3,)) or min(shape) < 1:
        raise _refused(path, f"has `images` of shape {shown(shape)}")
    if images.type != np.uint8:
        raise _refused(path, f"has `images` of type {cut(str(images.type))}")
    check_size(shape[2], shape[1])
    if images.by_columns and math.prod(shape) > LARGEST_BY_COLUMNS:
        raise _refused(path, f"has `images` of {math.prod(shape):,} bytes stored by columns")
    numbers, classes = _labels(path, archive, shape[0])
    items = (
        (fit_pixels(with_channels(image), request), int(number))
        for image, number in zip(_images(archive, images), numbers, strict=True)
    )
    fitted = fitted_shape((*shape, 1)[1:4], request)
    return cache.decode_once(key, shape[0], fitted, items, classes)


def _header(path: Path, archive: zipfile.ZipFile, name: str) -> _Header:
    """Reads an array's header, refusing one that its bytes cannot live up to."""
    member = archive.getinfo(f"{name}.npy")
    with archive.open(member) as file:
        first = np.lib.format.read_magic(file) == (1, 0)
        parse = (
            np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
        )
        shape, by_columns, kind = parse(file)
        start = file.tell()
    if kind.hasobject:
        said = f"has `{name}` of type {cut(str(kind))}: Python objects, which are never unpickled"
        raise _refused(path, said)
    size, count = path.stat().st_size, math.prod(shape[:1])
    each = kind.itemsize * math.prod(shape[1:])
    if start + count * each != member.file_size or not may_expand(size, count, each):
        raise _refused(
            path,
            f"declares `{name}` of shape {shown(shape)}, and holds {member.file_size:,} bytes "
            f"of it in a file of {size:,}",
        )
    return _Header(shape, by_columns, kind, start)


def _labels(path: Path, archive: zipfile.ZipFile, count: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Each image's class number, zeros where there are no labels, and the classes' names."""
    if "labels.npy" not in archive.namelist():
        return np.zeros(count, np.int32), ()
    header = _header(path, archive, "labels")
    if header.shape != (count,):
        raise _refused(path, f"has {count} images and `labels` of shape {shown(header.shape)}")
    if header.type.kind not in "iu":
        raise _refused(path, f"has `labels` of type {cut(str(header.type))}")
    names, numbers = np.unique(_values(archive, "labels"), return_inverse=True)
    if len(names) > cache.MOST_CLASSES:
        raise _refused(
            path, f"has {len(names):,} different `labels`, more than {cache.MOST_CLASSES:,}"
        )
    return numbers, tuple(str(name) for name in names)


def _values(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """All values of an array whose header has been checked."""
    with archive.open(f"{name}.npy") as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _images(archive: zipfile.ZipFile, header: _Header) -> Iterator[np.ndarray]:
    """The images in order, read one at a time unless the array is stored by columns."""
    if header.by_columns:
        yield from _values(archive, "images")
        return
    count, *shape = header.shape
    with archive.open("images.npy") as file:
        file.read(header.start)
        for _ in range(count):
            yield np.frombuffer(file.read(math.prod(shape)), np.uint8).reshape(shape)


def _refused(path: Path, what: str) -> UserError:
    return UserError(f"{path} {what}", ALLOWED, "Write it with numpy.savez(path, images=images)")
