"""A comparison as it trains, and its table."""

import json
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from gancli.comparison import Cell, Results, results_as_json
from gancli.comparison.results import RESULTS
from gancli.comparison.statistics import Spread
from gancli.display.evaluation import is_of_class, number
from gancli.display.samples import draw_growth, draw_samples
from gancli.display.training import headline
from gancli.errors import DivergedError
from gancli.events import Event, Finished, Measured, Sampled, Started, Warned

# Figures that a table leaves to --json: it is to be read.
_LEFT_OUT = re.compile(
    r"memorization[^/]*/(?!copies).*|kernel[^/]*/standard_error|neighbours[^/]*/coverage_expected|transfer[^/]*/images"
)
_WIDEST_NAME = 24


def follow_comparison(
    happenings: Iterable[tuple[Cell, Event | DivergedError]], count: int, console: Console
) -> None:
    """Prints a line at each event worth one, and draws each run's samples.

    Args:
        happenings: what `comparison.run_all` yields.
        count: how many runs there are.
        console: where to print; standard error keeps results apart.
    """
    seen: dict[str, int] = {}
    for cell, event in happenings:
        name = f"{cell.variant}/seed-{cell.seed}"
        place = seen.setdefault(name, len(seen) + 1)
        dataset = cell.planned.dataset if cell.planned else None
        match event:
            case Started(step, steps):
                text = f"from step {step} to {steps}"
            case Measured(step, values, _):
                text = f"step {step}  {headline(values)}"
            case Sampled(step, examples, labels):
                draw_samples(cell.run.samples / f"{step:08d}.png", examples, dataset, labels)
                continue
            case Finished(step, seconds, _):
                draw_growth(cell.run.samples / "growth.png", cell.run.sample_history(), dataset)
                text = f"finished at step {step} in {seconds:.0f} s"
            case Warned(message):
                text = f"warning: {message}"
            case DivergedError():
                text = str(event)
            case _:
                continue
        console.print(f"[{place}/{count}] {name}  {text}", markup=False)


def show_results(results: Results, folder: Path, console: Console, as_json: bool) -> None:
    """Prints a comparison: its table, mean ± standard deviation over seeds, and its answer."""
    if as_json:
        console.print(json.dumps(results_as_json(folder, results), indent=2), markup=False)
        return
    found = results.answer()
    every = dict.fromkeys(name for standing in found.standings for name in standing.figures)
    names = [name for name in every if not (is_of_class(name) or _LEFT_OUT.fullmatch(name))]
    if found.figure in names:  # What decides is read first.
        names = [found.figure, *(name for name in names if name != found.figure)]
    rows = [
        [
            standing.variant,
            f"{standing.finished} of {standing.runs}",
            *(_shown(standing.figures.get(name)) for name in names),
        ]
        for standing in found.standings
    ]
    for table in _tables(["variant", "finished", *names], rows, console.width):
        console.print(table)
    console.print("Mean ± standard deviation over seeds.")
    for outcome in results.outcomes:
        for said in filter(None, (outcome.failure, outcome.left, outcome.collapse)):
            console.print(f"{outcome.variant}/seed-{outcome.seed}: {said}", markup=False)
    console.print(found.sentence, markup=False, highlight=False)
    first = found.standings[0].variant
    told = [pair for pair in found.pairs if found.baseline or first in (pair.variant, pair.other)]
    for pair in told:
        console.print(f"- {pair.sentence}", markup=False, highlight=False)
    if more := len(found.pairs) - len(told):
        console.print(f"- {more} more pairs are in {folder / RESULTS}", markup=False)


def _shown(spread: Spread | None) -> str:
    return cell(spread.mean.estimate, spread.deviation) if spread else "-"


def cell(mean: float, deviation: float) -> str:
    """A mean with the digits that its deviation, shown to two, leaves sure."""
    if math.isnan(deviation):
        return number(mean)
    if deviation == 0:
        return f"{number(mean)} ± 0"
    decimals = max(0, 1 - math.floor(math.log10(deviation)))
    return f"{mean:.{decimals}f} ± {deviation:.{decimals}f}"


def _tables(titles: list[str], rows: list[list[str]], width: int) -> Iterator[Table]:
    """One table, or as many below each other as it takes for no cell to be wrapped or cut."""
    heads = [title.split("/") for title in titles]
    columns = list(zip(*rows, strict=True))
    widths = [
        max(map(len, [*head, *column])) + 3 for head, column in zip(heads, columns, strict=True)
    ]
    widths[0] = min(widths[0], _WIDEST_NAME + 3)
    left = list(range(1, len(titles)))
    while left:
        shown, room = [0], width - widths[0] - 1
        while left and (len(shown) == 1 or widths[left[0]] <= room):
            room -= widths[left[0]]
            shown.append(left.pop(0))
        table = Table()
        for index in shown:
            title = "\n".join(heads[index])
            if index:
                table.add_column(title, justify="right", no_wrap=True)
            else:
                table.add_column(title, max_width=_WIDEST_NAME, overflow="fold")
        for row in rows:
            table.add_row(*(row[index] for index in shown))
        yield table
