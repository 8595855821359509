"""The progress of a comparison, and its table."""

import json
import math
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from gancli.comparison import Cell, Results, has_result, results_as_json
from gancli.comparison.measurements import Outcome
from gancli.comparison.results import RESULTS
from gancli.comparison.statistics import Spread
from gancli.comparison.verdicts import Answer
from gancli.display.evaluation import is_of_class, number
from gancli.display.samples import draw_growth, draw_samples
from gancli.display.tables import in_hours, show_table
from gancli.display.training import headline
from gancli.errors import DivergedError, UserError
from gancli.runs.directory import Run
from gancli.runs.goodput import Goodput
from gancli.training.events import (
    Advanced,
    Compiled,
    Diagnosed,
    Event,
    Finished,
    Measured,
    Sampled,
    Started,
    Warned,
)
from gancli.training.monitors.diagnosis import in_words

# Figures that only --json shows, to keep the tables of --verbose readable.
_LEFT_OUT = re.compile(
    r"memorization[^/]*/(?!copies).*|kernel[^/]*/standard_error|neighbours[^/]*/coverage_expected|transfer[^/]*/images"
)
_WIDEST_NAME, _NARROWEST_NAME = 24, 12


def follow_comparison(
    happenings: Iterable[tuple[Cell, Event | DivergedError]],
    cells: Sequence[Cell],
    console: Console,
) -> None:
    """Shows the progress of a comparison's runs, and draws each run's samples.

    A terminal shows a live table of all runs; other output gets a line for each notable event.

    Args:
        happenings: the events from `comparison.run_all`.
        cells: all runs.
        console: where to print; standard error separates progress from results.
    """
    board = Board(cells)
    live = Live(
        console=console,
        get_renderable=lambda: board.table(console.width),
        refresh_per_second=2,
        transient=True,
    )
    seen: dict[str, int] = {}
    with live if console.is_terminal else nullcontext():
        for cell, event in happenings:
            board.take_in(cell, event)
            _draw(cell, event)
            place = seen.setdefault(cell.name, len(seen) + 1)
            warned = isinstance(event, Warned | DivergedError)
            if (text := _line(event)) and (warned or not console.is_terminal):
                console.print(f"[{place}/{len(cells)}] {cell.name}  {text}", markup=False)


def _line(event: Event | DivergedError) -> str:
    """An event in words; empty for an event without a line."""
    match event:
        case Started(step, steps):
            return f"from step {step} to {steps}"
        case Measured(step, values, _):
            return f"step {step}  {headline(values)}"
        case Finished(step, seconds, _):
            return f"finished at step {step} in {seconds:.0f} s"
        case Diagnosed(change):
            return change.sentence
        case Warned(message):
            return f"warning: {message}"
    return str(event) if isinstance(event, DivergedError) else ""


def _draw(cell: Cell, event: Event | DivergedError) -> None:
    """Draws the samples of an event."""
    dataset = cell.planned.dataset if cell.planned else None
    match event:
        case Sampled(step, examples, labels):
            draw_samples(cell.run.samples / f"{step:08d}.png", examples, dataset, labels)
        case Finished():
            run = cell.run
            path = run.samples / "growth.png"
            draw_growth(path, run.sample_history(), dataset, run.sample_labels)


def show_runs(folder: Path, cells: Sequence[Cell], console: Console, as_json: bool) -> None:
    """Prints which runs a comparison would train, and which of them it has already.

    Args:
        folder: the directory of the comparison.
        cells: all runs.
        console: where to print.
        as_json: whether to print JSON.
    """
    planned = {cell.name: has_result(cell) for cell in cells if cell.planned is not None}
    if as_json:
        console.print(json.dumps({"out": str(folder), "runs": planned}, indent=2), soft_wrap=True)
        return
    for name, done in planned.items():
        console.print(f"{folder / name}{'  has its result' if done else ''}", soft_wrap=True)


class Board:
    """The state of all runs of a comparison, as a table.

    Args:
        cells: the runs.
    """

    def __init__(self, cells: Sequence[Cell]):
        self._rows = {cell.name: _Row(cell) for cell in cells}

    def take_in(self, cell: Cell, event: Event | DivergedError) -> None:
        """Records an event of a run."""
        self._rows[cell.name].take_in(event)

    def table(self, width: int) -> Group:
        """The training runs, the next ones, and the number of runs in each state.

        Args:
            width: that of the terminal; a narrow one shows only the step of each run.
        """
        rows = list(self._rows.values())
        counts = Counter(row.state for row in rows)
        table = Table(expand=True)
        wide = width >= _WIDTH_OF_ALL
        table.add_column("run", no_wrap=wide, overflow="fold")
        table.add_column("state", no_wrap=True)
        for title in ("step", "steps/s", "left") if wide else ("step",):
            table.add_column(title, justify="right", no_wrap=True)
        if wide:
            table.add_column("newest", ratio=1, no_wrap=True, overflow="ellipsis")
        shown = sorted(rows, key=lambda row: _ORDER.index(row.state))[:_MOST_ROWS]
        for row in shown:
            table.add_row(*row.cells()[: len(table.columns)])
        words = ", ".join(f"{counts[state]} {state}" for state in _ORDER if counts[state])
        return Group(table, Text(f"{len(rows)} runs: {words}{self._left(rows)}"))

    def _left(self, rows: "list[_Row]") -> str:
        """The remaining time of all runs, at the pace of those that are training."""
        if all(row.state in ("finished", "diverged") for row in rows):
            return ""
        rate = sum(row.rate for row in rows if row.state == "training")
        steps = sum(row.steps - row.step for row in rows if row.state in ("training", "waiting"))
        return f"; {in_hours(round(steps / rate)) if rate else 'unknown time'} left"


def _middle_cut(name: str) -> str:
    """A run's name shortened in the middle to fit a column, so that its seed stays."""
    return name if len(name) <= _LONGEST_RUN else f"{name[: _LONGEST_RUN - 16]}…{name[-15:]}"


_LONGEST_RUN = 40
_ORDER = ("training", "diverged", "waiting", "finished")
_MOST_ROWS = 20
_WIDTH_OF_ALL = 72


class _Row:
    """The table row of a run."""

    def __init__(self, cell: Cell):
        self.name, self.state, self.text = cell.name, "waiting", ""
        self.step, self.steps, self.rate = 0, 0, 0.0
        self._since: tuple[int, float] | None = None
        self.present: set[str] = set()
        if cell.planned is not None:
            self.steps = cell.planned.config.train.steps
        if has_result(cell):
            self.state, self.step = "finished", self.steps

    def take_in(self, event: Event | DivergedError) -> None:
        now = time.monotonic()
        match event:
            case Started(step, steps):
                self.state, self.step, self.steps, self._since = "training", step, steps, None
                self.present = set()  # After a rollback it may begin again.
            case Compiled():
                self._since = (self.step, now)
            case Advanced(step):
                self.step = step
                if self._since is not None and now > self._since[1]:
                    self.rate = (step - self._since[0]) / (now - self._since[1])
            case Measured(_, values, _):
                self.text = headline(values)
            case Finished(step):
                self.state, self.step, self.rate = "finished", step, 0.0
            case Diagnosed(change):
                self.present.discard(change.name)
                self.present |= {change.name} if change.begins else set()
            case DivergedError():
                self.state, self.text, self.rate = "diverged", str(event), 0.0

    def cells(self) -> list[str]:
        training = self.state == "training" and self.rate > 0
        left = in_hours(round((self.steps - self.step) / self.rate)) if training else ""
        rate = f"{self.rate:.1f}" if training else ""
        return [
            _middle_cut(self.name),
            self.state,
            f"{self.step}/{self.steps}",
            rate,
            left,
            ", ".join(map(in_words, sorted(self.present))) or self.text,
        ]


def show_results(
    results: Results, folder: Path, console: Console, as_json: bool, verbose: bool = False
) -> None:
    """Prints a comparison: one table of the figures that matter, the answer, and where the rest is.

    Args:
        results: the results.
        folder: directory of the comparison.
        console: where to print.
        as_json: whether to print JSON instead.
        verbose: whether to print every figure, in as many tables as that takes.
    """
    if as_json:
        console.print(
            json.dumps(results_as_json(folder, results), indent=2), markup=False, soft_wrap=True
        )
        return
    found = results.answer()
    every = dict.fromkeys(name for standing in found.standings for name in standing.figures)
    names = [name for name in every if not (is_of_class(name) or _LEFT_OUT.fullmatch(name))]
    others = [name for name in names if name != found.figure]
    _show_summary(results, found, console)
    if verbose and others:
        rows = [
            [one.variant, *(_shown(one.figures.get(name)) for name in others)]
            for one in found.standings
        ]
        for table in _tables(["variant", *others], rows, console.width):
            show_table(console, table)
    console.print("Mean ± standard deviation over seeds, and the 95 % interval of the mean.")
    for outcome in results.outcomes:
        for said in filter(None, (outcome.failure, outcome.left, outcome.collapse)):
            console.print(f"{outcome.name}: {said}", markup=False)
    console.print(found.sentence, markup=False, highlight=False)
    told = found.first_pairs
    for pair in told:
        console.print(f"- {pair.sentence}", markup=False, highlight=False)
    if more := len(found.pairs) - len(told):
        pairs = "one more pair is" if more == 1 else f"{more} more pairs are"
        console.print(f"- {pairs} in {folder / RESULTS}", markup=False)
    more = f"{len(others)} more {'figure' if len(others) == 1 else 'figures'}: --verbose, "
    where = more if others and not verbose else "All figures: "
    console.print(f"{where}{folder / RESULTS}, or gan report {folder}", markup=False)


def _show_summary(results: Results, found: Answer, console: Console) -> None:
    """One table of the ranking figure, the failures and the time, or lines where it is too wide."""
    titles = ["variant", "finished", *([found.figure] if found.figure else []), "time/a run"]
    rows = [
        [
            one.variant,
            "\n".join(one.endings),
            *(["\n".join(_of_ranking(one.figures.get(found.figure)))] if found.figure else []),
            _time(results.outcomes, one.variant),
        ]
        for one in found.standings
    ]
    table = Table(titles[0])
    table.columns[0].overflow = "fold"
    for title in titles[1:]:
        table.add_column("\n".join(title.split("/")), justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*map(escape, row))
    widest = Measurement.get(console, console.options.update(width=2**16), table).maximum
    longest = max(len(one.variant) for one in found.standings)
    if widest - max(0, longest - _NARROWEST_NAME) <= console.width:
        console.print(table)
        return
    for name, *cells in rows:
        console.print(name, markup=False)
        for title, text in zip(titles[1:], cells, strict=True):
            told = "\n    ".join(text.splitlines())
            console.print(f"  {title.replace('time/', 'time ')}: {told}", markup=False)


def _of_ranking(spread: Spread | None) -> list[str]:
    """The mean with its deviation, and its interval."""
    if spread is None or spread.seeds < 2:
        return [_shown(spread)]
    return [_shown(spread), f"{number(spread.mean.low)} to {number(spread.mean.high)}"]


def _time(outcomes: Sequence[Outcome], variant: str) -> str:
    """The mean time of a variant's runs, of those that say what they took."""
    taken = []
    for outcome in outcomes:
        if outcome.variant == variant:
            with suppress(UserError):  # Its directory may be gone.
                taken.append(sum(Goodput(Run(outcome.run).status.get("goodput")).seconds.values()))
    if not taken:
        return "-"
    seconds = sum(taken) / len(taken)
    return f"{seconds:.1f} s" if seconds < 60 else in_hours(round(seconds))


def _shown(spread: Spread | None) -> str:
    return cell(spread.mean.estimate, spread.deviation) if spread else "-"


def cell(mean: float, deviation: float) -> str:
    """A mean with the digits that are significant for its deviation, shown to two digits."""
    if math.isnan(deviation):
        return number(mean)
    if deviation == 0:
        return f"{number(mean)} ± 0"
    decimals = max(0, 1 - math.floor(math.log10(deviation)))
    return f"{mean:.{decimals}f} ± {deviation:.{decimals}f}"


def _tables(titles: list[str], rows: list[list[str]], width: int) -> Iterator[Table]:
    """One table, or several below each other, so that no cell is wrapped or cut."""
    heads = [title.split("/") for title in titles]
    columns = list(zip(*rows, strict=True))
    widths = [
        max(map(len, [*head, *column])) + 3 for head, column in zip(heads, columns, strict=True)
    ]
    most = max(_WIDEST_NAME, width // 3)
    widths[0] = min(widths[0], most + 3)
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
                table.add_column(title, max_width=most, overflow="fold")
        for row in rows:
            table.add_row(*(row[index] for index in shown))
        yield table
