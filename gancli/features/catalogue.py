"""Features of images: what distances between sets of them are measured on."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gancli.data import DataRequest, Dataset
from gancli.errors import UserError
from gancli.features.blocks import in_blocks
from gancli.features.classifier import BLOCK, read_block
from gancli.features.exported import load_encoder
from gancli.features.fitting import fitted_classifier
from gancli.features.inception import DIMENSION, WEIGHTS_SHA256, load_inception
from gancli.registry import Registry, quoted


class Features(NamedTuple):
    """A function of examples to vectors, applied in blocks of one size.

    `fingerprint` is a hash of everything that decides the function; `dimension` the number
    of values of a vector. `function` takes (block, *shape) of examples as they are stored and
    gives (block, dimension). `inception_head` (classes, dimension) is there for the features
    of Inception alone: it makes logits of them, and lets a Fréchet distance be called FID.
    """

    name: str
    fingerprint: str
    dimension: int
    block: int
    function: Callable[[np.ndarray], Any]
    inception_head: np.ndarray | None = None

    @property
    def is_inception(self) -> bool:
        """Whether they are Inception's."""
        return self.inception_head is not None

    def blocks(self, examples: np.ndarray | Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The features of examples, a block at a time.

        Args:
            examples: (n, *shape) as they are stored, or consecutive parts of it.

        Yields:
            (block, dimension) float32, the last one shorter; those of an example do not depend
            on what follows it.

        Raises:
            UserError: if a feature is not finite.
        """
        first = 0
        for features in in_blocks(self.function, self.block, examples):
            finite = np.isfinite(features).all(axis=1)
            if not finite.all():
                raise UserError(
                    f"the features {self.name!r} of example {first + int(finite.argmin())} are "
                    "not finite",
                    "features that are numbers for every image",
                    "Choose other features",
                )
            first += len(features)
            yield features.astype(np.float32, copy=False)

    def of(self, examples: np.ndarray | Iterable[np.ndarray]) -> np.ndarray:
        """The features of examples, all at once.

        Args:
            examples: (n, *shape) as they are stored, or consecutive parts of it.

        Returns:
            (n, dimension) float32.

        Raises:
            UserError: if a feature is not finite.
        """
        empty = np.zeros((0, self.dimension), np.float32)
        return np.concatenate([empty, *self.blocks(examples)])


# Factories take the data set and what it was loaded with.
FEATURES = Registry("features")


@FEATURES.register("pixels", reference="the examples themselves")
def pixels(dataset: Dataset, request: DataRequest) -> Features:
    """The examples themselves: pixels divided by 255, or the coordinates of points.

    Args:
        dataset: the real data.
        request: not used.

    Returns:
        The features, as many as an example has values.

    Raises:
        UserError: if the examples are tokens, whose numbers are names.
    """
    if dataset.spec.kind == "tokens":
        raise UserError(
            f"the features 'pixels', and {dataset.spec.name!r} holds tokens", "images or points"
        )
    dimension = prod(dataset.spec.shape)
    of_images = dataset.spec.kind == "image"

    def function(block: np.ndarray) -> np.ndarray:
        flat = block.reshape(len(block), dimension)
        values = flat.astype(np.float32)
        return values / np.float32(255) if of_images else values

    fingerprint = _hash("pixels v1", dataset.spec.kind, *dataset.spec.shape)
    name = "pixels" if of_images else "coordinates"
    return Features(name, fingerprint, dimension, BLOCK, function)


@FEATURES.register("classifier", reference="arXiv:1806.07755")
def classifier(dataset: Dataset, request: DataRequest) -> Features:
    """The penultimate layer of a small classifier that is fitted to the real data, once.

    Args:
        dataset: the real data, labelled images.
        request: what they were loaded with, for their test split is to be like them.

    Returns:
        64 features; of `stacked-mnist`, 64 of each channel.

    Raises:
        UserError: if the data have no labels.
    """
    fitted = fitted_classifier(dataset, request)
    parts = dataset.spec.shape[-1] if fitted.by_channel else 1
    dimension = parts * fitted.params["output/kernel"].shape[0]
    fingerprint = _hash("classifier v1", fitted.fingerprint, fitted.by_channel)

    def function(block: np.ndarray) -> Any:
        return read_block(fitted, block)[0].reshape(len(block), dimension)

    return Features("classifier", fingerprint, dimension, BLOCK, function)


@FEATURES.register("encoder", reference="jax.export")
def encoder(dataset: Dataset, request: DataRequest, path: str = "") -> Features:
    """A function of your own from images to vectors, exported by `jax.export`.

    It takes one array of images, (n, height, width, channels), uint8 or float32 in [-1, 1],
    its batch symbolic or fixed, and returns (n, features). It runs in this program: take it from
    whom you trust.

    Args:
        dataset: the real data.
        request: not used.
        path: the file, the bytes of `jax.export.export(jax.jit(f))(...).serialize()`.

    Returns:
        As many features as it gives.

    Raises:
        UserError: if the file is not such a function, or does not take images of this shape.
    """
    _require_images(dataset, "encoder")
    if not path:
        raise UserError("the features 'encoder' have no file", "encoder:path=FILE")
    loaded = load_encoder(Path(path).expanduser(), dataset.spec.shape)
    fingerprint = _hash("encoder v1", loaded.sha256, *dataset.spec.shape)
    return Features("encoder", fingerprint, loaded.dimension, loaded.block, loaded.function)


@FEATURES.register("inception", reference="arXiv:1706.08500; torch-fidelity")
def inception(dataset: Dataset, request: DataRequest, weights: str = "") -> Features:
    """The 2,048 features of Inception-v3 that the FID is defined on, by torch-fidelity.

    Grey images are repeated in three channels.

    Args:
        dataset: the real data, images.
        request: not used.
        weights: the file of its weights; empty to have them downloaded.

    Returns:
        The features.

    Raises:
        UserError: if torch-fidelity or the weights are missing, or the weights are others.
    """
    _require_images(dataset, "inception")
    block, function, head = load_inception(weights)
    fingerprint = _hash("inception v1", WEIGHTS_SHA256, *dataset.spec.shape)
    return Features("inception", fingerprint, DIMENSION, block, function, head)


def spec_of(text: str | None, inception_weights: Path | None = None) -> str:
    """The spec of the features that are meant by a name, a spec, or the file of an encoder.

    Args:
        text: what the user gave; None for nothing.
        inception_weights: the file of Inception's weights, where features are to be its.

    Returns:
        The spec, empty for nothing.
    """
    if inception_weights is not None:
        return f"inception:weights={quoted(str(inception_weights))}"
    if text and text not in FEATURES and Path(text).expanduser().is_file():
        return f"encoder:path={quoted(text)}"
    return text or ""


def _require_images(dataset: Dataset, name: str) -> None:
    if dataset.spec.kind != "image":
        raise UserError(
            f"the features {name!r} are of images, and {dataset.spec.name!r} holds "
            f"{dataset.spec.kind}",
            "pixels, which of points are the coordinates",
        )


def _hash(*parts: object) -> str:
    return hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()
