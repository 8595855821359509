"""`gan game`."""

from pathlib import Path
from typing import Annotated

import typer

from gancli.cli.application import app, compute, out
from gancli.errors import UserError


@app.command()
def game(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Game, e.g. bilinear or dirac (gan list games).")
    ],
    dynamics: Annotated[
        str, typer.Option(metavar="SPEC", help="Update rule (gan list dynamics).")
    ] = "simultaneous",
    steps: Annotated[int, typer.Option(min=1, help="Number of updates.")] = 100,
    learning_rate: Annotated[float, typer.Option(help="Learning rate of both players.")] = 0.1,
    discriminator_learning_rate: Annotated[
        float | None,
        typer.Option(
            help="Learning rate of the second player, psi or y.", show_default="--learning-rate"
        ),
    ] = None,
    discriminator_steps: Annotated[
        int, typer.Option(min=1, max=100, help="Updates of the second player in a step.")
    ] = 1,
    optimizer: Annotated[
        str, typer.Option(metavar="NAME", help="Optimizer of both players.")
    ] = "sgd",
    clip: Annotated[
        float | None, typer.Option(help="Clip discriminator parameter psi to ±value.")
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE.png", help="Draw the path and its radius over steps."),
    ] = None,
) -> None:
    """Play a game of two numbers with the dynamics that train networks.

    Says whether it converges, cycles or diverges, and at which rate.
    """
    from gancli.display.scatter import require_own_figure

    if picture is not None:
        if picture.suffix.lower() != ".png":
            raise UserError(f"--out {str(picture)!r}", "a file whose name ends in .png")
        require_own_figure(picture, "--out")
    compute()
    from gancli.adversarial.games import GAMES, trajectory
    from gancli.adversarial.optimizers import build_optimizer
    from gancli.adversarial.stability import measure, predict
    from gancli.config import optimizer_settings
    from gancli.display.game import draw_game, show_game

    scalar_game = GAMES.build(name)
    second = scalar_game.game.players[-1]
    rates = dict.fromkeys(scalar_game.game.players, learning_rate)
    if discriminator_learning_rate is not None:
        rates[second] = discriminator_learning_rate
    optimizers = {
        player: build_optimizer(
            optimizer_settings(
                name=optimizer,
                learning_rate=rate,
                clip_weights=clip if player == "psi" else None,
            )
        )
        for player, rate in rates.items()
    }
    updates = {second: discriminator_steps}
    path = trajectory(scalar_game, dynamics, optimizers, steps, updates)
    predicted = predict(scalar_game, dynamics, optimizers, steps, updates)
    measured = measure(path)
    show_game(path, predicted, measured, out)
    if picture is not None:
        draw_game(picture, scalar_game.game, path, predicted, measured)
        out.print(f"picture {picture}")
