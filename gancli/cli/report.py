"""`gan report`."""

from pathlib import Path
from typing import Annotated

import typer

from gancli.cli.application import app, out


@app.command()
def report(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", show_default=False, help="Comparison or run directory."),
    ],
    out_: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Report directory.", show_default="DIR"),
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
            help="Variant to compare the others with.",
            show_default="as compared",
        ),
    ] = None,
) -> None:
    """Write the report of a comparison or run: HTML, Markdown, for a comparison CSV and LaTeX."""
    from gancli.report import write_report

    written = write_report(folder, out_, by or "", baseline or "")
    for path in written.paths:
        out.print(str(path))
    out.print(written.sentence)
