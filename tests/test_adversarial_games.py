"""Games of two numbers: analytic facts, and the radii that arXiv:1801.04406's own code gives."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
from refusals import refused

from gancli.adversarial.games import GAMES, descent_field, trajectory
from gancli.adversarial.optimizers import build_optimizer
from gancli.adversarial.stability import measure
from gancli.config import OptimizerSettings


def play(game, dynamics, steps, learning_rate, clip=None, optimizer="sgd"):
    scalar_game = GAMES.build(game)

    def own(player):
        limit = clip if player == "psi" else None
        settings = OptimizerSettings(
            name=optimizer, learning_rate=learning_rate, clip_weights=limit
        )
        return build_optimizer(settings)

    optimizers = {player: own(player) for player in scalar_game.game.players}
    return trajectory(scalar_game, dynamics, optimizers, steps)


@pytest.mark.parametrize(
    ("start", "dynamics", "radius"),
    [
        ("", "simultaneous", 3.390495),
        ("", "extragradient", 1.253567),
        (":x=2,y=2", "simultaneous", 4.651721),  # √8 · 1.01^50
    ],
)
def test_bilinear_radius_after_100_steps(start, dynamics, radius):
    path = play(f"bilinear{start}", dynamics, 100, 0.1)
    assert float(path.radius[-1]) == pytest.approx(radius, abs=3e-6)


def test_one_step_of_the_quadratic_game_by_hand():
    """x' = x - η (ax + cy) = 2 - 0.1 (3 - 1); y' = y + η (cx - ay) = 0.5 - 0.1 (4 + 0.75)."""
    path = play("quadratic:curvature=1.5,coupling=-2", "simultaneous", 1, 0.1)
    assert [float(path.positions[player][1]) for player in "xy"] == pytest.approx([1.8, 0.025])


@pytest.mark.parametrize(
    ("dynamics", "factor"),
    [
        ("simultaneous", 1 + 0.3**2),
        ("extragradient", 1 - 0.3**2 + 0.3**4),
        ("implicit:iterations=20", 1 / (1 + 0.3**2)),
    ],
)
def test_bilinear_squared_radius_changes_by_an_exact_factor(dynamics, factor):
    squared = np.asarray(play("bilinear", dynamics, 20, 0.3).radius) ** 2
    np.testing.assert_allclose(squared[1:] / squared[:-1], factor, rtol=2e-6)


def test_alternating_bilinear_conserves_its_quadratic_form():
    path = play("bilinear", "alternating", 1000, 0.1)
    x, y = np.asarray(path.positions["x"]), np.asarray(path.positions["y"])
    np.testing.assert_allclose(x**2 - 0.1 * x * y + y**2, 4.15, rtol=1e-4)


@pytest.mark.parametrize(("learning_rate", "converges"), [(0.572, True), (0.582, False)])
def test_optimistic_descent_converges_below_one_over_root_three(learning_rate, converges):
    """One over root three is 0.57735."""
    path = play("bilinear", "simultaneous", 1000, learning_rate, optimizer="optimistic-sgd")
    radius = float(path.radius[-1])
    assert radius < 1e-2 if converges else radius > 1e2


def test_consensus_on_the_bilinear_game_contracts_by_its_matrix():
    """v = (y, -x), ½‖v‖² = (x² + y²)/2, so x' = x - η(y + γx): |λ|² = (1 - ηγ)² + η²."""
    squared = np.asarray(play("bilinear", "consensus:weight=2", 10, 0.1).radius) ** 2
    np.testing.assert_allclose(squared[1:] / squared[:-1], 0.65, rtol=1e-5)


# From θ = ψ = 1, h = 0.2, after 500 steps: simultaneous, alternating. The paper's code halves
# the weight of the gradient penalty, so its 0.7 is 0.35 here.
DIRAC = {
    "GAN": ("dirac", None, (3.097, "diverges"), (1.421, "cycles")),
    # Alternating it converges without a rate: the eigenvalues lie on the unit circle.
    "non-saturating": (
        "dirac:loss=non-saturating", None, (0.640, "cycles"), (0.284, "converges"),
    ),
    "WGAN, clip 1": ("dirac:loss=wasserstein", 1.0, (1.002, "cycles"), (1.024, "cycles")),
    "WGAN-GP": (
        "dirac:loss=wasserstein,penalty=gradient-penalty:weight=0.35",
        None, (1.802, "cycles"), (1.221, "cycles"),
    ),
    "R1, 0.3": (
        "dirac:penalty=r1:weight=0.3", None, (2.643e-6, "converges"), (2.301e-7, "converges"),
    ),
    "R1, 1": (
        "dirac:penalty=r1:weight=1", None, (9.5e-22, "converges"), (7.5e-17, "converges"),
    ),
    "non-saturating + R1": (
        "dirac:loss=non-saturating,penalty=r1:weight=0.3",
        None, (2.212e-6, "converges"), (1.499e-7, "converges"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DIRAC)
@pytest.mark.parametrize("dynamics", ["simultaneous", "alternating"])
def test_dirac_radius_and_verdict_after_500_steps(name, dynamics):
    game, clip, simultaneous, alternating = DIRAC[name]
    radius, verdict = simultaneous if dynamics == "simultaneous" else alternating
    path = play(game, dynamics, 500, 0.2, clip)
    allowed = 6e-3 if radius < 1e-10 else 8e-4
    assert float(path.radius[-1]) == pytest.approx(radius, rel=allowed, abs=0)
    assert measure(path).verdict == verdict


# With p = sigmoid(-ψθ), the change of (θ, ψ) over h.
FIELDS = {
    "dirac": lambda theta, psi: (-psi * logistic(-psi * theta), theta * logistic(-psi * theta)),
    "dirac:loss=non-saturating": lambda theta, psi: (
        -psi * logistic(psi * theta), theta * logistic(-psi * theta),
    ),
    "dirac:loss=wasserstein": lambda theta, psi: (-psi, theta),
    "dirac:penalty=r1:weight=0.3": lambda theta, psi: (
        -psi * logistic(-psi * theta), theta * logistic(-psi * theta) - 0.3 * psi,
    ),
}  # fmt: skip


def test_descent_field_of_many_points():
    theta, psi, name = [1.0, 0.5, 0.0], [1.0, -2.0, 3.0], "dirac:penalty=r1:weight=0.3"
    at = {"theta": jnp.float32(theta), "psi": jnp.float32(psi)}
    field = descent_field(GAMES.build(name).game, at)
    expected = np.transpose([FIELDS[name](*point) for point in zip(theta, psi, strict=True)])
    np.testing.assert_allclose([field["theta"], field["psi"]], expected, atol=1e-6)


def logistic(x):
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize(("theta", "psi"), [(1.0, 1.0), (0.5, -2.0)])
def test_dirac_gradient_fields(name, theta, psi):
    game, *options = name.split(":", 1)
    path = play(":".join([game, ",".join([*options, f"theta={theta}", f"psi={psi}"])]),
                "simultaneous", 1, 0.25)  # fmt: skip
    moved = [(float(path.positions[player][1]) - start) / 0.25
             for player, start in (("theta", theta), ("psi", psi))]  # fmt: skip
    assert moved == pytest.approx(FIELDS[name](theta, psi), abs=1e-6)


def test_players_in_turn_make_their_own_number_of_updates_at_their_own_rate():
    """WGAN from θ = ψ = 1: θ' = 1 - ¼ · 1, then five times ψ' = ψ + ½ θ'."""
    rates = {"theta": 0.25, "psi": 0.5}
    optimizers = {
        player: build_optimizer(OptimizerSettings(name="sgd", learning_rate=rate))
        for player, rate in rates.items()
    }
    scalar_game = GAMES.build("dirac:loss=wasserstein")
    path = trajectory(scalar_game, "alternating", optimizers, 1, {"psi": 5})
    assert float(path.positions["theta"][1]) == 0.75
    assert float(path.positions["psi"][1]) == pytest.approx(1 + 5 * 0.5 * 0.75)
    with refused("psi 5", remedy="alternating"):
        trajectory(scalar_game, "simultaneous", optimizers, 1, {"psi": 5})


def test_alternating_consensus_on_the_bilinear_game_by_hand():
    """x' = x - η (y + γ x) = 2 - 0.1 · 4.5; y' = y + η (x' - γ y) = 0.5 + 0.1 · 0.55."""
    path = play("bilinear", "consensus:weight=2,alternating=true", 1, 0.1)
    assert float(path.positions["x"][1]) == pytest.approx(1.55)
    assert float(path.positions["y"][1]) == pytest.approx(0.555)


@pytest.mark.parametrize(
    ("options", "eigenvalues"),
    [
        # f''(0) σ² ± √(f''(0)² σ⁴ - f'(0)²), f'(0) = 1/2 and f''(0) = -1/4 (arXiv:1801.04406)
        (",noise=0.8", (-0.16 - 0.47371j, -0.16 + 0.47371j)),
        # -γ/2 ± √(γ²/4 - 1/4)
        (",penalty=r1:weight=0.6", (-0.3 - 0.4j, -0.3 + 0.4j)),
        (",penalty=r1:weight=1", (-0.5, -0.5)),
        (",penalty=r1:weight=1.25", (-1.0, -0.25)),
        ("", (-0.5j, 0.5j)),
    ],
)
def test_dirac_near_its_equilibrium_turns_by_the_eigenvalues(options, eigenvalues):
    """The step from two places next to 0 shows the field's matrix there."""
    columns = []
    for theta, psi in ((1e-3, 0.0), (0.0, 1e-3)):
        path = play(f"dirac:theta={theta},psi={psi}{options}", "simultaneous", 1, 0.2)
        at = np.array([float(path.positions[player][1]) for player in ("theta", "psi")])
        columns.append((at - (theta, psi)) / 0.2 / 1e-3)
    matrix = np.column_stack(columns)
    # A double root moves by the root of what rounding moves the matrix.
    np.testing.assert_allclose(np.trace(matrix), sum(eigenvalues).real, atol=5e-5)
    product = complex(eigenvalues[0] * eigenvalues[1]).real
    np.testing.assert_allclose(np.linalg.det(matrix), product, atol=1e-5)


@pytest.mark.parametrize(
    ("penalty", "factor"),
    # 1 - hγ + h²/4 for h = 0.2 and γ = 0.6, and 1 + h²/4 without a penalty.
    [("r1:weight=0.6", 0.89), ("", 1.01)],
)
def test_dirac_near_its_equilibrium_shrinks_or_grows_by_an_exact_factor(penalty, factor):
    """|λ|² of two complex eigenvalues is the ratio of areas that two paths span."""
    spec = ",".join(["penalty=" + penalty] if penalty else [])
    paths = [
        play(f"dirac:theta={theta},psi={psi}" + (f",{spec}" if spec else ""),
             "simultaneous", 1, 0.2)
        for theta, psi in ((1e-3, 0.0), (0.0, 1e-3))
    ]  # fmt: skip
    ends = [[float(path.positions[p][1]) / 1e-3 for p in ("theta", "psi")] for path in paths]
    assert np.linalg.det(np.array(ends)) == pytest.approx(factor, abs=1e-5)


@pytest.mark.parametrize(
    ("steps", "given"), [(0, "0 steps"), (1_000_001, "1000001 steps"), (10**400, "1,329 bits")]
)
def test_a_game_of_no_steps_or_of_too_many_is_refused(steps, given):
    with refused(given, allowed=("1", "1,000,000 steps")) as caught:
        play("bilinear", "simultaneous", steps, 0.1)
    assert len(str(caught.value)) < 700


def test_a_penalty_of_images_does_not_fit_a_game_of_numbers():
    with refused("'flip'", "points", "(1,)", remedy="consistency"):
        play("dirac:penalty=consistency:augment=flip", "simultaneous", 1, 0.1)


def test_a_lazy_penalty_is_refused():
    with refused("r1:every=16", "16 steps", allowed="every=1"):
        GAMES.build("dirac:penalty=(r1:every=16)")


def test_every_game_starts_where_it_says():
    for entry in GAMES:
        scalar_game = GAMES.build(entry.name)
        path = play(entry.name, "simultaneous", 1, 0.1)
        for player, at in scalar_game.start.items():
            assert float(path.positions[player][0]) == at
