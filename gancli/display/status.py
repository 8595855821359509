"""The table of runs and jobs."""

import json

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from gancli.cluster.status import Row, Standing
from gancli.display.tables import in_hours

_LONGEST_NAME = 28


def show_standing(standing: Standing, console: Console, as_json: bool) -> None:
    """Prints how runs and jobs stand.

    Args:
        standing: the runs and jobs.
        console: where to print.
        as_json: whether to print JSON.
    """
    if as_json:
        held = {"runs": [row._asdict() for row in standing.rows], "unknown": standing.unknown}
        console.print(json.dumps(held, indent=2), soft_wrap=True)
    else:
        console.print(table_of(standing))


def table_of(standing: Standing) -> Group:
    """A table of 80 columns, and below it what is said of single rows."""
    table = Table("run", "state")
    for title in ("step", "steps/s", "left", "job"):
        table.add_column(title, justify="right", no_wrap=True)
    table.columns[0].overflow = "fold"
    table.columns[1].no_wrap = True
    for row in standing.rows:
        table.add_row(*map(Text, _cells(row)))
    notes = [f"{row.name} {row.state}: {row.note}" for row in standing.rows if row.note]
    if standing.unknown:
        notes.append(f"Slurm does not say how jobs stand: {standing.unknown}")
    return Group(table, *map(Text, notes))


def _cells(row: Row) -> list[str]:
    name = row.name
    if len(name) > _LONGEST_NAME:  # Cut in the middle, so that its seed stays.
        name = f"{name[: _LONGEST_NAME - 13]}…{name[-12:]}"
    return [
        name,
        row.state,
        f"{row.step}/{row.steps}" if row.steps else "",
        f"{row.rate:.1f}" if row.rate else "",
        "" if row.left is None else in_hours(round(row.left)),
        row.job,
    ]
