"""Duality gaps in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gancli.adversarial.duality_gap import duality_gap
from gancli.adversarial.dynamics import Aux, Game, Turn
from gancli.adversarial.games import GAMES, state_at
from gancli.adversarial.optimizers import build_optimizer
from gancli.config import OptimizerSettings

TURN = Turn({}, jax.random.key(0), jnp.int32(0), jnp.int32(0))


def gap_of(game, updates, rate=0.1, **at):
    optimizer = build_optimizer(OptimizerSettings(name="sgd", learning_rate=rate))
    optimizers = dict.fromkeys(game.players, optimizer)
    players = state_at(at, optimizers).players
    turns = {name: [TURN] * updates for name in game.players}
    return duality_gap(game, optimizers, players, game.players[1], turns, [TURN] * 2)


def test_the_gap_of_the_bilinear_game_grows_with_each_update():
    """M = xy; y + ηkx and x - ηky give ηk (x² + y²)."""
    found = gap_of(GAMES.build("bilinear").game, 10, x=2.0, y=0.5)
    assert found.value == pytest.approx([1.0, 1.0])
    assert found.maximised.mean() == pytest.approx(2 * 2.5)
    assert found.minimised.mean() == pytest.approx(1.5 * 0.5)
    assert found.gap == pytest.approx(4.25)
    assert found.error == 0


@pytest.mark.parametrize(("x", "y"), [(2.0, 0.5), (0.0, 0.0)])
def test_the_gap_of_the_quadratic_game_is_that_of_best_responses(x, y):
    """max over y and min over x of a/2 (x² - y²) + c xy differ by (a/2 + c²/2a) (x² + y²)."""
    found = gap_of(GAMES.build("quadratic").game, 200, x=x, y=y)
    assert found.gap == pytest.approx(1.25 * (x**2 + y**2), abs=1e-5)


def test_penalties_constrain_the_response_and_are_no_part_of_the_value():
    """A penalty of y² holds y at 1/2, and M = y there."""

    def loss(player, params, stats, turn):
        y, penalty = params["y"], params["y"] ** 2
        if player == "x":
            return 0 * params["x"], Aux({}, {})
        return penalty - y, Aux({}, {"penalty/r1": penalty})

    found = gap_of(Game(("x", "y"), loss), 100, x=0.0, y=0.0)
    assert found.maximised.mean() == pytest.approx(0.5, abs=1e-5)
    assert np.all(found.minimised == found.value)
