"""Pictures of points in the plane: what a generator makes of a two-dimensional data set.

Generated points lie over the real ones, and the window follows the real ones, so that a
generator that throws points far away can still be seen; those beyond are counted.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gancli.display.pictures import check_steps, choose_evenly, save_animation
from gancli.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REAL_COLOUR = "#c4c4c4"
GENERATED_COLOUR = "#1f6fd0"
CENTRE_COLOUR = "#c8321e"
MARGIN = 0.1
MOST_PANELS = 12
PANELS_ACROSS = 4
DOTS_PER_INCH = 120


class Window(NamedTuple):
    """The square part of the plane that is shown: its middle and half its side."""

    x: float
    y: float
    half: float


def draw_points(
    path: str | Path,
    points: np.ndarray,
    real: np.ndarray | None = None,
    centres: np.ndarray | None = None,
) -> None:
    """Draws generated points over real ones, the true modes' centres as crosses.

    Args:
        path: where to write the PNG.
        points: generated, (count, 2).
        real: real points, (count, 2).
        centres: the true modes' centres, (modes, 2).

    Raises:
        ValueError: if an array is not of shape (count, 2) or is empty.
    """
    _write_figure(path, points_figure(points, real, centres))


def draw_points_strip(
    path: str | Path,
    steps: Sequence[int],
    history: Sequence[np.ndarray],
    real: np.ndarray | None = None,
    centres: np.ndarray | None = None,
) -> None:
    """Draws how generated points moved: a panel a training step, at most 12 of them.

    Args:
        path: where to write the PNG.
        steps: training steps, increasing.
        history: generated points at each step, (count, 2) each.
        real: real points, (count, 2).
        centres: the true modes' centres, (modes, 2).

    Raises:
        ValueError: if steps and history do not fit together, or an array is not (count, 2).
    """
    _write_figure(path, strip_figure(steps, history, real, centres))


def points_animation(path: str | Path, frames: Sequence[np.ndarray] | np.ndarray) -> None:
    """Writes moving points as an animation that loops, WebP or GIF by the path's suffix.

    Args:
        path: where to write, ending in .webp or .gif.
        frames: generated points in each frame, (count, 2) each.

    Raises:
        ValueError: if an array is not of shape (count, 2), or the suffix is another.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    moving = [_checked(frame, "points of a frame") for frame in frames]
    window = _window_of(moving, None, None)
    figure = points_figure(moving[0], window=window)
    canvas, axes = FigureCanvasAgg(figure), figure.axes[0]
    generated = next(one for one in axes.collections if one.get_label() == "generated")
    pictures = []
    for points in moving:
        generated.set_offsets(points[_inside(points, window)])
        axes.set_xlabel(caption(points, window))
        canvas.draw()
        # The layout of the first frame holds for all, lest the panel jitters.
        figure.set_layout_engine("none")
        pictures.append(np.array(canvas.buffer_rgba())[..., :3])
    save_animation(path, np.stack(pictures))


def points_figure(
    points: np.ndarray,
    real: np.ndarray | None = None,
    centres: np.ndarray | None = None,
    window: Window | None = None,
) -> "Figure":
    """The figure that `draw_points` writes.

    Args:
        points: generated, (count, 2).
        real: real points, (count, 2).
        centres: the true modes' centres, (modes, 2).
        window: the part of the plane to show; chosen by `choose_window` where None.

    Returns:
        A figure of one panel.

    Raises:
        ValueError: if an array is not of shape (count, 2) or is empty.
    """
    from matplotlib.figure import Figure

    points = _checked(points, "points")
    figure = Figure(figsize=(4.8, 5.2), dpi=DOTS_PER_INCH, layout="constrained")
    axes = figure.subplots()
    window = window or _window_of([points], real, centres)
    _draw_panel(axes, points, real, centres, window)
    axes.set_xlabel(caption(points, window))
    figure.legend(loc="outside upper center", ncols=3, frameon=False, markerscale=1.5)
    return figure


def strip_figure(
    steps: Sequence[int],
    history: Sequence[np.ndarray],
    real: np.ndarray | None = None,
    centres: np.ndarray | None = None,
) -> "Figure":
    """The figure that `draw_points_strip` writes.

    Args:
        steps: training steps, increasing.
        history: generated points at each step, (count, 2) each.
        real: real points, (count, 2).
        centres: the true modes' centres, (modes, 2).

    Returns:
        A figure with a panel for each step shown.

    Raises:
        ValueError: if steps and history do not fit together, or an array is not (count, 2).
    """
    from matplotlib.figure import Figure

    history = [_checked(points, "points of a step") for points in history]
    check_steps(steps, history)
    chosen = choose_evenly(len(steps), MOST_PANELS)
    window = _window_of(history, real, centres)
    columns = min(len(chosen), PANELS_ACROSS)
    rows = -(-len(chosen) // columns)
    size = max(3.6, 2.3 * columns + 0.4), 2.6 * rows + 0.4
    figure = Figure(figsize=size, dpi=DOTS_PER_INCH, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for place, (panel, index) in enumerate(zip(panels, chosen, strict=False)):
        _draw_panel(panel, history[index], real, centres, window)
        panel.set_title(f"step {steps[index]:,}", fontsize=10)
        panel.tick_params(
            labelsize=7,
            labelleft=place % columns == 0,
            labelbottom=place + columns >= len(chosen),
        )
        if count_outside(history[index], window):
            panel.set_xlabel(caption(history[index], window), fontsize=8)
    for panel in panels[len(chosen) :]:
        panel.remove()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper center", ncols=3, frameon=False, markerscale=1.5
    )
    return figure


def choose_window(points: np.ndarray, centres: np.ndarray | None = None) -> Window:
    """The part of the plane that shows points, however far away a few of them are.

    On each axis it reaches from the least to the greatest value, leaving out values that are
    further beyond the 5th and 95th percentiles than these are apart; it always holds the
    centres; a tenth of that size is left free on each side.

    Args:
        points: (count, 2); values that are not finite are ignored.
        centres: (modes, 2).

    Returns:
        A square window.
    """
    points = _finite(points)
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
    # Points all in one place, or too near each other for an axis to tell them apart.
    if half <= 1e-9 * distance:
        return Window(float(x), float(y), max(1.0, MARGIN * distance))
    return Window(float(x), float(y), half * (1 + 2 * MARGIN))


def count_outside(points: np.ndarray, window: Window) -> int:
    """How many points, those that are not finite among them, lie outside the window."""
    return len(points) - int(_inside(points, window).sum())


def caption(points: np.ndarray, window: Window) -> str:
    """What to write below a panel: how many points there are, or how many are not seen."""
    outside = count_outside(points, window)
    return f"{outside} of {len(points)} outside" if outside else f"{len(points)} points"


def _checked(points: np.ndarray, what: str) -> np.ndarray:
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise ValueError(f"{what} must be of shape (count, 2) and not empty, not {points.shape}")
    return points


def _finite(points: np.ndarray) -> np.ndarray:
    return points[np.isfinite(points).all(axis=1)]


def _inside(points: np.ndarray, window: Window) -> np.ndarray:
    distance = np.abs(points - np.array([window.x, window.y]))
    return np.all(distance <= window.half, axis=1)


def _window_of(
    history: Sequence[np.ndarray], real: np.ndarray | None, centres: np.ndarray | None
) -> Window:
    reference = np.concatenate(history) if real is None else _checked(real, "real points")
    return choose_window(reference, None if centres is None else _checked(centres, "centres"))


def _draw_panel(
    axes: "Axes",
    points: np.ndarray,
    real: np.ndarray | None,
    centres: np.ndarray | None,
    window: Window,
) -> None:
    if real is not None:
        real = _checked(real, "real points")
        seen = real[_inside(real, window)].T
        axes.scatter(*seen, s=5, c=REAL_COLOUR, lw=0, label="real")
    seen = points[_inside(points, window)].T
    axes.scatter(*seen, s=5, c=GENERATED_COLOUR, lw=0, alpha=0.6, label="generated")
    if centres is not None:
        crosses = _checked(centres, "centres").T
        axes.scatter(*crosses, s=24, c=CENTRE_COLOUR, marker="x", lw=0.9, label="true modes")
    axes.set_xlim(window.x - window.half, window.x + window.half)
    axes.set_ylim(window.y - window.half, window.y + window.half)
    axes.set_aspect("equal")


def _write_figure(path: str | Path, figure: "Figure") -> None:
    with replacing(Path(path)) as part:
        figure.savefig(part, format="png", facecolor="white")
