"""A comparison as it trains, and its table."""

import json
import math
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from gancli.comparison import Cell, Outcome, as_json, summarize
from gancli.display.evaluation import number
from gancli.display.samples import draw_growth, draw_samples
from gancli.display.training import headline
from gancli.errors import DivergedError
from gancli.train import Event, Finished, Measured, Sampled, Started, Warned

# Beyond these, figures are in --json only: a table is to be read.
_SHOWN = (
    "classes/found", "classes/smallest_share", "classes/confidence", "classes/score",
    "memorization/copies", "modes/found", "modes/high_quality", "modes/kl",
)  # fmt: skip


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
            case Measured(step, values):
                text = f"step {step}  {headline(values)}"
            case Sampled(step, examples):
                draw_samples(cell.run.samples / f"{step:08d}.png", examples, dataset)
                continue
            case Finished(step, seconds):
                draw_growth(cell.run.samples / "growth.png", cell.run.sample_history(), dataset)
                text = f"finished at step {step} in {seconds:.0f} s"
            case Warned(message):
                text = f"warning: {message}"
            case DivergedError():
                text = str(event)
            case _:
                continue
        console.print(f"[{place}/{count}] {name}  {text}", markup=False)


def show_outcomes(outcomes: Sequence[Outcome], console: Console, as_json_text: bool) -> None:
    """Prints a table of variants, mean ± standard deviation over seeds, or JSON."""
    if as_json_text:
        console.print(json.dumps(as_json(outcomes), indent=2), markup=False)
        return
    summaries = summarize(outcomes)
    names = [name for name in _SHOWN if any(name in summary.figures for summary in summaries)]
    table = Table("variant", "runs", "failed", *[name.replace("/", "\n") for name in names])
    for column in table.columns[1:]:
        column.justify = "right"
    for summary in summaries:
        cells = [
            _cell(*summary.figures[name]) if name in summary.figures else "-" for name in names
        ]
        runs = summary.finished + summary.failed
        table.add_row(summary.variant, str(runs), str(summary.failed), *cells)
    console.print(table)
    for outcome in outcomes:
        if outcome.failure:
            console.print(f"{outcome.variant}/seed-{outcome.seed}: {outcome.failure}", markup=False)


def _cell(mean: float, deviation: float) -> str:
    return number(mean) if math.isnan(deviation) else f"{number(mean)} ± {deviation:.2g}"
