"""Images and labels in one NumPy .npz file."""

import io
import math
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gancli.data import cache
from gancli.data.dataset import DataRequest, Dataset
from gancli.data.formats.images import check_size
from gancli.data.formats.npy import Header, read_header
from gancli.data.transform import check_request, fit_pixels, fitted_shape, with_channels
from gancli.errors import UserError, excerpt, unknown_name
from gancli.files import ALWAYS_ALLOWED_BYTES, may_expand, open_regular

ALLOWED = (
    "an .npz with `images` of shape (N, H, W), (N, H, W, 1) or (N, H, W, 3), uint8, and "
    "optionally `labels` of shape (N,), integers"
)
# What NumPy writes; the others that zip knows decompress without a bound.
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
LARGEST_BY_COLUMNS = 4 * ALWAYS_ALLOWED_BYTES
MOST_DIRECTORY_BYTES = 1 << 20
BROKEN = (
    zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError,
    RuntimeError, OverflowError,
)  # fmt: skip


class _Archive(io.BufferedReader):
    """A file of which at most so much is read at once, as long as its directory is read.

    `ZipFile` reads that whole, and makes an object of every member.
    """

    most: int | None = MOST_DIRECTORY_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        """Reads that many bytes, or to the end."""
        if self.most is not None and (size or 0) > self.most:
            raise ValueError(f"its directory has more than {self.most:,} bytes")
        return super().read(size)


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
            with _Archive(open_regular(path).detach()) as file, zipfile.ZipFile(file) as archive:
                file.most = None
                decoded = _decode(key, path, archive, request)
    except BROKEN as error:
        raise _refused(path, f"cannot be read ({excerpt(error)})") from error
    return cache.image_set(path.stem, decoded)


def _decode(key: str, path: Path, archive: zipfile.ZipFile, request: DataRequest) -> cache.Decoded:
    images = _header(path, archive, "images")
    if images is None:
        names = ", ".join(sorted(archive.namelist())[:10]) or "0 arrays"
        raise _refused(path, f"has no array `images`; it holds {names}")
    if len(images.shape) not in (3, 4) or images.shape[3:] not in ((), (1,), (3,)):
        raise _refused(path, f"has `images` of shape {images.shape}")
    if images.type != np.uint8:
        raise _refused(path, f"has `images` of type {images.type}")
    if min(images.shape) == 0:
        raise _refused(path, f"has `images` of shape {images.shape}, which is empty")
    check_size(images.shape[2], images.shape[1])
    if images.by_columns and images.end > LARGEST_BY_COLUMNS:
        raise _refused(path, f"has `images` of {images.end:,} bytes stored by columns")
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
    if member.compress_type not in COMPRESSIONS:
        raise _refused(
            path,
            f"has `{name}` compressed in a way that NumPy does not write (method "
            f"{member.compress_type})",
        )
    with archive.open(member) as file:
        header = read_header(file)
    if header.type.hasobject:
        raise _refused(
            path, f"has `{name}` of type {header.type}: Python objects, which are never unpickled"
        )
    size = path.stat().st_size
    count = header.shape[0] if header.shape else 1
    each = header.type.itemsize * math.prod(header.shape[1:])
    if header.end != member.file_size or not may_expand(size, count, each):
        raise _refused(
            path,
            f"declares `{name}` of shape {header.shape}, {header.end:,} bytes, and holds "
            f"{member.file_size:,} bytes of it in a file of {size:,}",
        )
    return header


def _labels(path: Path, archive: zipfile.ZipFile, count: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Each image's class number, zeros where there are no labels, and the classes' names."""
    header = _header(path, archive, "labels")
    if header is None:
        return np.zeros(count, np.int32), ()
    if header.shape != (count,):
        raise _refused(path, f"has {count} images and `labels` of shape {header.shape}")
    if header.type.kind not in "iu":
        raise _refused(path, f"has `labels` of type {header.type}")
    names, numbers = np.unique(_values(archive, "labels.npy", header), return_inverse=True)
    if len(names) > cache.MOST_CLASSES:
        raise _refused(
            path, f"has {len(names):,} different `labels`, more than {cache.MOST_CLASSES:,}"
        )
    return numbers, tuple(str(name) for name in names)


def _values(archive: zipfile.ZipFile, name: str, header: Header) -> np.ndarray:
    """All values of an array whose header has been checked."""
    with archive.open(name) as file:
        file.read(header.start)
        content = file.read()  # To the end of the member: here its checksum is compared.
    order = "F" if header.by_columns else "C"
    return np.frombuffer(content, header.type).reshape(header.shape, order=order)


def _images(archive: zipfile.ZipFile, header: Header) -> Iterator[np.ndarray]:
    """The images in order, read one at a time unless the array is stored by columns."""
    count, *shape = header.shape
    if header.by_columns:
        yield from _values(archive, "images.npy", header)
        return
    with archive.open("images.npy") as file:
        file.read(header.start)
        length = math.prod(shape)
        for number in range(count):
            pixels = file.read(length)
            if len(pixels) != length:
                raise EOFError(f"it ends inside image {number} of {count}")
            if number == count - 1:
                file.read(1)  # The end of the member: here its checksum is compared.
            yield np.frombuffer(pixels, np.uint8).reshape(shape)


def _refused(path: Path, what: str) -> UserError:
    return UserError(f"{path} {what}", ALLOWED, "Write it with numpy.savez(path, images=images)")
