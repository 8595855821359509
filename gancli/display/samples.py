"""Pictures of a run's samples: a grid, scatter plot or text per step, and their progress."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from gancli.data.dataset import Dataset
from gancli.display import pictures, scatter
from gancli.display.sequences import pictures_of, write_growth, write_sequences

_REAL_POINTS_SHOWN = 2000
_MOST_IN_TURN = 20
_MOST_PANELS = 8


def draw_samples(
    path: Path,
    examples: np.ndarray,
    dataset: Dataset | None = None,
    labels: Sequence[str] = (),
) -> Path:
    """Draws images as a grid or points over the real ones, or writes sequences as lines.

    Args:
        path: the PNG file; sequences go to a .txt of the same name instead.
        examples: (n, height, width, channels) uint8, (n, 2) float32, or tokens (n, length).
        dataset: gives the real points and modes, or the meaning of tokens; None for neither.
        labels: text below each image; labels that cycle get a column each.

    Returns:
        The path of the written file.
    """
    if dataset and dataset.spec.height:
        examples = pictures_of(examples, dataset.spec)
    if _are_tokens(examples):
        path = path.with_suffix(".txt")
        write_sequences(path, examples, dataset.spec.characters if dataset else "")
    elif examples.ndim == 4:
        turn = len(set(labels))
        in_turn = 1 < turn <= _MOST_IN_TURN and list(labels[turn:]) == list(labels[:-turn])
        columns = turn * max(1, round(len(labels) ** 0.5 / turn)) if in_turn else None
        pictures.save_png(path, pictures.make_grid(examples, columns, labels))
    else:
        scatter.save_figure(path, scatter.points_figure({"": examples}, *_background(dataset)))
    return path


def draw_traversal(path: Path, examples: np.ndarray) -> Path:
    """Draws examples that differ only in one code, a row of images for each noise.

    Args:
        path: the PNG file.
        examples: (rows, values, height, width, channels) uint8.
    """
    _, columns, *shape = examples.shape
    pictures.save_png(path, pictures.make_grid(examples.reshape(-1, *shape), columns))
    return path


def draw_growth(
    path: Path, history: Iterable[tuple[int, np.ndarray]], dataset: Dataset | None = None
) -> Path | None:
    """Draws samples of the same latents over training, the first step first.

    Args:
        path: the PNG file; sequences go to a .txt of the same name instead.
        history: steps and the examples sampled at each; nothing is drawn where there are none.
        dataset: the real points and modes to show behind, what tokens stand for; None for nothing.

    Returns:
        The path of what was written, if anything was.
    """
    if not (held := list(history)):
        return None
    steps, examples = zip(*held, strict=True)
    if dataset and dataset.spec.height:
        examples = [pictures_of(tokens, dataset.spec) for tokens in examples]
    if _are_tokens(examples[0]):
        path = path.with_suffix(".txt")
        write_growth(path, steps, examples, dataset.spec.characters if dataset else "")
    elif examples[0].ndim == 4:
        pictures.save_png(path, pictures.make_strip(steps, examples))
    else:
        chosen = pictures.choose_evenly(len(steps), _MOST_PANELS)
        panels = {f"step {steps[index]:,}": examples[index] for index in chosen}
        scatter.save_figure(path, scatter.points_figure(panels, *_background(dataset)))
    return path


def _are_tokens(examples: np.ndarray) -> bool:
    return examples.ndim == 2 and examples.dtype.kind in "iu"


def _background(dataset: Dataset | None) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Real points, and the centres of modes."""
    if dataset is None:
        return None, None
    real = np.asarray(dataset.examples[:_REAL_POINTS_SHOWN])
    return real, dataset.modes.centres if dataset.modes else None
