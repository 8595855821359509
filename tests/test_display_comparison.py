"""Tables of a comparison: nothing wrapped, cut or falsely precise."""

import io
import math
from pathlib import Path

import pytest
from rich.console import Console

from gancli.comparison import Outcome
from gancli.display.comparison import cell, show_outcomes


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


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_table_fits_its_terminal_and_counts_failures(width):
    figures = {"classes/found": 10.0, "classes/confidence": 0.9, "modes/kl": 0.1}
    outcomes = [
        Outcome("hinge", 0, Path("a"), figures, ""),
        Outcome("hinge", 1, Path("b"), {name: value + 0.01 for name, value in figures.items()}, ""),
        Outcome("f-divergence-of-a-very-long-name", 0, Path("c"), {}, "Training diverged: loss"),
        Outcome("hinge", 2, Path("d"), figures, "", "measured at step 3 of 6"),
    ]
    file = io.StringIO()
    show_outcomes(outcomes, Console(file=file, width=width), False)
    text = file.getvalue()
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert "0.9033 ± 0.0058" in text
    assert "hinge/seed-2: measured at step 3 of 6" in text
    assert "0 of 1" in text
    assert "2 of 3" in text  # One has not ended.
    assert "f-divergence-of-a-very-long-name/seed-0: Training diverged" in text
