"""One picture of an evaluation: real and generated, nearest training images, classes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gancli.display.pictures import make_grid
from gancli.display.samples import draw_samples, labels_of
from gancli.display.scatter import DOTS_PER_INCH, GENERATED_COLOUR, REAL_COLOUR, save_figure
from gancli.evaluation import Answer, Evaluated
from gancli.evaluation.memorization import nearest_training_images

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from PIL.Image import Image

_SHOWN, _PAIRS, _POINTS, _MOST_CLASSES = 64, 10, 5000, 30


def draw_evaluation(path: Path, answer: Answer) -> None:
    """Draws the evidence of an evaluation.

    For images: grids of real images and samples, the first samples above their nearest training
    images, and the frequencies of classes if the data have labels. For points: samples over real
    points, with the true modes.

    Raises:
        UserError: if the file system refuses.
    """
    from matplotlib.figure import Figure

    evaluated = answer.evaluated
    if evaluated.data.spec.kind != "image":
        points = np.asarray(evaluated.generated[:_POINTS])
        draw_samples(path, points, evaluated.real, _asked_labels(evaluated, len(points)))
        return
    names = evaluated.data.spec.classes
    classes = 1 < len(names) <= _MOST_CLASSES
    heights = [4.4, 1.7, *([1.7] if evaluated.autoencoder else []), *([2.0] if classes else [])]
    size = (9, sum(heights) + 0.3 * len(heights))
    figure = Figure(figsize=size, dpi=DOTS_PER_INCH, layout="constrained")
    grid = figure.add_gridspec(len(heights), 2, height_ratios=heights)
    origin = answer.report.get("generator")
    rows, asked = evaluated.real_rows(_SHOWN), _asked_labels(evaluated, _SHOWN)
    labels = labels_of(evaluated.real, rows) if asked else ()
    _show(figure.add_subplot(grid[0, 0]), evaluated.real.examples[rows], "real", labels)
    title = f"generated, step {origin['step']:,}" if origin else "generated"
    _show(figure.add_subplot(grid[0, 1]), evaluated.generated[:_SHOWN], title, asked)
    _show_pairs(figure.add_subplot(grid[1, :]), evaluated)
    if evaluated.autoencoder:
        images = np.asarray(evaluated.real.examples[evaluated.real_rows(_PAIRS)])
        rows = np.concatenate([images, evaluated.autoencoder.reconstruct(images)])
        title = "real images, and below each its reconstruction"
        _draw(figure.add_subplot(grid[2, :]), make_grid(rows, len(images)), title)
    if classes:
        _show_classes(figure.add_subplot(grid[-1, :]), evaluated)
    save_figure(path, figure)


def _asked_labels(evaluated: Evaluated, count: int) -> list[str]:
    """The labels that the first samples should show; empty if they should show none."""
    if evaluated.asked is None or evaluated.asked.kind != "asked":
        return []
    names = evaluated.data.spec.classes
    return [names[label] for label in evaluated.asked.labels[:count].tolist()]


def _show(axes: "Axes", images: np.ndarray, title: str, labels: Sequence[str]) -> None:
    """A grid of images."""
    _draw(axes, make_grid(np.asarray(images), labels=labels), title)


def _show_pairs(axes: "Axes", evaluated: Evaluated) -> None:
    """Samples above the nearest training images."""
    samples = np.asarray(evaluated.generated[:_PAIRS])
    found = nearest_training_images(evaluated.data.examples, samples, 1)
    nearest = evaluated.data.examples[found.rows[:, 0]]
    picture = make_grid(np.concatenate([samples, nearest]), len(samples))
    _draw(axes, picture, "samples, and below each the nearest training image (in pixels)")


def _draw(axes: "Axes", picture: "Image", title: str) -> None:
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="antialiased")
    axes.set_title(title, fontsize=10)
    axes.set_axis_off()


def _show_classes(axes: "Axes", evaluated: Evaluated) -> None:
    """The frequencies of classes among real examples, and of predicted classes among samples."""
    names, labels = evaluated.data.spec.classes, evaluated.data.labels
    assert labels is not None
    places = np.arange(len(names))
    real = np.bincount(labels, minlength=len(names)) / len(labels)
    read = evaluated.classes
    generated = np.bincount(read, minlength=len(names)) / len(read)
    axes.bar(places - 0.2, real, 0.4, color=REAL_COLOUR, label="real")
    axes.bar(places + 0.2, generated, 0.4, color=GENERATED_COLOUR, label="generated")
    long = max(map(len, names)) > 4
    axes.set_xticks(places, names, rotation=30 if long else 0, ha="right" if long else "center")
    axes.set_ylabel("share of examples")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=2, loc="upper right", bbox_to_anchor=(1, 1.25))
