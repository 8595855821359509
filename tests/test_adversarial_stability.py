"""Predicted and measured rates of games: exact factors, and each other, for all dynamics."""

import math

import numpy as np
import pytest

from gancli.adversarial.dynamics import DYNAMICS
from gancli.adversarial.games import GAMES, Trajectory, trajectory
from gancli.adversarial.optimizers import build_optimizer
from gancli.adversarial.stability import measure, predict
from gancli.config import OptimizerSettings

R1 = "dirac:penalty=r1:weight=0.3"
WGAN_GP = "dirac:loss=wasserstein,penalty=gradient-penalty:weight=0.35"


def setting(game, learning_rate, **optimizer):
    scalar_game = GAMES.build(game)
    settings = OptimizerSettings(**{"name": "sgd", "learning_rate": learning_rate} | optimizer)
    return scalar_game, dict.fromkeys(scalar_game.game.players, build_optimizer(settings))


def predicted(game, dynamics, learning_rate, updates=None, **optimizer):
    scalar_game, optimizers = setting(game, learning_rate, **optimizer)
    return predict(scalar_game, dynamics, optimizers, 100, updates)


def require_agreement(game, dynamics, updates=None, factor_to=1e-4, **optimizer):
    """Of the factor, of the turn to 1e-3 radians, and of the verdict."""
    scalar_game, optimizers = setting(game, 0.1, **optimizer)
    path = trajectory(scalar_game, dynamics, optimizers, 600, updates)
    expected = predict(scalar_game, dynamics, optimizers, 600, updates).rate
    found = measure(path)
    assert found.factor == pytest.approx(expected.factor, rel=factor_to)
    assert found.angle == pytest.approx(expected.angle, abs=1e-3)
    assert found.verdict == expected.verdict


@pytest.mark.slow
@pytest.mark.parametrize("dynamics", DYNAMICS.names())
@pytest.mark.parametrize("game", ["bilinear", "quadratic", f"{R1},theta=0.01,psi=0.01"])
def test_predicted_and_measured_rates_agree(game, dynamics):
    require_agreement(game, dynamics)


@pytest.mark.parametrize(
    ("game", "dynamics", "others"),
    [
        ("bilinear", "simultaneous", {"name": "optimistic-sgd"}),
        ("quadratic", "alternating", {"momentum": 0.5}),
        (f"{R1},theta=0.01,psi=0.01", "alternating", {"updates": {"psi": 5}, "factor_to": 2e-4}),
    ],
)
def test_rates_agree_with_states_of_optimizers_and_several_updates(game, dynamics, others):
    require_agreement(game, dynamics, **others)


# By hand from the eigenvalues of the step; of R1 and instance noise from those of the field in
# arXiv:1801.04406, so for R1 |λ|² = 1 - hγ + h²/4.
@pytest.mark.parametrize(
    ("game", "dynamics", "learning_rate", "optimizer", "factor", "below"),
    [
        ("bilinear", "simultaneous", 0.3, "sgd", math.sqrt(1.09), None),
        ("bilinear", "alternating", 0.3, "sgd", 1.0, None),
        ("bilinear", "extragradient", 0.3, "sgd", math.sqrt(1 - 0.09 + 0.0081), 1.0),
        ("bilinear", "implicit:iterations=20", 0.3, "sgd", 1 / math.sqrt(1.09), 1.0),
        # (1 - ηγ)² + η² < 1 below 2γ / (1 + γ²).
        ("bilinear", "consensus:weight=2", 0.1, "sgd", math.sqrt(0.65), 0.8),
        # λ² - λ + 2iηλ - iη = 0 has |λ| = 1 at η = 1/√3.
        ("bilinear", "simultaneous", 1 / math.sqrt(3), "optimistic-sgd", 1.0, 1 / math.sqrt(3)),
        # (1 - ηa)² + η²c² < 1 below 2a / (a² + c²).
        ("quadratic", "simultaneous", 0.1, "sgd", math.sqrt(0.95**2 + 0.01), 0.8),
        # Descent of a parabola converges below 2/a.
        ("quadratic:curvature=0.001,coupling=0", "simultaneous", 1.0, "sgd", 0.999, math.inf),
        ("quadratic:curvature=-0.5", "simultaneous", 0.1, "sgd", math.sqrt(1.05**2 + 0.01), None),
        ("dirac", "simultaneous", 0.2, "sgd", math.sqrt(1.01), None),
        (R1, "simultaneous", 0.2, "sgd", math.sqrt(0.95), 1.2),
        # |1 + hλ| with λ = f''σ² ± √(f''²σ⁴ - f'²) = -0.16 ± 0.47371i, below 0.32 / |λ|².
        ("dirac:noise=0.8", "simultaneous", 0.2, "sgd", math.hypot(0.968, 0.094742), 1.28),
    ],
)
def test_predictions_are_exact(game, dynamics, learning_rate, optimizer, factor, below):
    found = predicted(game, dynamics, learning_rate, name=optimizer)
    assert found.rate.factor == pytest.approx(factor, abs=1e-6)
    limits = found.converges_below
    assert (
        limits is None
        if below is None
        else list(limits.values()) == pytest.approx([below, below], rel=1e-3)
    )


def test_the_turn_of_a_simultaneous_step_is_exact():
    assert predicted("bilinear", "simultaneous", 0.3).rate.angle == pytest.approx(math.atan(0.3))


@pytest.mark.parametrize(("game", "optimizer"), [("bilinear", "adam"), (WGAN_GP, "sgd")])
def test_nothing_is_predicted_where_the_step_is_not_smooth(game, optimizer):
    assert predicted(game, "simultaneous", 0.1, name=optimizer) is None


def spiral(factor, turn, steps):
    radius, angle = factor ** np.arange(steps + 1.0), turn * np.arange(steps + 1)
    return Trajectory({"x": radius * np.cos(angle), "y": radius * np.sin(angle)})


@pytest.mark.parametrize(
    ("factor", "turn", "steps", "verdict"),
    [
        (1.01, 0.1, 200, "diverges"),
        (0.99, 0.1, 200, "converges"),
        (1.0, 0.1, 200, "cycles"),
        # 0.99993^(2π / 0.1) = 0.9956, and 0.9997^(2π / 0.1) = 0.981: 1 % a turn lies between.
        (0.99993, 0.1, 1000, "cycles"),
        (0.9997, 0.1, 1000, "converges"),
        (0.9, 0.0, 50, "converges"),
        (1.0, 0.0, 50, "undecided"),
        (1.0001, 0.001, 50, "undecided"),
    ],
)
def test_verdict_on_a_spiral(factor, turn, steps, verdict):
    found = measure(spiral(factor, turn, steps))
    assert found.verdict == verdict
    assert found.factor == pytest.approx(factor, rel=1e-6)
    assert found.angle == pytest.approx(turn, abs=1e-6)


def test_measured_are_the_last_whole_half_turns_before_rounding_and_overflow():
    """A half-turn is 10 steps; 0.7^32 is the last power above 1e-5, and 10^29 below 1e30."""
    assert measure(spiral(1.0, math.pi / 10, 47)).span == (27, 47)
    assert measure(spiral(0.7, math.pi / 10, 100)).span == (22, 32)
    assert measure(spiral(10.0, 0.0, 35)).span == (14, 29)


@pytest.mark.parametrize(
    ("x", "verdict"),
    [([1.0, 0.0], "converges"), ([1.0, np.inf, np.nan], "diverges"), ([0.0, 0.0], "undecided")],
)
def test_a_game_that_ends_in_its_first_step_has_a_verdict_and_no_rate(x, verdict):
    found = measure(Trajectory({"x": np.array(x), "y": np.zeros(len(x))}))
    assert math.isnan(found.factor)
    assert (found.verdict, found.span) == (verdict, None)
