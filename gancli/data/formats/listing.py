"""Finding the image files of a folder: its classes, its splits, and what is passed over."""

import itertools
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from gancli.data.dataset import DataRequest, require_split, rows_of_split
from gancli.data.formats import images
from gancli.errors import UserError, printable
from gancli.files import is_of_file_manager, is_output

MOST_FOLDERS = 1 << 20
MOST_LEVELS = 64
MOST_NAMED = 20  # of the files that are damaged

# What folders of splits are called: the first that is there counts.
_STARTS = {
    "train": ("train",),
    "test": ("test", "val", "valid", "validation"),
    "val": ("val", "valid", "validation"),
}
_PART = r"(train|test|val|valid|validation)([ab]?)"


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
            kinds = ", ".join(
                f"{len(paths):,} {suffix or 'without a suffix'} ({paths[0]}"
                f"{' the first' if paths[1:] else ''})"
                for suffix, paths in sorted(self.others.items())[:MOST_NAMED]
            )
            notices.append(f"passed over what is no image by its name: {kinds}")
        return tuple(map(printable, notices))


def list_images(folder: Path, request: DataRequest) -> Listing:
    """Finds the image files of a split, and refuses what has no clear labels."""
    files, passed = find_images(folder)
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
    require_split("a folder of images", request.split, parts)

    def labelled(place: Path) -> Listing:
        inside = place.is_relative_to(folder)
        held = files if inside else find_images(place)[0]
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


def find_images(folder: Path) -> tuple[list[Path], Passed]:
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
        folders[:] = sorted(itertools.filterfalse(_is_hidden, folders))
        shown = sorted(itertools.filterfalse(_is_hidden, names))
        for path in (Path(place, name) for name in shown):
            suffix = path.suffix.lower()
            if suffix in images.suffixes() and stat.S_ISREG(path.stat().st_mode):
                yield path
            else:
                passed.others.setdefault(suffix, []).append(path.relative_to(folder))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or is_of_file_manager(name)


def _refuse(error: OSError) -> None:
    raise error
