"""Tables of a comparison: nothing wrapped, cut or falsely precise."""

import io
import math
from pathlib import Path

import pytest
from rich.console import Console

from gancli.comparison import Outcome, Results
from gancli.display.comparison import Board, cell, show_results
from gancli.errors import DivergedError
from gancli.runs.directory import Run
from gancli.training.events import Advanced, Diagnosed, Started
from gancli.training.monitors import Change


@pytest.mark.parametrize(
    ("mean", "deviation", "text"),
    [
        (0.0735, 0.00641, "0.0735 ± 0.0064"),
        (8.08612, 0.0691, "8.086 ± 0.069"),
        (4.5, 2.12, "4.5 ± 2.1"),
        (1234.5, 60.0, "1234 ± 60"),
        (10.0, 0.0, "10 ± 0"),
        (0.5, math.nan, "0.5"),
    ],
)
def test_digits_follow_the_deviation(mean, deviation, text):
    assert cell(mean, deviation) == text


def results_of(outcomes):
    asked = {"figure": "", "baseline": ""}
    return Results(asked, [{"kind": "image"}], {}, {}, outcomes)


@pytest.mark.parametrize("width", [34, 60, 80, 200])
def test_a_table_fits_its_terminal_and_counts_failures(width):
    figures = {"classes/found": 10.0, "classes/confidence": 0.9, "modes/kl": 0.1}
    outcomes = [
        Outcome("hinge", 0, Path("a"), figures, ""),
        Outcome("hinge", 1, Path("b"), {name: value + 0.01 for name, value in figures.items()}, ""),
        Outcome("f-divergence-of-a-very-long-name", 0, Path("c"), {}, "Training diverged: loss"),
        Outcome("hinge", 2, Path("d"), figures, "", "measured at step 3 of 6"),
    ]
    file = io.StringIO()
    console = Console(file=file, width=width, soft_wrap=True)
    show_results(results_of(outcomes), Path("c"), console, False)
    text = file.getvalue()
    table = [line for line in text.splitlines() if line and line[0] in "┏┃┡│└"]
    assert max(map(len, table), default=0) <= width
    assert text.count("┏") == (1 if width > 34 else 0)  # One table, or lines.
    assert "…" not in text
    assert "10.0033 ± 0.0058" in text
    assert "9.989 to 10.02" in text
    assert "2 more figures: --verbose, c/results.json, or gan report c" in text
    assert "hinge/seed-2: measured at step 3 of 6" in text
    assert "0 of 1" in text
    assert "2 of 3" in text  # One has not ended.
    assert "f-divergence-of-a-very-long-name/seed-0: Training diverged" in text


def test_every_figure_is_shown_on_request():
    figures = {f"classes/{name}": 0.5 for name in ("found", "kl", "score", "confidence")}
    outcomes = [Outcome("hinge", seed, Path("a"), figures, "") for seed in (0, 1)]
    for verbose in (False, True):
        file = io.StringIO()
        show_results(results_of(outcomes), Path("c"), Console(file=file, width=80), False, verbose)
        assert ("confidence" in file.getvalue()) is verbose
        assert ("--verbose" in file.getvalue()) is not verbose


def test_the_answer_follows_the_table_and_what_decides_is_its_first_column():
    outcomes = [
        Outcome(name, seed, Path(name), {"classes/score": 2.0, "frechet/distance": value}, "")
        for name, value in (("a", 1.0), ("b", 3.0), ("c", 5.0))
        for seed in (0, 1)
    ]
    file = io.StringIO()
    show_results(results_of(outcomes), Path("out"), Console(file=file, width=200), False)
    lines = file.getvalue().splitlines()
    assert lines[1].split("┃")[3].strip() == "frechet"
    assert "a is first by frechet/distance: 1 (95 %: 1 to 1, 2 seeds). It beats b and c." in lines
    assert sum(line.startswith("- a beats ") for line in lines) == 2
    assert lines[-2] == f"- one more pair is in {Path('out', 'results.json')}"


# While it trains


class Told:
    """A run that a board is told of."""

    planned = None

    def __init__(self, variant, seed):
        self.variant, self.seed = variant, seed
        self.name = f"{variant}/seed-{seed}"
        self.run = Run(Path("nowhere", variant, f"seed-{seed}"))


def test_a_board_shows_what_trains_first_and_counts_all():
    cells = [Told("a", seed) for seed in range(30)]
    board = Board(cells)
    board.take_in(cells[29], Started(0, 100))
    board.take_in(cells[29], Advanced(40))
    board.take_in(cells[28], Started(0, 100))
    board.take_in(cells[28], DivergedError("Training diverged: loss."))
    file = io.StringIO()
    Console(file=file, width=100).print(board.table(100))
    rows = [line.split() for line in file.getvalue().splitlines() if line.startswith("│")]
    assert rows[0][1:6] == ["a/seed-29", "│", "training", "│", "40/100"]
    assert rows[1][1:4] == ["a/seed-28", "│", "diverged"]
    assert len(rows) == 20
    assert "30 runs: 1 training, 1 diverged, 28 waiting; unknown time left" in file.getvalue()
    narrow = io.StringIO()
    Console(file=narrow, width=34).print(board.table(34))
    assert "40/100" in narrow.getvalue()


def test_a_board_shows_what_is_wrong_with_a_run():
    cell = Told("a", 0)
    board = Board([cell])
    shown = []
    for begins in (True, False):
        board.take_in(cell, Diagnosed(Change(50, "mode-collapse", begins, "")))
        file = io.StringIO()
        Console(file=file, width=100).print(board.table(100))
        shown.append("mode collapse" in file.getvalue())
    assert shown == [True, False]


def test_a_run_that_goes_back_has_nothing_wrong_yet():
    cell = Told("a", 0)
    board = Board([cell])
    board.take_in(cell, Diagnosed(Change(50, "mode-collapse", True, "")))
    board.take_in(cell, Started(0, 100))
    file = io.StringIO()
    Console(file=file, width=100).print(board.table(100))
    assert "mode collapse" not in file.getvalue()
