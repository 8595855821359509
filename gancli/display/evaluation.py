"""Figures of an evaluation, as a table for people or as JSON."""

import json
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gancli.display.tables import show_table
from gancli.evaluation import side_of

_MOST_WHOLE = 1e9


def show_evaluation(report: dict[str, Any], console: Console, as_json: bool) -> None:
    """Prints an evaluation with its provenance."""
    if as_json:
        console.print(json.dumps(report, indent=2), markup=False, soft_wrap=True)
        return
    table = Table("metric", "figure", "value", "95 %", "better")
    for column in table.columns[2:4]:
        column.justify = "right"
    before = ""
    by_class: dict[str, dict[str, float]] = {}
    for name, value in report["metrics"].items():
        metric, _, figure = name.partition("/")
        if is_of_class(name):
            kind, _, shown = figure.partition("/")
            by_class.setdefault(shown, {})[kind] = value
            continue
        low, high = report["intervals"].get(name, ("", ""))
        held = f"{number(low)} to {number(high)}" if name in report["intervals"] else ""
        row = (metric if metric != before else "", figure, number(value), held)
        table.add_row(*row, side_of(name) or "")
        before = metric
    show_table(console, table)
    if by_class:
        show_table(console, _table_by_class(by_class))
    for name, reason in report["left_out"].items():
        console.print(f"left out    {name}: {reason}", markup=False, highlight=False)
    for line in _provenance(report):
        console.print(line, markup=False, highlight=False)


def is_of_class(name: str) -> bool:
    """Whether a figure, `metric/figure/class`, belongs to a single class."""
    return name.count("/") > 1


def _table_by_class(by_class: Mapping[str, Mapping[str, float]]) -> Table:
    """One row per class, with all of its figures."""
    kinds = list(dict.fromkeys(kind for figures in by_class.values() for kind in figures))
    table = Table("class", *kinds)
    for column in table.columns[1:]:
        column.justify = "right"
    for shown, figures in by_class.items():
        values = (number(figures[kind]) if kind in figures else "" for kind in kinds)
        table.add_row(escape(shown), *values)
    return table


def number(value: float) -> str:
    """Formats a figure to four digits, and a whole number exactly."""
    whole = value == int(value) and 1 <= abs(value) < _MOST_WHOLE
    return f"{value:.0f}" if whole else f"{value:.4g}"


def _provenance(report: dict[str, Any]) -> list[str]:
    real = report["real"]
    lines = [
        *_origin(report),
        f"real        {real['count']} examples of {real['name']}, {real['split']}, SHA-256 "
        f"{real['fingerprint'][:12]}",
    ]
    if features := report.get("features"):
        lines.append(
            f"features    {features['dimension']} of {features['name']}, SHA-256 "
            f"{features['fingerprint'][:12]}"
        )
    if classifier := report.get("classifier"):
        lines.append(
            f"classifier  right on {classifier['accuracy']:.4f} of {classifier['measured_on']}, "
            f"SHA-256 {classifier['fingerprint'][:12]}"
        )
    return [*lines, f"measured    in {report['seconds']:.1f} s"]


def _origin(report: dict[str, Any]) -> list[str]:
    """Where the samples came from: a generator, or another data set."""
    if made := report.get("generated"):
        return [
            f"samples     {report['samples']} of {made['count']} examples of {made['name']}, "
            f"SHA-256 {made['fingerprint'][:12]}"
        ]
    origin = report["generator"]
    maker = f"by the {origin['weights']} weights of step {origin['step']}"
    if report.get("plain"):
        maker = "untranslated sources, without a generator (--plain)"
    return [
        f"samples     {report['samples']} of seed {report['seed']}, {maker}",
        f"checkpoint  {origin['checkpoint']}, SHA-256 {origin['checkpoint_sha256'][:12]}",
    ]
