"""The duality gap of a state: what both players gain, each where the other stands still.

DG = max_D' M(G, D') - min_G' M(G', D), with M the value of the game. It is 0 at a pure equilibrium
and positive elsewhere (arXiv:1811.05512). The best responses are approximated by some updates of
each player from where it is, so what is found is the gap within their reach.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from gancli.adversarial.dynamics import DYNAMICS, Game, Player, Turn, loss_at
from gancli.adversarial.optimizers import Optimizer

Players = dict[str, Player]


class DualityGap(NamedTuple):
    """The value M of a game on some batches, each (batches,) float64.

    `value` is that of the state, `maximised` that after the maximising player's response, and
    `minimised` that after the other's.
    """

    value: np.ndarray
    maximised: np.ndarray
    minimised: np.ndarray

    @property
    def gap(self) -> float:
        """DG, the mean over batches."""
        return float((self.maximised - self.minimised).mean())

    @property
    def error(self) -> float | None:
        """The standard error of that mean; None for a single batch."""
        each = self.maximised - self.minimised
        return float(each.std(ddof=1) / len(each) ** 0.5) if len(each) > 1 else None


def duality_gap(
    game: Game,
    optimizers: Mapping[str, Optimizer],
    players: Players,
    maximiser: str,
    updates: Mapping[str, Iterable[Turn]],
    measured: Sequence[Turn],
) -> DualityGap:
    """Lets each of two players respond to the other, and measures the value of the game.

    M is minus the maximising player's loss without penalties: the losses of both need not add up
    to zero, and penalties constrain the discriminator but are no part of what is played for.

    Args:
        game: the game.
        optimizers: the optimizer of each player; a response goes on from its state.
        players: the state of all players.
        maximiser: the player that maximises M, the discriminator.
        updates: the turns of the updates of both players, by name. In each of them a player
            descends its own loss, penalties included.
        measured: the turns on which M is measured.
    """
    moves = DYNAMICS.build("alternating", game, optimizers, dict.fromkeys(game.players, 1))

    def respond(player: str) -> Players:
        play = jax.jit(moves[game.players.index(player)].play)
        responded = players
        for turn in updates[player]:
            responded, _ = play(responded, turn)
        return responded

    value = jax.jit(_value_of(game, maximiser))

    def values(players: Players) -> np.ndarray:
        return np.array([value(players, turn) for turn in measured], np.float64)

    (minimiser,) = updates.keys() - {maximiser}
    return DualityGap(values(players), values(respond(maximiser)), values(respond(minimiser)))


def _value_of(game: Game, maximiser: str) -> Callable[[Players, Turn], jax.Array]:
    def value(players: Players, turn: Turn) -> jax.Array:
        loss, aux = loss_at(game, maximiser, players, turn)
        penalties = [own for name, own in aux.metrics.items() if name.startswith("penalty/")]
        return sum(penalties, -loss)

    return value
