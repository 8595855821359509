"""`gan verify`."""

from pathlib import Path
from typing import Annotated

import typer

from gancli.cli.application import app, out


@app.command()
def verify(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", show_default=False, help="Run directory, or one checkpoints/STEP."
        ),
    ],
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check that every file of a run, or of one of its checkpoints, is as it was written."""
    from gancli.display.verification import show_verification
    from gancli.errors import UserError
    from gancli.runs.verification import verify_path

    report = verify_path(run)
    show_verification(report, out, json)
    if count := report.problem_count:
        raise UserError(
            f"{count} {'problem' if count == 1 else 'problems'} in {str(run)!r}",
            remedy="gan resume and gan sample use the newest sound checkpoint",
        )
