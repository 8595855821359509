"""Dynamics on games small enough to work out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from refusals import refused

from gancli.adversarial.dynamics import (
    DYNAMICS,
    Aux,
    Game,
    Turn,
    Weights,
    initial_state,
    with_frozen,
)
from gancli.adversarial.optimizers import OPTIMIZERS, Optimizer, build_optimizer
from gancli.config import OptimizerSettings


def quadratic_loss(player, params, stats, turn):
    """Both players at (x - y)², so the gradients are 2(x - y) and -2(x - y)."""
    loss = (params["x"] - params["y"]) ** 2 + 0.0 * turn.batch
    return loss, Aux({"calls": stats[player]["calls"] + 1}, {"gap": params["x"] - params["y"]})


GAME = Game(("x", "y"), quadratic_loss)
TURN = Turn(jnp.float32(0), jax.random.key(0), jnp.int32(0))


def optimizer(rate=0.1, **others):
    return Optimizer(lambda step: optax.identity(), lambda step: jnp.float32(rate), **others)


def start(optimizers):
    weights = {
        name: Weights(jnp.float32(at), {"calls": jnp.int32(0)})
        for name, at in (("x", 1.0), ("y", 0.0))
    }
    return initial_state(weights, optimizers)


def one_step(name, optimizers=None, updates=None):
    optimizers = optimizers or {"x": optimizer(), "y": optimizer()}
    updates = updates or {"x": 1, "y": 1}
    players, metrics = start(optimizers).players, {}
    for move in DYNAMICS.build(name, GAME, optimizers, updates):
        for _ in range(move.repeat):
            players, measured = jax.jit(move.play)(players, TURN)
            metrics |= measured
    return players, metrics


# From (1, 0) with rate 0.1. Simultaneous: x = 1 - 0.2, y = 0.2. Alternating: x = 0.8, then
# y = 0.1 · 2 · 0.8 = 0.16. Extragradient: at (0.8, 0.2) the gap is 0.6: x = 0.88, y = 0.12.
# Implicit, twice from there: at (0.88, 0.12) the gap is 0.76: x = 1 - 0.152, y = 0.152.
# Consensus with γ = 0.5: ½‖v‖² = 4 (x - y)², whose gradient is (8, -8): x = 1 - 0.1 (2 + 4).
@pytest.mark.parametrize(
    ("name", "x", "y"),
    [
        ("simultaneous", 0.8, 0.2),
        ("alternating", 0.8, 0.16),
        ("extragradient", 0.88, 0.12),
        ("implicit:iterations=3", 0.848, 0.152),
        ("consensus:weight=0.5", 0.4, 0.6),
    ],
)
def test_one_step_by_hand(name, x, y):
    players, metrics = one_step(name)
    assert float(players["x"].params) == pytest.approx(x, abs=1e-6)
    assert float(players["y"].params) == pytest.approx(y, abs=1e-6)
    assert set(metrics) == {
        f"{player}/{name}"
        for player in "xy"
        for name in ("loss", "gap", "gradient_norm", "learning_rate")
    }
    evaluations = {"extragradient": 2, "implicit:iterations=3": 3}.get(name, 1)
    assert int(players["x"].stats["calls"]) == evaluations


def test_metrics_are_of_the_player_before_its_update():
    _, metrics = one_step("alternating")
    assert float(metrics["x/loss"]) == pytest.approx(1.0)
    assert float(metrics["y/loss"]) == pytest.approx(0.64)
    assert float(metrics["x/gradient_norm"]) == pytest.approx(2.0)
    assert float(metrics["y/gradient_norm"]) == pytest.approx(1.6)
    assert float(metrics["x/learning_rate"]) == pytest.approx(0.1)


def test_players_make_as_many_updates_as_they_are_given():
    """Two updates of x against y = 0: 0.8, then 0.64; then y = 0.1 · 2 · 0.64."""
    players, _ = one_step("alternating", updates={"x": 2, "y": 1})
    assert float(players["x"].params) == pytest.approx(0.64, abs=1e-6)
    assert float(players["y"].params) == pytest.approx(0.128, abs=1e-6)


@pytest.mark.parametrize("name", sorted(set(DYNAMICS.names()) - {"alternating"}))
def test_joint_dynamics_refuse_several_updates_in_a_step(name):
    settings = ("train.discriminator_steps=1", "train.generator_steps=1")
    with refused(name, "x 2", "y 1", remedy=(*settings, "alternating")):
        one_step(name, updates={"x": 2, "y": 1})


def test_two_learning_rates():
    players, _ = one_step("simultaneous", {"x": optimizer(0.1), "y": optimizer(0.3)})
    assert float(players["x"].params) == pytest.approx(0.8)
    assert float(players["y"].params) == pytest.approx(0.6)


def test_extragradient_takes_both_gradients_into_the_moments():
    """Heavy ball by a half: 2 on the look ahead, then 1.2 + 2 / 2 = 2.2 from (1, 0)."""
    heavy = Optimizer(lambda step: optax.trace(decay=0.5), lambda step: jnp.float32(0.1))
    players, _ = one_step("extragradient", {"x": heavy, "y": heavy})
    assert float(players["x"].params) == pytest.approx(0.78)
    assert float(players["y"].params) == pytest.approx(0.22)


def test_weights_are_clipped_after_the_update():
    players, _ = one_step("simultaneous", {"x": optimizer(clip_weights=0.5), "y": optimizer()})
    assert float(players["x"].params) == 0.5
    assert float(players["y"].params) == pytest.approx(0.2)


def test_average_follows_params_and_leaves_them_alone():
    averaged = optimizer(average_decay=lambda step: jnp.float32(0.75))
    players, _ = one_step("simultaneous", {"x": averaged, "y": optimizer()})
    assert float(players["x"].params) == pytest.approx(0.8)
    assert float(players["x"].average.params) == pytest.approx(0.95)  # 0.75 · 1 + 0.25 · 0.8
    assert players["y"].average is None


@pytest.mark.parametrize("name", DYNAMICS.names())
def test_every_dynamics_plays_under_scan(name):
    optimizers = {"x": optimizer(0.05), "y": optimizer(0.05)}
    spec = "consensus:weight=1" if name == "consensus" else name
    moves = DYNAMICS.build(spec, GAME, optimizers, {"x": 1, "y": 1})

    def step(players, _):
        for move in moves:
            turn = Turn(jnp.float32(0), jax.random.key(0), jnp.int32(0))
            players, _ = move.play(players, turn)
        return players, players["x"].params - players["y"].params

    _, gaps = jax.lax.scan(step, start(optimizers).players, length=50)
    assert abs(float(gaps[-1])) < 0.05
    assert np.isfinite(gaps).all()


# From (1, 0) with rate 0.1 and y frozen, so that x alone descends (x - y)², by 2(x - y).
# Extragradient: at 0.8 the gradient is 1.6. Implicit: at 0.84 it is 1.68. Consensus with γ = 0.5:
# ½‖v‖² is that of x alone, 2(x - y)², whose gradient is 4: x = 1 - 0.1 (2 + 2).
@pytest.mark.parametrize(
    ("name", "x"),
    [
        ("simultaneous", 0.8),
        ("alternating", 0.8),
        ("extragradient", 0.84),
        ("implicit:iterations=3", 0.832),
        ("consensus:weight=0.5", 0.6),
    ],
)
def test_a_frozen_parameter_stays_and_takes_no_part(name, x):
    game, optimizers = with_frozen(GAME, {"y": True}), {"x": optimizer(), "y": optimizer()}
    optimizers["y"] = optimizers["y"]._replace(frozen=True)
    players, metrics = start(optimizers).players, {}
    for move in DYNAMICS.build(name, game, optimizers, {"x": 1, "y": 1}):
        players, measured = move.play(players, TURN)
        metrics |= measured
    assert (float(players["x"].params), float(players["y"].params)) == (pytest.approx(x), 0.0)
    assert float(metrics["y/gradient_norm"]) == 0.0
    assert int(players["y"].stats["calls"]) > 0


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_nothing_moves_what_is_frozen(name):
    """Neither weight decay nor clipping, nor its average, which is another value here."""
    settings = {"weight_decay": 0.1, "clip_weights": 0.5, "learning_rate": 0.1, "momentum": 0.9}
    own = build_optimizer(OptimizerSettings(name=name, **settings), lambda step: jnp.float32(0.5))
    frozen = {"held": True, "free": False}

    def loss(player, params, stats, turn):
        return sum(value**2 for value in params["x"].values()), Aux(stats["x"], {})

    optimizers = {"x": own._replace(frozen=frozen)}
    begin = {"held": jnp.float32(3), "free": jnp.float32(0.4)}
    state = initial_state({"x": Weights(begin, {})}, optimizers)
    player = state.players["x"]._replace(
        average=Weights({"held": jnp.float32(5), "free": jnp.float32(5)}, {})
    )
    game = with_frozen(Game(("x",), loss), {"x": frozen})
    (move,) = DYNAMICS.build("alternating", game, optimizers, {"x": 1})
    for _ in range(3):
        players, _ = move.play({"x": player}, TURN)
        player = players["x"]
    assert float(player.params["held"]) == 3
    assert float(player.average.params["held"]) == 5
    assert float(player.params["free"]) != pytest.approx(0.4)
    assert float(player.average.params["free"]) < 5
    leaves = jax.tree_util.tree_leaves_with_path(player.opt_state)
    moments = [float(leaf) for path, leaf in leaves if "held" in jax.tree_util.keystr(path)]
    assert moments == [0.0] * len(moments)
