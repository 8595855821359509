"""Games, their players, and the dynamics that play them; no input or output.

A game is a loss for each player. Dynamics turn it into moves: pure functions that update one
player or all of them. Networks and two-parameter games go through the same code, so the
analytic facts of game theory test the code that trains networks.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gancli.adversarial.keys import Stream, key_of
from gancli.adversarial.optimizers import Optimizer
from gancli.errors import UserError
from gancli.registry import Bounds, Registry
from gancli.system.placement import Placement

# Networks of one player that draw alike, such as those of two ways.
_MOST_PARTS = 2

Array = jax.Array
Tree = Any  # a pytree of arrays


class Weights(NamedTuple):
    """Trainable parameters and carried statistics."""

    params: Tree
    stats: Tree


class Player(NamedTuple):
    """The state of one player, a pytree of arrays; `average` holds EMA weights, or None."""

    params: Tree
    stats: Tree
    opt_state: Tree
    average: Weights | None

    @property
    def weights(self) -> Weights:
        """The raw weights, not averaged."""
        return Weights(self.params, self.stats)


class TrainState(NamedTuple):
    """The whole state of training: the current step and every player."""

    step: Array
    players: dict[str, Player]


class Aux(NamedTuple):
    """The auxiliary result of a loss: the player's new statistics, and metrics."""

    stats: Tree
    metrics: dict[str, Array]


class Turn(NamedTuple):
    """The input of a loss: a batch (pytree), and its position in the run.

    `seed` is the run's key, `update` the position of the update within its step over all
    players, and `part` distinguishes networks of one player that draw from the same stream.
    `placement` says where arrays lie if several devices compute the step.
    """

    batch: Tree
    seed: Array
    step: Array
    update: Array | int = 0
    part: int = 0
    placement: Placement | None = None

    def key(self, stream: Stream) -> Array:
        """The key of a stream in this turn."""
        return key_of(self.seed, stream, self.step, _MOST_PARTS * self.update + self.part)

    def divided(self, tree: Tree) -> Tree:
        """Divides arrays along their first axis among the devices, and what follows from them.

        For what an update draws for each example, or every device would compute all examples.
        """
        if self.placement is None:
            return tree
        return jax.lax.with_sharding_constraint(tree, self.placement.divided)

    def gathered(self, tree: Tree) -> Tree:
        """Gathers on every device what the devices have divided among them."""
        if self.placement is None:
            return tree
        return jax.lax.with_sharding_constraint(tree, self.placement.whole)


class Game(NamedTuple):
    """Players in their order of play, and a loss for each.

    `loss(player, params, stats, turn)` takes the parameters and statistics of all players by
    name, and returns the player's scalar loss and `Aux`.
    """

    players: tuple[str, ...]
    loss: Callable[[str, dict[str, Tree], dict[str, Tree], Turn], tuple[Array, Aux]]


def with_frozen(game: Game, frozen: Mapping[str, Tree]) -> Game:
    """The game with some parameters as constants, of which no loss has a gradient.

    Args:
        game: the game.
        frozen: truth values by player, each a tree like the player's parameters.
    """
    if not frozen:
        return game

    def loss(player: str, params: dict[str, Tree], stats: dict[str, Tree], turn: Turn):
        constant = {
            name: _kept(own, jax.lax.stop_gradient(params[name]), params[name])
            for name, own in frozen.items()
        }
        return game.loss(player, params | constant, stats, turn)

    return game._replace(loss=loss)


def _kept(frozen: Tree | None, old: Tree, new: Tree) -> Tree:
    """The new arrays, but the old ones where they are frozen."""
    if frozen is None:
        return new
    return jax.tree.map(lambda keep, own, other: own if keep else other, frozen, old, new)


class Move(NamedTuple):
    """A part of a step: `play(players, turn)` returns the updated players, and metrics.

    A step makes the move `repeat` times, each time on the move's next batch.
    """

    repeat: int
    play: Callable[[dict[str, Player], Turn], tuple[dict[str, Player], dict[str, Array]]]


# Factories take the game, the optimizer of each player, and its number of updates in a step.
DYNAMICS = Registry("dynamics")


def initial_state(
    weights: Mapping[str, Weights], optimizers: Mapping[str, Optimizer]
) -> TrainState:
    """The state at step 0.

    Returns:
        The state, with fresh optimizer states and averages equal to the weights.
    """
    players = {
        name: Player(
            params=own.params,
            stats=own.stats,
            opt_state=optimizers[name].direction(0).init(own.params),
            # A copy: the state is donated and must not hold a buffer twice.
            average=jax.tree.map(jnp.copy, own) if optimizers[name].average_decay else None,
        )
        for name, own in weights.items()
    }
    return TrainState(jnp.int32(0), players)


@DYNAMICS.register("alternating", reference="arXiv:1406.2661, algorithm 1")
def alternating(
    game: Game, optimizers: Mapping[str, Optimizer], updates: Mapping[str, int]
) -> tuple[Move, ...]:
    """Players move in turn, each against the newest weights of the others.

    Returns:
        A move for each player, in the order of play.
    """
    return _moves_in_turn(game, optimizers, updates)


@DYNAMICS.register("simultaneous", reference="arXiv:1705.10461, section 2")
def simultaneous(
    game: Game, optimizers: Mapping[str, Optimizer], updates: Mapping[str, int]
) -> tuple[Move, ...]:
    """All players move at once, each against the others' weights before the step.

    Raises:
        UserError: if a player is to make more than one update in a step.
    """

    def play(players: dict[str, Player], turn: Turn):
        return _update_all(game, optimizers, players, players, turn)

    return (_joint_move("simultaneous", game, updates, play),)


@DYNAMICS.register("extragradient", reference="arXiv:1802.10551, algorithm 1")
def extragradient(
    game: Game, optimizers: Mapping[str, Optimizer], updates: Mapping[str, int]
) -> tuple[Move, ...]:
    """All players look one step ahead, and move from their old position by the gradient there.

    w' = w - η F(w); w ← w - η F(w'), both on the same batch; with Adam both gradients update the
    moments (ExtraAdam).

    Raises:
        UserError: if a player is to make more than one update in a step.
    """

    def play(players: dict[str, Player], turn: Turn):
        ahead, _ = _update_all(game, optimizers, players, players, turn)
        origin = {
            name: player._replace(opt_state=ahead[name].opt_state)
            for name, player in players.items()
        }
        return _update_all(game, optimizers, origin, ahead, turn)

    return (_joint_move("extragradient", game, updates, play),)


@DYNAMICS.register("implicit", reference="arXiv:1901.08511, section 3")
def implicit(
    game: Game,
    optimizers: Mapping[str, Optimizer],
    updates: Mapping[str, int],
    iterations: Annotated[int, Bounds(1, 1000)] = 10,
) -> tuple[Move, ...]:
    """All players move by the gradient at the end point of that move (proximal point).

    w' = w - η F(w') is approximated by repeating w' ← w - η F(w') from w, on the same batch. The
    iteration converges if η times the Lipschitz constant of F is below 1. One iteration equals
    the simultaneous dynamics. Two equal extragradient, except that only the last gradient updates
    the moments of an optimizer.

    Args:
        game: the game.
        optimizers: the optimizer of each player.
        updates: 1 for each player.
        iterations: number of iterations.

    Raises:
        UserError: if a player is to make more than one update in a step.
    """

    def play(players: dict[str, Player], turn: Turn):
        def again(ahead: dict[str, Player], _: None):
            return _update_all(game, optimizers, players, ahead, turn)

        moved, metrics = jax.lax.scan(again, players, length=iterations)
        return moved, jax.tree.map(lambda of_iterations: of_iterations[-1], metrics)

    return (_joint_move("implicit", game, updates, play),)


@DYNAMICS.register("consensus", reference="arXiv:1705.10461, algorithm 2")
def consensus(
    game: Game,
    optimizers: Mapping[str, Optimizer],
    updates: Mapping[str, int],
    weight: float = 10.0,
    alternating: bool = False,
) -> tuple[Move, ...]:
    """Moves that also descend the squared norm of all players' gradients.

    Each player's gradient gains γ ∇½‖F(w)‖², F being the gradients of all players.

    Args:
        game: the game.
        optimizers: the optimizer of each player.
        updates: how many updates each player makes in a step; 1 unless they move in turn.
        weight: γ.
        alternating: whether players move in turn, each against the newest weights of the others,
            or all at once.

    Returns:
        One move, or one for each player.

    Raises:
        UserError: if a player is to make more than one update in a step, and all move at once.
    """

    def correction(players: dict[str, Player], turn: Turn) -> dict[str, Tree]:
        def half_squared_norm(params: dict[str, Tree]) -> Array:
            moved = {name: player._replace(params=params[name]) for name, player in players.items()}
            gradients = [_player_gradient(game, name, moved, turn)[0] for name in game.players]
            return 0.5 * optax.tree.norm(gradients, squared=True)

        slope = jax.grad(half_squared_norm)({n: p.params for n, p in players.items()})
        return optax.tree.scale(weight, slope)

    def play(players: dict[str, Player], turn: Turn):
        added = correction(players, turn)
        return _update_all(game, optimizers, players, players, turn, added)

    if alternating:
        return _moves_in_turn(game, optimizers, updates, correction)
    return (_joint_move("consensus", game, updates, play),)


def _moves_in_turn(
    game: Game,
    optimizers: Mapping[str, Optimizer],
    updates: Mapping[str, int],
    correction: Callable[[dict[str, Player], Turn], Mapping[str, Tree]] | None = None,
) -> tuple[Move, ...]:
    """A move for each player, by its gradient and what the correction adds to it."""

    def move_of(player: str) -> Move:
        def play(players: dict[str, Player], turn: Turn):
            gradient, stats, metrics = _player_gradient(game, player, players, turn)
            if correction is not None:
                gradient = optax.tree.add(gradient, correction(players, turn)[player])
            moved, own_metrics = _update(optimizers[player], players[player], gradient, stats, turn)
            return players | {player: moved}, _prefixed(player, metrics | own_metrics)

        return Move(updates[player], play)

    return tuple(move_of(player) for player in game.players)


def _joint_move(name: str, game: Game, updates: Mapping[str, int], play: Callable) -> Move:
    """The single move of dynamics in which all players act together."""
    if any(updates[player] != 1 for player in game.players):
        given = ", ".join(f"{player} {updates[player]}" for player in game.players)
        raise UserError(
            f"{name} dynamics with several updates in a step ({given})",
            "one update for each player",
            "Set train.discriminator_steps=1 and train.generator_steps=1, or use alternating",
        )
    return Move(1, play)


def loss_at(game: Game, name: str, players: Mapping[str, Player], turn: Turn) -> tuple[Array, Aux]:
    """A player's loss at the present parameters and statistics of all players."""
    return game.loss(name, *_all_weights(players, turn), turn)


def _all_weights(
    players: Mapping[str, Player], turn: Turn
) -> tuple[dict[str, Tree], dict[str, Tree]]:
    """The parameters and the statistics of all players, which a loss needs whole."""
    params = {name: player.params for name, player in players.items()}
    stats = {name: player.stats for name, player in players.items()}
    return turn.gathered((params, stats))


def _player_gradient(
    game: Game, name: str, players: Mapping[str, Player], turn: Turn
) -> tuple[Tree, Tree, dict[str, Array]]:
    """A player's gradient with respect to its own parameters, its new statistics, and metrics."""
    params, stats = _all_weights(players, turn)

    def own_loss(own: Tree) -> tuple[Array, Aux]:
        return game.loss(name, params | {name: own}, stats, turn)

    (loss, aux), gradient = jax.value_and_grad(own_loss, has_aux=True)(params[name])
    return gradient, aux.stats, {"loss": loss, **aux.metrics}


def _update_all(
    game: Game,
    optimizers: Mapping[str, Optimizer],
    players: Mapping[str, Player],
    evaluated_at: Mapping[str, Player],
    turn: Turn,
    correction: Mapping[str, Tree] | None = None,
) -> tuple[dict[str, Player], dict[str, Array]]:
    """Moves every player by its gradient at `evaluated_at`, plus a correction."""
    moved, metrics = {}, {}
    for name in game.players:
        gradient, stats, of_loss = _player_gradient(game, name, evaluated_at, turn)
        if correction is not None:
            gradient = optax.tree.add(gradient, correction[name])
        moved[name], own = _update(optimizers[name], players[name], gradient, stats, turn)
        metrics |= _prefixed(name, of_loss | own)
    return moved, metrics


def _update(
    optimizer: Optimizer, player: Player, gradient: Tree, stats: Tree, turn: Turn
) -> tuple[Player, dict[str, Array]]:
    """One update of one player: direction, learning rate, weight clipping, average."""
    present = optimizer.direction(turn.step)
    direction, opt_state = present.update(gradient, player.opt_state, player.params)
    learning_rate = optimizer.learning_rate(turn.step)
    params = optax.tree.add_scale(player.params, -learning_rate, direction)
    if optimizer.clip_weights is not None:
        params = optax.tree.clip(params, -optimizer.clip_weights, optimizer.clip_weights)
    # Weight decay and clipping move also what has no gradient.
    params = _kept(optimizer.frozen, player.params, params)
    average = player.average
    if average is not None and optimizer.average_decay is not None:
        share = 1.0 - optimizer.average_decay(turn.step)

        def towards(old: Array, new: Array) -> Array:
            # Integer counts are not averaged.
            return old + share * (new - old) if jnp.issubdtype(new.dtype, jnp.inexact) else new

        moved = jax.tree.map(towards, average, Weights(params, stats))
        average = Weights(_kept(optimizer.frozen, average.params, moved.params), moved.stats)
    metrics = {"gradient_norm": optax.tree.norm(gradient), "learning_rate": learning_rate}
    return Player(params, stats, opt_state, average), metrics


def _prefixed(player: str, metrics: Mapping[str, Array]) -> dict[str, Array]:
    return {f"{player}/{name}": value for name, value in metrics.items()}
