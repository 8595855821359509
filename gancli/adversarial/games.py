"""Games of two numbers with exactly known behaviour, played by the same dynamics.

They need no data: a scalar game is a `Game` and the start of its players.
"""

import functools
from collections.abc import Mapping
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from gancli.adversarial.dynamics import DYNAMICS, Aux, Game, Turn, Weights, initial_state
from gancli.adversarial.keys import Stream
from gancli.adversarial.losses import LOSSES
from gancli.adversarial.optimizers import Optimizer
from gancli.adversarial.penalties import build_penalty
from gancli.errors import UserError, shown
from gancli.registry import Bounds, Registry

MOST_STEPS = 1_000_000
# Equally likely values of instance noise; real and generated examples have every pair of them.
_NOISES = 32


class ScalarGame(NamedTuple):
    """A game whose players are one number each, and their initial values."""

    game: Game
    start: Mapping[str, float]


class Trajectory(NamedTuple):
    """The positions of the players, each of shape (steps + 1,), the start first."""

    positions: Mapping[str, jax.Array]

    @property
    def radius(self) -> jax.Array:
        """Distance from the origin, (steps + 1,)."""
        # hypot, because squares of the smallest positions would underflow.
        return functools.reduce(jnp.hypot, self.positions.values())


GAMES = Registry("game")


@GAMES.register("bilinear", reference="arXiv:1711.00141, section 2")
def bilinear(x: float = 2.0, y: float = 0.5) -> ScalarGame:
    """Bilinear game: x minimises and y maximises xy; the equilibrium is the origin.

    Args:
        x: initial value of the minimising player.
        y: initial value of the maximising player.

    Returns:
        The game, x moving first.
    """

    def loss(player: str, params: dict, stats: dict, turn: Turn) -> tuple[jax.Array, Aux]:
        product = params["x"] * params["y"]
        return (product if player == "x" else -product), Aux({}, {})

    return ScalarGame(Game(("x", "y"), loss), {"x": x, "y": y})


@GAMES.register("dirac", reference="arXiv:1801.04406")
def dirac(
    theta: float = 1.0,
    psi: float = 1.0,
    loss: str = "minimax",
    penalty: str = "",
    noise: Annotated[float, Bounds(0, 1e6)] = 0.0,
) -> ScalarGame:
    """Dirac-GAN: data at 0, the generator a point at theta, the discriminator -psi x.

    The sign of psi follows the paper, where generated examples are scored high.

    Args:
        theta: where the generator starts.
        psi: where the discriminator starts.
        loss: a spec of the catalogue of losses, in parentheses where it has several options.
        penalty: a spec of the catalogue of penalties, in the same way; empty for none.
        noise: the deviation of instance noise, over which losses are means (arXiv:1610.04490).

    Returns:
        The game, the generator moving first.
    """
    noises = noise * _equally_likely(_NOISES) if noise else jnp.zeros(1)
    built = LOSSES.build(loss)
    applied = build_penalty(penalty) if penalty else None

    def play(player: str, params: dict, stats: dict, turn: Turn) -> tuple[jax.Array, Aux]:
        def critic(examples: jax.Array) -> jax.Array:
            return -params["psi"] * examples[:, 0]

        real = jnp.repeat(noises, len(noises))[:, None]
        fake = params["theta"].reshape(1, 1) + jnp.tile(noises, len(noises))[:, None]
        half = built.generator if player == "theta" else built.discriminator
        value = half(critic(real), critic(fake)).mean()
        if player == "psi" and applied:
            value += applied.penalty(critic, real, fake, turn.key(Stream.PENALTY), turn.step).mean()
        return value, Aux({}, {})

    return ScalarGame(Game(("theta", "psi"), play), {"theta": theta, "psi": psi})


def _equally_likely(count: int) -> jax.Array:
    """So many equally likely values in place of a standard normal one, of variance 1."""
    values = jax.scipy.special.ndtri((jnp.arange(count, dtype=jnp.float32) + 0.5) / count)
    return values / values.std()


def trajectory(
    scalar_game: ScalarGame,
    dynamics: str,
    optimizers: Mapping[str, Optimizer],
    steps: int,
    updates: Mapping[str, int] | None = None,
) -> Trajectory:
    """Plays a game of numbers and records every step.

    Args:
        scalar_game: the game and its start.
        dynamics: a spec of dynamics.
        optimizers: the optimizer of each player.
        steps: how many steps to play.
        updates: how many updates each player makes in a step; None for one.

    Returns:
        Every player's position before the first step and after each step.

    Raises:
        UserError: if the dynamics are not in the catalogue or do not allow so many updates, or a
            game is not that long.
    """
    if not 1 <= steps <= MOST_STEPS:
        raise UserError(f"a game of {shown(steps)} steps", f"1 to {MOST_STEPS:,} steps")
    game = scalar_game.game
    weights = {name: Weights(jnp.float32(at), {}) for name, at in scalar_game.start.items()}
    updates = dict.fromkeys(game.players, 1) | dict(updates or {})
    moves = DYNAMICS.build(dynamics, game, optimizers, updates)

    def step(state, _):
        players = state.players
        in_order = [move.play for move in moves for _ in range(move.repeat)]
        for update, play in enumerate(in_order):
            players, _ = play(players, Turn({}, jax.random.key(0), state.step, update))
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
