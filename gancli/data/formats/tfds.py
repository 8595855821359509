"""Image sets of TensorFlow Datasets, prepared once with TensorFlow and read without it."""

import contextlib
import difflib
import re
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gancli.data import cache
from gancli.data.dataset import DataRequest, Dataset
from gancli.data.formats import images, prepared, records
from gancli.data.transform import check_request, fitted_shape
from gancli.errors import UserError, excerpt, unknown_name

NAME = re.compile(r"([a-z0-9_]+)(?:/([A-Za-z0-9_.\-]+))?(?::(\d+\.\d+\.\d+))?", re.ASCII)
VERSION = re.compile(r"\d+\.\d+\.\d+", re.ASCII)


class Reference(NamedTuple):
    """A set's name, and its configuration and version where the user named them."""

    name: str
    config: str | None
    version: str | None


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
            raise unknown(name)
        raise UserError(
            f"the data set {name!r} is not prepared in {cache.prepared_root()}",
            "a prepared TensorFlow Datasets image set",
            f"Run: gan data prepare {name}",
        )
    place = cache.identity([folder / prepared.INFORMATION])
    key = f"tfds {place} {request.split} {request.size} {request.fit}"
    if (decoded := cache.find(key)) is None:
        assert reference is not None
        decoded = _decode(key, name, reference.name, folder, request)
    return cache.image_set(name, decoded)


def unknown(name: str) -> UserError:
    """The error for a name that TensorFlow Datasets does not know, with the nearest ones."""
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
        return newest(base / reference.config, reference.version)
    if (plain := newest(base, reference.version)) is not None or not base.is_dir():
        return plain
    configured = {
        path.name: version
        for path in sorted(base.iterdir())
        if path.is_dir() and (version := newest(path, reference.version)) is not None
    }
    if len(configured) > 1:
        raise UserError(
            f"the data set {reference.name!r} is prepared in several configurations",
            ", ".join(f"{reference.name}/{config}" for config in configured),
            "Name one of them",
        )
    return next(iter(configured.values()), None)


def newest(folder: Path, version: str | None) -> Path | None:
    """The newest complete version in a folder, or the one named."""
    found = [
        path
        for path in (folder.iterdir() if folder.is_dir() else ())
        if VERSION.fullmatch(path.name)
        and version in (None, path.name)
        and (path / prepared.INFORMATION).is_file()
    ]
    return max(found, key=lambda path: tuple(map(int, path.name.split("."))), default=None)


def _decode(key: str, name: str, prefix: str, folder: Path, request: DataRequest) -> cache.Decoded:
    with _reading(name, folder):
        description = prepared.describe(folder, prefix)
    columns, splits = description
    whole = splits.get(request.split)
    shards = _shards(name, prefix, folder, splits, request) if whole is None or any(whole) else []
    count = sum(shard.stop - shard.first for shard in shards)
    if count == 0:
        raise UserError(f"split {request.split!r} of {name!r} is empty", "one with examples")
    shape = fitted_shape(_image_shape(name, folder, shards, columns, request), request)
    items = _items(name, folder, shards, columns, shape, request)
    return cache.decode_once(key, count, shape, items, columns.classes)


def _shards(
    name: str,
    prefix: str,
    folder: Path,
    splits: dict[str, list[int]],
    request: DataRequest,
) -> list[records.Shard]:
    """The files of a split, or of the part of one that is asked for."""
    import tensorflow_datasets

    core: Any = tensorflow_datasets.core
    template = core.ShardedFileTemplate(
        data_dir=folder, dataset_name=prefix, filetype_suffix=prepared.FORMAT
    )
    known = core.SplitDict(
        core.SplitInfo(split, lengths, 0, template.replace(split=split))
        for split, lengths in splits.items()
    )
    try:
        found = known[request.split].file_instructions
    except (KeyError, ValueError) as error:
        raise unknown_name(f"split of {name}", request.split, known) from error
    return [
        records.Shard(
            folder / part.basename(), part.examples_in_shard, part.skip, part.skip + part.take
        )
        for part in found
    ]


def _image_shape(
    name: str,
    folder: Path,
    shards: list[records.Shard],
    columns: prepared.Columns,
    request: DataRequest,
) -> tuple[int, int, int]:
    """The shape of the set's images: as declared, else that of the first."""
    height, width, depth = columns.shape
    if request.size is None and (height is None or width is None):
        with contextlib.closing(_records(name, folder, shards)) as all_records:
            content, _ = _fields(name, folder, next(all_records), columns)
        with images.open_image(content, f"example 0 of {name!r}") as image:
            width, height = images.upright_size(image)
    return height or 1, width or 1, 1 if depth == 1 else 3


def _items(
    name: str,
    folder: Path,
    shards: list[records.Shard],
    columns: prepared.Columns,
    shape: tuple[int, ...],
    request: DataRequest,
) -> Iterator[tuple[np.ndarray, int]]:
    """Decodes every example, with the decoder that reads folders of images."""
    with contextlib.closing(_records(name, folder, shards)) as all_records:
        for number, record in enumerate(all_records):
            what = f"example {number} of {name!r}"
            content, label = _fields(name, folder, record, columns)
            with images.open_image(content, what) as image:
                pixels = images.pixels_of(image, shape[-1], request)
            if pixels.shape != shape:
                raise UserError(
                    f"the images of {name!r} differ in size: example {number} is "
                    f"{pixels.shape[1]}x{pixels.shape[0]}, others {shape[1]}x{shape[0]}",
                    "images of one size, or one to resize them to",
                    "Add --set data.size=64",
                )
            if columns.classes and not 0 <= label < len(columns.classes):
                raise UserError(
                    f"{what} has label {label}",
                    f"0 to {len(columns.classes) - 1}: choose a split whose labels are known",
                )
            yield pixels, label


def _records(name: str, folder: Path, shards: list[records.Shard]) -> Generator[bytes, None, None]:
    with _reading(name, folder):
        yield from records.read(shards)


def _fields(name: str, folder: Path, record: bytes, columns: prepared.Columns) -> tuple[bytes, int]:
    """The encoded image of a record, and its label, 0 where the set has none."""
    from tensorflow_datasets.proto import tf_example_pb2

    messages: Any = tf_example_pb2
    with _reading(name, folder):
        feature = messages.Example.FromString(record).features.feature
        (content,) = feature[columns.image].bytes_list.value
        if columns.label is None:
            return content, 0
        (label,) = feature[columns.label].int64_list.value
        return content, label


@contextlib.contextmanager
def _reading(name: str, folder: Path) -> Iterator[None]:
    """Turns whatever a damaged or foreign folder makes the library raise into one error."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"the prepared data set {name!r} in {folder} cannot be read ({excerpt(error)})",
            "a complete set in the array_record format",
            f"Remove {folder} and run: gan data prepare {name}",
        ) from error
