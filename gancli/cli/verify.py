"""`gan verify`."""

from pathlib import Path
from typing import Annotated

import typer

from gancli.cli.application import app, out


@app.command()
def verify(
    run: Annotated[Path, typer.Argument(metavar="RUN", show_default=False)],
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Compare a run, or one of its checkpoints, with what was written."""
    from gancli.display.verification import show_verification
    from gancli.errors import UserError
    from gancli.runs.verification import verify_path

    report = verify_path(run)
    show_verification(report, out, json)
    if count := report.problem_count:
        raise UserError(
            f"{count} {'problem' if count == 1 else 'problems'} in {str(run)!r}",
            remedy="Runs go on from, and are sampled at, their newest sound checkpoint",
        )
