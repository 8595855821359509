"""Image sets of TensorFlow Datasets, prepared once with TensorFlow and read without it."""

import contextlib
import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gancli.data import cache
from gancli.data.dataset import DataRequest, Dataset, MissingSplitError, missing_split
from gancli.data.formats import images
from gancli.data.transform import check_request, fitted_shape
from gancli.errors import UserError, excerpt, printable

FORMAT = "array_record"
INFORMATION = "dataset_info.json"
TOGETHER = 16  # records to read at a time
NAME = re.compile(r"([a-z0-9_]+)(?:/([A-Za-z0-9_.\-]+))?(?::(\d+\.\d+\.\d+))?", re.ASCII)
VERSION = re.compile(r"\d+\.\d+\.\d+", re.ASCII)


class Reference(NamedTuple):
    """A set's name, with its configuration and version if the user named them."""

    name: str
    config: str | None
    version: str | None


def names() -> list[str]:
    """Every set that TensorFlow Datasets can prepare, including sets without images."""
    import tensorflow_datasets

    return tensorflow_datasets.list_builders(with_community_datasets=False)


def closest(name: str, known: Iterable[str]) -> str:
    """A hint with the known names closest to a mistyped one; empty if none is close."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"Perhaps you mean {' or '.join(map(repr, close))}" if close else ""


def parse(text: str) -> Reference | None:
    """Splits `name/config:version`.

    Returns:
        Its parts, or None if it has another form.
    """
    match = NAME.fullmatch(text)
    return Reference(*match.groups()) if match else None


def is_prepared(text: str) -> bool:
    """Whether a set has been prepared, in any configuration."""
    reference = parse(text)
    return reference is not None and _prepared(reference) is not None


def read(name: str, request: DataRequest) -> Dataset:
    """Reads a prepared image set; the first read decodes it into the cache.

    Args:
        name: `name` or `name/config`, optionally with `:version`.
        request: the split in the syntax of TensorFlow Datasets, for example `train[:90%]`, size
            and fit.

    Returns:
        Images (count, height, width, 1 or 3) uint8, labels where the set has one class label.
        Classes are those that occur in the split `train`, or in the split itself where there is
        no `train`.

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
    place = cache.identity(sorted(filter(Path.is_file, folder.iterdir())))
    key = f"tfds by train {place} {tuple(request)}"
    return cache.find(key) or _decode(key, name, folder, request)


def unknown(name: str) -> UserError:
    """The error for a name that TensorFlow Datasets does not know, with the closest names."""
    known = names()
    return UserError(
        f"unknown TensorFlow Datasets name {name!r}",
        f"one of the {len(known)} sets of its catalogue, such as mnist or cifar10",
        closest(name.partition("/")[0].partition(":")[0], known),
    )


def _prepared(reference: Reference) -> Path | None:
    """The folder of the newest version of a prepared set, found only by its files.

    A folder has another name until its preparation is complete.

    Raises:
        UserError: if several configurations are prepared and the user named none.
    """
    base = cache.prepared_root() / reference.name
    if reference.config:
        return newest(base / reference.config, reference.version)
    if (plain := newest(base, reference.version)) is not None:
        return plain
    configured = {
        path.name: version
        for path in sorted(base.glob("*/"))
        if (version := newest(path, reference.version)) is not None
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
    found = [path.parent for path in folder.glob(f"{version or '*'}/{INFORMATION}")]
    complete = [path for path in found if VERSION.fullmatch(path.name)]
    return max(complete, key=lambda path: tuple(map(int, path.name.split("."))), default=None)


def _decode(key: str, name: str, folder: Path, request: DataRequest) -> Dataset:
    import tensorflow_datasets

    library: Any = tensorflow_datasets
    with _reading(name, folder):
        builder = library.builder_from_directory(folder, file_format=FORMAT)
        features = builder.info.features
        image, label = _columns(name, builder.info)
        splits = builder.info.splits
        count = _count(name, splits, request)
        names = tuple(map(printable, features[label].names)) if label is not None else ()

    def examples(split: str) -> Iterator[tuple[bytes, int]]:
        with _reading(name, folder):
            source = builder.as_data_source(
                split, deserialize_method=library.decode.DeserializeMethod.RAW_BYTES
            )
            for start in range(0, len(source), TOGETHER):
                end = min(start + TOGETHER, len(source))
                for record in source.__getitems__(range(start, end)):
                    yield _fields(record, image, label)

    own = request.split
    shape = fitted_shape(_image_shape(name, features[image].shape, examples(own), request), request)
    # As in training, whose labels may be fewer than are declared.
    named_by = "train" if "train" in splits else own
    occurring = {label for _, label in examples(named_by)} if names else set()
    present = [label for label in range(len(names)) if label in occurring]
    items = _items(name, examples(own), shape, present, request)
    full = np.iinfo(np.dtype(features[image].np_dtype)).max
    white = request.white_level or int(full)
    classes = tuple(names[label] for label in present)
    return cache.decode_once(key, count, shape, items, classes, white=white)


def _fields(record: bytes, image: str, label: str | None) -> tuple[bytes, int]:
    """The encoded image of a record, and its label, 0 if the set has none.

    The library's own decoder uses OpenCV if it is installed, which gives different pixels; its
    interface without decoding imports TensorFlow.
    """
    from tensorflow_datasets.proto import tf_example_pb2

    messages: Any = tf_example_pb2
    feature = messages.Example.FromString(record).features.feature
    (content,) = feature[image].bytes_list.value
    if label is None:
        return content, 0
    (number,) = feature[label].int64_list.value
    return content, number


def _count(name: str, splits: Any, request: DataRequest) -> int:
    """Number of examples of the requested split or part of a split."""
    try:
        count = splits[request.split].num_examples
    except (KeyError, ValueError) as error:
        raise missing_split(name, request.split, splits) from error
    if count == 0:
        raise MissingSplitError(
            f"split {request.split!r} of {name!r} is empty", "one with examples"
        )
    return count


def _columns(name: str, info: Any) -> tuple[str, str | None]:
    """Finds the image and the class label among a set's features."""
    from tensorflow_datasets import features as kinds

    features = dict(info.features.items())
    pictures = [key for key, kind in features.items() if isinstance(kind, kinds.Image)]
    labels = [key for key, kind in features.items() if isinstance(kind, kinds.ClassLabel)]
    supervised = info.supervised_keys or (None, None)
    image = supervised[0] if supervised[0] in pictures else pictures[0] if pictures else None
    if image is None or (len(pictures) > 1 and image != supervised[0]):
        listed = ", ".join(f"{key} ({type(kind).__name__})" for key, kind in features.items())
        raise UserError(
            f"the data set {name!r} has {len(pictures)} images per example; its features are "
            f"{listed[:1000]}",
            "a set with one image feature",
            "Choose another set",
        )
    kind, shape = np.dtype(features[image].np_dtype), features[image].shape
    if kind not in (np.uint8, np.uint16) or len(shape) != 3:
        raise UserError(
            f"the images of {name!r} are {kind} of shape {shape}",
            "images of 8 or 16 bits, of shape (height, width, channels)",
            "Choose another set",
        )
    label = supervised[1] if supervised[1] in labels else labels[0] if len(labels) == 1 else None
    return image, label


def _image_shape(
    name: str,
    declared: tuple[int | None, ...],
    examples: Iterator[tuple[bytes, int]],
    request: DataRequest,
) -> tuple[int, int, int]:
    """The declared shape of the set's images, or else the shape of the first image."""
    height, width, channels = declared
    if request.size is None and (height is None or width is None):
        with images.open_image(next(examples)[0], f"example 0 of {name!r}") as image:
            height, width = images.upright_size(image)
    return height or 1, width or 1, 1 if channels == 1 else 3


def _items(
    name: str,
    examples: Iterable[tuple[bytes, int]],
    shape: tuple[int, ...],
    present: Sequence[int],
    request: DataRequest,
) -> Iterator[tuple[np.ndarray, int]]:
    """Decodes every example with the decoder for folders of images, and numbers its class."""
    numbers = {label: number for number, label in enumerate(present)}
    for number, (content, label) in enumerate(examples):
        what = f"example {number} of {name!r}"
        with images.open_image(content, what) as image:
            pixels = images.pixels_of(image, shape[-1], request)
        if pixels.shape != shape:
            raise UserError(
                f"the images of {name!r} differ in size: example {number} is "
                f"{pixels.shape[0]}x{pixels.shape[1]}, others {shape[0]}x{shape[1]}",
                "images of the same size, or data.size to resize them to",
                "Add --set data.size=64",
            )
        if present and label not in numbers:
            raise UserError(
                f"{what} has label {label}, which training has not",
                f"{', '.join(map(str, present))}: choose a split whose labels are known",
            )
        yield pixels, numbers.get(label, 0)


@contextlib.contextmanager
def _reading(name: str, folder: Path) -> Iterator[None]:
    """Turns any exception of the library for a damaged or foreign folder into one error."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"the prepared data set {name!r} in {folder} cannot be read ({excerpt(error)})",
            f"a complete set in the {FORMAT} format",
            f"Remove {folder} and run: gan data prepare {name}",
        ) from error
