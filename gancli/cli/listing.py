"""`gan list`."""

from typing import Annotated

import typer

from gancli.cli.application import app, out


@app.command(name="list")
def list_(
    kind: Annotated[str | None, typer.Argument(help="Catalogue to list; all by default.")] = None,
) -> None:
    """List losses, penalties, models, data sets, metrics and so on, with options and references."""
    from gancli.cli.catalogues import catalogues
    from gancli.display.catalogue import show_catalogue
    from gancli.errors import unknown_name

    known = catalogues()
    if kind is not None and kind not in known:
        raise unknown_name("catalogue", kind, known)
    for name in [kind] if kind else known:
        show_catalogue(name, known[name], out)
