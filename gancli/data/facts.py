"""Facts about a data set: its fingerprint, and the facts that `gan data info` shows."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from gancli.data.dataset import Dataset
from gancli.errors import printable

BLOCK_BYTES = 1 << 24


def fingerprint(
    examples: np.ndarray, labels: np.ndarray | None = None, characters: str = ""
) -> str:
    """The SHA-256 of examples and labels, independent of their file format.

    The hash covers the shape and type, and the characters of a text, then the examples' bytes, then
    the labels' bytes, in little-endian C order.

    Args:
        examples: (count, *shape), maybe memory-mapped.
        labels: (count,), or None.
        characters: the characters of a text's tokens.

    Returns:
        64 hexadecimal digits.
    """
    little = examples.dtype.newbyteorder("<")
    header = {"shape": examples.shape, "type": little.str, "labels": labels is not None}
    header |= {"characters": characters} if characters else {}
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for block in blocks(examples):
        digest.update(np.ascontiguousarray(block, dtype=little).tobytes())
    if labels is not None:
        digest.update(np.ascontiguousarray(labels, dtype="<i4").tobytes())
    return digest.hexdigest()


def blocks(examples: np.ndarray) -> Iterator[np.ndarray]:
    """Splits examples into blocks of about 16 MiB, so that a mapped file is never all in memory.

    Args:
        examples: (count, *shape).

    Returns:
        Consecutive views of `examples` along the first axis.
    """
    each = max(1, examples.nbytes // max(1, len(examples)))
    rows = max(1, BLOCK_BYTES // each)
    for start in range(0, len(examples), rows):
        yield examples[start : start + rows]


def describe(dataset: Dataset) -> dict[str, Any]:
    """Describes a data set for a person who wants to train on it.

    Args:
        dataset: any data set; a memory-mapped one is read in blocks.

    Returns:
        Plain values, ready for JSON: name, kind, shape, count, type, bytes, range (minimum
        and maximum), mean, labels (number of examples by class name; empty if there are none),
        modes (their number, 0 if unknown) and fingerprint. For tokens also vocabulary, the number
        of different tokens, characters, and height (of the images if tokens are pixels).
    """
    spec, examples = dataset.spec, dataset.examples
    lowest, highest, total = np.inf, -np.inf, 0.0
    for block in blocks(examples):
        lowest = min(lowest, float(block.min()))
        highest = max(highest, float(block.max()))
        total += float(block.sum(dtype=np.float64))
    counts: dict[str, int] = {}
    if dataset.labels is not None:
        numbers = np.bincount(dataset.labels, minlength=len(spec.classes))
        counts = {name: int(number) for name, number in zip(spec.classes, numbers, strict=True)}
    of_tokens = {
        "vocabulary": spec.vocabulary,
        "characters": printable(spec.characters),
        "height": spec.height,
    }
    return {
        "name": spec.name,
        "kind": spec.kind,
        "shape": list(spec.shape),
        "count": len(examples),
        "type": examples.dtype.name,
        "bytes": int(examples.nbytes),
        "range": [lowest, highest],
        "mean": total / examples.size,
        "labels": counts,
        "modes": 0 if dataset.modes is None else len(dataset.modes.centres),
        "fingerprint": dataset.fingerprint,
        **(of_tokens if spec.vocabulary else {}),
    }
