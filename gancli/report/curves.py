"""Learning curves: metrics over steps, with the mean and range of each variant's runs."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gancli.display.evaluation import is_of_class
from gancli.display.pictures import choose_evenly
from gancli.report.charts import by_factors, draw, line_of, number_lines
from gancli.report.page import Chart
from gancli.report.records import Record, Series
from gancli.training.monitors.diagnosis import SHOWN

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_CHARTS, MOST_POINTS, MOST_BANDS = 16, 200, 6
_HEIGHT, _MOST_NAMED = 1.9, 8
_OF_DIAGNOSIS = {"discriminator/auc", *SHOWN}


class Band(NamedTuple):
    """A metric over steps (n,): the mean, minimum and maximum of the runs that have it."""

    steps: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def band_of(runs: Sequence[Series]) -> Band:
    """Joins a metric of several runs, at no more steps than a chart can show.

    Args:
        runs: at least one run, each with at least one step.
    """
    steps = np.unique(np.concatenate([one.steps for one in runs]))
    held = np.full((len(runs), len(steps)), np.nan)
    for row, one in zip(held, runs, strict=True):
        row[np.searchsorted(steps, one.steps)] = one.values
    some = choose_evenly(len(steps), MOST_POINTS)
    held = held[:, some]
    return Band(
        steps[some], np.nanmean(held, axis=0), np.nanmin(held, axis=0), np.nanmax(held, axis=0)
    )


def important(names: Sequence[str]) -> list[str]:
    """The metrics to draw, in order: losses, gradient norms, evaluations, measurements."""
    order = [
        lambda name: name.endswith("/loss"),
        lambda name: name.endswith("/gradient_norm"),
        lambda name: (
            name.startswith("evaluation/") and not is_of_class(name.removeprefix("evaluation/"))
        ),
        lambda name: name in _OF_DIAGNOSIS,
    ]
    # The generator's metrics come first.
    known = sorted(dict.fromkeys(names), key=lambda name: (not name.startswith("generator"), name))
    return [name for belongs in order for name in known if belongs(name)]


def curve_charts(variants: Mapping[str, Sequence[Record]]) -> tuple[list[Chart], str]:
    """A small chart for each important metric.

    Args:
        variants: the runs of each variant, in the order of their numbers.

    Returns:
        The charts, and a note that names metrics beyond the limit.
    """
    names = important(
        [name for runs in variants.values() for record in runs for name in record.curves]
    )
    shown, left = names[:MOST_CHARTS], names[MOST_CHARTS:]
    charts = []
    for name in shown:
        bands = {
            place: band_of([record.curves[name] for record in runs if name in record.curves])
            for place, runs in enumerate(variants.values())
            if any(name in record.curves for record in runs)
        }
        charts.append(_chart(name, bands, len(variants) <= MOST_BANDS))
    named = ", ".join(left[:_MOST_NAMED])
    more = f" and {len(left) - _MOST_NAMED} more" if len(left) > _MOST_NAMED else ""
    return charts, f"Left out: {named}{more}." if left else ""


def _chart(name: str, bands: Mapping[int, Band], with_bands: bool) -> Chart:
    """The chart of one metric; bands are left out if there are too many to distinguish."""
    every = np.concatenate([np.concatenate(band[1:]) for band in bands.values()])
    low, high, by_factor = limits(every)

    def paint(axes: "Axes") -> None:
        for place, band in bands.items():
            line = line_of(place)
            marker = "o" if len(band.steps) == 1 else None
            axes.plot(band.steps, band.mean, color=line.colour, ls=line.style, lw=1.3,
                      marker=marker, ms=3)  # fmt: skip
            if with_bands and np.any(band.low < band.high):
                axes.fill_between(band.steps, band.low, band.high, color=line.colour, alpha=0.18,
                                  lw=0)  # fmt: skip
        if by_factor:
            by_factors(axes, "y")
        axes.set_ylim(low, high)
        axes.set_xlabel("step")
        axes.xaxis.set_major_formatter(lambda step, _: step_text(step))
        axes.grid()
        if len(bands) > 1:
            number_lines(axes, [(place, float(band.mean[-1])) for place, band in bands.items()])

    cut = not by_factor and bool(np.any((every < low) | (every > high)))
    note = "Some values lie outside the chart." if cut else ""
    return Chart(name, draw(_HEIGHT, paint), note)


def step_text(step: float) -> str:
    """A step as an axis label: 500, 2.5k, 1.5M."""
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if step >= unit:
            return f"{step / unit:g}{name}"
    return f"{step:g}"


def limits(values: np.ndarray) -> tuple[float, float, bool]:
    """The range of a metric's chart, without outliers.

    It spans the values, except those further beyond the 5th or 95th percentile than the distance
    of these percentiles, with a margin of a twentieth on each side.

    Args:
        values: (n,) at least one, finite.

    Returns:
        Both ends, and whether the axis is logarithmic: if positive values differ by a factor of
        more than 100.
    """
    least, most = float(values.min()), float(values.max())
    if 0 < least < most / 100:
        return least / 1.3, most * 1.3, True
    low, high = np.percentile(values, [5, 95]).tolist()
    reach = high - low
    near = values[(values >= low - reach) & (values <= high + reach)]
    least, most = float(near.min()), float(near.max())
    room = (most - least) / 20 or max(abs(most), 1e-3) / 10
    if not math.isfinite(room):
        room = 0.0
    return least - room, most + room, False
