"""What a data set is: examples in one array, their labels, and facts about them."""

from typing import Literal, NamedTuple

import numpy as np

from gancli.registry import Registry


class DataSpec(NamedTuple):
    """What networks and checkpoints must know of a data set, without its examples.

    `kind` is `image` (uint8 examples of shape (height, width, channels)) or `points`
    (float32 examples of shape (dimensions,)). `classes` holds the names of the labels and
    is empty where there are none.
    """

    name: str
    kind: Literal["image", "points"]
    shape: tuple[int, ...]
    classes: tuple[str, ...] = ()

    @property
    def classifiable(self) -> bool:
        """Whether a classifier can be fitted: to images of more than one class."""
        return self.kind == "image" and len(self.classes) > 1


class Modes(NamedTuple):
    """The true modes of a synthetic mixture: centres (modes, dimensions), one deviation."""

    centres: np.ndarray
    deviation: float


class Dataset(NamedTuple):
    """Examples (count, *shape), uint8 or float32, maybe memory-mapped; labels (count,) int32.

    `fingerprint` is the SHA-256 of what the examples and labels are, so that two data sets
    of one fingerprint give the same training run.
    """

    spec: DataSpec
    examples: np.ndarray
    labels: np.ndarray | None
    fingerprint: str
    modes: Modes | None = None


class DataRequest(NamedTuple):
    """How the user wants a data set delivered.

    `size` is the side of square images in pixels, None to keep their own; `fit` says what
    happens to those that are not square; `split` names the part that is read.
    """

    size: int | None = None
    fit: Literal["crop", "pad"] = "crop"
    split: str = "train"


DATASETS = Registry("data set")
