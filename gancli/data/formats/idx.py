"""IDX files, the format MNIST is published in: a magic number, dimensions, bytes."""

import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gancli.data import cache
from gancli.data.dataset import DataRequest, Dataset
from gancli.data.formats.images import check_size
from gancli.data.transform import check_request, fit_pixels, fitted_shape
from gancli.errors import UserError, excerpt, unknown_name
from gancli.files import may_expand, open_regular

PREFIXES = {"train": "train", "test": "t10k"}
UNSIGNED_BYTES = 0x08


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
    pixels = _read(images, 3)
    count, height, width = next(pixels)
    numbers, classes = np.zeros(count, np.uint8), ()
    if labels is not None:
        held = _read(labels, 1)
        (named,) = next(held)
        if named != count:
            raise UserError(
                f"{labels} has {named} labels and {images} has {count} images",
                "one label for each image",
                "Take both files from the same release",
            )
        numbers = np.frombuffer(b"".join(held), np.uint8)
        classes = tuple(str(number) for number in range(int(numbers.max()) + 1))
    items = (
        (fit_pixels(np.frombuffer(item, np.uint8).reshape(height, width, 1), request), int(label))
        for item, label in zip(pixels, numbers, strict=True)
    )
    shape = fitted_shape((height, width, 1), request)
    return cache.decode_once(key, count, shape, items, classes)


def _find(folder: Path, split: str, content: str, dimensions: int) -> Path | None:
    """The file of a split's images or labels, plain before gzipped."""
    stem, end = f"{PREFIXES[split]}-{content}", f"idx{dimensions}-ubyte"
    names = (f"{stem}{mark}{end}{suffix}" for mark in "-." for suffix in ("", ".gz"))
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _read(path: Path, dimensions: int) -> Iterator[Any]:
    """A file's dimensions, once the file may live up to them, and then the bytes of each item."""
    try:
        with open_regular(path) as plain:
            file = gzip.GzipFile(fileobj=plain) if path.suffix == ".gz" else plain
            shape = _shape(path, file.read(4 + 4 * dimensions), dimensions)
            yield shape
            count, each = shape[0], math.prod(shape[1:])
            for number in range(count):
                if len(item := file.read(each)) != each:
                    said = f"after {len(item):,} of its {each:,} bytes"
                    raise _damaged(path, f"it ends inside item {number} of {count}, {said}")
                yield item
            if file.read(1):
                raise _damaged(path, f"it goes on after the {count} items it declares")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise _damaged(path, f"it cannot be read ({excerpt(error)})") from error


def _shape(path: Path, header: bytes, dimensions: int) -> tuple[int, ...]:
    """The dimensions in a header, refused where the file cannot live up to them."""
    magic = bytes((0, 0, UNSIGNED_BYTES, dimensions))
    if header[:4] != magic:
        raise UserError(
            f"{path} begins with the bytes {header[:4].hex(' ') or 'of nothing'}",
            f"{magic.hex(' ')}, an IDX file of unsigned bytes in {dimensions} dimensions",
            "Fetch the file again",
        )
    if len(header) < 4 + 4 * dimensions:
        raise _damaged(path, f"it ends inside its header, after {len(header)} bytes")
    shape = struct.unpack(f">{dimensions}I", header[4:])
    declared, size = len(header) + math.prod(shape), path.stat().st_size
    if min(shape) == 0:
        raise _damaged(path, f"its header declares dimensions {shape}, so it holds nothing")
    # Labels are held against the number of images before they are read.
    expands = dimensions == 1 or may_expand(size, shape[0], math.prod(shape[1:]))
    if not (expands if path.suffix == ".gz" else declared == size):
        raise _damaged(
            path, f"its header declares {shape}, {declared:,} bytes, and the file has {size:,}"
        )
    if dimensions == 3:
        check_size(shape[2], shape[1])
    return shape


def _damaged(path: Path, what: str) -> UserError:
    return UserError(
        f"{path} is damaged: {what}",
        "a complete IDX file whose dimensions agree with its size",
        "Fetch the file again",
    )
