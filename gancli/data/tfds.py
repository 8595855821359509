"""Image sets of TensorFlow Datasets: prepared with TensorFlow once, read without it."""

import contextlib
import difflib
import hashlib
import importlib
import io
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gancli.data import cache, images
from gancli.data.dataset import DataRequest, Dataset
from gancli.data.transform import check_request, fitted_shape
from gancli.errors import UserError, unknown_name

NAME = re.compile(r"([a-z0-9_]+)(?:/([A-Za-z0-9_.\-]+))?(?::(\d+\.\d+\.\d+))?", re.ASCII)
VERSION = re.compile(r"\d+\.\d+\.\d+", re.ASCII)
INFORMATION = "dataset_info.json"
CHUNK = 256


class Reference(NamedTuple):
    """A set's name, and its configuration and version where the user named them."""

    name: str
    config: str | None
    version: str | None


class Columns(NamedTuple):
    """Which features of a set are its image and its label."""

    image: str
    label: str | None
    shape: tuple[int | None, ...]
    classes: tuple[str, ...]


def names() -> list[str]:
    """Every set that TensorFlow Datasets can prepare, whether or not it holds images."""
    import tensorflow_datasets

    return tensorflow_datasets.list_builders(with_community_datasets=False)


def closest(name: str, known: Iterable[str]) -> str:
    """The hint that names the known names nearest to a mistyped one, empty if none is near."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"Perhaps you mean {' or '.join(map(repr, close))}" if close else ""


def parse(text: str) -> Reference | None:
    """Splits `name/config:version`.

    Args:
        text: what the user named.

    Returns:
        Its parts, or None where it is not of that form.
    """
    match = NAME.fullmatch(text)
    return Reference(*match.groups()) if match else None


def is_prepared(text: str) -> bool:
    """Whether a set has been prepared, in any configuration."""
    reference = parse(text)
    return reference is not None and _prepared(reference) is not None


def read(name: str, request: DataRequest) -> Dataset:
    """Reads an image set that has been prepared; the first time decodes it into the cache.

    Args:
        name: `name`, `name/config`, either with `:version`.
        request: the split (as TensorFlow Datasets writes them, `train[:90%]` for example),
            size and fit.

    Returns:
        Images (count, height, width, 1 or 3) uint8, labels where the set has one class label.

    Raises:
        UserError: if the name is unknown, the set is not prepared, is damaged or holds no
            images, or its images differ in size and no size was requested.
    """
    check_request(request)
    reference = parse(name)
    folder = _prepared(reference) if reference is not None else None
    if folder is None:
        if reference is None or reference.name not in names():
            raise _unknown(name)
        raise UserError(
            f"the data set {name!r} is not prepared in {cache.prepared_root()}",
            "a prepared TensorFlow Datasets image set",
            f"Run: gan data prepare {name}",
        )
    place = cache.identity([folder / INFORMATION])
    key = f"tfds {place} {request.split} {request.size} {request.fit}"
    if (decoded := cache.find(key)) is None:
        decoded = _decode(key, name, folder, request)
    return cache.image_set(name, decoded)


def prepare(name: str, source: Path | None = None) -> Path:
    """Prepares a set for reading, in the array_record format.

    Args:
        name: `name`, `name/config`, either with `:version`.
        source: a folder with the set's official files, so that nothing need be downloaded;
            they are recognised by name or by checksum. Every file is checked against the
            checksum that TensorFlow Datasets has registered for it.

    Returns:
        The folder of the prepared set, which exists only once it is complete.

    Raises:
        UserError: if the name is unknown, TensorFlow is not installed, a file is missing or
            has the wrong checksum, or the disk is full.
    """
    reference = parse(name)
    if reference is None or reference.name not in names():
        raise _unknown(name)
    place = cache.prepared_root() / reference.name / (reference.config or "")
    if (done := _newest(place, reference.version)) is not None:
        return done
    if source is not None and not source.is_dir():
        raise UserError(f"{source} is not a folder", "a folder with the set's official files")
    _require_tensorflow()
    builder = _builder(name)
    with (
        tempfile.TemporaryDirectory() as temporary,
        _preparing(name, builder, source, Path(temporary, "manual")) as manual,
    ):
        import tensorflow_datasets

        # Extracted files are named after the original, which two sets may share (both MNISTs):
        # each set has its own folder.
        downloads = Path(temporary, "downloads") if source else cache.prepared_root() / "downloads"
        builder.download_and_prepare(
            file_format="array_record",
            download_dir=downloads / reference.name,
            download_config=tensorflow_datasets.download.DownloadConfig(manual_dir=manual),
        )
    return Path(builder.data_dir)


def _unknown(name: str) -> UserError:
    known = names()
    return UserError(
        f"unknown TensorFlow Datasets name {name!r}",
        f"one of the {len(known)} sets of its catalogue, such as mnist or cifar10",
        closest(name.partition("/")[0].partition(":")[0], known),
    )


def _prepared(reference: Reference) -> Path | None:
    """The folder of a prepared set, its newest version, found by its files alone.

    A folder that is being prepared has another name until it is complete.

    Raises:
        UserError: if several configurations are prepared and the user named none.
    """
    base = cache.prepared_root() / reference.name
    if reference.config:
        return _newest(base / reference.config, reference.version)
    if (plain := _newest(base, reference.version)) is not None or not base.is_dir():
        return plain
    configured = {
        path.name: newest
        for path in sorted(base.iterdir())
        if path.is_dir() and (newest := _newest(path, reference.version)) is not None
    }
    if len(configured) > 1:
        raise UserError(
            f"the data set {reference.name!r} is prepared in several configurations",
            ", ".join(f"{reference.name}/{config}" for config in configured),
            "Name one of them",
        )
    return next(iter(configured.values()), None)


def _newest(folder: Path, version: str | None) -> Path | None:
    """The newest complete version in a folder, or the one named."""
    found = [
        path
        for path in (folder.iterdir() if folder.is_dir() else ())
        if VERSION.fullmatch(path.name)
        and version in (None, path.name)
        and (path / INFORMATION).is_file()
    ]
    return max(found, key=lambda path: tuple(map(int, path.name.split("."))), default=None)


def _decode(key: str, name: str, folder: Path, request: DataRequest) -> cache.Decoded:
    import tensorflow_datasets

    with _reading(name, folder):
        builder: Any = tensorflow_datasets.builder_from_directory(folder)
    columns = _columns(name, builder.info)
    try:
        builder.info.splits[request.split]
    except (KeyError, ValueError) as error:
        raise unknown_name(f"split of {name}", request.split, builder.info.splits) from error
    with _reading(name, folder):
        skip = {columns.image: tensorflow_datasets.decode.SkipDecoding()}
        records = builder.as_data_source(request.split, decoders=skip)
    channels = 1 if columns.shape[-1] == 1 else 3
    shape = _image_shape(name, records, columns, channels, request)
    items = _items(name, folder, records, columns, shape, request)
    return cache.decode_once(
        key, len(records), fitted_shape(shape, request), items, columns.classes
    )


def _columns(name: str, information: Any) -> Columns:
    """Finds the one image among a set's features, and its class label."""
    from tensorflow_datasets import features

    found = dict(information.features.items()) if hasattr(information.features, "items") else {}
    pictures = [key for key, feature in found.items() if isinstance(feature, features.Image)]
    labels = [key for key, feature in found.items() if isinstance(feature, features.ClassLabel)]
    supervised = information.supervised_keys or (None, None)
    image = supervised[0] if supervised[0] in pictures else pictures[0] if pictures else None
    if image is None or (len(pictures) > 1 and image != supervised[0]):
        listed = ", ".join(f"{key} ({type(value).__name__})" for key, value in found.items())
        raise UserError(
            f"the data set {name!r} has {len(pictures)} images in each example; its features "
            f"are {listed}",
            "a set with one image feature",
            "Choose another set",
        )
    kind = np.dtype(found[image].np_dtype)
    if kind not in (np.dtype(np.uint8), np.dtype(np.uint16)):
        raise UserError(f"the images of {name!r} are {kind}", "images of 8 or 16 bits")
    label = labels[0] if len(labels) == 1 else None
    if len(supervised) == 2 and supervised[1] in labels:
        label = supervised[1]
    classes = tuple(found[label].names) if label is not None else ()
    return Columns(image, label, tuple(found[image].shape), classes)


def _image_shape(
    name: str, records: Any, columns: Columns, channels: int, request: DataRequest
) -> tuple[int, int, int]:
    """The shape of the set's images: as declared, else that of the first."""
    if len(records) == 0:
        raise UserError(f"split {request.split!r} of {name!r} is empty", "one with examples")
    height, width = columns.shape[:2]
    if height is None or width is None:
        what = f"example 0 of {name!r}"
        with images.open_image(io.BytesIO(records[0][columns.image]), what) as image:
            width, height = images.upright_size(image)
    return height, width, channels


def _items(
    name: str,
    folder: Path,
    records: Any,
    columns: Columns,
    shape: tuple[int, int, int],
    request: DataRequest,
) -> Iterator[tuple[np.ndarray, int]]:
    """Decodes every example, with the decoder that reads folders of images."""
    expected = fitted_shape(shape, request)
    for start in range(0, len(records), CHUNK):
        numbers = range(start, min(start + CHUNK, len(records)))
        with _reading(name, folder):
            chunk = records.__getitems__(list(numbers))
        for number, record in zip(numbers, chunk, strict=True):
            what = f"example {number} of {name!r}"
            with (
                images.open_image(io.BytesIO(record[columns.image]), what) as image,
                images.reading(what),
            ):
                pixels = images.pixels_of(image, shape[-1], request)
            if pixels.shape != expected:
                raise UserError(
                    f"the images of {name!r} differ in size: example {number} is "
                    f"{pixels.shape[1]}x{pixels.shape[0]}, others {expected[1]}x{expected[0]}",
                    "images of one size, or one to resize them to",
                    "Add --set data.size=64",
                )
            label = 0 if columns.label is None else int(record[columns.label])
            if columns.classes and not 0 <= label < len(columns.classes):
                raise UserError(
                    f"{what} has label {label}",
                    f"0 to {len(columns.classes) - 1}: choose a split whose labels are known",
                )
            yield pixels, label


@contextlib.contextmanager
def _reading(name: str, folder: Path) -> Iterator[None]:
    """Turns whatever a damaged or foreign folder makes the library raise into one error."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"the prepared data set {name!r} in {folder} cannot be read ({_first_line(error)})",
            "a complete set in the array_record format",
            f"Remove {folder} and run: gan data prepare {name}",
        ) from error


def _require_tensorflow() -> None:
    try:
        importlib.import_module("tensorflow")
    except ImportError as error:
        raise UserError(
            f"preparing a TensorFlow Datasets set needs TensorFlow ({error}); reading one does not",
            "an environment with the extra `tfds`",
            "Run: pip install 'gan[tfds]'",
        ) from error


def _builder(name: str) -> Any:
    import tensorflow_datasets

    try:
        return tensorflow_datasets.builder(name, data_dir=cache.prepared_root())
    except Exception as error:
        # Configurations and versions are checked by each builder in its own way.
        raise UserError(
            f"TensorFlow Datasets has no {name!r} ({_first_line(error)})",
            "`name`, `name/config` or `name:version` as in its catalogue",
        ) from error


@contextlib.contextmanager
def _preparing(name: str, builder: Any, source: Path | None, manual: Path) -> Iterator[Path | None]:
    """Gives the folder to prepare from; says what kept a set from being prepared."""
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

    try:
        if source is None:
            yield None
        else:
            _refuse_downloads(builder, source)
            yield _arrange(source, manual, builder)
    except UserError:
        raise
    except NonMatchingChecksumError as error:
        what = " ".join(str(error).partition("To debug")[0].split())
        raise UserError(
            f"a file of {name!r} is not the official one: {what.replace(str(manual), str(source))}",
            "files whose SHA-256 is the registered one",
            "Fetch that file again",
        ) from error
    except Exception as error:
        # Each builder downloads, extracts and parses in its own way and raises its own errors.
        instructions = " ".join((builder.MANUAL_DOWNLOAD_INSTRUCTIONS or "").split())
        raise UserError(
            f"the data set {name!r} could not be prepared ({_first_line(error)})",
            "a network connection, or a folder with the official files, and a disk with room "
            f"for them in {cache.prepared_root()}",
            f"Run: gan data prepare {name} --from DIR. {instructions}",
        ) from error


def _registered(builder: Any) -> dict[str, Any]:
    """The checksums that are registered for a set's files, by file name."""
    known = builder.url_infos or {}
    return {info.filename: info for info in known.values() if info.filename}


def _arrange(source: Path, folder: Path, builder: Any) -> Path:
    """Links the files of a folder into another, under the names they are looked for by.

    A file under its official name is taken as it is, so that a wrong checksum is noticed;
    one under another name is recognised by its size and checksum.
    """
    folder.mkdir(parents=True)
    present = sorted(source.iterdir())
    for path in present:
        (folder / path.name).symlink_to(path.absolute())
    registered = _registered(builder)
    missing = {name: info for name, info in registered.items() if not (folder / name).exists()}
    sizes = {int(info.size) for info in missing.values()}
    for path in present:
        if path.is_file() and path.stat().st_size in sizes:
            digest = _checksum(path)
            for name, info in missing.items():
                if info.checksum == digest and not (folder / name).exists():
                    (folder / name).symlink_to(path.absolute())
    return folder


def _refuse_downloads(builder: Any, source: Path) -> None:
    """Makes a file that is not in the folder an error at once, not after minutes of retries."""
    make_manager = builder._make_download_manager

    def refuse(resource: Any) -> None:
        file = Path(resource.url).name
        raise UserError(
            f"{source} has no file {file!r} of {builder.name!r}",
            f"a folder with every official file; this one comes from {resource.url}",
            "Put it there, or leave out the folder to download everything",
        )

    def offline(**arguments: Any) -> Any:
        manager = make_manager(**arguments)
        manager._download = refuse
        return manager

    builder._make_download_manager = offline


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
