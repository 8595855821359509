"""Pictures of points in the plane, for generators of two-dimensional data.

Generated points are drawn over the real ones. The window follows the real ones, so that distant
generated points do not shrink the picture; points outside the window are counted. Points with
labels are coloured by them, and the name of each label stands at the median of its points.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gancli.files import already_there, replacing

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image

REAL_COLOUR = "#c4c4c4"
GENERATED_COLOUR = "#1f6fd0"
CENTRE_COLOUR = "#c8321e"
LABEL_COLOURS = (
    "#1f6fd0", "#e07b00", "#2a9d4a", "#8a4fbf", "#8c5a3c", "#d14f9c", "#5f6b78", "#9a9a00",
    "#00a5b5", "#3b3fa8",
)  # fmt: skip
MARGIN = 0.1
PANELS_ACROSS = 4
MOST_NAMED = 30
DOTS_PER_INCH = 120
DRAWN_BY = "gan"


class Window(NamedTuple):
    """The visible square of the plane: its centre and half its side."""

    x: float
    y: float
    half: float


def points_figure(
    history: Mapping[str, np.ndarray],
    real: np.ndarray | None = None,
    centres: np.ndarray | None = None,
    window: Window | None = None,
    labels: Sequence[str] = (),
    name: str = "generated",
) -> "Figure":
    """Draws generated points over real ones, with the true modes' centres as crosses.

    Args:
        history: generated points, (count, 2), by panel title.
        real: real points, (count, 2).
        centres: the true modes' centres, (modes, 2).
        window: the part of the plane to show; None for that of the real points, or of all
            generated points if there are no real ones.
        labels: the label of each generated point, the same in each panel; empty for none.
        name: what the generated points are called, where they are others.

    Returns:
        A figure with a panel for each entry; a single panel is large.
    """
    from matplotlib.figure import Figure

    reference = np.concatenate(list(history.values())) if real is None else real
    window = window or choose_window(reference, centres)
    alone, columns = len(history) == 1, min(len(history), PANELS_ACROSS)
    rows = -(-len(history) // columns)
    size = (4.8, 5.2) if alone else (max(3.6, 2.3 * columns + 0.4), 2.6 * rows + 0.4)
    figure = Figure(size, DOTS_PER_INCH, facecolor="white", layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for place, (panel, (title, points)) in enumerate(zip(panels, history.items(), strict=False)):
        _draw_panel(panel, points, real, centres, window, labels, name)
        panel.set_title(title, fontsize=10)
        if not alone:
            left, bottom = place % columns == 0, place + columns >= len(history)
            panel.tick_params(labelsize=7, labelleft=left, labelbottom=bottom)
        if alone or count_outside(points, window):
            panel.set_xlabel(caption(points, window), fontsize=10 if alone else 8)
    for panel in panels[len(history) :]:
        panel.remove()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=3,
                  frameon=False, markerscale=1.5)  # fmt: skip
    if not alone:  # After a single layout, panels of equal axes exceed the figure's lower edge.
        figure.draw_without_rendering()
    return figure


def save_figure(path: Path, figure: "Figure") -> None:
    """Writes a figure as a PNG, completely or not at all."""
    with replacing(path) as part:
        metadata = {"Software": DRAWN_BY}
        figure.savefig(part, format="png", facecolor="white", metadata=metadata)


def require_own_figure(path: Path, option: str) -> None:
    """Refuses a place where a figure would replace a file that `save_figure` has not written.

    Args:
        path: the place.
        option: by which the user chose it.

    Raises:
        UserError: naming the file that is there.
    """
    from PIL import Image

    if not os.path.lexists(path):
        return
    try:
        with Image.open(path) as image:
            drawn_by = image.info.get("Software")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        drawn_by = None
    if drawn_by != DRAWN_BY:
        raise already_there(path, option)


def painter(
    window: Window,
    real: np.ndarray | None = None,
    centres: np.ndarray | None = None,
    size: tuple[float, float] = (4.8, 5.2),
    dots_per_inch: int = DOTS_PER_INCH,
) -> Callable[[np.ndarray, Sequence[str]], "Image"]:
    """Draws any number of pictures of moving points with the same layout.

    Args:
        window: the part of the plane to show.
        real: real points, (count, 2).
        centres: the true modes' centres, (modes, 2).
        size: width and height of a picture, in inches.
        dots_per_inch: pixels per inch.

    Returns:
        A function from generated points (count, 2), and the label of each or none, to a Pillow
        image.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    figure = points_figure({"": np.zeros((1, 2))}, real, centres, window)
    figure.set_size_inches(size)
    figure.set_dpi(dots_per_inch)
    figure.draw_without_rendering()
    # The layout takes most of the time, and a new layout would make the panel jitter.
    figure.set_layout_engine("none")
    canvas, axes = FigureCanvasAgg(figure), figure.axes[0]
    drawn: list[Artist] = [one for one in axes.collections if one.get_label() == "generated"]

    def paint(points: np.ndarray, labels: Sequence[str] = ()) -> "Image":
        for one in drawn:
            one.remove()
        drawn[:] = _draw_points(axes, points, window, labels, "generated")
        axes.set_xlabel(caption(points, window))
        canvas.draw()
        return Image.fromarray(np.array(canvas.buffer_rgba())[..., :3])

    return paint


def choose_window(points: np.ndarray, centres: np.ndarray | None = None) -> Window:
    """The part of the plane that shows the points, without outliers.

    On each axis it spans the values, except those further beyond the 5th or 95th percentile than
    the distance of these percentiles. It always contains the centres, and has a margin of a tenth
    on each side.

    Args:
        points: (count, 2); values that are not finite are ignored.
        centres: (modes, 2).

    Returns:
        A square window.
    """
    points = points[np.isfinite(points).all(axis=1)].astype(np.float64)
    if not len(points):
        points = np.zeros((1, 2)) if centres is None else centres
    low, high = np.percentile(points, [5, 95], axis=0)
    reach = high - low
    low = np.where(points >= low - reach, points, np.inf).min(axis=0)
    high = np.where(points <= high + reach, points, -np.inf).max(axis=0)
    if centres is not None:
        low, high = np.minimum(low, centres.min(axis=0)), np.maximum(high, centres.max(axis=0))
    x, y = (low + high) / 2
    half = float((high - low).max()) / 2
    distance = float(max(abs(x), abs(y)))
    # Points in one place, or too close to each other for an axis to distinguish.
    if half <= 1e-9 * distance:
        return Window(float(x), float(y), max(1.0, MARGIN * distance))
    return Window(float(x), float(y), half * (1 + 2 * MARGIN))


def count_outside(points: np.ndarray, window: Window) -> int:
    """Number of points outside the window, including points that are not finite."""
    return len(points) - int(_inside(points, window).sum())


def caption(points: np.ndarray, window: Window) -> str:
    """The text below a panel: the number of points, or the number outside the window."""
    outside = count_outside(points, window)
    return f"{outside} of {len(points)} outside" if outside else f"{len(points)} points"


def _inside(points: np.ndarray, window: Window) -> np.ndarray:
    distance = np.abs(points - np.array([window.x, window.y]))
    return np.all(distance <= window.half, axis=1)


def _draw_panel(
    axes: "Axes",
    points: np.ndarray,
    real: np.ndarray | None,
    centres: np.ndarray | None,
    window: Window,
    labels: Sequence[str],
    name: str,
) -> None:
    if real is not None:
        seen = real[_inside(real, window)].T
        axes.scatter(*seen, s=5, c=REAL_COLOUR, lw=0, label="real")
    _draw_points(axes, points, window, labels, name)
    if centres is not None:
        axes.scatter(*centres.T, s=24, c=CENTRE_COLOUR, marker="x", lw=0.9, label="true modes",
                     zorder=2)  # fmt: skip
    axes.set_xlim(window.x - window.half, window.x + window.half)
    axes.set_ylim(window.y - window.half, window.y + window.half)
    axes.set_aspect("equal")


def _draw_points(
    axes: "Axes", points: np.ndarray, window: Window, labels: Sequence[str], name: str
) -> "list[Artist]":
    """Draws the points inside the window, in the colours of their labels, and names these."""
    inside = _inside(points, window)
    numbers = {label: number for number, label in enumerate(sorted(set(labels)))}
    colours = GENERATED_COLOUR
    if labels:
        own = [LABEL_COLOURS[numbers[label] % len(LABEL_COLOURS)] for label in labels]
        colours = [own[index] for index in np.flatnonzero(inside)]
    drawn: list[Artist] = [
        axes.scatter(*points[inside].T, s=5, c=colours, lw=0, alpha=0.6, label=name)
    ]
    of_label = np.array([numbers[label] for label in labels], np.int64)
    for label, number in numbers.items() if len(numbers) <= MOST_NAMED else ():
        own = points[inside & (of_label == number)]
        if len(own):
            x, y = np.median(own, axis=0)
            drawn.append(axes.annotate(
                label, (x, y), (0, 7), textcoords="offset points", fontsize=8,
                ha="center", va="center", color=LABEL_COLOURS[number % len(LABEL_COLOURS)],
                bbox={"boxstyle": "round,pad=0.15", "fc": "white", "alpha": 0.75, "lw": 0},
                annotation_clip=True, parse_math=False,
            ))  # fmt: skip
    return drawn
