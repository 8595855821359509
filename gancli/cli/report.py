"""`gan report`."""

from pathlib import Path
from typing import Annotated

import typer

from gancli.cli.application import app, out


@app.command()
def report(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", show_default=False, help="Directory of a comparison or of a run."
        ),
    ],
    out_: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Directory of the report.", show_default="DIR"),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="METRIC/FIGURE", help="Metric used for ranking.", show_default="as compared"
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="VARIANT",
            help="Variant that the others are compared with.",
            show_default="as compared",
        ),
    ] = None,
) -> None:
    """Write a comparison or a run as a page, and a comparison as CSV and LaTeX."""
    from gancli.report import write_report

    written = write_report(folder, out_, by or "", baseline or "")
    for path in written.paths:
        out.print(str(path))
    out.print(written.sentence)
