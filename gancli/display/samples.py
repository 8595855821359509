"""Pictures of a run's samples: a grid, scatter plot or text per step, and their progress."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from gancli.data.dataset import Dataset
from gancli.display import pictures, scatter
from gancli.display.sequences import pictures_of, write_growth, write_sequences
from gancli.evaluation.variation import Mixture

_REAL_POINTS_SHOWN = 2000
_MOST_PANELS = 8


def draw_samples(
    path: Path,
    examples: np.ndarray,
    dataset: Dataset | None = None,
    labels: Sequence[str] = (),
    real: bool = False,
) -> Path:
    """Draws images as a grid or points over the real ones, or writes sequences as lines.

    Args:
        path: the PNG file; sequences go to a .txt of the same name instead.
        examples: images (n, height, width, channels), points (n, 2) or tokens (n, length).
        dataset: gives the real points and modes, or the meaning of tokens; None for neither.
        labels: text below each image, colour of each point; labels that cycle get a column each.
        real: whether the examples are real ones themselves.

    Returns:
        The path of the written file.
    """
    if dataset and dataset.spec.height:
        examples = pictures_of(examples, dataset.spec)
    if _are_tokens(examples):
        path = path.with_suffix(".txt")
        write_sequences(path, examples, dataset.spec.characters if dataset else "")
    elif examples.ndim == 4:
        pictures.save_png(path, pictures.make_grid(examples, labels=labels))
    else:
        behind, centres = _background(dataset)
        figure = scatter.points_figure(
            {"": examples},
            None if real else behind,
            centres,
            labels=labels,
            name="real" if real else "generated",
        )
        scatter.save_figure(path, figure)
    return path


def labels_of(dataset: Dataset, rows: np.ndarray) -> list[str]:
    """The names of the labels of some of a data set's examples; empty if there are no labels."""
    if dataset.labels is None:
        return []
    return [dataset.spec.classes[label] for label in np.asarray(dataset.labels)[rows].tolist()]


def draw_traversal(path: Path, examples: np.ndarray, values: Sequence[str]) -> Path:
    """Draws examples that differ only in one code, a row of images for each noise.

    Args:
        path: the PNG file.
        examples: (rows, values, height, width, channels).
        values: text below the images of each column.
    """
    rows, columns, *shape = examples.shape
    grid = pictures.make_grid(examples.reshape(-1, *shape), columns, [*values] * rows)
    pictures.save_png(path, grid)
    return path


def draw_mixture(path: Path, mixture: Mixture) -> Path:
    """Draws mixed styles, with the coarse sources on the left and the fine ones at the top.

    Args:
        path: the PNG file.
        mixture: images.
    """
    coarse, fine, mixed = map(pictures.visible, mixture)
    colour = np.array(pictures.background(fine.shape[-1]), np.uint8)
    corner = np.broadcast_to(colour, fine[:1].shape)
    top = np.concatenate([corner, fine])[np.newaxis]
    tiles = np.concatenate([top, np.concatenate([coarse[:, np.newaxis], mixed], axis=1)])
    grid = pictures.make_grid(tiles.reshape(-1, *tiles.shape[2:]), tiles.shape[1])
    pictures.save_png(path, grid)
    return path


def draw_growth(
    path: Path,
    history: Iterable[tuple[int, np.ndarray]],
    dataset: Dataset | None = None,
    labels: Sequence[str] = (),
) -> Path | None:
    """Draws samples of the same latents over training, the first step first.

    Args:
        path: the PNG file; sequences go to a .txt of the same name instead.
        history: steps and the examples sampled at each; nothing is drawn where there are none.
        dataset: the real points and modes to show behind, what tokens stand for; None for nothing.
        labels: those of the examples of each step; empty for none.

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
        pictures.save_png(path, pictures.make_strip(steps, examples, labels))
    else:
        chosen = pictures.choose_evenly(len(steps), _MOST_PANELS)
        panels = {f"step {steps[index]:,}": examples[index] for index in chosen}
        figure = scatter.points_figure(panels, *_background(dataset), labels=labels)
        scatter.save_figure(path, figure)
    return path


def _are_tokens(examples: np.ndarray) -> bool:
    return examples.ndim == 2 and examples.dtype.kind in "iu"


def _background(dataset: Dataset | None) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Real points, and the centres of modes."""
    if dataset is None:
        return None, None
    real = np.asarray(dataset.examples[:_REAL_POINTS_SHOWN])
    return real, dataset.modes.centres if dataset.modes else None
