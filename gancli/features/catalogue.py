"""Features of examples, on which distances between data sets are measured."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from gancli.data import DataRequest, Dataset
from gancli.errors import UserError
from gancli.features.blocks import in_blocks
from gancli.features.classifier import BLOCK, read_block
from gancli.features.exported import load_encoder
from gancli.features.fitting import fitted_classifier
from gancli.features.inception import DIMENSION, WEIGHTS_SHA256, load_inception
from gancli.registry import Registry, quoted

# Cubes of inner products are squared, and must stay finite.
LARGEST_FEATURE = 1e20


class Features(NamedTuple):
    """A function from examples to vectors, applied in blocks of one size.

    `fingerprint` is a hash of everything that decides the function, and `dimension` the number of
    values of a vector. `function` maps (block, *shape) examples in stored format to
    (block, dimension). Only Inception's features have an `inception_head` (classes, dimension),
    which turns them into logits; only on them is a Fréchet distance called FID. Features with a
    gradient have `embed`, from images (n, height, width, channels) in [-1, 1] to (n, dimension).
    """

    name: str
    fingerprint: str
    dimension: int
    block: int
    function: Callable[[np.ndarray], Any]
    inception_head: np.ndarray | None = None
    embed: Callable[[jax.Array], jax.Array] | None = None

    @property
    def is_inception(self) -> bool:
        """Whether these are Inception's features."""
        return self.inception_head is not None

    def blocks(self, examples: np.ndarray | Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yields the features of examples by block.

        Args:
            examples: (n, *shape) in stored format, or consecutive parts of it.

        Yields:
            (block, dimension) float32, the last one shorter; the features of an example do not
            depend on later ones.

        Raises:
            UserError: if a feature is not finite or too large.
        """
        first = 0
        for features in in_blocks(self.function, self.block, examples):
            sound = (np.abs(features) <= LARGEST_FEATURE).all(axis=1)  # Also false for NaN.
            if not sound.all():
                raise UserError(
                    f"the features {self.name!r} of example {first + int(sound.argmin())} are "
                    "not finite or too large",
                    f"numbers between -{LARGEST_FEATURE:g} and {LARGEST_FEATURE:g}",
                    "Choose other features; the generator may have diverged",
                )
            first += len(features)
            yield features.astype(np.float32, copy=False)

    def of(self, examples: np.ndarray | Iterable[np.ndarray]) -> np.ndarray:
        """The features of all examples.

        Args:
            examples: (n, *shape) in stored format, or consecutive parts of it.

        Returns:
            (n, dimension) float32.

        Raises:
            UserError: if a feature is not finite or too large.
        """
        empty = np.zeros((0, self.dimension), np.float32)
        return np.concatenate([empty, *self.blocks(examples)])


# Factories take the data set and the request that loaded it.
FEATURES = Registry("features")


@FEATURES.register("pixels", reference="the examples themselves")
def pixels(dataset: Dataset, request: DataRequest) -> Features:
    """The examples themselves: pixels divided by white, or the coordinates of points.

    Args:
        dataset: the real data.
        request: not used.

    Returns:
        The features, as many as an example has values.

    Raises:
        UserError: if the examples are tokens.
    """
    if dataset.spec.kind == "tokens":
        raise UserError(
            f"the features 'pixels' with {dataset.spec.name!r}, which has tokens",
            "images or points",
        )
    dimension = prod(dataset.spec.shape)
    of_images = dataset.spec.kind == "image"

    def function(block: np.ndarray) -> np.ndarray:
        flat = block.reshape(len(block), dimension)
        values = flat.astype(np.float32)
        return values / white if of_images else values

    white = np.float32(dataset.spec.white)
    kind = dataset.spec.kind if dataset.spec.bits == 8 else f"image of {dataset.spec.bits} bits"
    fingerprint = _hash("pixels v1", kind, *dataset.spec.shape)
    name = "pixels" if of_images else "coordinates"
    return Features(name, fingerprint, dimension, BLOCK, function)


@FEATURES.register("classifier", reference="arXiv:1806.07755")
def classifier(dataset: Dataset, request: DataRequest) -> Features:
    """The penultimate layer of a small classifier that is fitted once to the real data.

    Args:
        dataset: the real data, labelled images.
        request: the request that loaded them, also used for their test split.

    Returns:
        64 features; for `stacked-mnist` 64 per channel.

    Raises:
        UserError: if the data have no labels.
    """
    fitted = fitted_classifier(dataset, request)
    parts = dataset.spec.shape[-1] if fitted.by_channel else 1
    dimension = parts * fitted.params["output/kernel"].shape[0]
    fingerprint = _hash("classifier v1", fitted.fingerprint, fitted.by_channel)

    def function(block: np.ndarray) -> Any:
        return read_block(fitted, block)[0].reshape(len(block), dimension)

    def embed(images: jax.Array) -> jax.Array:
        return read_block(fitted, (images + 1) * 127.5)[0].reshape(len(images), dimension)

    return Features("classifier", fingerprint, dimension, BLOCK, function, embed=embed)


@FEATURES.register("encoder", reference="jax.export")
def encoder(dataset: Dataset, request: DataRequest, path: str = "") -> Features:
    """Your own function from images to vectors, exported by `jax.export`.

    It takes one array of images, (n, height, width, channels), uint8 or float32 in [-1, 1], with a
    symbolic or fixed batch, and returns (n, features). It runs in this program, so use only files
    from sources that you trust.

    Args:
        dataset: the real data.
        request: not used.
        path: the file, the bytes of `jax.export.export(jax.jit(f))(...).serialize()`.

    Raises:
        UserError: if the file is not such a function, or does not take images of this shape.
    """
    _require_images(dataset, "encoder")
    if not path:
        raise UserError("the features 'encoder' without a file", "encoder:path=FILE")
    spec = dataset.spec
    loaded = load_encoder(Path(os.path.expanduser(path)), spec.shape, spec.bits)
    fingerprint = _hash("encoder v1", loaded.sha256, *spec.shape)
    return Features(
        "encoder",
        fingerprint,
        loaded.dimension,
        loaded.block,
        loaded.function,
        embed=loaded.embed,
    )


@FEATURES.register("inception", reference="arXiv:1706.08500; torch-fidelity")
def inception(dataset: Dataset, request: DataRequest, weights: str = "") -> Features:
    """The 2,048 features of Inception-v3 that define the FID, by torch-fidelity.

    Grey images are repeated in three channels.

    Args:
        dataset: the real data, images.
        request: not used.
        weights: the file of its weights; empty to download them.

    Raises:
        UserError: if the images are not grey or RGB of 8 bits, torch-fidelity or the weights are
            missing, or the weights are not Inception's.
    """
    _require_images(dataset, "inception")
    if dataset.spec.shape[-1] not in (1, 3) or dataset.spec.bits != 8:
        raise UserError(
            f"the features 'inception' of {dataset.spec.name!r}, images of shape "
            f"{dataset.spec.shape} and {dataset.spec.bits} bits",
            "grey or RGB images of 8 bits",
            "Choose other features, such as pixels",
        )
    block, function, head = load_inception(weights)
    fingerprint = _hash("inception v1", WEIGHTS_SHA256, *dataset.spec.shape)
    return Features("inception", fingerprint, DIMENSION, block, function, head)


def spec_of(text: str | None, inception_weights: Path | None = None) -> str:
    """The spec of the features that a name, a spec, or the file of an encoder denotes.

    Args:
        text: the user's text; None for none.
        inception_weights: the file of Inception's weights, which selects its features.

    Returns:
        The spec; empty for none.
    """
    if inception_weights is not None:
        return f"inception:weights={quoted(str(inception_weights))}"
    if text and text not in FEATURES and os.path.isfile(os.path.expanduser(text)):
        return f"encoder:path={quoted(text)}"
    return text or ""


def _require_images(dataset: Dataset, name: str) -> None:
    if dataset.spec.kind != "image":
        raise UserError(
            f"the features {name!r}, which need images, with {dataset.spec.name!r}, which has "
            f"{dataset.spec.kind}",
            "pixels, which for points are the coordinates",
        )


def _hash(*parts: object) -> str:
    return hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()
