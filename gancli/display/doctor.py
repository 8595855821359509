"""What `gan doctor` found, as lines for people or as JSON."""

import json
from collections.abc import Sequence

from rich.console import Console

from gancli.doctor import Finding, Severity

_STYLES = {Severity.FAULT: "red", Severity.WARNING: "yellow", Severity.NOTE: None}


def show_findings(found: Sequence[Finding], console: Console, as_json: bool) -> None:
    """Prints each finding, and below it the command that mends it."""
    if as_json:
        listed = [one._asdict() for one in found]
        console.print(json.dumps(listed, indent=2), markup=False, soft_wrap=True)
        return
    for one in found:
        label = "" if one.severity is Severity.NOTE else f"{one.severity}: "
        console.print(f"{label}{one.subject}: {one.found}", style=_STYLES[one.severity])
        if one.remedy:
            console.print(f"    {one.remedy}", soft_wrap=True)
