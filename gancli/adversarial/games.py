"""Games of two numbers whose behaviour is known exactly, played by the same dynamics.

They need no data: a game is a `Game` and where its players start.
"""

import functools
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gancli.adversarial.dynamics import DYNAMICS, Aux, Game, Turn, Weights, initial_state
from gancli.adversarial.keys import Stream
from gancli.adversarial.losses import LOSSES
from gancli.adversarial.optimizers import Optimizer
from gancli.adversarial.penalties import build_penalty
from gancli.errors import UserError, shown
from gancli.registry import Registry

MOST_STEPS = 1_000_000


class ScalarGame(NamedTuple):
    """A game whose players are one number each, and the numbers that they start from."""

    game: Game
    start: Mapping[str, float]


class Trajectory(NamedTuple):
    """Where the players were: each of shape (steps + 1,), the start first."""

    positions: Mapping[str, jax.Array]

    @property
    def radius(self) -> jax.Array:
        """Distance from the origin, (steps + 1,)."""
        # hypot: squares of the smallest positions would underflow.
        return functools.reduce(jnp.hypot, self.positions.values())


GAMES = Registry("game")


@GAMES.register("bilinear", reference="arXiv:1711.00141, section 2")
def bilinear(x: float = 2.0, y: float = 0.5) -> ScalarGame:
    """Bilinear game: x minimises and y maximises xy; the equilibrium is the origin.

    Args:
        x: where the minimising player starts.
        y: where the maximising player starts.

    Returns:
        The game, x moving first.
    """

    def loss(player: str, params: dict, stats: dict, turn: Turn) -> tuple[jax.Array, Aux]:
        product = params["x"] * params["y"]
        return (product if player == "x" else -product), Aux({}, {})

    return ScalarGame(Game(("x", "y"), loss), {"x": x, "y": y})


@GAMES.register("dirac", reference="arXiv:1801.04406")
def dirac(
    theta: float = 1.0, psi: float = 1.0, loss: str = "minimax", penalty: str = ""
) -> ScalarGame:
    """Dirac-GAN: data at 0, the generator a point at theta, the discriminator -psi x.

    The sign of psi is that of the paper, where generated examples are scored high.

    Args:
        theta: where the generator starts.
        psi: where the discriminator starts.
        loss: a spec of the catalogue of losses, in parentheses where it has several options.
        penalty: a spec of the catalogue of penalties, in the same way; empty for none.

    Returns:
        The game, the generator moving first.
    """
    built = LOSSES.build(loss)
    applied = build_penalty(penalty) if penalty else None

    def play(player: str, params: dict, stats: dict, turn: Turn) -> tuple[jax.Array, Aux]:
        def critic(examples: jax.Array) -> jax.Array:
            return -params["psi"] * examples[:, 0]

        real, fake = jnp.zeros((1, 1)), params["theta"].reshape(1, 1)
        half = built.generator if player == "theta" else built.discriminator
        value = half(critic(real), critic(fake)).mean()
        if player == "psi" and applied:
            value += applied.penalty(critic, real, fake, turn.key(Stream.PENALTY), turn.step).mean()
        return value, Aux({}, {})

    return ScalarGame(Game(("theta", "psi"), play), {"theta": theta, "psi": psi})


def trajectory(
    scalar_game: ScalarGame, dynamics: str, optimizers: Mapping[str, Optimizer], steps: int
) -> Trajectory:
    """Plays a game of numbers and records every step.

    Args:
        scalar_game: the game and its start.
        dynamics: a spec of the catalogue of dynamics.
        optimizers: the optimizer of each player.
        steps: how many steps to play.

    Returns:
        Every player's position before the first step and after each.

    Raises:
        UserError: if the dynamics are not in the catalogue, or a game is not that long.
    """
    if not 1 <= steps <= MOST_STEPS:
        raise UserError(f"a game of {shown(steps)} steps", f"1 to {MOST_STEPS:,} steps")
    game = scalar_game.game
    weights = {name: Weights(jnp.float32(at), {}) for name, at in scalar_game.start.items()}
    moves = DYNAMICS.build(dynamics, game, optimizers, dict.fromkeys(game.players, 1))

    def step(state, _):
        players = state.players
        for move in moves:
            turn = Turn({}, jax.random.key(0), state.step)
            players, _ = move.play(players, turn)
        moved = state._replace(step=state.step + 1, players=players)
        return moved, {name: player.params for name, player in players.items()}

    start = initial_state(weights, optimizers)
    _, path = jax.lax.scan(step, start, length=steps)
    return Trajectory(
        {
            name: jnp.concatenate([jnp.float32([scalar_game.start[name]]), path[name]])
            for name in game.players
        }
    )
