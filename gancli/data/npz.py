"""Images and labels in one NumPy .npz file."""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from gancli.data import cache
from gancli.data.dataset import DataRequest, Dataset
from gancli.data.transform import check_request, fit_pixels, fitted_shape, with_channels
from gancli.errors import UserError, unknown_name

ALLOWED = (
    "an .npz with `images` of shape (N, H, W), (N, H, W, 1) or (N, H, W, 3), uint8, and "
    "optionally `labels` of shape (N,), integers"
)
LARGEST_EXPANSION = 200
ALWAYS_ALLOWED_BYTES = 1 << 28
BROKEN = (
    zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError,
    RuntimeError, SyntaxError,
)  # fmt: skip


class Header(NamedTuple):
    """What an array in the file says of itself."""

    shape: tuple[int, ...]
    by_columns: bool
    type: np.dtype


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
            with zipfile.ZipFile(path) as archive:
                decoded = _decode(key, path, archive, request)
    except BROKEN as error:
        raise _refused(path, f"cannot be read ({error or type(error).__name__})") from error
    return cache.image_set(path.stem, decoded)


def _decode(key: str, path: Path, archive: zipfile.ZipFile, request: DataRequest) -> cache.Decoded:
    images = _header(path, archive, "images")
    if images is None:
        names = ", ".join(sorted(archive.namelist())[:10]) or "nothing"
        raise _refused(path, f"has no array `images`; it holds {names}")
    if len(images.shape) not in (3, 4) or images.shape[3:] not in ((), (1,), (3,)):
        raise _refused(path, f"has `images` of shape {images.shape}")
    if images.type != np.uint8:
        raise _refused(path, f"has `images` of type {images.type}")
    if min(images.shape) == 0:
        raise _refused(path, f"has `images` of shape {images.shape}, which is empty")
    numbers, classes = _labels(path, archive, images.shape[0])
    shape = images.shape[1:] if len(images.shape) == 4 else (*images.shape[1:], 1)
    items = (
        (fit_pixels(with_channels(image), request), int(number))
        for image, number in zip(_images(archive, images), numbers, strict=True)
    )
    return cache.decode_once(key, images.shape[0], fitted_shape(shape, request), items, classes)


def _header(path: Path, archive: zipfile.ZipFile, name: str) -> Header | None:
    """Reads an array's header, refusing one that its bytes cannot live up to."""
    try:
        member = archive.getinfo(f"{name}.npy")
    except KeyError:
        return None
    with archive.open(member) as file:
        header = _array_header(file)
        start = file.tell()
    if header.type.hasobject:
        raise _refused(path, f"has `{name}` of Python objects, which are never unpickled")
    declared = start + header.type.itemsize * int(np.prod(header.shape, dtype=object))
    limit = max(ALWAYS_ALLOWED_BYTES, LARGEST_EXPANSION * path.stat().st_size)
    if declared != member.file_size or declared > limit:
        raise _refused(
            path,
            f"declares `{name}` of shape {header.shape}, {declared:,} bytes, and holds "
            f"{member.file_size:,} bytes of it in a file of {path.stat().st_size:,}",
        )
    return header


def _array_header(file: IO[bytes]) -> Header:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, by_columns, kind = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, by_columns, kind = np.lib.format.read_array_header_2_0(file)
    else:
        raise ValueError(f"array format version {version}")
    return Header(shape, by_columns, kind)


def _labels(path: Path, archive: zipfile.ZipFile, count: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Each image's class number, zeros where there are no labels, and the classes' names."""
    header = _header(path, archive, "labels")
    if header is None:
        return np.zeros(count, np.int32), ()
    if header.shape != (count,):
        raise _refused(path, f"has {count} images and `labels` of shape {header.shape}")
    if header.type.kind not in "iu":
        raise _refused(path, f"has `labels` of type {header.type}")
    with archive.open("labels.npy") as file:
        values = np.lib.format.read_array(file, allow_pickle=False)
    names, numbers = np.unique(values, return_inverse=True)
    return numbers, tuple(str(name) for name in names)


def _images(archive: zipfile.ZipFile, header: Header) -> Iterator[np.ndarray]:
    """The images in order, read one at a time unless the array is stored by columns."""
    count, *shape = header.shape
    with archive.open("images.npy") as file:
        if header.by_columns:
            yield from np.lib.format.read_array(file, allow_pickle=False)
            return
        _array_header(file)
        length = int(np.prod(shape, dtype=object))
        for number in range(count):
            pixels = file.read(length)
            if len(pixels) != length:
                raise EOFError(f"it ends inside image {number} of {count}")
            if number == count - 1:
                file.read(1)  # The end of the member: here its checksum is compared.
            yield np.frombuffer(pixels, np.uint8).reshape(shape)


def _refused(path: Path, what: str) -> UserError:
    return UserError(f"{path} {what}", ALLOWED, "Write it with numpy.savez(path, images=images)")
