"""What a data set is: examples in one array, their labels, and facts about them."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from gancli.registry import Registry


class DataSpec(NamedTuple):
    """What networks and checkpoints must know of a data set, without its examples.

    `kind` is `image` (uint8 examples of shape (height, width, channels)), `points` (float32
    examples of shape (dimensions,)) or `tokens` (uint8 or int32 examples of shape (length,), of
    values below `vocabulary`, which is else 0). `classes` holds the names of the labels and is
    empty where there are none. `characters` holds the character that each token of a text stands
    for, and is empty for what is no text.
    """

    name: str
    kind: Literal["image", "points", "tokens"]
    shape: tuple[int, ...]
    classes: tuple[str, ...] = ()
    vocabulary: int = 0
    characters: str = ""

    @property
    def seen_shape(self) -> tuple[int, ...]:
        """The shape of an example as a discriminator sees it, tokens by the share of each kind."""
        return (*self.shape, self.vocabulary) if self.vocabulary else self.shape


class Modes(NamedTuple):
    """The true modes of a synthetic mixture: centres (modes, dimensions), one deviation."""

    centres: np.ndarray
    deviation: float


class Dataset(NamedTuple):
    """Examples (count, *shape), uint8, float32 or int32, maybe mapped; labels (count,) int32.

    `fingerprint` is the SHA-256 of what the examples and labels are, so that two data sets
    of one fingerprint give the same training run. Where the distribution that the examples are
    drawn from is known, `modes` are its modes, or `log_likelihood` gives log p of examples
    (n, *shape), (n,) in nats.
    """

    spec: DataSpec
    examples: np.ndarray
    labels: np.ndarray | None
    fingerprint: str
    modes: Modes | None = None
    log_likelihood: Callable[[np.ndarray], np.ndarray] | None = None


class DataRequest(NamedTuple):
    """How the user wants a data set delivered.

    `size` is the side of square images in pixels, None to keep their own; `fit` says what
    happens to those that are not square; `split` names the part that is read.
    """

    size: int | None = None
    fit: Literal["crop", "pad"] = "crop"
    split: str = "train"


DATASETS = Registry("data set")
