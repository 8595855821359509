"""`gan status`."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.live import Live

from gancli.cli.application import app, out

_SECONDS_BETWEEN = 5.0


@app.command()
def status(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|DIR", show_default=False, help="Run, or directory of a comparison."
        ),
    ],
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow it until all runs and jobs have ended.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Say how runs and their jobs stand: queued, running, stopped, finished or failed, and why."""
    from gancli.cluster.status import OPEN, standing_of
    from gancli.display.status import show_standing, table_of
    from gancli.errors import UserError

    if watch and json:
        raise UserError("both --watch and --json", "one of them")
    standing = standing_of(folder)
    if watch and out.is_terminal:
        with Live(table_of(standing), console=out, auto_refresh=False) as live:
            while any(row.state in OPEN for row in standing.rows):
                time.sleep(_SECONDS_BETWEEN)
                standing = standing_of(folder)
                live.update(table_of(standing), refresh=True)
        return
    show_standing(standing, out, json)
    while watch and any(row.state in OPEN for row in standing.rows):
        time.sleep(_SECONDS_BETWEEN)
        before, standing = standing, standing_of(folder)
        if standing != before:
            show_standing(standing, out, json)
