"""A folder of image files; its sub-folders are the labels."""

import itertools
import math
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from gancli.data import cache
from gancli.data.dataset import DataRequest, Dataset, rows_of_split
from gancli.data.formats import images
from gancli.data.transform import check_request, fitted_shape
from gancli.errors import UserError, excerpt, printable, unknown_name
from gancli.files import dangling, is_output

if TYPE_CHECKING:
    from PIL import Image

CHUNK = 256
CHUNK_BYTES = 1 << 28
DECODING_BYTES = 1 << 31
MOST_FOLDERS = 1 << 20
MOST_LEVELS = 64
MOST_NAMED = 20  # of the files that are damaged

Seen = TypeVar("Seen")
# What folders of splits are called: the first that is there counts.
_STARTS = {
    "train": ("train",),
    "test": ("test", "val", "valid", "validation"),
    "val": ("val", "valid", "validation"),
}
_PART = r"(train|test|val|valid|validation)([ab]?)"
_SKIP = "add --set data.skip_damaged=true"


class Listing(NamedTuple):
    """The image files of a folder in a fixed order, with each one's class number.

    `notices` say what was passed over.
    """

    files: tuple[Path, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    notices: tuple[str, ...]


class Passed(NamedTuple):
    """What is passed over in a folder: what gan made, and, by suffix, files that are no images."""

    outputs: list[Path]
    others: dict[str, list[Path]]

    @property
    def notices(self) -> tuple[str, ...]:
        """The same in words."""
        notices = []
        if self.outputs:
            more = f" and {len(self.outputs) - 1:,} more" if self.outputs[1:] else ""
            notices.append(f"passed over the images in {self.outputs[0]}{more}, which gan made")
        if self.others:
            count = sum(map(len, self.others.values()))
            kinds = ", ".join(
                f"{len(paths):,} {suffix or 'without a suffix'} ({paths[0]}"
                f"{' the first' if paths[1:] else ''})"
                for suffix, paths in sorted(self.others.items())[:MOST_NAMED]
            )
            notices.append(f"passed over {count:,} files that are no images: {kinds}")
        return tuple(map(printable, notices))


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
    RGB. Transparency is laid on white and EXIF rotation applied. What is decoded is kept in the
    cache until a file changes.

    Args:
        folder: the folder.
        request: the size, fit and split. Where all images are in folders called `train`, `test`
            and `val` (`valid`, `validation`), these are its splits, and `val` stands for a `test`
            that is missing; a folder called `train`, or `trainA`, has those beside it. Otherwise
            `holdout` makes a split `test`.

    Returns:
        Images (count, height, width, 1 or 3) uint8, labels where there are sub-folders, numbered
        as in `train`.

    Raises:
        UserError: if there are no images, one cannot be read, or sizes differ and no size
            was requested.
    """
    check_request(request)
    try:
        listing = _list(folder, request)
        place = printable(str(folder.absolute()))
        key = f"folder {place} {cache.identity(listing.files)} {tuple(request)}"
    except OSError as error:
        raise _unreadable(folder, error) from error
    if (decoded := cache.find(key)) is None:
        sound, notices = _without_damaged(listing) if request.skip_damaged else (listing, ())
        survey = _survey(sound.files, request)
        shape = fitted_shape(survey.shape, request)
        items = _decoded(sound, shape, survey.memory, request)
        decoded = cache.decode_once(
            key, len(sound.files), shape, items, sound.classes, notices, survey.white
        )
    dataset = cache.image_set(folder.name, decoded)
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
    try:
        if folder.is_file():
            return (folder,), ()
        files, passed = _find(folder)
    except OSError as error:
        raise _unreadable(folder, error) from error
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


def read_image(path: Path, channels: int | None = None) -> np.ndarray:
    """One image of whatever size, (height, width, channels) uint8, 1 for grey or 3 for RGB.

    Args:
        path: the file.
        channels: how many; None for those that it has itself.

    Returns:
        Its pixels.

    Raises:
        UserError: if it cannot be read.
    """
    with images.open_image(path, str(path)) as image:
        channels = channels or (1 if images.is_grey(image) else 3)
        return images.pixels_of(image, channels, DataRequest())


def _unreadable(folder: Path, error: OSError) -> UserError:
    link = Path(error.filename or folder)
    if isinstance(error, FileNotFoundError) and link.is_symlink():
        return dangling(link)
    return UserError(
        f"{error.filename or folder} cannot be read: {excerpt(error)}",
        "a folder of images that may be read",
        "Check its permissions",
    )


def _list(folder: Path, request: DataRequest) -> Listing:
    """Finds the image files of a split, and refuses what has no clear labels."""
    files, passed = _find(folder)
    parts = _parts_within(folder, files) or {"train": folder}
    if len(parts) == 1 and request.split != "train":
        parts |= _parts_beside(folder)
    if request.holdout:
        if len(parts) > 1:
            raise UserError(
                f"data.holdout was {request.holdout}, and {folder} has the splits "
                f"{', '.join(parts)}",
                "a folder without splits of its own",
                "Leave out data.holdout",
            )
        parts["test"] = parts["train"]
    if request.split not in parts:
        raise unknown_name("split of a folder of images", request.split, parts)

    def labelled(place: Path) -> Listing:
        inside = place.is_relative_to(folder)
        held = files if inside else _find(place)[0]
        return _labelled(place, [path for path in held if path.is_relative_to(place)])

    listing = train = labelled(parts["train"])
    if request.holdout:
        rows = rows_of_split(len(train.files), request)
        listing = train._replace(
            files=tuple(train.files[row] for row in rows),
            labels=tuple(train.labels[row] for row in rows),
        )
    elif request.split != "train":
        place = parts[request.split]
        listing = _numbered_as(labelled(place), train, place)
    return listing._replace(notices=passed.notices)


def _labelled(folder: Path, files: Sequence[Path]) -> Listing:
    """The files of a folder with their labels, in the order of their class's names."""
    parts = [path.relative_to(folder).parts for path in files]
    loose = [path for path, part in zip(files, parts, strict=True) if len(part) == 1]
    if len(loose) == len(files):
        return Listing(tuple(files), (0,) * len(files), (), ())
    if loose:
        nested = next(path for path, part in zip(files, parts, strict=True) if len(part) > 1)
        raise UserError(
            f"{folder} has images beside its sub-folders ({loose[0].name}) and inside them "
            f"({nested.relative_to(folder)})",
            "all images in the folder itself, or all in sub-folders named by their label",
            "Move the one or the other",
        )
    folders = sorted({part[0] for part in parts})
    numbers = {name: number for number, name in enumerate(folders)}
    labels = tuple(numbers[part[0]] for part in parts)
    return Listing(tuple(files), labels, tuple(map(printable, folders)), ())


def _numbered_as(listing: Listing, train: Listing, place: Path) -> Listing:
    """A split whose classes have the numbers that they have in training."""
    if unknown := sorted({*listing.classes} - {*train.classes}):
        raise UserError(
            f"{place} has a class {unknown[0]!r}, which the split 'train' has not",
            ", ".join(train.classes[:MOST_NAMED]) or "images without sub-folders",
            "Remove it, or add images of it to the training data",
        )
    if not listing.classes:
        return listing
    labels = tuple(train.classes.index(listing.classes[label]) for label in listing.labels)
    return listing._replace(labels=labels, classes=train.classes)


def _parts_within(folder: Path, files: Sequence[Path]) -> dict[str, Path]:
    """The folder of each split, where a folder holds its splits alone; else none.

    Raises:
        UserError: if it holds the splits of two data sets, such as trainA and trainB.
    """
    names = {path.relative_to(folder).parts[0] for path in files}
    kinds = [re.fullmatch(_PART, name, re.IGNORECASE) for name in names]
    if not all(kinds) or not any(kind and kind[1].lower() == "train" for kind in kinds):
        return {}
    ends = sorted({kind[2] for kind in kinds if kind})
    if len(ends) > 1 or ends[0]:
        trained = [folder / name for name in sorted(names) if name.lower().startswith("train")]
        raise UserError(
            f"{folder} holds the splits of {len(ends)} data sets: {', '.join(sorted(names))}",
            ", ".join(map(str, trained)),
            f"Name one of them, for example --dataset {trained[0]} --target {trained[-1]}",
        )
    return _parts(folder, names)


def _parts_beside(folder: Path) -> dict[str, Path]:
    """The other splits of a folder called train, or trainA: those beside it."""
    place = folder.resolve()
    own = re.fullmatch(_PART, place.name, re.IGNORECASE)
    if not own or own[1].lower() != "train":
        return {}
    beside = [path.name for path in place.parent.iterdir() if path.is_dir()]
    return {
        split: path
        for split, path in _parts(place.parent, beside, own[2]).items()
        if split != "train"
    }


def _parts(folder: Path, names: Iterable[str], end: str = "") -> dict[str, Path]:
    """The folder of each split among those of some names, which all have one end."""
    lower = {name.lower(): folder / name for name in sorted(names)}
    found = {
        split: [lower[start + end.lower()] for start in starts if start + end.lower() in lower]
        for split, starts in _STARTS.items()
    }
    return {split: paths[0] for split, paths in found.items() if paths}


def _find(folder: Path) -> tuple[list[Path], Passed]:
    """Finds the image files, sorted by path, and what is passed over."""
    passed = Passed([], {})
    found = _image_files(folder, passed)
    files = sorted(found, key=lambda path: path.relative_to(folder).parts)
    if not files and folder in passed.outputs:
        raise UserError(
            f"{folder} is a run or holds samples, which gan made",
            "a folder of images that are data",
            "Name the folder in it that holds the images themselves, or copy them out of it",
        )
    if not files:
        raise UserError(
            "; ".join((f"{folder} has no images in it", *passed.notices)),
            f"a folder with files ending in {', '.join(sorted(images.suffixes()))}",
            "Check the path",
        )
    return files, passed


def _image_files(folder: Path, passed: Passed) -> Iterator[Path]:
    """Every regular file with an image's suffix; linked folders are entered once.

    Args:
        folder: where to look.
        passed: gets what is passed over; hidden files are not counted.

    Yields:
        The files.
    """
    entered: set[str] = set()
    for place, folders, names in os.walk(folder, onerror=_refuse, followlinks=True):
        if (real := os.path.realpath(place)) in entered:
            folders.clear()
            continue
        entered.add(real)
        if len(entered) > MOST_FOLDERS or len(Path(place).relative_to(folder).parts) > MOST_LEVELS:
            raise UserError(
                f"{folder} holds too many folders, or too deep ones, such as {place}",
                f"at most {MOST_FOLDERS:,} folders of {MOST_LEVELS} levels",
                "Perhaps a link in it leads out of the data set: remove it",
            )
        if is_output(Path(place), set(names)):
            passed.outputs.append(Path(place))
            folders.clear()
            continue
        # The first by name is entered first: where two links lead to one folder, it counts.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path in (Path(place, name) for name in sorted(names) if not name.startswith(".")):
            suffix = path.suffix.lower()
            if suffix in images.suffixes() and stat.S_ISREG(path.stat().st_mode):
                yield path
            else:
                passed.others.setdefault(suffix, []).append(path.relative_to(folder))


def _refuse(error: OSError) -> None:
    raise error


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


def _survey(files: tuple[Path, ...], request: DataRequest) -> Survey:
    """Reads the files' headers."""
    coloured, white = False, 255

    def look(path: Path, image: "Image.Image") -> tuple[tuple[int, int], int]:
        nonlocal coloured, white
        coloured = coloured or not images.is_grey(image)
        white = 65535 if images.of_sixteen_bits(image) else white
        return images.upright_size(image), images.memory_of(image, path)

    try:
        seen = _look_at(files, look)
    except UserError as error:
        raise UserError(error.given, error.allowed, f"{error.remedy}, or {_SKIP}") from error
    first = seen[0][0]
    for path, (size, _) in zip(files, seen, strict=True):
        if size != first and request.size is None:
            raise UserError(
                f"the images differ in size: {files[0]} is {first[0]}x{first[1]} and {path} is "
                f"{size[0]}x{size[1]}",
                "images of one size, or one to resize them to",
                "Add --set data.size=64",
            )
    shape = (*first, 3 if coloured else 1)
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
    listing: Listing, shape: tuple[int, ...], memory: int, request: DataRequest
) -> Iterator[tuple[np.ndarray, int]]:
    """Decodes in the order of the listing, on as many cores as their images have memory for."""

    def decode(path: Path) -> np.ndarray | UserError:
        try:
            with images.open_image(path, str(path)) as image:
                pixels = images.pixels_of(image, shape[-1], request)
        except UserError as error:
            return error
        if pixels.shape != shape:
            raise UserError(
                f"{path} changed while it was read: it was {shape[0]}x{shape[1]} and is "
                f"{pixels.shape[0]}x{pixels.shape[1]}",
                "files that nobody writes to",
                "Run the command again",
            )
        return pixels

    bad: list[UserError] = []
    workers = max(1, min((os.cpu_count() or 1) + 4, DECODING_BYTES // memory))
    # Results wait until their turn comes, so only so many are asked for at a time.
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
