"""`gan diagnose`."""

from pathlib import Path
from typing import Annotated

import typer

from gancli.cli.application import app, out


@app.command()
def diagnose(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|DIR", show_default=False, help="Run, or directory of a comparison."
        ),
    ],
    explain: Annotated[
        bool, typer.Option("--explain", help="Say what the losses of the run mean.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Say what goes wrong in a run, since when, by which evidence, and what to change."""
    from gancli.display.diagnosis import show_diagnoses
    from gancli.training.account import accounts_of

    show_diagnoses(accounts_of(run), out, json, explain)
