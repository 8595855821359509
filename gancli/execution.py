"""How the moves of a step are dispatched to the device.

Two ways, giving the same game: a call for each move, or one call that loops over many steps.
XLA's CPU backend runs the weight gradient of a convolution inside a loop about a hundred
times slower than outside, so there, convolutional moves are dispatched one by one; dense
networks, and everything on an accelerator, are looped. The looped program takes its number
of steps as an argument, so that a run does not depend on where its chunks ended.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gancli.data.batches import BatchSource
from gancli.dynamics import Move, Player, TrainState, Turn
from gancli.keys import update_key

Tree = Any

# What travels to the device for one call of the looped program: enough to keep it busy.
_MOST_BYTES_A_CALL = 64 * 2**20


class Progress(NamedTuple):
    """Steps that were dispatched: the state after them, and metrics still on the device.

    `metrics` holds, for each step or chunk of steps, arrays by name; `steps` how many.
    """

    state: TrainState
    steps: int
    metrics: Any


Advance = Callable[[TrainState, int], Progress]


class Execution(NamedTuple):
    """`advance(state, most)` makes from 1 to `most` steps; `fetch` brings metrics to the host.

    `fetch(progress)` returns a float32 array (steps, names) in the order of `names`.
    """

    names: tuple[str, ...]
    looped: bool
    advance: Advance
    fetch: Callable[[Progress], np.ndarray]


def build_execution(
    moves: Sequence[Move],
    source: BatchSource,
    seed: int,
    state: TrainState,
    most_steps: int,
) -> Execution:
    """Chooses how to dispatch and prepares it.

    Args:
        moves: the moves of a step, in order.
        source: where batches come from.
        seed: the run's seed.
        state: the state to go on from; only its shapes and its step are used.
        most_steps: the most steps that one call of `advance` should make.

    Returns:
        The execution, its stream of batches standing at the state's step.
    """
    key = jax.random.key(seed)
    offsets = np.cumsum([0] + [move.repeat for move in moves])[:-1].tolist()

    def play(index: int, players: dict[str, Player], resident: Tree, argument: Tree, step, nth):
        move = moves[index]
        turn = Turn(
            source.materialize(resident, argument),
            update_key(key, step, offsets[index] + nth),
            step,
        )
        return move.play(players, turn)

    first = int(state.step)
    feeds = [source.arguments(first * move.repeat) for move in moves]
    samples = [next(source.arguments(0)) for _ in moves]
    zero = np.int32(0)
    traced = [
        jax.make_jaxpr(play, static_argnums=0, return_shape=True)(
            index, state.players, source.resident, samples[index], zero, zero
        )
        for index in range(len(moves))
    ]
    names_of = [tuple(sorted(shapes[1])) for _, shapes in traced]
    names = tuple(name for names in names_of for name in names)
    convolves = any(_holds_convolution(jaxpr.jaxpr) for jaxpr, _ in traced)
    if jax.default_backend() == "cpu" and convolves:
        return _one_by_one(moves, source, play, feeds, names_of, names)
    bytes_a_step = sum(
        move.repeat * sum(leaf.nbytes for leaf in jax.tree.leaves(samples[index]))
        for index, move in enumerate(moves)
    )
    capacity = max(1, min(most_steps, _MOST_BYTES_A_CALL // max(1, bytes_a_step)))
    return _looped(moves, source, play, feeds, names, capacity)


def _one_by_one(moves, source, play, feeds, names_of, names) -> Execution:
    """One call for each move."""

    def vectorized(index: int, players, resident, argument, step, nth):
        players, metrics = play(index, players, resident, argument, step, nth)
        return players, jnp.stack([jnp.float32(metrics[name]) for name in names_of[index]])

    calls = [jax.jit(vectorized, static_argnums=0, donate_argnums=1) for _ in moves]

    def advance(state: TrainState, most: int) -> Progress:
        step, players = np.int32(state.step), state.players
        vectors = []
        for index, move in enumerate(moves):
            of_move = []
            for nth in range(move.repeat):
                players, vector = calls[index](
                    index, players, source.resident, next(feeds[index]), step, np.int32(nth)
                )
                of_move.append(vector)
            vectors.append(of_move)
        return Progress(TrainState(step + np.int32(1), players), 1, vectors)

    def fetch(progress: Progress) -> np.ndarray:
        on_host = jax.device_get(progress.metrics)
        rows = [np.mean(np.stack(of_move), axis=0, dtype=np.float32) for of_move in on_host]
        return np.concatenate(rows)[None]

    return Execution(names, False, advance, fetch)


def _looped(moves, source, play, feeds, names, capacity: int) -> Execution:
    """Up to `capacity` steps in one call."""

    def one_step(state: TrainState, resident: Tree, arguments: Sequence[Tree]):
        players, rows = state.players, {}
        for index, move in enumerate(moves):
            if move.repeat == 1:
                argument = jax.tree.map(lambda array: array[0], arguments[index])
                players, metrics = play(index, players, resident, argument, state.step, 0)
            else:

                def body(players, inputs, index=index):
                    argument, nth = inputs
                    return play(index, players, resident, argument, state.step, nth)

                numbers = jnp.arange(move.repeat, dtype=jnp.int32)
                players, metrics = jax.lax.scan(body, players, (arguments[index], numbers))
                metrics = {name: values.mean(axis=0) for name, values in metrics.items()}
            rows |= metrics
        row = jnp.stack([jnp.float32(rows[name]) for name in names])
        return TrainState(state.step + 1, players), row

    def many_steps(state: TrainState, resident: Tree, arguments: Sequence[Tree], count):
        def body(position, carry):
            state, table = carry
            of_step = jax.tree.map(lambda array: array[position], arguments)
            state, row = one_step(state, resident, of_step)
            return state, table.at[position].set(row)

        table = jnp.zeros((capacity, len(names)), jnp.float32)
        return jax.lax.fori_loop(0, count, body, (state, table))

    call = jax.jit(many_steps, donate_argnums=0)

    def advance(state: TrainState, most: int) -> Progress:
        count = min(most, capacity)
        arguments = [
            _stacked([_take(feeds[index], move.repeat) for _ in range(count)], capacity)
            for index, move in enumerate(moves)
        ]
        state, table = call(state, source.resident, arguments, np.int32(count))
        return Progress(state, count, table)

    def fetch(progress: Progress) -> np.ndarray:
        return np.asarray(progress.metrics)[: progress.steps]

    return Execution(names, True, advance, fetch)


def _take(feed: Iterator[Tree], count: int) -> Tree:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *[next(feed) for _ in range(count)])


def _stacked(trees: list[Tree], length: int) -> Tree:
    """Trees joined along a new first axis, padded to `length` so that shapes never change."""

    def join(*leaves: np.ndarray) -> np.ndarray:
        joined = np.zeros((length, *leaves[0].shape), leaves[0].dtype)
        for position, leaf in enumerate(leaves):
            joined[position] = leaf
        return joined

    return jax.tree.map(join, *trees)


def _holds_convolution(jaxpr: Any) -> bool:
    """Whether a traced program convolves anywhere, nested programs included."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "conv_general_dilated":
            return True
        if any(_holds_convolution(inner) for inner in _nested(equation.params)):
            return True
    return False


def _nested(params: Mapping[str, Any]) -> Iterator[Any]:
    """The programs inside an equation's parameters."""
    for value in jax.tree.leaves(list(params.values()), is_leaf=lambda leaf: hasattr(leaf, "eqns")):
        inner = getattr(value, "jaxpr", value)
        if hasattr(inner, "eqns"):
            yield inner
