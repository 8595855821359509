"""Finding a data set by a registered name, a path, or a TFDS name."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gancli.data.builtin  # noqa: F401 - for its registrations alone
from gancli.data.dataset import DATASETS, DataRequest, Dataset, towards
from gancli.data.formats import folder, idx, npz, text, tfds
from gancli.data.formats.pairs import read_halves, read_matched, two_sets_in
from gancli.errors import UserError, excerpt, printable, shown
from gancli.files import dangling, is_output

DEFAULT = DataRequest()
_TAKEN_BY = {
    "holdout": "a folder of images, an .npz file, or digits",
    "white_level": "images that are read from files",
    "keep": "a folder of images or an .npz file",
}


def load(name: str, request: DataRequest = DEFAULT) -> Dataset:
    """Loads a data set by name or path.

    A registered name comes first, then an existing path, then a TensorFlow Datasets name.

    Args:
        name: `digits`, `ring8:count=1000,seed=3`, `mnist`, or the path of a folder of
            images, a folder of IDX files, an .npz file or a .txt file.
        request: the size, fit and split.

    Returns:
        The data set, with the given name as its name.

    Raises:
        UserError: if there is no such data set, or it is invalid.
    """
    with _in_one_line(name):
        return _named(_find(name.strip(), request), name)


def load_two(name: str, target: str, request: DataRequest) -> Dataset | None:
    """Loads a data set with a second one to translate into, of which no pairs are known.

    Args:
        name: of the first; or of a folder with the folders trainA and trainB, which holds both.
        target: of the second; empty if the first holds both.
        request: the size, fit and split.

    Returns:
        The first with the second as its target; None if there is no second one.

    Raises:
        UserError: as `load`, or if they do not fit each other.
    """
    if target:
        return towards(load(name, request), load(target, request))
    with _in_one_line(name):
        is_path = name.partition(":")[0].strip() not in DATASETS
        both = two_sets_in(Path(os.path.expanduser(name.strip()))) if is_path else None
    if both is None:
        return None
    first, second = (load(str(folder), request) for folder in both)
    return towards(_named(first, name), second)


def load_pairs(name: str, target: str, request: DataRequest, turned: bool) -> Dataset:
    """Loads pairs of images.

    Args:
        name: a folder with the folders trainA and trainB, a folder of images that hold two side
            by side, or, with a target, the first images of the pairs.
        target: the second images: of a folder matched by name, else by their order.
        request: the size, fit and split.
        turned: whether the sources are the second images.

    Returns:
        The sources with what they belong to as their target, in the same order.

    Raises:
        UserError: as `load`, or if an image has no partner.
    """
    with _in_one_line(name):
        first, second = _pairs(name.strip(), target.strip(), request)
    if len(first.examples) != len(second.examples):
        raise UserError(
            f"{shown(name)} has {len(first.examples)} images, and {shown(target)} has "
            f"{len(second.examples)}",
            "as many, so that they are pairs",
        )
    first, second = _named(first, name), _named(second, target or f"{name.strip()} B")
    return towards(second, first) if turned else towards(first, second)


def _pairs(name: str, target: str, request: DataRequest) -> tuple[Dataset, Dataset]:
    """The two sets of pairs, in one order."""
    place, other = Path(os.path.expanduser(name)), Path(os.path.expanduser(target))
    if not target and not place.is_dir():
        raise UserError(
            f"data.paired with {shown(name)}, which is no folder, and without a target",
            "a folder with trainA and trainB, a folder of images that hold two side by side, or a "
            "data set with --target",
        )
    if not target:
        both = two_sets_in(place)
        return read_matched(*both, request) if both else read_halves(place, request)
    folders = [path.is_dir() and not idx.is_idx_folder(path) for path in (place, other)]
    if all(folders) and not {name, target} & set(DATASETS.names()):
        return read_matched(place, other, request)
    return _find(name, request), _find(target, request)


def _named(dataset: Dataset, name: str) -> Dataset:
    return dataset._replace(spec=dataset.spec._replace(name=name.strip()))


@contextmanager
def _in_one_line(name: str) -> Iterator[None]:
    """Makes what is raised one message that a terminal can print."""
    try:
        yield
    except UserError as error:
        # The message contains names of files and fields, which may be arbitrary.
        parts = map(printable, (error.given, error.allowed, error.remedy))
        raise type(error)(*parts) from error
    except OSError as error:
        raise UserError(
            f"the data set {shown(name)} cannot be read: {excerpt(error)}",
            "a readable path",
            "Check its permissions",
        ) from error


def _find(name: str, request: DataRequest) -> Dataset:
    registered = name.partition(":")[0].strip()
    if registered in DATASETS:
        _refuse(name, request, "white_level", "keep")
        if registered != "digits":  # The others have a split `test`, or no use for one.
            _refuse(name, request, "holdout")
        dataset = DATASETS.build(name, request)
        return dataset._replace(notices=(*dataset.notices, *_namesake(name)))
    path = Path(os.path.expanduser(name))
    exists = bool(name) and path.exists()
    if exists and path.is_dir():
        if not idx.is_idx_folder(path):
            return folder.read(path, request)
        _refuse(name, request, "holdout", "keep")
        return idx.read(path, request)
    if exists and path.suffix.lower() == ".npz":
        return npz.read(path, request)
    _refuse(name, request, "holdout", "keep")
    if exists and path.suffix.lower() == ".txt":
        _refuse(name, request, "white_level")
        return text.read(path, request)
    if exists:
        raise UserError(
            f"the data set {shown(name)} is a file that is not an .npz or a .txt",
            "a folder of images, a folder of IDX files, an .npz file or a .txt file",
            "Unpack an archive and give the folder, save an .npy as `images` of an .npz, and give "
            "a text of another name as text:path=FILE",
        )
    if path.is_symlink():
        raise dangling(path)
    reference = tfds.parse(name)
    if any(mark in name for mark in "/.~\\") and (
        reference is None or reference.name not in tfds.names()
    ):
        raise UserError(
            f"the data set {shown(name)} does not exist: there is no such path",
            "a folder of images, a folder of IDX files, an .npz file, a .txt file, or a name",
            "Check the path; name the data of a run that have moved with --dataset",
        )
    if reference is not None and (tfds.is_prepared(name) or reference.name in tfds.names()):
        return tfds.read(name, request)
    raise _unknown(name)


def _namesake(name: str) -> Iterator[str]:
    """Says that a folder with the name of a registered set is not what is read."""
    folder = Path(name)
    if folder.is_dir() and not is_output(folder, {path.name for path in folder.glob("*")}):
        yield f"{name!r} is a data set of gan; the folder of that name is --dataset ./{name}"


def _refuse(name: str, request: DataRequest, *keys: str) -> None:
    """Refuses settings that the data set does not take."""
    for key in keys:
        if value := getattr(request, key):
            raise UserError(
                f"data.{key} was {value}, and the data set is {shown(name)}",
                _TAKEN_BY[key],
                f"Leave out data.{key}",
            )


def _unknown(name: str) -> UserError:
    """The error for a name that is neither registered nor known to TensorFlow Datasets."""
    return UserError(
        f"unknown data set {shown(name)}",
        f"{', '.join(DATASETS.names())}; the name of a TensorFlow Datasets image set, such as "
        "mnist or cifar10; or the path of a folder of images, a folder of IDX files, an .npz or "
        "a .txt",
        tfds.closest(name.partition(":")[0], [*DATASETS.names(), *tfds.names()]),
    )
