"""`gan doctor`."""

from typing import Annotated

import typer

from gancli.cli.application import app, out


@app.command()
def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Say what this machine, job and installation offer, and what is wrong, with what mends it."""
    from gancli.display.doctor import show_findings
    from gancli.doctor import Severity, examine
    from gancli.errors import UserError

    found = examine()
    show_findings(found, out, json)
    faults = [one.subject for one in found if one.severity is Severity.FAULT]
    if faults:
        raise UserError(f"{len(faults)} of these are faults: {', '.join(dict.fromkeys(faults))}")
