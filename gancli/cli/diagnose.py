"""`gan diagnose`."""

from pathlib import Path
from typing import Annotated

import typer

from gancli.cli.application import app, compute, err, out, warn
from gancli.cli.training import Moved


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
    jacobian: Annotated[
        bool,
        typer.Option("--jacobian", help="Analyse the game of a run: eigenvalues, duality gap."),
    ] = False,
    dataset: Moved = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Say what goes wrong in a run, since when, by which evidence, and what to change."""
    if jacobian:
        compute()
    from gancli.display.diagnosis import show_diagnoses
    from gancli.display.progress import shown_progress
    from gancli.errors import UserError, shown
    from gancli.training.account import accounts_of

    if dataset is not None and not jacobian:
        raise UserError(
            f"--dataset {shown(dataset)} without --jacobian, which alone reads data",
            "both or neither",
            "Leave out --dataset",
        )
    accounts, game = accounts_of(run), None
    if jacobian:
        from gancli.training.game_analysis import analyse_game

        with shown_progress(err):
            game = analyse_game(run, dataset)
        warn(game.warnings)
    show_diagnoses(accounts, out, json, explain, game)
