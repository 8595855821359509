"""Games of two numbers with exactly known behaviour, played by the same dynamics.

They need no data: a scalar game is a `Game` and the start of its players.
"""

import functools
import itertools
from collections.abc import Callable, Mapping
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from gancli.adversarial.dynamics import (
    DYNAMICS,
    Aux,
    Game,
    TrainState,
    Turn,
    Weights,
    initial_state,
)
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
    """A game whose players are one number each, and their initial values.

    Its equilibrium is the origin.
    """

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
    return quadratic(x, y, curvature=0.0)


@GAMES.register("quadratic", reference="arXiv:1906.05945, section 3")
def quadratic(
    x: float = 2.0, y: float = 0.5, curvature: float = 0.5, coupling: float = 1.0
) -> ScalarGame:
    """Quadratic game: x minimises and y maximises a/2 (x² - y²) + c xy.

    Args:
        x: initial value of the minimising player.
        y: initial value of the maximising player.
        curvature: a; 0 is the bilinear game, and below 0 the origin is no Nash equilibrium.
        coupling: c.

    Returns:
        The game, x moving first.
    """

    def loss(player: str, params: dict, stats: dict, turn: Turn) -> tuple[jax.Array, Aux]:
        x, y = params["x"], params["y"]
        value = curvature / 2 * (x**2 - y**2) + coupling * x * y
        return (value if player == "x" else -value), Aux({}, {})

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

    Raises:
        UserError: if the loss or the penalty is not in its catalogue, or the penalty is lazy.
    """
    noises = noise * _equally_likely(_NOISES) if noise else jnp.zeros(1)
    built = LOSSES.build(loss)
    applied = build_penalty(penalty) if penalty else None
    if applied and applied.every != 1:
        raise UserError(f"the penalty {shown(penalty)} of every {applied.every} steps", "every=1")

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


def state_at(
    positions: Mapping[str, float | jax.Array], optimizers: Mapping[str, Optimizer]
) -> TrainState:
    """The state at step 0 with the players at given positions."""
    weights = {name: Weights(jnp.float32(at), {}) for name, at in positions.items()}
    return initial_state(weights, optimizers)


def positions_of(state: TrainState) -> dict[str, jax.Array]:
    """Every player's position."""
    return {name: player.params for name, player in state.players.items()}


def one_step(
    game: Game,
    dynamics: str,
    optimizers: Mapping[str, Optimizer],
    updates: Mapping[str, int] | None = None,
) -> Callable[[TrainState], TrainState]:
    """One step of a game of numbers: all moves of the dynamics, in order.

    Args:
        game: the game.
        dynamics: a spec of dynamics.
        optimizers: the optimizer of each player.
        updates: how many updates each player makes in a step; None for one.

    Returns:
        A function from the state before a step to the state after it.

    Raises:
        UserError: if the dynamics are not in the catalogue or do not allow so many updates.
    """
    updates = dict.fromkeys(game.players, 1) | dict(updates or {})
    moves = DYNAMICS.build(dynamics, game, optimizers, updates)
    made = [0, *itertools.accumulate(move.repeat for move in moves)]

    def step(state: TrainState) -> TrainState:
        def update(play: Callable, players: dict, number: jax.Array) -> tuple[dict, None]:
            return play(players, Turn({}, jax.random.key(0), state.step, number))[0], None

        players = state.players
        for move, first in zip(moves, made, strict=False):
            numbers = first + jnp.arange(move.repeat)
            players, _ = jax.lax.scan(functools.partial(update, move.play), players, numbers)
        return state._replace(step=state.step + 1, players=players)

    return step


def descent_field(game: Game, positions: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """Where players go that descend their own losses at once.

    Args:
        game: the game.
        positions: every player's positions, (points,).

    Returns:
        Minus the derivative of each player's loss by its own position, (points,).
    """
    turn, stats = Turn({}, jax.random.key(0), jnp.int32(0)), {name: {} for name in game.players}

    def descend(at: dict[str, jax.Array]) -> dict[str, jax.Array]:
        def own_loss(own: jax.Array, name: str) -> jax.Array:
            return game.loss(name, at | {name: own}, stats, turn)[0]

        return {name: -jax.grad(own_loss)(at[name], name) for name in game.players}

    return jax.vmap(descend)(dict(positions))


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
    play = one_step(scalar_game.game, dynamics, optimizers, updates)

    def step(state: TrainState, _: None):
        moved = play(state)
        return moved, positions_of(moved)

    start = state_at(scalar_game.start, optimizers)
    _, path = jax.lax.scan(step, start, length=steps)
    return Trajectory(
        {
            name: jnp.concatenate([jnp.float32([scalar_game.start[name]]), path[name]])
            for name in scalar_game.game.players
        }
    )
