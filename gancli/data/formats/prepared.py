"""What a set prepared by TensorFlow Datasets says of itself, without its library.

That library imports whatever module a folder names for its features, formats whatever template
it gives for its files, and decodes every feature. Here names are compared and nothing more:
the image and its label are found, all else is passed over.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gancli.data.cache import MOST_CLASSES
from gancli.errors import UserError, excerpt, printable, shown
from gancli.files import load_json, read_bytes

INFORMATION = "dataset_info.json"
FEATURES = "features.json"
FORMAT = "array_record"
TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
MODULE = "tensorflow_datasets.core.features."
DICTIONARY = f"{MODULE}features_dict.FeaturesDict"
IMAGES = (f"{MODULE}image_feature.Image", f"{MODULE}labeled_image.LabeledImage")
CLASS_LABEL = f"{MODULE}class_label_feature.ClassLabel"
KINDS = ("", "uint8", "uint16")
SPLIT = re.compile(r"[A-Za-z0-9][\w.\-]{0,99}", re.ASCII)
WHOLE = re.compile(r"-?[0-9]{1,18}", re.ASCII)
MOST_BYTES = 1 << 24
MOST_SHARDS = 1 << 16
MOST_SIDE = 1 << 16


class Columns(NamedTuple):
    """Which features of a set are its image and its label."""

    image: str
    label: str | None
    shape: tuple[int | None, ...]
    classes: tuple[str, ...]


class Description(NamedTuple):
    """A prepared set: its columns, and how many records each file of each split holds."""

    columns: Columns
    splits: dict[str, list[int]]


def describe(folder: Path, name: str) -> Description:
    """Reads the description of a prepared set.

    Args:
        folder: the folder of one version of it.
        name: what its files are called after.

    Returns:
        The description.

    Raises:
        OSError: if a file of it is missing, or no regular file.
        ValueError: if it is malformed.
        UserError: if its examples do not hold one image of 8 or 16 bits.
    """
    try:
        return _describe(folder, name)
    except (KeyError, TypeError, AttributeError) as error:
        what = f"{type(error).__name__}: {excerpt(error)}"
        raise ValueError(f"its description is malformed: {what}") from error


def _describe(folder: Path, name: str) -> Description:
    information = load_json(folder / INFORMATION, MOST_BYTES)
    if information["name"] != name:
        raise ValueError(f"{INFORMATION} is that of another set")
    formats = (information.get("fileFormat"), *information.get("alternativeFileFormats", ()))
    if FORMAT not in formats:
        raise ValueError(f"it is not in the {FORMAT} format")
    features = load_json(folder / FEATURES, MOST_BYTES)
    if features["pythonClassName"] != DICTIONARY:
        raise ValueError(f"{FEATURES} does not describe a dictionary of features")
    found = features["featuresDict"]["features"]
    columns = _columns(folder, name, dict(found), _supervised(information))
    return Description(columns, dict(map(_split, information["splits"])))


def _split(described: Mapping[str, Any]) -> tuple[str, list[int]]:
    """A split's name and its records by file."""
    name, lengths = described["name"], described.get("shardLengths", [])
    if not SPLIT.fullmatch(name):
        raise ValueError(f"a split is called {name!r}")
    if (template := described.get("filepathTemplate")) not in (None, "", TEMPLATE):
        raise ValueError(f"split {name!r} has files of other names: {shown(template)}")
    if len(lengths) > MOST_SHARDS:
        raise ValueError(f"split {name!r} has {len(lengths):,} files")
    return name, [_whole(length, 0, 1 << 48) for length in lengths]


def _supervised(information: Mapping[str, Any]) -> tuple[str | None, ...]:
    """The features that are input and target, as far as the set says."""
    keys = information.get("supervisedKeys")
    if not keys:
        return (None, None)
    if "tuple" in keys:
        return tuple(item.get("featureKey") for item in keys["tuple"]["items"])
    return keys.get("input"), keys.get("output")


def _columns(
    folder: Path, name: str, found: Mapping[str, Any], supervised: tuple[str | None, ...]
) -> Columns:
    """Finds the one image among a set's features, and its class label."""
    types = {key: feature["pythonClassName"] for key, feature in found.items()}
    pictures = [key for key, kind in types.items() if kind in IMAGES]
    labels = [key for key, kind in types.items() if kind == CLASS_LABEL]
    image = supervised[0] if supervised[0] in pictures else pictures[0] if pictures else None
    if image is None or (len(pictures) > 1 and image != supervised[0]):
        listed = ", ".join(f"{key} ({kind.rpartition('.')[2]})" for key, kind in types.items())
        raise UserError(
            f"the data set {name!r} has {len(pictures)} images in each example; its features "
            f"are {listed[:1000]}",
            "a set with one image feature",
            "Choose another set",
        )
    described = found[image]["image"]
    kind = described.get("dtype", "")
    if kind not in KINDS:
        raise UserError(f"the images of {name!r} are {kind}", "images of 8 or 16 bits")
    label = labels[0] if len(labels) == 1 else None
    if len(supervised) == 2 and supervised[1] in labels:
        label = supervised[1]
    classes = _classes(folder, label, found[label]) if label is not None else ()
    return Columns(image, label, _shape(described), classes)


def _shape(described: Mapping[str, Any]) -> tuple[int | None, ...]:
    """Height and width, each None where images differ in it, and channels."""
    dimensions = described.get("shape", {}).get("dimensions", ["-1", "-1", "3"])
    sides = [_whole(side, -1, MOST_SIDE) for side in dimensions]
    if len(sides) != 3 or 0 in sides:
        raise ValueError(f"images of {len(sides)} dimensions")
    return tuple(None if side < 0 else side for side in sides)


def _classes(folder: Path, label: str, feature: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of a label's classes: those in its own file, else their numbers."""
    count = _whole(feature.get("classLabel", {}).get("numClasses", 0), 0, MOST_CLASSES)
    path = folder / f"{label}.labels.txt"
    if "/" in label or not path.exists():
        return tuple(map(str, range(count)))
    lines = read_bytes(path, MOST_BYTES).decode("utf-8").split("\n")
    names = tuple(printable(line.strip()) for line in lines if line.strip())
    if len(set(names)) != len(names) or len(names) != (count or len(names)):
        raise ValueError(f"{path.name} does not name {count:,} different classes")
    return names


def _whole(value: Any, least: int, most: int) -> int:
    """A whole number of a JSON file, where Protocol Buffers write long ones as text."""
    number = int(value) if isinstance(value, str) and WHOLE.fullmatch(value) else value
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= most:
        raise ValueError(f"{str(value)[:20]!r} where a number of {least} to {most:,} belongs")
    return number
