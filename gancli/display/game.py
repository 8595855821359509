"""A game of two numbers: its trajectory, and its rate as predicted and as measured."""

import math
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

from gancli.adversarial.dynamics import Game
from gancli.adversarial.games import Trajectory, descent_field
from gancli.adversarial.stability import Prediction, Rate
from gancli.display.scatter import (
    CENTRE_COLOUR,
    DOTS_PER_INCH,
    GENERATED_COLOUR,
    MARGIN,
    REAL_COLOUR,
    save_figure,
)

_ROWS = 10
_LEAST_TURN = 1e-4  # in radians a step; rounding makes smaller ones
_ARROWS = 19  # along each side
_FARTHEST = 1e30  # What is further away is not drawn.
_STEEPEST = 10.0  # The dashed line leaves the middle by so many times e.


def show_game(
    path: Trajectory, predicted: Prediction | None, measured: Rate, console: Console
) -> None:
    """Prints about ten steps of a trajectory, and what becomes of its radius."""
    radius = np.asarray(path.radius)
    table = Table("step", *path.positions, "radius")
    last = len(radius) - 1
    for step in dict.fromkeys(np.linspace(0, last, min(_ROWS, last) + 1).round().astype(int)):
        row = [f"{float(position[step]):.6g}" for position in path.positions.values()]
        table.add_row(str(step), *row, f"{radius[step]:.7g}")
    rates = Table("", "steps", "radius a step", "turn a step", "steps a turn", "")
    if predicted is not None:
        rates.add_row("predicted", *_cells(predicted.rate))
    rates.add_row("measured", *_cells(measured))
    for column in (*table.columns, *rates.columns[1:-1]):
        column.justify, column.overflow = "right", "fold"
    console.print(table)
    console.print(rates)
    if predicted is None:
        console.print("No rate is predicted, because the step is not smooth at the equilibrium.")
    else:
        console.print(_condition(predicted))
    if measured.verdict == "undecided":
        console.print("Undecided: the radius hardly changed, and the path made no half-turn.")
    elif predicted is not None and predicted.rate.verdict != measured.verdict:
        console.print("The prediction holds near the equilibrium and in the long run.")
    console.print(f"radius after {last} steps: {radius[-1]:.7g}, from {radius[0]:.7g}")


def _cells(rate: Rate) -> tuple[str, ...]:
    """The steps that a rate was measured over, its factor, angle and period, and the verdict."""
    if math.isnan(rate.factor):
        return "", "", "", "", rate.verdict
    steps = "–".join(map(str, rate.span or ()))
    period = f"{2 * math.pi / rate.angle:.4g}" if rate.angle > _LEAST_TURN else ""
    return steps, f"× {rate.factor:.7g}", f"{math.degrees(rate.angle):.4g}°", period, rate.verdict


def _condition(predicted: Prediction) -> str:
    """At which learning rates the game converges near its equilibrium."""
    below = predicted.converges_below
    if below is None:
        how = "at no small learning rate"
    elif math.isinf(max(below.values())):
        how = "at every learning rate up to 100"
    elif len(set(below.values())) == 1:
        how = f"below a learning rate of {max(below.values()):.3g}"
    else:
        each = " and ".join(f"{rate:.3g} ({player})" for player, rate in below.items())
        how = f"below learning rates of {each}"
    return f"Near the equilibrium it converges {how}."


def draw_game(
    file: Path, game: Game, path: Trajectory, predicted: Prediction | None, measured: Rate
) -> None:
    """Draws a trajectory over the field of the players' descent, and its radius over steps.

    Args:
        file: the PNG file.
        game: the game.
        path: its trajectory.
        predicted: the prediction, drawn as a dashed line over the steps that were measured.
        measured: the measured rate.

    Raises:
        UserError: if the file system refuses.
    """
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure((10, 4.8), DOTS_PER_INCH, facecolor="white", layout="constrained")
    plane, curve = figure.subplots(1, 2)
    radius = np.asarray(path.radius, np.float64)
    points = np.asarray([*path.positions.values()], np.float64).T[radius < _FARTHEST]
    half = (1 + 2 * MARGIN) * float(abs(points).max(initial=0.0)) or 1.0
    grid = np.array(np.meshgrid(*[np.linspace(-half, half, _ARROWS)] * 2)).reshape(2, -1)
    field = descent_field(game, dict(zip(game.players, jnp.float32(grid), strict=True)))
    arrows = np.nan_to_num(np.asarray([*field.values()], np.float64), posinf=0.0, neginf=0.0)
    plane.quiver(*grid, *arrows, color=REAL_COLOUR, angles="xy", pivot="mid")
    plane.plot(*points.T, c=GENERATED_COLOUR, lw=1, label="path")
    plane.plot(*points[:1].T, "o", c=GENERATED_COLOUR, mfc="white", label="start")
    plane.plot(*points[-1:].T, "o", c=GENERATED_COLOUR, label="end")
    plane.plot(0, 0, "x", c=CENTRE_COLOUR, label="equilibrium")
    plane.set_xlim(-half, half)
    plane.set_ylim(-half, half)
    plane.set_aspect("equal")
    plane.set_xlabel(game.players[0])
    plane.set_ylabel(game.players[1])
    steps = np.flatnonzero((radius > 0) & (radius < _FARTHEST))
    curve.plot(steps, radius[steps], c=GENERATED_COLOUR, lw=1, label="radius")
    if len(steps):
        curve.set_yscale("log")
    if predicted is not None and 0 < predicted.rate.factor < math.inf and measured.span:
        steps = np.arange(measured.span[0], measured.span[1] + 1)
        change = (steps - steps.mean()) * math.log(predicted.rate.factor)
        shown = abs(change) < _STEEPEST
        line = np.exp(np.log(radius[steps]).mean() + change[shown])
        curve.plot(steps[shown], line, "--", c=CENTRE_COLOUR, lw=1, label="predicted rate")
    low, high = curve.get_ylim()
    curve.yaxis.set_major_formatter("{x:g}")
    curve.yaxis.set_minor_formatter("{x:g}" if high < 10 * low else "")
    curve.set_xlabel("step")
    curve.set_ylabel("radius: distance from the equilibrium")
    curve.spines[["top", "right"]].set_visible(False)
    for panel, columns in ((plane, 4), (curve, 2)):
        panel.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=columns, frameon=False)
    with matplotlib.rc_context({"agg.path.chunksize": 10_000}):  # Agg refuses the longest paths.
        save_figure(file, figure)
