"""The linearized game: leading eigenvalues of its gradient field, without a matrix.

F(w) are the gradients of all players' losses, each by the player's own weights, and a step of plain
gradient descent is w' = w - ηF(w). Near a point where F is 0 a step multiplies the distance by
|1 + ηλ| along an eigenvector of -F', so the eigenvalues λ say whether and how it comes closer
(arXiv:1705.10461, arXiv:1801.04406). Networks have too many weights for the matrix F'; its products
with vectors are Jacobian-vector products, and Arnoldi iteration finds those eigenvalues that lead.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs

from gancli.adversarial.dynamics import Game, Player, Turn
from gancli.adversarial.stability import NEUTRAL, Verdict
from gancli.errors import UserError
from gancli.system.progress import reported

Tree = Any
# (size,) -> (size,), a linear map
Product = Callable[[np.ndarray], np.ndarray]
Sought = Literal["largest magnitude", "largest real part", "largest imaginary part"]

# Eigenvalues are found to this share of the largest magnitude. Products in float32 have errors of
# 1e-6 of it, and those of Jacobians that are far from normal more.
TOLERANCE = 1e-4
# Restarts of Arnoldi's iteration, each of about twenty products.
MOST_RESTARTS = 40
# Eigenvalues of each kind that are sought, pairs counted twice, and vectors that are kept for it.
_WANTED, _VECTORS = 4, 32
# Up to this size the whole matrix is built from products.
_SMALL = 64
# What ARPACK calls them, and what is largest.
_KINDS: dict[Sought, tuple[str, Callable[[complex], float]]] = {
    "largest magnitude": ("LM", abs),
    "largest real part": ("LR", lambda value: value.real),
    "largest imaginary part": ("LI", lambda value: value.imag),
}


def working_bytes(size: int) -> int:
    """The memory that Arnoldi's iteration takes on vectors of `size` float64 values."""
    return 8 * size * (_VECTORS + 3 * (_WANTED + 1))


class Leading(NamedTuple):
    """Eigenvalues of a kind, the leading one first; of a conjugate pair the upper one.

    Those with the largest imaginary part have one. `residual` is the largest ‖Av - λv‖ of their
    unit eigenvectors v, and `complete` is False if the iteration ended before it had found all.
    """

    values: tuple[complex, ...]
    residual: float
    complete: bool


class Spectrum(NamedTuple):
    """Leading eigenvalues of a linear map by kind, and how many products it took to find them."""

    leading: Mapping[Sought, Leading]
    products: int

    @property
    def values(self) -> list[complex]:
        """All eigenvalues that were found, some of them more than once."""
        return [value for found in self.leading.values() for value in found.values]

    @property
    def resolution(self) -> float:
        """The difference of eigenvalues below which they are not told apart."""
        return TOLERANCE * max(map(abs, self.values), default=0.0)

    @property
    def complete(self) -> bool:
        """Whether all that were sought have been found."""
        return all(found.complete for found in self.leading.values())

    @property
    def residual(self) -> float:
        """The largest ‖Av - λv‖ of unit eigenvectors v, as a share of the largest |λ|."""
        largest = max(map(abs, self.values), default=0.0)
        return max(found.residual for found in self.leading.values()) / (largest or 1.0)

    @property
    def rotation(self) -> float | None:
        """|Im λ| / |Re λ| of the eigenvalue with the largest imaginary part; None if all are real.

        Infinite if its real part cannot be told from 0.
        """
        fastest = max(self.values, key=lambda value: abs(value.imag), default=0j)
        if abs(fastest.imag) <= self.resolution:
            return None
        real = abs(fastest.real)
        return abs(fastest.imag) / real if real > self.resolution else float("inf")


class Outlook(NamedTuple):
    """What gradient steps of size η do to a small distance, as far as the eigenvalues found say.

    `factor` is the largest |1 + ηλ|, known to `margin`. `repels` is the λ with the largest real
    part, if that is positive: it grows at every learning rate. `overshoots` is the λ of those
    with a negative real part that grows most, if one does: it shrinks below the learning rate
    -2 Re λ / |λ|².
    """

    factor: float
    margin: float
    verdict: Verdict
    repels: complex | None
    overshoots: complex | None


def gradient_of(
    game: Game, player: str, params: Mapping[str, Tree], stats: Mapping[str, Tree], turns: Turn
) -> Tree:
    """A player's gradient by its own parameters, the mean over fixed batches.

    Args:
        game: the game.
        player: the player.
        params: parameters of all players.
        stats: statistics of all players.
        turns: the turns of all batches: leaves of `batch` and `update` have a first axis for them.
    """

    def add(total: Tree, inputs: tuple[Tree, jax.Array]) -> tuple[Tree, None]:
        turn = turns._replace(batch=inputs[0], update=inputs[1])

        def own_loss(own: Tree) -> jax.Array:
            return game.loss(player, {**params, player: own}, dict(stats), turn)[0]

        return optax.tree.add(total, jax.grad(own_loss)(params[player])), None

    update = jnp.asarray(turns.update)
    zero = jax.tree.map(jnp.zeros_like, params[player])
    total, _ = jax.lax.scan(add, zero, (turns.batch, update))
    return optax.tree.scale(1 / len(update), total)


def gradient_norms(game: Game, players: Mapping[str, Player], turns: Turn) -> dict[str, float]:
    """The norm of each player's gradient, all 0 at a point of rest; see `gradient_of`."""

    @jax.jit
    def norms(players: Mapping[str, Player], turns: Turn) -> dict[str, jax.Array]:
        params = {name: players[name].params for name in game.players}
        stats = {name: players[name].stats for name in game.players}
        return {
            name: optax.tree.norm(gradient_of(game, name, params, stats, turns))
            for name in game.players
        }

    return {name: float(norm) for name, norm in norms(players, turns).items()}


def linearized_step(
    game: Game,
    players: Mapping[str, Player],
    turns: Turn,
    rates: Mapping[str, float],
    updates: Mapping[str, int] | None = None,
) -> tuple[Product, int]:
    """The Jacobian of a step of plain gradient descent, as its product with a vector.

    The step is w + ηA w to first order, where η is the largest learning rate. For simultaneous
    steps A = -F', each player's rows multiplied by the share of its learning rate in η. For
    alternating steps each player sees what those before it have changed, so A is that of the
    product of all updates.

    Args:
        game: the game.
        players: the state of all players.
        turns: the turns over which losses are means, see `gradient_of`.
        rates: the learning rate of each player.
        updates: how many updates each player makes in an alternating step; None for a
            simultaneous one.

    Returns:
        The product of A with a vector, and the number of parameters.
    """
    params = {name: players[name].params for name in game.players}
    stats = {name: players[name].stats for name in game.players}
    largest = max(rates.values())
    shares = {name: rates[name] / largest if largest else 1.0 for name in game.players}
    flat, unravel = ravel_pytree(params)

    @jax.jit
    def product(params: Tree, stats: Tree, turns: Turn, vector: jax.Array) -> jax.Array:
        def moved_by(player: str, direction: Tree) -> Tree:
            def own_gradient(params: Tree) -> Tree:
                return gradient_of(game, player, params, stats, turns)

            _, change = jax.jvp(own_gradient, (params,), (direction,))
            return optax.tree.scale(-shares[player], change)

        direction = unravel(vector)
        if updates is None:
            moved = {name: moved_by(name, direction) for name in game.players}
            return ravel_pytree(moved)[0]
        # What the updates so far have changed, apart from the direction, which is far larger.
        moved = jax.tree.map(jnp.zeros_like, direction)
        for name in game.players:

            def again(_: Any, moved: Tree, name: str = name) -> Tree:
                so_far = optax.tree.add_scale(direction, largest, moved)
                return moved | {name: optax.tree.add(moved[name], moved_by(name, so_far))}

            moved = jax.lax.fori_loop(0, updates[name], again, moved)
        return ravel_pytree(moved)[0]

    def multiply(vector: np.ndarray) -> np.ndarray:
        found = product(params, stats, turns, jnp.asarray(vector, jnp.float32))
        return np.asarray(found, np.float64)

    return multiply, flat.size


class _Shifted(LinearOperator):
    """A linear map plus a multiple of the identity."""

    def __init__(self, product: Product, size: int, shift: float):
        super().__init__(np.dtype(np.float64), (size, size))
        self._product, self._shift = product, shift

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        return self._product(x) + self._shift * x.ravel()


def leading_eigenvalues(
    product: Product,
    size: int,
    sought: tuple[Sought, ...] = tuple(_KINDS),
    restarts: int = MOST_RESTARTS,
    what: str = "eigenvalues",
) -> Spectrum:
    """Finds leading eigenvalues of a real linear map by implicitly restarted Arnoldi iteration.

    Args:
        product: the map.
        size: number of values that it takes and returns.
        sought: which eigenvalues to find; the largest magnitude is always found, because all are
            found to a share of it.
        restarts: number of restarts after which it ends with what it has found.
        what: name of the work, for progress.

    Returns:
        Two to four eigenvalues or conjugate pairs of each kind; of a small map all.

    Raises:
        UserError: if the map is not finite.
    """
    count = 0

    def counted(vector: np.ndarray) -> np.ndarray:
        nonlocal count
        count += 1
        found = product(vector.ravel())
        if not np.isfinite(found).all():
            raise UserError(
                "the derivative of the gradients has values that are not finite",
                "a state in which the losses are twice differentiable",
                "Leave out --jacobian, or diagnose a run with smoother networks or penalties",
            )
        return found

    if size <= _SMALL:
        matrix = np.stack([counted(column) for column in np.eye(size)], axis=1)
        values, vectors = np.linalg.eig(matrix)
        return Spectrum(
            {kind: _leading(kind, counted, values, vectors, True) for kind in sought}, count
        )

    start = np.random.Generator(np.random.PCG64(0)).standard_normal(size)
    if not counted(start).any():  # ARPACK refuses a map to 0.
        return Spectrum({kind: Leading((0j,), 0.0, True) for kind in sought}, count)

    def find(kind: Sought, shift: float) -> Leading:
        """Eigenvalues are shifted, so that those near 0 are found to a share of the largest."""
        complete, options = True, {"ncv": _VECTORS, "maxiter": restarts, "tol": TOLERANCE}
        try:
            found = eigs(
                _Shifted(counted, size, shift), _WANTED, which=_KINDS[kind][0], v0=start, **options
            )
            values, vectors = found[0], found[1]
        except ArpackNoConvergence as error:
            values, vectors, complete = error.eigenvalues, error.eigenvectors, False
        return _leading(kind, counted, values - shift, vectors, complete)

    scale, found = 0.0, dict[Sought, Leading]()
    kinds: list[Sought] = ["largest magnitude", *sought]
    for kind in reported(what, list(dict.fromkeys(kinds))):
        found[kind] = find(kind, scale)
        scale = scale or max(map(abs, found[kind].values), default=0.0)
    return Spectrum(found, count)


def outlook(spectrum: Spectrum, learning_rate: float) -> Outlook | None:
    """What steps w + ηAw do along the eigenvectors that were found.

    Values whose factor is 1 to the margin are neutral if they are real: along them nothing changes
    to first order, as along the symmetries of a network.

    Args:
        spectrum: eigenvalues of A.
        learning_rate: η.

    Returns:
        The outlook: it diverges if a factor is above 1, cycles if the largest of those that rotate
        is 1, and else converges; None if no eigenvalue was found.
    """
    values, least = spectrum.values, spectrum.resolution
    if not values:
        return None

    def factor(value: complex) -> float:
        return abs(1 + learning_rate * value)

    margin = max(NEUTRAL, learning_rate * least)
    largest = max(map(factor, values))
    rotating = [factor(value) for value in values if value.imag > least]
    if largest > 1 + margin:
        verdict = "diverges"
    elif max(rotating, default=0.0) >= 1 - margin:
        verdict = "cycles"
    else:
        verdict = "converges" if min(map(factor, values)) < 1 - margin else "undecided"
    repelling = [value for value in values if value.real > least]
    growing = [value for value in values if value.real < -least and factor(value) > 1 + margin]
    return Outlook(
        largest,
        margin,
        verdict,
        max(repelling, key=lambda value: value.real, default=None),
        max(growing, key=factor, default=None),
    )


def _leading(
    kind: Sought, product: Product, values: np.ndarray, vectors: np.ndarray, complete: bool
) -> Leading:
    """Sorts eigenvalues, each pair once, and measures the residual of their eigenvectors."""
    residual, upper = 0.0, set()
    for value, vector in zip(values, vectors.T, strict=True):
        if kind == "largest imaginary part" and not value.imag:
            continue
        if (pair := complex(value.real, abs(value.imag))) not in upper:
            upper.add(pair)
            image = product(vector.real) + 1j * (product(vector.imag) if value.imag else 0.0)
            missed = np.linalg.norm(image - value * vector) / np.linalg.norm(vector)
            residual = max(residual, float(missed))
    return Leading(tuple(sorted(upper, key=_KINDS[kind][1], reverse=True)), residual, complete)
