"""Charts as SVG images: the ranking of variants, and performance profiles.

Colours suit a light page; its style inverts them on a dark one. A number beside each line
identifies its variant. The same values give the same bytes.
"""

import io
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gancli.comparison import Answer, Outcome
from gancli.comparison.statistics import performance_profile
from gancli.comparison.verdicts import values_of
from gancli.errors import printable
from gancli.report.page import Chart, Key
from gancli.report.records import LARGEST

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, FAINT, BACK = "#1c2024", "#b8bec6", "#ffffff"
COLOURS = ("#0072b2", "#d04f00", "#00805c", "#a9437e", "#b07a00", "#2b8fc9", "#5c5c5c")
MOST_LINES = 28
DASHES = ((), (5, 2), (1, 1.5), (5, 1.5, 1, 1.5))
WIDTH = 3.5
LONGEST_NAME = 22
_ROW = 0.24
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "gan",
    "text.parse_math": False,
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.limits": (-3, 4),
    "axes.formatter.use_mathtext": False,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": FAINT,
    "grid.linewidth": 0.4,
    "grid.alpha": 0.5,
}


class Line(NamedTuple):
    """The line style of a variant: its number, colour, and dashes in line widths."""

    number: int
    colour: str
    dashes: tuple[float, ...]

    @property
    def style(self) -> tuple[float, tuple[float, ...] | None]:
        """The dashes in matplotlib's format."""
        return 0, self.dashes or None


def line_of(place: int) -> Line:
    """The line style of the variant at a place, counted from 0, in every chart."""
    dashes = DASHES[place // len(COLOURS) % len(DASHES)]
    return Line(place + 1, COLOURS[place % len(COLOURS)], dashes)


def key_of(place: int, name: str) -> Key:
    """A variant in the key of charts."""
    line = line_of(place)
    dashes = " ".join(f"{2 * width:g}" for width in line.dashes)
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    svg = (
        '<svg viewBox="0 0 30 8" width="30" height="8" aria-hidden="true">'
        f'<path d="M0 4h30" fill="none" stroke="{line.colour}" stroke-width="2.5"{dashed}/>'
        "</svg>"
    )
    return Key(line.number, name, svg)


@contextmanager
def plain_style(style: dict[Any, Any] | None = None) -> Iterator[None]:
    """Draws with matplotlib's defaults and a style, ignoring the user's settings."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(style or {})
        yield


def draw(height: float, paint: Callable[["Axes"], None]) -> str:
    """Draws a chart as an SVG document.

    Args:
        height: height in inches; all charts have the same width.
        paint: draws on the axes.
    """
    from matplotlib.figure import Figure

    stream = io.StringIO()
    with plain_style(_STYLE), warnings.catch_warnings():
        # The reader's browser uses its own fonts.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        paint(figure.subplots())
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(stream, format="svg", transparent=True, metadata=nothing)
    return stream.getvalue()


def ranking_chart(answer: Answer, outcomes: Sequence[Outcome]) -> Chart:
    """Draws every variant's mean with its interval, and the figures of its runs.

    Args:
        answer: the answer of the comparison, with a figure.
        outcomes: outcomes of all runs.
    """
    figure, lower = answer.figure, answer.lower_is_better
    values = [values_of(outcomes, one.variant, figure) for one in answer.standings]
    collapsed = {(o.variant, o.seed) for o in outcomes if o.collapse}
    every = [value for own in values for value in own.values() if abs(value) <= LARGEST]
    names = [_short(place, one.variant) for place, one in enumerate(answer.standings)]
    ends = [e for s in answer.standings if figure in s.figures for e in s.figures[figure].mean[1:]]
    low, high, by_factor = _window(every, [end for end in ends if abs(end) <= LARGEST])

    def paint(axes: "Axes") -> None:
        for place, (standing, own) in enumerate(zip(answer.standings, values, strict=True)):
            colour = line_of(place).colour
            for seed, value in own.items():
                empty = (standing.variant, seed) in collapsed
                axes.plot(value, place, "o", ms=4.5, mec=colour, mfc=BACK if empty else colour,
                          mew=1, alpha=1 if empty else 0.55, zorder=3)  # fmt: skip
            if standing.diverged:
                worst = 1.0 if lower else 0.0
                axes.plot(worst, place, "x", ms=5, mew=1.4, color=colour, clip_on=False,
                          transform=axes.get_yaxis_transform())  # fmt: skip
            if figure in standing.figures:
                _interval(axes, place, standing.figures[figure].mean, (low, high), colour)
        axes.set_xlim(low, high)
        if by_factor:
            by_factors(axes, "x")
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(axis="y", length=0, pad=7)  # Room for an arrow.
        axes.set_xlabel(
            printable(f"{figure} ({'lower' if lower else 'higher'} is better)"), loc="right"
        )
        axes.grid(axis="x")
        axes.set_axisbelow(True)

    title = printable(f"{figure} of each variant")
    note = "Bars: mean and its 95 % interval; dots: single runs"
    if collapsed:
        note += ", hollow where they collapsed"
    if any(one.diverged for one in answer.standings):
        note += "; a cross at the worse side: diverged runs"
    if any(end < low or end > high for end in ends if not math.isnan(end)):
        note += "; an arrow: the interval continues"
    return Chart(title, draw(0.55 + _ROW * len(names), paint), f"{note}.")


def _short(place: int, name: str) -> str:
    """A variant's number and name, shortened to fit a chart."""
    name = printable(name)
    return f"{place + 1} {name if len(name) <= LONGEST_NAME else f'{name[: LONGEST_NAME - 1]}…'}"


def _window(values: Sequence[float], ends: Sequence[float]) -> tuple[float, float, bool]:
    """The range of an axis: all values, and intervals up to the same distance again on each side.

    Returns:
        Its ends, and whether it is logarithmic: if values differ by a factor of more than 30.
    """
    if not values:
        return 0.0, 1.0, False
    low, high = min(values), max(values)
    if 0 < low < high / 30:
        return low / 2, high * 2, True
    room = (high - low) or max(abs(high), 1e-3) / 10
    left = max(min([low, *ends]), low - room)
    right = min(max([high, *ends]), high + room)
    return left - room / 20, right + room / 20, False


def _interval(
    axes: "Axes", place: int, mean: Sequence[float], window: tuple[float, float], colour: str
) -> None:
    """Draws a bar at the mean, and the interval within the window, with arrows if it continues."""
    estimate, *ends = mean
    axes.plot(estimate, place, "|", ms=13, mew=2, color=colour, zorder=4)
    if any(map(math.isnan, ends)):
        return
    low, high = max(ends[0], window[0]), min(ends[1], window[1])
    axes.plot([low, high], [place, place], color=colour, lw=1.6, zorder=2)
    for end, shown, marker in ((ends[0], low, "<"), (ends[1], high, ">")):
        if end != shown:
            axes.plot(shown, place, marker, ms=4.5, color=colour, clip_on=False, zorder=4)


def profile_chart(answer: Answer, outcomes: Sequence[Outcome]) -> Chart:
    """Draws the share of each variant's runs that are at least as good as a threshold.

    A diverged run never reaches a threshold (arXiv:2108.13264, section 4.2).

    Args:
        answer: the answer of the comparison, with a figure.
        outcomes: outcomes of all runs.
    """
    figure, lower = answer.figure, answer.lower_is_better
    worst = math.inf if lower else -math.inf
    values = [
        [*values_of(outcomes, one.variant, figure).values(), *[worst] * one.diverged]
        for one in answer.standings
    ]
    every = sorted({value for own in values for value in own if abs(value) <= LARGEST})
    low, high, by_factor = _window(every, ())
    thresholds = [low, *every, high]
    lines = [
        (place, thresholds, performance_profile(own, thresholds, lower))
        for place, own in enumerate(values[:MOST_LINES])
        if own
    ]

    def paint(axes: "Axes") -> None:
        for place, steps, shares in lines:
            line = line_of(place)
            axes.plot(steps, shares, color=line.colour, ls=line.style, lw=1.5,
                      drawstyle="steps-post" if lower else "steps-pre")  # fmt: skip
        if by_factor:
            by_factors(axes, "x")
        axes.set_xlim(low, high)
        axes.set_ylim(-0.03, 1.03)
        axes.set_xlabel(printable(f"{figure} at {'most' if lower else 'least'}"))
        axes.set_ylabel("share of runs")
        axes.grid()
        number_lines(axes, [(place, float(np.mean(shares))) for place, _, shares in lines])

    title = printable(f"Share of runs by {figure}")
    note = (
        "A higher line means that a larger share of the variant's runs is at least that good. The "
        "numbers at the right are ordered by the lines' mean heights."
    )
    return Chart(title, draw(2.1, paint), note)


def by_factors(axes: "Axes", side: str) -> None:
    """Makes an axis, x or y, logarithmic, with plain numbers."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes.set(**{f"{side}scale": "log"})
    axis = axes.xaxis if side == "x" else axes.yaxis
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def number_lines(axes: "Axes", ends: Sequence[tuple[int, float]]) -> None:
    """Writes the numbers of variants beside the axes, near the line ends, without overlap.

    Args:
        axes: the axes, with final limits.
        ends: places of variants, and the height at which each line ends.
    """
    if not ends:
        return
    heights = axes.transAxes.inverted().transform(
        axes.transData.transform([(axes.get_xlim()[0], height) for _, height in ends])
    )[:, 1]
    columns = math.ceil(len(ends) / 12)
    apart, top = 1 / 12 / columns, math.inf
    for rank, index in enumerate(np.argsort(-heights, kind="stable").tolist()):
        left = (len(ends) - 1 - rank) * apart
        top = max(min(float(np.clip(heights[index], 0, 1)), top - apart), left)
        line = line_of(ends[index][0])
        axes.text(1.02 + 0.07 * (rank % columns), top, str(line.number), color=line.colour,
                  transform=axes.transAxes, fontsize=8, fontweight="bold", va="center")  # fmt: skip
