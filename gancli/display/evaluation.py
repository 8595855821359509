"""Figures of an evaluation, as a table for people or as JSON."""

import json
from typing import Any

from rich.console import Console
from rich.table import Table


def show_evaluation(result: dict[str, Any], console: Console, as_json: bool) -> None:
    """Prints an evaluation with its provenance."""
    if as_json:
        console.print(json.dumps(result, indent=2), markup=False)
        return
    origin = result["generator"]
    console.print(
        f"{origin['checkpoint']}: step {origin['step']}, {origin['weights']} weights, "
        f"{result['samples']} samples of seed {result['seed']}",
        markup=False,
    )
    table = Table("metric", "figure", "value")
    table.columns[2].justify = "right"
    for name, value in result["metrics"].items():
        metric, _, figure = name.partition("/")
        table.add_row(metric, figure, number(value))
    console.print(table)


def number(value: float) -> str:
    """A figure with as many digits as can be told apart."""
    return f"{value:.0f}" if value == int(value) and abs(value) >= 1 else f"{value:.4g}"
