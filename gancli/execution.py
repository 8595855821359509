"""How steps are dispatched to the device: one call plays many of them.

The program takes its number of steps as an argument, so it is compiled once and a run does
not depend on where its chunks ended. Networks may be in a loop on CPU too: their layers are
matrix products there, because the weight gradient of XLA's own convolution is far slower
inside a loop than outside.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from gancli import processes
from gancli.data.batches import BatchSource
from gancli.dynamics import Move, Player, TrainState, Turn
from gancli.keys import update_key

Tree = Any

# What travels to the device for one call: enough to keep it busy.
_MOST_BYTES_A_CALL = 64 * 2**20


class Drawn(NamedTuple):
    """The arguments of the next `steps` steps, on the host."""

    steps: int
    arguments: list[Tree]


class Progress(NamedTuple):
    """Steps that were dispatched: the state after them, and a table (≥ steps, metrics)."""

    state: TrainState
    steps: int
    table: jax.Array

    def is_done(self) -> bool:
        """Whether the device has come to the end of these steps."""
        return self.table.is_ready()  # pyright: ignore[reportAttributeAccessIssue]

    def rows(self) -> np.ndarray:
        """The metrics of each step, (steps, metrics) float32; waits for the device."""
        return np.asarray(self.table)[: self.steps]


class Execution(NamedTuple):
    """A program that is yet to be compiled, and what it is fed with.

    `draw(most)` takes from 1 to `most` steps' arguments from the stream, so it is called in
    the order of the steps. `compile()` returns `play(state, drawn)`, which dispatches those
    steps; the state that it is given is donated. `names` are the metrics'.
    """

    names: tuple[str, ...]
    draw: Callable[[int], Drawn]
    compile: Callable[[], Callable[[TrainState, Drawn], Progress]]


def build_execution(
    moves: Sequence[Move],
    source: BatchSource,
    seed: int,
    state: TrainState,
    most_steps: int,
    mesh: Mesh | None = None,
) -> Execution:
    """Prepares to play the moves of a step again and again.

    Args:
        moves: the moves of a step, in order.
        source: where batches come from.
        seed: the run's seed.
        state: the state to go on from; only its shapes and its step are used.
        most_steps: the most steps that one call should make.
        mesh: the devices among which each batch is divided; None for the default device.

    Returns:
        The execution, its stream of batches standing at the state's step.
    """
    key = jax.random.key(seed)
    whole = None if mesh is None else processes.replicated(mesh)
    resident = jax.device_put(source.resident, whole)
    offsets = np.cumsum([0] + [move.repeat for move in moves])[:-1].tolist()
    feeds = [source.arguments(int(state.step) * move.repeat) for move in moves]
    samples = [_take(source.arguments(0), move.repeat) for move in moves]
    bytes_a_step = sum(leaf.nbytes for leaf in jax.tree.leaves(samples))
    capacity = max(1, min(most_steps, _MOST_BYTES_A_CALL // max(1, bytes_a_step)))

    def play_move(
        index: int, players: dict[str, Player], resident: Tree, argument: Tree, step, nth
    ):
        batch = source.materialize(resident, argument)
        if mesh is not None:
            batch = jax.lax.with_sharding_constraint(batch, processes.divided(mesh))
        turn = Turn(batch, update_key(key, step, offsets[index] + nth), step)
        return moves[index].play(players, turn)

    def one_step(state: TrainState, resident: Tree, arguments: Sequence[Tree]):
        players, metrics = state.players, {}
        for index, move in enumerate(moves):

            def again(players, inputs, index=index):
                return play_move(index, players, resident, inputs[0], state.step, inputs[1])

            numbers = jnp.arange(move.repeat, dtype=jnp.int32)
            players, of_move = jax.lax.scan(again, players, (arguments[index], numbers))
            metrics |= {name: values.mean(axis=0) for name, values in of_move.items()}
        return TrainState(state.step + 1, players), metrics

    names = tuple(sorted(jax.eval_shape(one_step, state, resident, samples)[1]))

    def many_steps(state: TrainState, resident: Tree, arguments: Sequence[Tree], count):
        def body(position, carry):
            state, table = carry
            of_step = jax.tree.map(lambda array: array[position], arguments)
            state, metrics = one_step(state, resident, of_step)
            row = jnp.stack([jnp.float32(metrics[name]) for name in names])
            return state, table.at[position].set(row)

        table = jnp.zeros((capacity, len(names)), jnp.float32)
        return jax.lax.fori_loop(0, count, body, (state, table))

    def draw(most: int) -> Drawn:
        count = min(most, capacity)
        arguments = [
            _padded([_take(feed, move.repeat) for _ in range(count)], capacity)
            for feed, move in zip(feeds, moves, strict=True)
        ]
        return Drawn(count, arguments)

    shapes = jax.eval_shape(lambda: state)
    padded = [_padded([sample], capacity) for sample in samples]

    def compile_program() -> Callable[[TrainState, Drawn], Progress]:
        if whole is None:
            program = jax.jit(many_steps, donate_argnums=0)
        else:
            program = jax.jit(many_steps, in_shardings=whole, out_shardings=whole, donate_argnums=0)
        compiled = program.lower(shapes, resident, padded, np.int32(0)).compile()

        def play(state: TrainState, drawn: Drawn) -> Progress:
            state, table = compiled(state, resident, drawn.arguments, np.int32(drawn.steps))
            return Progress(state, drawn.steps, table)

        return play

    return Execution(names, draw, compile_program)


def _take(feed: Iterator[Tree], count: int) -> Tree:
    """The next arguments of a feed, joined along a new first axis."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *[next(feed) for _ in range(count)])


def _padded(trees: list[Tree], length: int) -> Tree:
    """Trees joined along a new first axis of a given length, so that shapes never change."""

    def join(*leaves: np.ndarray) -> np.ndarray:
        joined = np.zeros((length, *leaves[0].shape), leaves[0].dtype)
        for position, leaf in enumerate(leaves):
            joined[position] = leaf
        return joined

    return jax.tree.map(join, *trees)
