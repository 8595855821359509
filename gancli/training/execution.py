"""Dispatch of steps to a device: one call plays many of them.

The program takes its number of steps as an argument, so that it is compiled once and a run does
not depend on where its chunks end. The loop is fast on CPU, too: kernels' gradients are matrix
products there, because that of XLA's own convolution is far slower inside a loop than outside.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gancli.adversarial.dynamics import Move, Player, TrainState, Turn
from gancli.data.batches import BatchSource, Materialize
from gancli.system.placement import Placement

Tree = Any

# Bytes that travel to the device for one call. A call of fewer steps is padded to as many, so that
# one program serves them all.
_MOST_BYTES_A_CALL = 4 * 2**20
# Compiled programs kept for later runs of this process that compute the same.
_KEPT = 2


class Drawn(NamedTuple):
    """The arguments of the next `steps` steps, on the host."""

    steps: int
    arguments: list[Tree]


class Chunk:
    """The result of a call: the state after its steps, and a table of their metrics.

    Args:
        state: the state after the steps, or a function that returns it on first use.
        steps: number of steps.
        table: (at least steps, metrics) float32 on the device.
    """

    def __init__(self, state: TrainState | Callable[[], TrainState], steps: int, table: jax.Array):
        self._state, self.steps, self.table = state, steps, table

    @property
    def state(self) -> TrainState:
        """The state; the next call donates it."""
        if not isinstance(self._state, TrainState):
            self._state = self._state()
        return self._state

    def is_done(self) -> bool:
        """Whether the device has finished these steps."""
        return self.table.is_ready()  # pyright: ignore[reportAttributeAccessIssue]

    def rows(self) -> np.ndarray:
        """The metrics of each step, (steps, metrics) float32; waits for the device."""
        return np.asarray(self.table)[: self.steps]


class Execution(NamedTuple):
    """A program that is not compiled yet, and its stream of arguments.

    `names` are the names of the metrics. `capacity` is the largest number of steps of a call,
    and `arguments` shows the shapes of its arguments. `draw(most)` takes the arguments of 1 to
    `most` steps from the stream, so it must be called in the order of the steps. `compile()`
    returns `play(state, drawn)`, which dispatches those steps and donates the state.
    """

    names: tuple[str, ...]
    capacity: int
    arguments: Tree
    draw: Callable[[int], Drawn]
    compile: Callable[[], Callable[[TrainState, Drawn], Chunk]]


def build_execution(
    moves: tuple[Move, ...],
    source: BatchSource,
    seed: int,
    state: TrainState,
    most_steps: int,
    placement: Placement | None = None,
) -> Execution:
    """Prepares to play the moves of a step repeatedly.

    Args:
        moves: the moves of a step, in order.
        source: the source of batches.
        seed: the run's seed.
        state: the state to continue from; only its shapes and its step are used.
        most_steps: the largest number of steps of one call.
        placement: the devices among which each batch is divided; None for the default device.

    Returns:
        The execution; its stream of batches starts at the state's step.
    """
    key = jax.random.key(seed)
    resident = jax.device_put(source.resident, placement and placement.whole)
    repeats = [move.repeat for move in moves]
    feeds = [source.arguments(int(state.step) * repeat) for repeat in repeats]
    samples = [_take(source.arguments(0), repeat) for repeat in repeats]
    bytes_a_step = sum(leaf.nbytes for leaf in jax.tree.leaves(samples))
    capacity = max(1, min(most_steps, _MOST_BYTES_A_CALL // max(1, bytes_a_step)))
    step = step_of(moves, source.materialize, placement)
    names = tuple(sorted(jax.eval_shape(step, state, resident, samples, key)[1]))

    def draw(most: int) -> Drawn:
        count = min(most, capacity)
        arguments = [
            _padded([_take(feed, repeat) for _ in range(count)], capacity)
            for feed, repeat in zip(feeds, repeats, strict=True)
        ]
        return Drawn(count, arguments)

    padded = [_padded([sample], capacity) for sample in samples]
    leaves, structure = jax.tree.flatten((state, resident, padded))
    shapes = tuple(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves)

    def compile_program() -> Callable[[TrainState, Drawn], Chunk]:
        compiled = _compiled(step, names, capacity, placement, structure, shapes)

        def play(state: TrainState, drawn: Drawn) -> Chunk:
            count = np.int32(drawn.steps)
            state, table = compiled(state, resident, drawn.arguments, count, key)
            return Chunk(state, drawn.steps, table)

        return play

    return Execution(names, capacity, padded, draw, compile_program)


# (state, resident, arguments of the moves, the run's key) -> the next state, metrics
StepOf = Callable[
    [TrainState, Tree, Sequence[Tree], jax.Array], tuple[TrainState, dict[str, jax.Array]]
]


@functools.lru_cache(_KEPT)
def step_of(
    moves: tuple[Move, ...], materialize: Materialize, placement: Placement | None = None
) -> StepOf:
    """The function that plays one step, traced once.

    Args:
        moves: the moves of a step, in order.
        materialize: turns arguments into batches.
        placement: the devices among which each batch is divided; None for the default device.
    """
    offsets = np.cumsum([0] + [move.repeat for move in moves])[:-1].tolist()

    def one_step(state: TrainState, resident: Tree, arguments: Sequence[Tree], key: jax.Array):
        players, metrics = state.players, {}
        for index, move in enumerate(moves):

            def again(players: dict[str, Player], inputs: Any, index=index, move=move):
                argument, nth = inputs
                batch = materialize(resident, argument)
                turn = Turn(batch, key, state.step, offsets[index] + nth, placement=placement)
                players, of_move = move.play(players, turn._replace(batch=turn.divided(batch)))
                if placement is not None:
                    places = placement.of_state(players)
                    players = jax.lax.with_sharding_constraint(players, places)
                return players, of_move

            numbers = jnp.arange(move.repeat, dtype=jnp.int32)
            players, of_move = jax.lax.scan(again, players, (arguments[index], numbers))
            metrics |= {name: values.mean(axis=0) for name, values in of_move.items()}
        return TrainState(state.step + 1, players), metrics

    return jax.jit(one_step)


def steps_in_a_loop(
    step: StepOf,
    key: jax.Array,
    names: Sequence[str],
    capacity: int,
    state: TrainState,
    resident: Tree,
    arguments: Sequence[Tree],
    count: jax.Array,
) -> tuple[TrainState, jax.Array]:
    """Plays `count` steps, at most `capacity`.

    Returns:
        The state after the steps, and the table of their metrics, (capacity, metrics) float32.
    """

    def body(position: jax.Array, carry: tuple[TrainState, jax.Array]):
        state, table = carry
        of_step = jax.tree.map(lambda array: array[position], arguments)
        state, metrics = step(state, resident, of_step, key)
        row = jnp.stack([jnp.float32(metrics[name]) for name in names])
        return state, table.at[position].set(row)

    table = jnp.zeros((capacity, len(names)), jnp.float32)
    return jax.lax.fori_loop(0, count, body, (state, table))


@functools.cache
def compiler_options() -> dict[str, str]:
    """XLA's options for compiling steps: on CPU without YNNPACK, with which they are slower.

    They are empty on other devices, and where this version of XLA does not have the option.
    """
    if jax.default_backend() != "cpu":
        return {}
    options = {"xla_cpu_experimental_ynn_fusion_type": ""}
    try:
        jax.jit(lambda: 0, compiler_options=options).lower().compile()
    except jax.errors.JaxRuntimeError:
        return {}
    return options


@functools.lru_cache(_KEPT)
def _compiled(
    step: StepOf,
    names: tuple[str, ...],
    capacity: int,
    placement: Placement | None,
    structure: Any,
    shapes: tuple[jax.ShapeDtypeStruct, ...],
) -> Any:
    """The compiled program; the run's key is an argument, so that seeds share the program."""
    state, resident, arguments = jax.tree.unflatten(structure, shapes)
    key = jax.eval_shape(jax.random.key, 0)

    def many_steps(state: TrainState, resident: Tree, arguments: Tree, count: Any, key: Any):
        return steps_in_a_loop(step, key, names, capacity, state, resident, arguments, count)

    options = compiler_options()
    if placement is None:
        program = jax.jit(many_steps, donate_argnums=0, compiler_options=options)
    else:
        whole, places = placement.whole, placement.of_state(state)
        program = jax.jit(
            many_steps, in_shardings=(places, whole, whole, whole, whole),
            out_shardings=(places, whole), donate_argnums=0, compiler_options=options,
        )  # fmt: skip
    return program.lower(state, resident, arguments, np.int32(0), key).compile()


def _take(feed: Iterator[Tree], count: int) -> Tree:
    """The next arguments of a feed, joined along a new first axis."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *[next(feed) for _ in range(count)])


def _padded(trees: list[Tree], length: int) -> Tree:
    """Joins trees along a new first axis of a fixed length, so that shapes never change."""

    def join(*leaves: np.ndarray) -> np.ndarray:
        joined = np.zeros((length, *leaves[0].shape), leaves[0].dtype)
        for position, leaf in enumerate(leaves):
            joined[position] = leaf
        return joined

    return jax.tree.map(join, *trees)
