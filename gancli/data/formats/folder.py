"""A folder of image files; its sub-folders are the labels."""

import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from gancli.data import cache
from gancli.data.dataset import DataRequest, Dataset
from gancli.data.formats import images
from gancli.data.formats.listing import MOST_NAMED, Listing, find_images, list_images
from gancli.data.transform import check_request, fit_pixels, fitted_shape
from gancli.errors import UserError, excerpt, printable
from gancli.files import dangling

if TYPE_CHECKING:
    from PIL import Image

CHUNK = 256
CHUNK_BYTES = 1 << 28
DECODING_BYTES = 1 << 31

Seen = TypeVar("Seen")
_SKIP = "add --set data.skip_damaged=true"

_AS_IT_IS = DataRequest()


class Survey(NamedTuple):
    """What a set's headers say: the common shape, memory of the largest image, white's value."""

    shape: tuple[int, int, int]
    memory: int
    white: int


def read(folder: Path, request: DataRequest) -> Dataset:
    """Reads every image in a folder and in its sub-folders.

    Files are images by their suffix, in any case (.png .jpg .jpeg .jpe .jfif .webp .gif .bmp
    .tif .tiff .ppm .pgm .pbm .pnm, and .avif where Pillow can); others, hidden ones, and those in
    a run or among samples of gan are passed over. Where the images are in sub-folders, the first
    level's names, sorted, are the classes. The set is grey (one channel) if every image is, else
    RGB, and has 8 bits. Transparency is laid on white unless `alpha` is kept, which makes the set
    RGBA; `16bit` is kept of grey images of 16 bits. EXIF rotation is applied. What is decoded is
    kept in the cache until a file changes.

    Args:
        folder: the folder.
        request: the size, fit and split. Where all images are in folders called `train`, `test`
            and `val` (`valid`, `validation`), these are its splits, and `val` stands for a `test`
            that is missing; a folder called `train`, or `trainA`, has those beside it. Otherwise
            `holdout` makes a split `test`.

    Returns:
        Images (count, height, width, 1, 3 or 4) uint8, or uint16 of 16 bits, labels where there are
        sub-folders, numbered as in `train`.

    Raises:
        UserError: if there are no images, one cannot be read, or sizes differ and no size
            was requested.
    """
    check_request(request)
    with readable(folder):
        listing = list_images(folder, request)
    return read_listed(folder, listing, request)


def read_listed(
    folder: Path, listing: Listing, request: DataRequest, half: int | None = None
) -> Dataset:
    """Reads the images of a listing; see `read`.

    Args:
        folder: where they are.
        listing: the images, in the order in which they are read.
        request: the size and fit.
        half: of each image the left half (0) or the right half (1); None for the whole.
    """
    with readable(folder):
        place = printable(str(folder.absolute()))
        key = f"folder {place} {cache.identity(listing.files)} {tuple(request)}"
    if half is not None:
        key += f" half {half}"
    if (dataset := cache.find(key)) is None:
        sound, notices = _without_damaged(listing) if request.skip_damaged else (listing, ())
        survey = _survey(sound.files, request, half is not None)
        shape = fitted_shape(survey.shape, request)
        items = _decoded(sound, shape, survey.memory, request, half)
        dataset = cache.decode_once(
            key,
            len(sound.files),
            shape,
            items,
            sound.classes,
            notices,
            survey.white,
            request.bits,
        )
    return dataset._replace(notices=(*listing.notices, *dataset.notices))


def image_files(folder: Path) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """The image files in a folder and in its sub-folders, in a fixed order, and its notices.

    Args:
        folder: the folder; or one file, which is then all.

    Returns:
        The files, and what the user must know of them.

    Raises:
        UserError: if there are none, or the folder cannot be read.
    """
    with readable(folder):
        if folder.is_file():
            return (folder,), ()
        files, passed = find_images(folder)
    return tuple(files), passed.notices


def image_sizes(files: Sequence[Path]) -> list[tuple[int, int]]:
    """The height and width of each image in pixels, upright, from its header.

    Raises:
        UserError: naming those, twenty at most, that cannot be read.
    """
    return _look_at(files, lambda _, image: images.upright_size(image))


def refusal(bad: Sequence[UserError], remedy: str) -> UserError:
    """One error for several files, each of which has one of its own."""
    return UserError("; ".join(error.given for error in bad), bad[0].allowed, remedy)


def read_image(
    path: Path, channels: int | None = None, request: DataRequest = _AS_IT_IS
) -> np.ndarray:
    """One image, (height, width, channels) uint8, 1 for grey or 3 for RGB.

    Args:
        path: the file.
        channels: how many; None for those that it has itself.
        request: its size and fit.

    Returns:
        Its pixels.

    Raises:
        UserError: if it cannot be read.
    """
    with images.open_image(path, str(path)) as image:
        channels = channels or (1 if images.is_grey(image) else 3)
        return images.pixels_of(image, channels, request)


@contextmanager
def readable(folder: Path) -> Iterator[None]:
    """Says in one message what of a folder cannot be read.

    Raises:
        UserError: where the block raises an OSError.
    """
    try:
        yield
    except OSError as error:
        link = Path(error.filename or folder)
        if isinstance(error, FileNotFoundError) and link.is_symlink():
            raise dangling(link) from error
        raise UserError(
            f"{error.filename or folder} cannot be read: {excerpt(error)}",
            "a readable folder of images",
            "Check its permissions",
        ) from error


def _look_at(files: Sequence[Path], look: "Callable[[Path, Image.Image], Seen]") -> list[Seen]:
    """What there is to see of each image, or an error that names those that cannot be read."""
    seen, bad = [], []
    for path in files:
        try:
            with images.open_image(path, str(path)) as image:
                seen.append(look(path, image))
        except UserError as error:
            bad.append(error)
            if len(bad) == MOST_NAMED:
                break
    if bad:
        raise refusal(bad, "Repair or remove what is named")
    return seen


def _survey(files: tuple[Path, ...], request: DataRequest, halves: bool) -> Survey:
    """Reads the files' headers; the shape is that of an image, or of half of one."""
    coloured, white = False, 255
    others: list[str] = []

    def look(path: Path, image: "Image.Image") -> tuple[tuple[int, int], int]:
        nonlocal coloured, white
        coloured = coloured or not images.is_grey(image)
        if images.of_sixteen_bits(image):
            white = 65535
        elif request.bits == 16:
            others.append(f"{path} has pixels of mode {image.mode}")
        height, width = images.upright_size(image)
        if halves and width % 2:
            raise UserError(
                f"{path} is {height}x{width}, which has no two halves",
                "two images of one size side by side",
            )
        return (height, width // 2 if halves else width), images.memory_of(image, path)

    try:
        seen = _look_at(files, look)
    except UserError as error:
        raise UserError(error.given, error.allowed, f"{error.remedy}, or {_SKIP}") from error
    if others:
        raise UserError(
            f"data.keep is 16bit, but {others[0]}, the first of {len(others):,}",
            "grey images of 16 bits, in PNG, TIFF or PGM",
            "Leave out data.keep, or give images of more channels as uint16 in an .npz",
        )
    first = seen[0][0]
    for path, (size, _) in zip(files, seen, strict=True):
        if size != first and request.size is None:
            raise UserError(
                f"the images differ in size: {files[0]} is {first[0]}x{first[1]}, but {path} is "
                f"{size[0]}x{size[1]}",
                "images of the same size, or data.size to resize them to",
                "Add --set data.size=64",
            )
    shape = (*first, 4 if request.keep == "alpha" else 3 if coloured else 1)
    return Survey(shape, max(memory for _, memory in seen), request.white_level or white)


def _without_damaged(listing: Listing) -> tuple[Listing, tuple[str, ...]]:
    """The images that can be decoded, and which others there are, in words."""

    def whole(path: Path) -> bool:
        try:
            with images.open_image(path, str(path)) as image:
                images.pixels_of(image, 3, DataRequest())
        except UserError:
            return False
        return True

    kept = [whole(path) for path in listing.files]
    damaged = list(itertools.compress(listing.files, (not sound for sound in kept)))
    if not damaged:
        return listing, ()
    if not any(kept):
        raise UserError(
            f"all {len(kept):,} images are damaged, {damaged[0]} the first",
            images.ALLOWED,
            "Repair them",
        )
    labels = list(itertools.compress(listing.labels, kept))
    present = sorted(set(labels))
    named = ", ".join(printable(str(path)) for path in damaged[:MOST_NAMED])
    more = f" and {len(damaged) - MOST_NAMED:,} more" if damaged[MOST_NAMED:] else ""
    return listing._replace(
        files=tuple(itertools.compress(listing.files, kept)),
        labels=tuple(map(present.index, labels)),
        classes=tuple(listing.classes[label] for label in present) if listing.classes else (),
    ), (f"{len(damaged):,} of {len(kept):,} images are damaged and left out: {named}{more}",)


def _decoded(
    listing: Listing, shape: tuple[int, ...], memory: int, request: DataRequest, half: int | None
) -> Iterator[tuple[np.ndarray, int]]:
    """Decodes in the order of the listing, on as many cores as the memory allows."""

    def fitted(image: "Image.Image") -> np.ndarray:
        if half is None:
            return images.pixels_of(image, shape[-1], request)
        both = images.pixels_of(image, shape[-1], request._replace(size=None))
        own = np.split(both, 2, axis=1)[half]
        return fit_pixels(np.ascontiguousarray(own), request._replace(white_level=None))

    def decode(path: Path) -> np.ndarray | UserError:
        try:
            with images.open_image(path, str(path)) as image:
                pixels = fitted(image)
        except UserError as error:
            return error
        if pixels.shape != shape:
            raise UserError(
                f"{path} changed while it was read, from {shape[0]}x{shape[1]} to "
                f"{pixels.shape[0]}x{pixels.shape[1]}",
                "files that do not change",
                "Run the command again",
            )
        return pixels

    bad: list[UserError] = []
    workers = max(1, min((os.cpu_count() or 1) + 4, DECODING_BYTES // memory))
    # Results wait for their turn, so only a limited number is requested at a time.
    together = max(workers, min(CHUNK, CHUNK_BYTES // math.prod(shape)))
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(listing.files), together):
            chunk = slice(start, start + together)
            decoded = pool.map(decode, listing.files[chunk])
            for pixels, label in zip(decoded, listing.labels[chunk], strict=True):
                if isinstance(pixels, UserError):
                    bad.append(pixels)
                elif not bad:
                    yield pixels, label
            if len(bad) >= MOST_NAMED:
                break
    if bad:
        raise refusal(bad[:MOST_NAMED], f"Repair or remove what is named, or {_SKIP}")
