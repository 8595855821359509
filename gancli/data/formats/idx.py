"""IDX files, the format MNIST is published in: a magic number, dimensions, bytes."""

import contextlib
import gzip
import io
import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gancli.data import cache
from gancli.data.dataset import DataRequest, Dataset
from gancli.data.formats.images import check_size
from gancli.data.transform import check_request, fit_pixels, fitted_shape
from gancli.errors import UserError, excerpt, unknown_name
from gancli.files import may_expand, open_regular

PREFIXES = {"train": "train", "test": "t10k"}
UNSIGNED_BYTES = 0x08


class Source(NamedTuple):
    """An IDX file whose header has been checked against the size of the file."""

    path: Path
    shape: tuple[int, ...]
    header: int


def is_idx_folder(folder: Path) -> bool:
    """Whether a folder holds IDX files of either split."""
    return any(_find(folder, split, "images", 3) is not None for split in PREFIXES)


def read(folder: Path, request: DataRequest) -> Dataset:
    """Reads a folder of IDX files, gzipped or not.

    The images of split `train` are in `train-images-idx3-ubyte`, their labels in
    `train-labels-idx1-ubyte`; those of `test` begin with `t10k`. A dot instead of the
    hyphen before `idx` is accepted, and labels may be absent.

    Args:
        folder: the folder.
        request: the split, size and fit.

    Returns:
        Images (count, height, width, 1) uint8, labels named by their number.

    Raises:
        UserError: if a file is missing, truncated, too long or not what its name says.
    """
    check_request(request)
    if request.split not in PREFIXES:
        raise unknown_name("split of a folder of IDX files", request.split, PREFIXES)
    images = _find(folder, request.split, "images", 3)
    labels = _find(folder, request.split, "labels", 1)
    if images is None:
        prefix = PREFIXES[request.split]
        raise UserError(
            f"{folder} has no images of split {request.split!r}",
            f"{prefix}-images-idx3-ubyte or {prefix}-images-idx3-ubyte.gz",
            "Put that file there or choose another data.split",
        )
    files = [images] if labels is None else [images, labels]
    key = f"idx {cache.identity(files)} {request.split} {request.size} {request.fit}"
    if (decoded := cache.find(key)) is None:
        decoded = _decode(key, images, labels, request)
    return cache.image_set(folder.name, decoded)


def _decode(key: str, images: Path, labels: Path | None, request: DataRequest) -> cache.Decoded:
    source = _check(images, 3)
    count, height, width = source.shape
    numbers = np.zeros(count, np.uint8)
    classes: tuple[str, ...] = ()
    if labels is not None:
        named = _check(labels, 1)
        if named.shape != (count,):
            raise UserError(
                f"{labels} has {named.shape[0]} labels and {images} has {count} images",
                "one label for each image",
                "Take both files from the same release",
            )
        numbers = np.frombuffer(next(_items(named._replace(shape=(1, count)))), np.uint8)
        classes = tuple(str(number) for number in range(int(numbers.max()) + 1))
    items = (
        (fit_pixels(np.frombuffer(item, np.uint8).reshape(height, width, 1), request), int(label))
        for item, label in zip(_items(source), numbers, strict=True)
    )
    shape = fitted_shape((height, width, 1), request)
    return cache.decode_once(key, count, shape, items, classes)


def _find(folder: Path, split: str, content: str, dimensions: int) -> Path | None:
    """The file of a split's images or labels, plain before gzipped."""
    stem = f"{PREFIXES[split]}-{content}"
    for separator in "-.":
        for suffix in ("", ".gz"):
            path = folder / f"{stem}{separator}idx{dimensions}-ubyte{suffix}"
            if path.is_file():
                return path
    return None


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[io.BufferedIOBase]:
    """Opens a file, decompressed where it is gzipped; what it raises in the block names it."""
    try:
        with open_regular(path) as file:
            if path.suffix != ".gz":
                yield file
                return
            with gzip.GzipFile(fileobj=file, mode="rb") as content:
                yield content
    except (OSError, EOFError, zlib.error) as error:
        raise _wrong_size(path, f"it cannot be read ({excerpt(error)})") from error


def _check(path: Path, dimensions: int) -> Source:
    """Reads a header and refuses one that the file cannot live up to, before any allocation."""
    length = 4 + 4 * dimensions
    with _opened(path) as file:
        header = file.read(length)
    magic = bytes((0, 0, UNSIGNED_BYTES, dimensions))
    if header[:4] != magic:
        raise UserError(
            f"{path} begins with the bytes {header[:4].hex(' ') or 'of nothing'}",
            f"{magic.hex(' ')}, an IDX file of unsigned bytes in {dimensions} dimensions",
            "Fetch the file again",
        )
    if len(header) < length:
        raise _wrong_size(path, f"it ends inside its header, after {len(header)} bytes")
    shape = struct.unpack(f">{dimensions}I", header[4:])
    each = math.prod(shape[1:])
    declared = length + shape[0] * each
    size = path.stat().st_size
    if min(shape) == 0:
        raise _wrong_size(path, f"its header declares dimensions {shape}, so it holds nothing")
    # Labels are held against the number of images before they are read.
    absurd = dimensions > 1 and not may_expand(size, shape[0], each)
    if absurd or (path.suffix != ".gz" and declared != size):
        raise _wrong_size(
            path, f"its header declares {shape}, {declared:,} bytes, and the file has {size:,}"
        )
    if dimensions > 1:
        try:
            check_size(shape[2], shape[1])
        except ValueError as error:
            raise _wrong_size(path, f"its images have {error}") from error
    return Source(path, shape, length)


def _items(source: Source) -> Iterator[bytes]:
    """The bytes of each item, in order; the last is given once the file is known to end there."""
    path, (count, *rest), header = source
    length = math.prod(rest)
    with _opened(path) as file:
        file.read(header)
        for number in range(count):
            item = file.read(length)
            if len(item) != length:
                raise _wrong_size(
                    path,
                    f"it ends inside item {number} of {count}, after {len(item):,} of its "
                    f"{length:,} bytes",
                )
            if number == count - 1 and file.read(1):
                raise _wrong_size(path, f"it goes on after the {count} items it declares")
            yield item


def _wrong_size(path: Path, what: str) -> UserError:
    return UserError(
        f"{path} is damaged: {what}",
        "a complete IDX file whose dimensions agree with its size",
        "Fetch the file again",
    )
