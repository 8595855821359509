"""A folder of image files; its sub-folders are the labels."""

import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gancli.data import cache, images
from gancli.data.dataset import DataRequest, Dataset
from gancli.data.transform import check_request, fitted_shape
from gancli.errors import UserError, unknown_name

CHUNK = 256


class Listing(NamedTuple):
    """The image files of a folder in a fixed order, with each one's class number."""

    files: tuple[Path, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]


def read(folder: Path, request: DataRequest) -> Dataset:
    """Reads every image in a folder and in its sub-folders.

    Files are images by their suffix, in any case (.png .jpg .jpeg .webp .gif .bmp .tif
    .tiff); others, and hidden ones, are passed over. Where the images are in sub-folders,
    the first level's names, sorted, are the classes. The set is grey (one channel) if every
    image is, else RGB. Transparency is laid on white and EXIF rotation applied. What is
    decoded is kept in the cache until a file changes.

    Args:
        folder: the folder.
        request: the size and fit; the only split is `train`.

    Returns:
        Images (count, height, width, 1 or 3) uint8, labels where there are sub-folders.

    Raises:
        UserError: if there are no images, one cannot be read, or sizes differ and no size
            was requested.
    """
    check_request(request)
    if request.split != "train":
        raise unknown_name("split of a folder of images", request.split, ["train"])
    try:
        listing = _list(folder)
        place = folder.absolute()
        key = f"folder {place} {cache.identity(listing.files)} {request.size} {request.fit}"
    except OSError as error:
        raise UserError(
            f"{error.filename or folder} cannot be read: {error.strerror or error}",
            "a folder of images that may be read",
            "Check its permissions",
        ) from error
    if (decoded := cache.find(key)) is None:
        shape = _shape(listing.files, request)
        items = _decoded(listing, shape[-1], request)
        decoded = cache.decode_once(
            key, len(listing.files), fitted_shape(shape, request), items, listing.classes
        )
    return cache.image_set(folder.name, decoded)


def _list(folder: Path) -> Listing:
    """Finds the image files, sorted by path, and refuses what has no clear labels."""
    files = sorted(_image_files(folder), key=lambda path: path.relative_to(folder).parts)
    if not files:
        raise UserError(
            f"{folder} has no images in it",
            f"a folder with files ending in {', '.join(sorted(images.SUFFIXES))}",
            "Check the path",
        )
    parts = [path.relative_to(folder).parts for path in files]
    loose = [path for path, part in zip(files, parts, strict=True) if len(part) == 1]
    if len(loose) == len(files):
        return Listing(tuple(files), (0,) * len(files), ())
    if loose:
        nested = next(path for path, part in zip(files, parts, strict=True) if len(part) > 1)
        raise UserError(
            f"{folder} has images beside its sub-folders ({loose[0].name}) and inside them "
            f"({nested.relative_to(folder)})",
            "all images in the folder itself, or all in sub-folders named by their label",
            "Move the one or the other",
        )
    classes = tuple(sorted({part[0] for part in parts}))
    numbers = {name: number for number, name in enumerate(classes)}
    return Listing(tuple(files), tuple(numbers[part[0]] for part in parts), classes)


def _image_files(folder: Path) -> Iterator[Path]:
    """Every regular file with an image's suffix; linked folders are entered once."""

    def refuse(error: OSError) -> None:
        raise error

    entered: set[str] = set()
    for place, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        real = os.path.realpath(place)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            path = Path(place, name)
            if name.startswith(".") or path.suffix.lower() not in images.SUFFIXES:
                continue
            if stat.S_ISREG(path.stat().st_mode):
                yield path


def _shape(files: tuple[Path, ...], request: DataRequest) -> tuple[int, int, int]:
    """The shape (height, width, channels) of the set, from its files' headers."""
    channels = 1
    first: tuple[int, int] | None = None
    for path in files:
        with images.open_image(path, str(path)) as image, images.reading(str(path)):
            if channels == 1 and not images.is_grey(image):
                channels = 3
            size = images.upright_size(image)
        first = first or size
        if size != first and request.size is None:
            raise UserError(
                f"the images differ in size: {files[0]} is {first[0]}x{first[1]} and {path} is "
                f"{size[0]}x{size[1]}",
                "images of one size, or one to resize them to",
                "Add --set data.size=64",
            )
    assert first is not None
    return first[1], first[0], channels


def _decoded(
    listing: Listing, channels: int, request: DataRequest
) -> Iterator[tuple[np.ndarray, int]]:
    """Decodes in the order of the listing, on every core."""

    def decode(path: Path) -> np.ndarray:
        with images.open_image(path, str(path)) as image, images.reading(str(path)):
            return images.pixels_of(image, channels, request)

    with ThreadPoolExecutor() as pool:
        for start in range(0, len(listing.files), CHUNK):
            chunk = slice(start, start + CHUNK)
            decoded = pool.map(decode, listing.files[chunk])
            yield from zip(decoded, listing.labels[chunk], strict=True)
