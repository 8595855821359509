"""Sequences of tokens as lines of text, or as images if tokens are pixels."""

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from gancli.data.dataset import DataSpec
from gancli.errors import printable
from gancli.files import replacing

_GROWING = 3


def lines_of(tokens: np.ndarray, characters: str) -> list[str]:
    """Converts sequences (n, length) to lines of characters, or of numbers if there are none.

    Line breaks and unprintable characters are escaped.
    """
    if not characters:
        return [" ".join(map(str, row)) for row in tokens.tolist()]
    return [printable("".join(characters[token] for token in row)) for row in tokens.tolist()]


def pictures_of(tokens: np.ndarray, spec: DataSpec) -> np.ndarray:
    """Converts sequences (n, length) of pixels to images, uint8 (n, height, width, 1).

    Token 0 is black, and the last token of the vocabulary white.
    """
    levels = np.linspace(0, 255, spec.vocabulary).round().astype(np.uint8)
    return levels[tokens].reshape(len(tokens), spec.height, -1, 1)


def write_sequences(path: Path, tokens: np.ndarray, characters: str) -> None:
    """Writes sequences in UTF-8, one per line.

    Args:
        path: the file, written completely or not at all.
        tokens: (n, length).
        characters: the character of each token; empty for numbers.
    """
    _write(path, lines_of(tokens, characters))


def write_growth(
    path: Path, steps: Sequence[int], history: Iterable[np.ndarray], characters: str
) -> None:
    """Writes the first sequences of each step, one step per line.

    Args:
        path: the file.
        steps: training steps.
        history: the sequences (n, length) of each step.
        characters: the character of each token; empty for numbers.
    """
    rows = zip(steps, history, strict=True)
    _write(
        path,
        (
            f"{step:>8}  {' | '.join(lines_of(tokens[:_GROWING], characters))}"
            for step, tokens in rows
        ),
    )


def first_lines(path: Path, count: int) -> list[str]:
    """The first lines of such a file."""
    with path.open(encoding="utf-8") as file:
        return [line.rstrip("\n") for line in itertools.islice(file, count)]


def _write(path: Path, lines: Iterable[str]) -> None:
    with replacing(path) as beside, beside.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)
