"""Leading eigenvalues of games: closed forms, dense Jacobians, and known matrices."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from refusals import refused

from gancli.adversarial.dynamics import Aux, Game, Player, Turn
from gancli.adversarial.games import GAMES, state_at
from gancli.adversarial.jacobian import (
    TOLERANCE,
    gradient_of,
    leading_eigenvalues,
    linearized_step,
    outlook,
)
from gancli.adversarial.keys import Stream
from gancli.adversarial.optimizers import build_optimizer
from gancli.config import OptimizerSettings

R1 = "dirac:penalty=r1:weight=0.3"


def turns_of(batch, count):
    return Turn(batch, jax.random.key(0), jnp.int32(0), jnp.arange(count, dtype=jnp.int32))


def spectrum_of(spec, rates, updates=None):
    """Of a game of numbers at its equilibrium."""
    game = GAMES.build(spec).game
    optimizer = build_optimizer(OptimizerSettings(name="sgd", learning_rate=0.1))
    state = state_at(dict.fromkeys(game.players, 0.0), dict.fromkeys(game.players, optimizer))
    own = dict(zip(game.players, rates, strict=True))
    return leading_eigenvalues(*linearized_step(game, state.players, turns_of({}, 1), own, updates))


# f'(0) = 1/2 of the logistic loss; with R1 -γ/2 ± √(γ²/4 - 1/4) (arXiv:1801.04406).
@pytest.mark.parametrize(
    ("spec", "rates", "expected"),
    [
        ("bilinear", (0.1, 0.1), 1j),
        ("dirac", (0.2, 0.2), 0.5j),
        (R1, (0.2, 0.2), complex(-0.15, math.sqrt(0.2275))),
        ("quadratic", (0.1, 0.1), complex(-0.5, 1)),
        # Rows times 1 and 1/4: the product of both off the diagonal is -1/4.
        ("bilinear", (0.4, 0.1), 0.5j),
    ],
)
def test_eigenvalues_of_games_of_numbers_are_exact(spec, rates, expected):
    found = spectrum_of(spec, rates)
    assert found.values == pytest.approx([expected] * 3, abs=1e-6)
    assert found.complete
    assert found.residual < 1e-6


@pytest.mark.parametrize(
    ("spec", "rate", "updates", "factor", "verdict"),
    [
        ("bilinear", 0.3, None, math.sqrt(1.09), "diverges"),
        ("bilinear", 0.3, {"x": 1, "y": 1}, 1.0, "cycles"),
        ("dirac", 0.2, None, math.sqrt(1.01), "diverges"),
        (R1, 0.2, None, math.sqrt(0.95), "converges"),
        # As `gan game` predicts it with several updates: det T = (1 - ηγ)^5.
        (R1, 0.2, {"theta": 1, "psi": 5}, 0.94**2.5, "converges"),
        ("quadratic:curvature=-0.5", 0.1, None, math.hypot(1.05, 0.1), "diverges"),
    ],
)
def test_what_steps_do_is_exact(spec, rate, updates, factor, verdict):
    found = outlook(spectrum_of(spec, (rate, rate), updates), rate)
    assert found.factor == pytest.approx(factor, abs=1e-6)
    assert found.verdict == verdict


def tiny_network(player, params, stats, turn):
    """A linear generator against one hidden layer, non-saturating with R1."""
    (weights, shift), (hidden, out) = params["generator"], params["discriminator"]
    real = turn.batch["examples"]
    fake = jax.random.normal(turn.key(Stream.LATENT), (len(real), 2)) @ weights
    fake += jnp.broadcast_to(shift, fake.shape)

    def critic(x):
        return jnp.tanh(x @ hidden) @ out

    if player == "generator":
        return jax.nn.softplus(-critic(fake)).mean(), Aux({}, {})
    slopes = jax.vmap(jax.grad(lambda x: critic(x[None])[0]))(real)
    value = jax.nn.softplus(-critic(real)) + jax.nn.softplus(critic(fake)) + (slopes**2).sum(1)
    return value.mean(), Aux({}, {})


@pytest.mark.slow
def test_products_are_those_of_the_dense_jacobian():
    """Over two batches, by reverse mode, for both kinds of steps."""
    draw = np.random.Generator(np.random.PCG64(0)).standard_normal
    params = {
        "discriminator": (jnp.float32(draw((2, 3))), jnp.float32(draw(3))),
        "generator": (jnp.float32(draw((2, 2))), jnp.float32(draw(2))),
    }
    game = Game(("discriminator", "generator"), tiny_network)
    players = {name: Player(own, {}, (), None) for name, own in params.items()}
    turns = turns_of({"examples": jnp.float32(draw((2, 4, 2)))}, 2)
    rates, stats = {"discriminator": 0.4, "generator": 0.1}, {name: {} for name in params}
    flat, unravel = ravel_pytree(params)
    own = np.arange(flat.size) < 9  # The discriminator's.

    def field(flat):
        params = unravel(flat)
        return ravel_pytree({n: gradient_of(game, n, params, stats, turns) for n in params})[0]

    shares = np.where(own, 1, 0.25)[:, None]
    dense = -shares * np.asarray(jax.jit(jax.jacrev(field))(flat), np.float64)
    unit = np.eye(flat.size)
    step = [unit + 0.4 * dense * rows[:, None] for rows in (own, ~own)]
    alternating = (step[1] @ step[0] @ step[0] - unit) / 0.4
    vector = draw(flat.size)
    for updates, matrix in ((None, dense), ({"discriminator": 2, "generator": 1}, alternating)):
        product, size = linearized_step(game, players, turns, rates, updates)
        assert size == flat.size
        expected = matrix @ vector
        np.testing.assert_allclose(product(vector), expected, atol=1e-5 * abs(expected).max())


def rotations(*values, zeros=0):
    """A map with these eigenvalues and their conjugates, not normal, and zeros."""
    size = 2 * len(values) + zeros
    matrix = np.zeros((size, size))
    for place, value in enumerate(values):
        rows = slice(2 * place, 2 * place + 2)
        matrix[rows, rows] = [[value.real, -2 * value.imag], [value.imag / 2, value.real]]
    return (lambda vector: matrix @ vector), size


def test_leading_eigenvalues_of_a_known_matrix():
    """Those near 0 are found to a share of the largest, however many there are."""
    values = [complex(-real, 0.01) for real in np.linspace(0.1, 2, 60)]
    found = leading_eigenvalues(*rotations(-8 + 1j, -1 + 5j, 0.3 + 0.2j, *values, zeros=100))
    for kind, expected in {
        "largest magnitude": -8 + 1j,
        "largest real part": 0.3 + 0.2j,
        "largest imaginary part": -1 + 5j,
    }.items():
        assert found.leading[kind].values[0] == pytest.approx(expected, abs=8 * TOLERANCE)
    assert found.complete
    assert found.residual < 10 * TOLERANCE
    assert found.rotation == pytest.approx(5, rel=1e-3)
    prospect = outlook(found, 0.3)
    assert prospect.verdict == "diverges"
    assert prospect.repels == pytest.approx(0.3 + 0.2j, abs=8 * TOLERANCE)
    # |1 + 0.3 (-8 + i)| = 1.432, and |1 + 0.3 (-1 + 5i)| = 1.655.
    assert prospect.overshoots == pytest.approx(-1 + 5j, abs=8 * TOLERANCE)
    assert prospect.factor == pytest.approx(math.hypot(0.7, 1.5), abs=1e-3)


def test_directions_in_which_nothing_changes_do_not_decide():
    values = [complex(-real, 0) for real in np.linspace(0.1, 2, 60)]
    found = leading_eigenvalues(*rotations(*values, zeros=100))
    assert found.leading["largest real part"].values[0] == pytest.approx(0, abs=2e-3)
    assert outlook(found, 0.1).verdict == "converges"
    assert found.rotation is None


def test_a_map_to_nothing_decides_nothing():
    found = leading_eigenvalues(lambda vector: 0 * vector, 200)
    assert outlook(found, 0.1).verdict == "undecided"


def test_an_iteration_that_ends_too_soon_says_so():
    matrix = np.random.Generator(np.random.PCG64(0)).standard_normal((400, 400)) / 20
    found = leading_eigenvalues(lambda vector: matrix @ vector, 400, restarts=1)
    assert not found.complete
    assert (outlook(found, 0.1) is None) == (not found.values)


def test_a_map_that_is_not_finite_is_refused():
    with refused("not finite"):
        leading_eigenvalues(lambda vector: vector * math.nan, 200)
