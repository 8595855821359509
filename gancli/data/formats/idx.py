"""IDX files, the format MNIST is published in: a magic number, dimensions, bytes."""

import gzip
import math
import re
import struct
import zlib
from pathlib import Path

import numpy as np

from gancli.data import cache
from gancli.data.dataset import DataRequest, Dataset, MissingSplitError, require_split
from gancli.data.formats.images import check_size
from gancli.data.transform import check_request, fit_pixels, fitted_shape
from gancli.errors import UserError, excerpt
from gancli.files import may_expand, open_regular

PREFIXES = {"train": ("train",), "test": ("t10k", "test")}
UNSIGNED_BYTES = 0x08
# EMNIST publishes its images with rows and columns exchanged (arXiv:1702.05373).
_TRANSPOSED = "emnist-"


def is_idx_folder(folder: Path) -> bool:
    """Whether a folder holds IDX files of either split."""
    return any(_find(folder, split, "images", 3) is not None for split in PREFIXES)


def read(folder: Path, request: DataRequest) -> Dataset:
    """Reads a folder of IDX files, gzipped or not, whatever their suffix says.

    The images of split `train` are in `train-images-idx3-ubyte`, their labels in
    `train-labels-idx1-ubyte`; those of `test` begin with `t10k` or `test`. A dot instead of the
    hyphen before `idx` is accepted, and before all a name as EMNIST has it, such as
    `emnist-letters-`; labels may be absent. EMNIST's files hold transposed images, which are put
    upright where a file has its name.

    Args:
        folder: the folder.
        request: the split, size and fit.

    Returns:
        Images (count, height, width, 1) uint8. Classes are the labels that occur in `train`, or in
        the split itself where `train` has none, by their numbers, ascending.

    Raises:
        UserError: if a file is missing, truncated, too long, or does not match its name.
    """
    check_request(request)
    require_split("a folder of IDX files", request.split, PREFIXES)
    images = _find(folder, request.split, "images", 3)
    labels = _find(folder, request.split, "labels", 1)
    if images is None:
        prefix = PREFIXES[request.split][0]
        raise MissingSplitError(
            f"{folder} has no images of split {request.split!r}",
            f"{prefix}-images-idx3-ubyte or {prefix}-images-idx3-ubyte.gz",
            "Add that file, or choose another data.split",
        )
    named = _find(folder, "train", "labels", 1) or labels
    files = [images] if labels is None or named is None else [images, labels, named]
    transposed = images.name.startswith(_TRANSPOSED)
    key = f"idx {'transposed ' * transposed}{cache.identity(files)} {tuple(request)}"
    dataset = cache.find(key) or _decode(key, images, labels, named, request)
    if not transposed:
        return dataset
    said = f"{images.name} holds transposed images, as EMNIST publishes them; they are put upright"
    return dataset._replace(notices=(*dataset.notices, said))


def _decode(
    key: str, images: Path, labels: Path | None, named: Path | None, request: DataRequest
) -> Dataset:
    pixels = _read(images, 3)
    if images.name.startswith(_TRANSPOSED):
        pixels = pixels.swapaxes(1, 2)
    count, height, width = pixels.shape
    numbers, classes = np.zeros(count, np.uint8), ()
    if labels is not None and named is not None:
        numbers = _read(labels, 1)
        if len(numbers) != count:
            raise UserError(
                f"{labels} has {len(numbers)} labels, but {images} has {count} images",
                "one label for each image",
                "Take both files from the same release",
            )
        known = np.unique(_read(named, 1))
        if len(unknown := np.setdiff1d(numbers, known)):
            raise UserError(
                f"{labels} has a label {unknown[0]} that {named} has not",
                ", ".join(map(str, known)),
                "Take both files from the same release",
            )
        numbers, classes = np.searchsorted(known, numbers), tuple(map(str, known))
    items = (
        (fit_pixels(image[..., np.newaxis], request), int(label))
        for image, label in zip(pixels, numbers, strict=True)
    )
    shape = fitted_shape((height, width, 1), request)
    return cache.decode_once(key, count, shape, items, classes, white=request.white_level or 255)


def _find(folder: Path, split: str, content: str, dimensions: int) -> Path | None:
    """The file of a split's images or labels, plain before gzipped.

    Raises:
        UserError: if there are those of several data sets.
    """
    pattern = (
        rf"(?:(.+)-)?(?:{'|'.join(PREFIXES[split])})-{content}[-.]idx{dimensions}-ubyte(?:\.gz)?"
    )
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if (named := re.fullmatch(pattern, path.name)) and path.is_file():
            found.setdefault(named[1] or "", []).append(path)
    if len(found) > 1:
        raise UserError(
            f"{folder} holds the IDX files of {len(found)} data sets: {', '.join(found)}",
            "those of one",
            "Put the files of each into a folder of its own",
        )
    return next(iter(found.values()))[0] if found else None


def _read(path: Path, dimensions: int) -> np.ndarray:
    """Reads the array of a file; its dimensions are checked before memory is allocated."""
    magic = bytes((0, 0, UNSIGNED_BYTES, dimensions))
    try:
        with open_regular(path) as plain:
            zipped = plain.peek(2)[:2] == b"\x1f\x8b"
            file = gzip.GzipFile(fileobj=plain) if zipped else plain
            if (begins := file.read(4)) != magic:
                raise UserError(
                    f"{path} begins with the bytes {begins.hex(' ') or 'of nothing'}",
                    f"{magic.hex(' ')}, an IDX file of unsigned bytes in {dimensions} dimensions",
                    "Fetch the file again",
                )
            if len(header := file.read(4 * dimensions)) < 4 * dimensions:
                raise _damaged(path, f"it ends inside its header, after {4 + len(header)} bytes")
            shape = struct.unpack(f">{dimensions}I", header)
            declared, size = math.prod(shape), path.stat().st_size
            if not declared or not may_expand(size, declared):
                raise _damaged(
                    path, f"its header declares {shape}, but the file has {size:,} bytes"
                )
            if dimensions == 3:
                check_size(*shape[1:])
            content = file.read(declared + 1)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise _damaged(path, f"it cannot be read ({excerpt(error)})") from error
    if len(content) != declared:
        held = f"{len(content):,}" if len(content) < declared else "more"
        raise _damaged(path, f"its header declares {shape}, {declared:,} bytes, but {held} follow")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _damaged(path: Path, what: str) -> UserError:
    return UserError(
        f"{path} is damaged: {what}",
        "a complete IDX file whose dimensions agree with its size",
        "Fetch the file again",
    )
