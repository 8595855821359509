"""Whether a game of numbers converges: by the eigenvalues of one step, and as it was played.

Near the equilibrium a step is multiplication by its Jacobian there, optimizer states included,
and the spectral radius ρ of that matrix is the factor by which a step changes the distance in the
long run. No step is random: instance noise enters the losses by its mean.
"""

import math
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gancli.adversarial.games import ScalarGame, Trajectory, one_step, state_at
from gancli.adversarial.optimizers import Optimizer

Verdict = Literal["converges", "cycles", "diverges", "undecided"]

# Predicted factors closer to 1 are 1: float32 does not separate them.
NEUTRAL = 1e-6
# A measured distance that changes by less is unchanged: in a turn, or without turns in all.
UNCHANGED = 0.01
# Distances are measured between these multiples of the first, before rounding or overflow.
_NEAREST, _FARTHEST = 1e-5, 1e30
# A step is smooth if, at a displacement, it differs from its Jacobian by at most this share of it.
_DISPLACEMENT, _ROUGH, _RATE_OF_CHECK = 1e-3, 0.02, 0.01
# Learning rates tried in search of the largest at which the game converges.
_TRIED = np.geomspace(1e-4, 1e2, 301)


class Rate(NamedTuple):
    """How a step changes the distance from the equilibrium, and what the game does at that rate.

    `factor` multiplies the distance and `angle` is the turn about the equilibrium, in radians from
    0 to π. `span` are the steps between which both were measured; None for a prediction.
    """

    factor: float
    angle: float
    verdict: Verdict
    span: tuple[int, int] | None = None


class Prediction(NamedTuple):
    """The rate at the equilibrium, and the learning rates below which ρ < 1.

    `converges_below` keeps the ratio of the players' learning rates. It is infinite if all that
    were tried converge, up to 100, and None if small ones do not.
    """

    rate: Rate
    converges_below: Mapping[str, float] | None


@np.errstate(over="ignore", invalid="ignore")  # The largest learning rates overflow.
def predict(
    scalar_game: ScalarGame,
    dynamics: str,
    optimizers: Mapping[str, Optimizer],
    steps: int,
    updates: Mapping[str, int] | None = None,
) -> Prediction | None:
    """Predicts from the Jacobian of a step how a game goes on near its equilibrium.

    Args:
        scalar_game: the game.
        dynamics: a spec of dynamics.
        optimizers: the optimizer of each player.
        steps: number of the step, for schedules.
        updates: how many updates each player makes in a step; None for one.

    Returns:
        The prediction; None if the step is not smooth at the equilibrium, as with Adam, or with
        a gradient penalty whose target is not 0.

    Raises:
        UserError: if the dynamics are not in the catalogue or do not allow so many updates.
    """
    players = scalar_game.game.players

    def linearized(scale: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The Jacobian with learning rates multiplied by `scale`, and steps from aside."""
        scaled = {name: _scaled(own, scale) for name, own in optimizers.items()}
        step = one_step(scalar_game.game, dynamics, scaled, updates)
        # After the first step, in which optimistic optimizers have no previous gradient.
        start = step(state_at(dict.fromkeys(players, 0.0), scaled))
        leaves, form = jax.tree.flatten(start._replace(step=jnp.int32(steps)))
        numbers = [place for place, leaf in enumerate(leaves)
                   if jnp.issubdtype(leaf.dtype, jnp.inexact)]  # fmt: skip

        def play(values: jax.Array) -> jax.Array:
            placed = dict(enumerate(leaves)) | dict(zip(numbers, values, strict=True))
            moved = jax.tree.leaves(step(jax.tree.unflatten(form, placed.values())))
            return jnp.stack([moved[place] for place in numbers])

        aside = _DISPLACEMENT * jnp.concatenate([jnp.eye(len(numbers)), -jnp.eye(len(numbers))])
        return jax.jacfwd(play)(jnp.zeros(len(numbers))), jax.vmap(play)(aside)

    rates = {name: float(own.learning_rate(steps)) for name, own in optimizers.items()}
    largest = max(*rates.values(), 1e-30)  # Of no learning rate, multiples are 0 too.
    evaluate = jax.jit(jax.vmap(linearized))
    jacobians, moved = evaluate(jnp.float32([1.0, *(_TRIED / largest)]))
    check = 1 + int(np.searchsorted(_TRIED, _RATE_OF_CHECK))
    if not _is_smooth(np.asarray(jacobians[check]), np.asarray(moved[check])):
        return None

    def radii(tried: np.ndarray) -> np.ndarray:
        found, _ = evaluate(jnp.float32([1.0, *(tried / largest)]))
        return np.array([abs(_leading(jacobian)) for jacobian in found[1:]])

    leading = _leading(jacobians[0])
    factor, turn = abs(leading), abs(math.atan2(leading.imag, leading.real))
    change = factor - 1 if abs(factor - 1) > NEUTRAL else 0.0
    rate = Rate(factor, turn, _verdict(change, bool(turn)))
    limit = _largest_stable(radii)
    below = None if limit is None else {name: own / largest * limit for name, own in rates.items()}
    return Prediction(rate, below)


def measure(path: Trajectory) -> Rate:
    """Measures the rate of a trajectory over its last part.

    This is the second half, of which as many whole half-turns are taken as there are, because the
    distance varies within a turn.

    Args:
        path: the trajectory.

    Returns:
        The geometric mean of the distance's ratio over a step, and the mean turn of a step; both
        are NaN if the game ended in its first step.
    """
    radius = np.asarray(path.radius, np.float64)
    over = ~((radius > _NEAREST * radius[0]) & (radius < _FARTHEST))
    last = int(over.argmax()) - 1 if over.any() else len(radius) - 1
    if last < 1:
        change = 0.0 if radius[1] == radius[0] else 1.0
        ended = _verdict(-change if radius[1] <= _NEAREST * radius[0] else change, turning=False)
        return Rate(math.nan, math.nan, ended)
    x, y = np.asarray([*path.positions.values()], np.float64)[:, : last + 1]
    turns = np.abs(np.arctan2(x[:-1] * y[1:] - y[:-1] * x[1:], x[:-1] * x[1:] + y[:-1] * y[1:]))
    turned, first = np.concatenate([[0.0], turns.cumsum()]), float(last // 2)
    half_turns = int((turned[last] - turned[last // 2]) / math.pi)
    if half_turns:
        first = float(np.interp(turned[last] - half_turns * math.pi, turned, np.arange(last + 1)))
    counted, steps = np.arange(last + 1), last - first
    change = math.log(radius[last]) - np.interp(first, counted, np.log(radius[: last + 1]))
    angle = (turned[last] - np.interp(first, counted, turned)) / steps
    same = abs(change) < math.log1p(UNCHANGED) * (half_turns / 2 or 1.0)
    verdict = _verdict(0.0 if same else change, half_turns > 0)
    return Rate(math.exp(change / steps), float(angle), verdict, (round(first), last))


def _verdict(change: float, turning: bool) -> Verdict:
    """What becomes of a game whose distance grows, shrinks or, at 0, does neither."""
    if change:
        return "diverges" if change > 0 else "converges"
    return "cycles" if turning else "undecided"


def _is_smooth(jacobian: np.ndarray, moved: np.ndarray) -> bool:
    """Whether steps from aside, along each axis to both sides, are those of the Jacobian."""
    expected = _DISPLACEMENT * np.concatenate([jacobian.T, -jacobian.T])
    missed = abs(moved - expected).max() / _DISPLACEMENT  # NaN if the Jacobian has one.
    return bool(missed <= _ROUGH * max(1.0, abs(jacobian).max()) < math.inf)


def _scaled(optimizer: Optimizer, scale: jax.Array) -> Optimizer:
    return optimizer._replace(learning_rate=lambda step: scale * optimizer.learning_rate(step))


def _leading(jacobian: jax.Array) -> complex:
    """The eigenvalue of largest modulus; infinite if the step overflows."""
    matrix = np.asarray(jacobian, np.float64)
    if not np.isfinite(matrix).all():
        return complex(math.inf)
    return complex(max(np.linalg.eigvals(matrix), key=abs))


def _largest_stable(radii: Callable[[np.ndarray], np.ndarray]) -> float | None:
    """Where the first interval of stable learning rates ends; None if small ones are unstable."""
    found = radii(_TRIED)
    decided = np.flatnonzero(abs(found - 1) > NEUTRAL)
    if not len(decided) or found[decided[0]] > 1:
        return None
    unstable = np.flatnonzero(found[decided[0] :] >= 1)
    if not len(unstable):
        return math.inf
    end = decided[0] + unstable[0]
    # As many again between the last stable and the first unstable one.
    between = np.geomspace(_TRIED[end - 1], _TRIED[end], len(_TRIED))
    return float(between[(radii(between) >= 1).argmax()])
