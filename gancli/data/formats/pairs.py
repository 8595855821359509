"""Pairs of images: two folders whose files have the same names, or pictures side by side."""

import os
from collections.abc import Iterator
from pathlib import Path

from gancli.data.dataset import DataRequest, Dataset
from gancli.data.formats.folder import read_listed, readable
from gancli.data.formats.listing import Listing, list_images
from gancli.data.transform import check_request
from gancli.errors import UserError, printable

_MOST_NAMED = 5


def two_sets_in(folder: Path) -> tuple[Path, Path] | None:
    """The folders trainA and trainB, in any case, of a folder that has both; else None."""
    if not folder.is_dir():
        return None
    with os.scandir(folder) as entries:
        # By name first: only of these two it is asked what they are.
        named = (entry for entry in entries if entry.name.lower() in ("traina", "trainb"))
        found = sorted(Path(entry) for entry in named if entry.is_dir())
    inside = {path.name.lower(): path for path in found}
    return (inside["traina"], inside["trainb"]) if len(inside) == 2 else None


def read_halves(folder: Path, request: DataRequest) -> tuple[Dataset, Dataset]:
    """Reads pictures that hold two images of one size side by side.

    Args:
        folder: their folder, with or without folders for its splits.
        request: the size and fit of each half, and the split.

    Returns:
        The left halves and the right halves.

    Raises:
        UserError: if one cannot be read, or its width is odd.
    """
    check_request(request)
    _refuse_gaps(folder, request)
    with readable(folder):
        listing = list_images(folder, request)
    left, right = (read_listed(folder, listing, request, half) for half in (0, 1))
    return left, right._replace(notices=())


def read_matched(first: Path, second: Path, request: DataRequest) -> tuple[Dataset, Dataset]:
    """Reads two folders of images that belong together by their names, whatever their suffixes.

    Args:
        first: a folder of images.
        second: the folder with the other image of each pair.
        request: the size, fit and split.

    Returns:
        Both sets, in the order of the first.

    Raises:
        UserError: if an image has no partner, naming it, or one cannot be read.
    """
    check_request(request)
    _refuse_gaps(first, request)
    with readable(first):
        of_first = list_images(first, request)
    with readable(second):
        of_second = list_images(second, request)
    named, partners = _by_name(first, of_first), _by_name(second, of_second)
    alone = [*_without(named, partners, second), *_without(partners, named, first)]
    if alone:
        more = f"; and {len(alone) - _MOST_NAMED:,} more" if alone[_MOST_NAMED:] else ""
        raise UserError(
            "; ".join(alone[:_MOST_NAMED]) + more,
            "a partner of the same name, without its suffix, for each image",
            "Add what is missing, or remove what is alone",
        )
    rows = [partners[name] for name in named]
    ordered = of_second._replace(
        files=tuple(of_second.files[row] for row in rows),
        labels=tuple(of_second.labels[row] for row in rows),
    )
    return read_listed(first, of_first, request), read_listed(second, ordered, request)


def _by_name(folder: Path, listing: Listing) -> dict[str, int]:
    """The row of each image by its name below the folder of its split, without its suffix."""
    rows: dict[str, int] = {}
    for row, path in enumerate(listing.files):
        place = str(path.relative_to(_place(folder, path)).with_suffix(""))
        if place in rows:
            raise UserError(
                f"{listing.files[rows[place]]} and {listing.files[row]} have one name",
                "names that differ in more than their suffix",
                "Rename one of them",
            )
        rows[place] = row
    return rows


def _place(folder: Path, path: Path) -> Path:
    """The folder, or the one beside it, such as testA beside trainA, that holds an image."""
    if path.is_relative_to(folder):
        return folder
    above = folder.resolve().parent
    return above / path.relative_to(above).parts[0]


def _without(named: dict[str, int], partners: dict[str, int], folder: Path) -> Iterator[str]:
    for name in sorted(named.keys() - partners.keys()):
        yield printable(f"{name} has no partner in {folder}")


def _refuse_gaps(folder: Path, request: DataRequest) -> None:
    if request.skip_damaged:
        raise UserError(
            f"data.skip_damaged with the pairs of {folder}",
            "pairs of which both images can be read",
            "Leave out data.skip_damaged",
        )
