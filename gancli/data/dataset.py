"""The interface of a data set: examples in one array, their labels, and a description."""

import hashlib
from collections.abc import Callable, Iterable
from typing import Annotated, Literal, NamedTuple

import numpy as np

from gancli.config.settings import sides_of
from gancli.errors import UserError, shown, unknown_name
from gancli.registry import Bounds, Registry

MOST_CHANNELS = 16  # of images


class DataSpec(NamedTuple):
    """The description of a data set for networks and checkpoints, without its examples.

    `kind` is `image` (examples of shape (height, width, channels), uint8, or uint16 where `bits` is
    16), `points` (float32 examples of shape (dimensions,)) or `tokens` (uint8 or int32 examples of
    shape (length,) with values below `vocabulary`, which is 0 for other kinds). `classes` holds the
    names of the labels, empty if there are none. `characters` holds the character of each token of
    a text, and is empty for other sets. `height` is the image height if tokens are pixels, row by
    row, else 0. `target` describes a second set to translate into; None if there is none.
    """

    name: str
    kind: Literal["image", "points", "tokens"]
    shape: tuple[int, ...]
    classes: tuple[str, ...] = ()
    vocabulary: int = 0
    characters: str = ""
    height: int = 0
    target: "DataSpec | None" = None
    bits: int = 8

    @property
    def white(self) -> int:
        """The largest value of a stored image."""
        return 2**self.bits - 1

    @property
    def classifiable(self) -> bool:
        """Whether a classifier can be fitted: to images of more than one class."""
        return self.kind == "image" and len(self.classes) > 1

    @property
    def seen_shape(self) -> tuple[int, ...]:
        """The shape of an example as a discriminator sees it; tokens are shares of each kind."""
        return (*self.shape, self.vocabulary) if self.vocabulary else self.shape


class Modes(NamedTuple):
    """The true modes of a synthetic mixture: centres (modes, dimensions), and their deviation."""

    centres: np.ndarray
    deviation: float


class Dataset(NamedTuple):
    """Examples (count, *shape) as its spec says, maybe mapped; labels (count,) int32.

    `fingerprint` is the SHA-256 of what the examples and labels are, so that two data sets
    of one fingerprint give the same training run. Where the distribution that the examples are
    drawn from is known, `modes` are its modes, or `log_likelihood` gives log p of examples
    (n, *shape), (n,) in nats. `target` is a second set, see `towards`. `notices` are what the user
    must know of how the files were read, a sentence each.
    """

    spec: DataSpec
    examples: np.ndarray
    labels: np.ndarray | None
    fingerprint: str
    modes: Modes | None = None
    log_likelihood: Callable[[np.ndarray], np.ndarray] | None = None
    target: "Dataset | None" = None
    notices: tuple[str, ...] = ()


def towards(source: Dataset, target: Dataset) -> Dataset:
    """Joins a data set with a second one to translate into.

    Args:
        source: images.
        target: images of the same height and width.

    Returns:
        The first set, with the second as its target, and a fingerprint of both.

    Raises:
        UserError: if they are not images of the same size.
    """
    kinds = {source.spec.kind, target.spec.kind}
    if kinds != {"image"} or source.spec.shape[:2] != target.spec.shape[:2]:
        raise UserError(
            f"{shown(source.spec.name)} has examples of shape {source.spec.shape}, but the target "
            f"{shown(target.spec.name)} has {target.spec.shape}",
            "images of the same height and width",
            "Set data.size, for example to 28",
        )
    both = hashlib.sha256(f"{source.fingerprint} to {target.fingerprint}".encode()).hexdigest()
    spec = source.spec._replace(target=target.spec)
    notices = (*source.notices, *target.notices)
    return source._replace(spec=spec, target=target, fingerprint=both, notices=notices)


def turned(dataset: Dataset) -> Dataset:
    """The second of two data sets, with the first one as its target."""
    assert dataset.target is not None
    first = dataset._replace(spec=dataset.spec._replace(target=None), target=None)
    return towards(dataset.target, first)


def fixed_order(count: int) -> np.ndarray:
    """The fixed permutation for choosing some of the examples."""
    return np.random.Generator(np.random.PCG64(0)).permutation(count)


class DataRequest(NamedTuple):
    """How to load a data set.

    `size` is the side of square images in pixels or `HEIGHTxWIDTH`, None to keep their own; `fit`
    says what happens to those of another aspect ratio; `split` names the part that is read;
    `skip_damaged` leaves files out of a folder of images that cannot be read; `holdout` is the
    share of examples that become the split `test` of data without splits of their own;
    `white_level` is the value of white in the files, None for the largest that their type holds;
    `keep` says what of image files is kept: `alpha` their opacity, as a fourth channel, `16bit` all
    their bits.
    """

    size: int | str | None = None
    fit: Literal["crop", "pad"] = "crop"
    split: str = "train"
    skip_damaged: bool = False
    holdout: float = 0.0
    white_level: int | None = None
    keep: Literal["", "alpha", "16bit"] = ""

    @property
    def bits(self) -> int:
        """The bits of a stored value of an image."""
        return 16 if self.keep == "16bit" else 8

    @property
    def sides(self) -> tuple[int, int] | None:
        """Height and width in pixels; None to keep the images' sizes."""
        return None if self.size is None else sides_of(self.size)


def pixel_type(bits: int) -> np.dtype:
    """The type of stored values of so many bits, on disk as in memory."""
    return np.dtype("u1" if bits == 8 else "<u2")


def pictured_channels(channels: int) -> int:
    """How many channels a picture shows, the first ones: grey, RGB or RGBA."""
    return {1: 1, 2: 1, 4: 4}.get(channels, 3)


def left_out_of_pictures(spec: DataSpec) -> tuple[str, ...]:
    """What pictures do not show of images, a sentence; empty if they show everything."""
    if spec.kind != "image" or (shown_ones := pictured_channels(spec.shape[-1])) == spec.shape[-1]:
        return ()
    first = "the first channel" if shown_ones == 1 else f"the first {shown_ones} channels"
    return (f"pictures show {first} of {spec.shape[-1]}; an .npz of samples holds all",)


def rows_of_split(count: int, request: DataRequest) -> np.ndarray:
    """The rows of `train` or of `test` where a share of the examples is held out, ascending.

    Args:
        count: examples in all, at least 2.
        request: the split and the share; both splits get one example at least.

    Returns:
        The rows, by a fixed permutation.

    Raises:
        UserError: if there are fewer examples.
    """
    if count < 2:
        raise UserError(
            f"data.holdout was {request.holdout}, of {count} examples",
            "at least 2 examples",
            "Leave out data.holdout",
        )
    held_out = min(max(1, round(count * request.holdout)), count - 1)
    order = fixed_order(count)
    return np.sort(order[held_out:] if request.split == "train" else order[:held_out])


class MissingSplitError(UserError):
    """A data set has no such split."""


def require_split(of: str, name: str, known: Iterable[str]) -> None:
    """Refuses a split that a data set has not.

    Raises:
        MissingSplitError: naming those that it has.
    """
    if name not in known:
        raise missing_split(of, name, known)


def missing_split(of: str, name: str, known: Iterable[str]) -> MissingSplitError:
    """The error for a split that a data set has not, see `unknown_name`."""
    error = unknown_name(f"split of {of}", name, known)
    return MissingSplitError(error.given, error.allowed, error.remedy)


def refuse_size(name: str, request: DataRequest, kind: str) -> None:
    """Refuses a size in pixels, which points and tokens do not have.

    Raises:
        UserError: naming the size.
    """
    if request.size is not None:
        raise UserError(
            f"data.size was {shown(request.size)} with {shown(name)}, a set of {kind}, not of "
            "images",
            "no size",
            "Leave out data.size",
        )


# The option `seed` of a built-in set.
Seed = Annotated[int, Bounds(0, 2**31 - 1)]

DATASETS = Registry("data set")
