"""The table of an evaluation says truly what made its samples."""

import io

import pytest
from rich.console import Console
from rich.table import Table

from gancli.display.evaluation import number, show_evaluation
from gancli.display.tables import show_table

_REPORT = {
    "metrics": {"restoration/psnr": 14.47},
    "intervals": {"restoration/psnr": [14.4, 14.5]},
    "left_out": {"frechet": "too few examples."},
    "samples": 100,
    "seed": 7,
    "generator": {
        "weights": "ema",
        "step": 500,
        "checkpoint": "runs/one",
        "checkpoint_sha256": "0123456789abcdef",
    },
    "real": {"count": 100, "name": "mnist", "split": "test", "fingerprint": "fedcba9876543210"},
    "seconds": 1.25,
}


@pytest.mark.parametrize(
    ("plain", "words"),
    [
        (False, "100 of seed 7, by the ema weights of step 500"),
        (True, "100 of seed 7, untranslated sources, without a generator (--plain)"),
    ],
)
def test_the_table_names_what_made_the_samples(plain, words):
    file = io.StringIO()
    show_evaluation({**_REPORT, "plain": plain}, Console(file=file, width=100), False)
    assert f"samples     {words}\n" in file.getvalue()
    assert "14.4 to 14.5" in file.getvalue()
    assert "left out    frechet: too few examples.\n" in file.getvalue()


@pytest.mark.parametrize(
    ("value", "text"), [(3.0, "3"), (0.12345, "0.1235"), (0.0, "0"), (2e9, "2e+09")]
)
def test_a_figure_has_as_many_digits_as_can_be_told_apart(value, text):
    assert number(value) == text


@pytest.mark.parametrize("width", [34, 80])
def test_no_figure_is_cut(width):
    file = io.StringIO()
    table = Table("metric", "figure", "value")
    table.add_row("neighbours:k=3", "coverage_expected", "0.1234567890123")
    show_table(Console(file=file, width=width), table)
    assert "0.1234567890123" in file.getvalue()
