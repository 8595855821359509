"""Finding a data set by a registered name, a path, or a TFDS name."""

import os
from collections.abc import Iterator
from pathlib import Path

import gancli.data.builtin  # noqa: F401 - for its registrations alone
from gancli.data.dataset import DATASETS, DataRequest, Dataset
from gancli.data.formats import folder, idx, npz, text, tfds
from gancli.errors import UserError, excerpt, printable, shown
from gancli.files import dangling, is_output

DEFAULT = DataRequest()
_TAKEN_BY = {
    "holdout": "a folder of images, an .npz file, or digits",
    "white_level": "images that are read from files",
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
    try:
        dataset = _find(name.strip(), request)
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
    return dataset._replace(spec=dataset.spec._replace(name=name.strip()))


def _find(name: str, request: DataRequest) -> Dataset:
    registered = name.partition(":")[0].strip()
    if registered in DATASETS:
        _refuse(name, request, "white_level")
        if registered != "digits":  # The others have a split `test`, or no use for one.
            _refuse(name, request, "holdout")
        dataset = DATASETS.build(name, request)
        return dataset._replace(notices=(*dataset.notices, *_namesake(name)))
    path = Path(os.path.expanduser(name))
    exists = bool(name) and path.exists()
    if exists and path.is_dir():
        if not idx.is_idx_folder(path):
            return folder.read(path, request)
        _refuse(name, request, "holdout")
        return idx.read(path, request)
    if exists and path.suffix.lower() == ".npz":
        return npz.read(path, request)
    _refuse(name, request, "holdout")
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
