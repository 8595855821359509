"""The report of a verification, as a table for people or as JSON."""

import json

from rich.console import Console
from rich.table import Table

from gancli.runs.verification import Report

_DIGITS = 12


def show_verification(report: Report, console: Console, as_json: bool) -> None:
    """Prints a table of checkpoints, and a line for every problem."""
    if as_json:
        console.print(json.dumps(report.as_json(), indent=2), markup=False, soft_wrap=True)
        return
    table = Table("step", "", "files", "MiB", "state (SHA-256)")
    for column in (0, 2, 3):
        table.columns[column].justify = "right"
    for one in report.checkpoints:
        table.add_row(
            one.name,
            "damaged" if one.problems else "sound",
            str(one.files),
            f"{one.bytes / 2**20:.2f}",
            one.digest[:_DIGITS],
        )
    if report.checkpoints:
        console.print(table)
    lines = [
        f"checkpoint {one.name}: {problem}"
        for one in report.checkpoints
        for problem in one.problems
    ]
    for line in (*lines, *report.problems, *(f"note: {note}" for note in report.notes)):
        console.print(line, markup=False)
