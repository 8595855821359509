"""Stacked MNIST: a thousand modes that a classifier can count."""

import os
from pathlib import Path
from typing import Annotated

import numpy as np

from gancli.data import cache
from gancli.data.dataset import DATASETS, DataRequest, Dataset, Seed
from gancli.data.formats import idx, tfds
from gancli.errors import UserError
from gancli.registry import Bounds


@DATASETS.register("stacked-mnist", reference="arXiv:1712.04086")
def stacked_mnist(
    request: DataRequest,
    *,
    count: Annotated[int, Bounds(1, 10_000_000)] = 128_000,
    seed: Seed = 0,
    source: str = "mnist",
) -> Dataset:
    """Three random digits as the channels of one image, in 1,000 classes.

    Digits a, b and c, drawn independently with replacement, have label 100 a + 10 b + c.

    Args:
        request: the split of the digits, and the size.
        count: number of triples, drawn once.
        seed: decides the triples.
        source: the digits: a TensorFlow Datasets name or a folder of IDX files.

    Returns:
        Images (count, height, width, 3) uint8, classes `000` to `999`.

    Raises:
        UserError: if the digits cannot be read, are not grey, or are not of ten classes.
    """
    folder = Path(os.path.expanduser(source))
    digits = idx.read(folder, request) if folder.is_dir() else tfds.read(source, request)
    if digits.spec.shape[-1] != 1 or len(digits.spec.classes) != 10 or digits.labels is None:
        raise UserError(
            f"{source!r} has images of shape {digits.spec.shape} in "
            f"{len(digits.spec.classes)} classes",
            "grey images of ten labelled classes",
            "Use source=mnist or source=fashion_mnist",
        )
    generator = np.random.Generator(np.random.PCG64(seed))
    triples = generator.integers(len(digits.examples), size=(count, 3))
    labels = digits.labels[triples] @ np.array([100, 10, 1])
    classes = tuple(f"{number:03d}" for number in range(1000))
    shape = (*digits.spec.shape[:2], 3)
    key = f"stacked {digits.fingerprint} {count} {seed}"
    items = (
        (np.ascontiguousarray(digits.examples[triple, :, :, 0].transpose(1, 2, 0)), int(label))
        for triple, label in zip(triples, labels, strict=True)
    )
    return cache.decode_once(key, count, shape, items, classes)
