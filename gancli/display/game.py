"""The trajectory of a game of two numbers."""

import numpy as np
from rich.console import Console
from rich.table import Table

from gancli.adversarial.games import Trajectory

_ROWS = 10


def show_trajectory(path: Trajectory, console: Console) -> None:
    """Prints about ten steps of a trajectory and how its radius changed."""
    radius = np.asarray(path.radius)
    table = Table("step", *path.positions, "radius")
    for column in table.columns:
        column.justify = "right"
    last = len(radius) - 1
    for step in dict.fromkeys(np.linspace(0, last, min(_ROWS, last) + 1).round().astype(int)):
        row = [f"{float(position[step]):.6g}" for position in path.positions.values()]
        table.add_row(str(step), *row, f"{radius[step]:.7g}")
    console.print(table)
    console.print(f"radius after {last} steps: {radius[-1]:.7g}, from {radius[0]:.7g}")
