"""Runs that differ only in their seed or in numbers, trained together as one vectorized program.

Each stays an ordinary run with its own directory, checkpoints and metrics; only its steps are
computed with those of the others. Vectorized products may be rounded differently from single
ones, so a run of a population equals the run alone up to rounding.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, closing, suppress
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gancli.adversarial.dynamics import TrainState
from gancli.config import Config
from gancli.data.dataset import Dataset
from gancli.errors import GanError
from gancli.runs.directory import Run
from gancli.system.interruption import StopRequest, while_listening
from gancli.system.placement import Placement
from gancli.tasks.program import Program, build_moves, build_parts
from gancli.training.backends.devices import Devices
from gancli.training.backends.likeness import differing, with_numbers
from gancli.training.events import Event, Waiting
from gancli.training.execution import (
    Chunk,
    Drawn,
    compiler_options,
    step_of,
    steps_in_a_loop,
)
from gancli.training.loop import train
from gancli.training.planning import Plan

Tree = Any


class Wanted(NamedTuple):
    """The next steps that a run waits for; see `Backend.advance`."""

    here: Chunk
    most: int
    drawn: Callable[[], None]


class Seat(Devices):
    """The place of a run in a group that is computed together; see `Backend`.

    A run that compiles a different program from the planned one, or compiles again, has gone back
    to a checkpoint and trains on alone.

    Args:
        config: the planned configuration of the run.
    """

    program: Program
    here: Chunk
    stop: StopRequest
    wanted: Wanted
    at: int

    def __init__(self, config: Config):
        self.config, self.by_itself = config, False
        self.compiling: Future[bool] | None = None
        self.advancing: Future[Chunk] | None = None

    def prepare(
        self, config: Config, program: Program, state: TrainState
    ) -> tuple[tuple[str, ...], Chunk]:
        """Accepts a program."""
        self.by_itself = self.by_itself or self.compiling is not None or config != self.config
        self.program, self.at = program, int(state.step)
        return super().prepare(config, program, state)

    def placement(self, config: Config, program: Program) -> Placement | None:
        """A group is computed by one device."""
        return super().placement(config, program) if self.by_itself else None

    def compile(self, here: Chunk, stop: StopRequest) -> Future[bool]:
        """Waits until every run of the group is ready to compile."""
        if self.by_itself:
            return super().compile(here, stop)
        self.here, self.stop, self.compiling = here, stop, Future()
        return self.compiling

    def advance(self, here: Chunk, most: int, drawn: Callable[[], None]) -> Future[Chunk]:
        """Waits until the steps are computed for every run at the same step."""
        if self.by_itself:
            return super().advance(here, most, drawn)
        self.wanted, self.advancing = Wanted(here, most, drawn), Future()
        return self.advancing

    @property
    def waits_to_compile(self) -> bool:
        """Whether this run waits for the group to be compiled."""
        return self.compiling is not None and not self.compiling.done()

    @property
    def waits_to_advance(self) -> bool:
        """Whether this run waits for steps to be computed."""
        return self.advancing is not None and not self.advancing.done()


class Together:
    """The program of several runs, and its state.

    Args:
        configs: configurations of all runs, with the same `likeness`.
        seats: seats of the runs to compute, by their places among all.
        dataset: the common data set.
    """

    def __init__(self, configs: Sequence[Config], seats: Mapping[int, Seat], dataset: Dataset):
        first = next(iter(seats.values()))
        self._seats = seats
        self._nothing = first.execution.arguments
        self._resident = jax.device_put(first.program.source.resident)
        places = range(len(configs))
        self._states = _stacked([seats.get(place, first).here.state for place in places])
        # The chunk that each run received last; a run continues from it except at first.
        self._given: list[Chunk | None] = [None for _ in places]
        self._program = self._lowered(configs, first, dataset)
        self._play: Any = None

    def _lowered(self, configs: Sequence[Config], first: Seat, dataset: Dataset) -> Any:
        """The program of all runs, not yet compiled."""
        names, capacity = first.execution.names, first.execution.capacity
        source = first.program.source
        places, numbers = differing(configs)
        table = jnp.asarray(numbers)
        seeds = jnp.asarray([config.train.seed for config in configs], jnp.uint32)

        def many_steps(
            states: TrainState, resident: Tree, arguments: Tree, count: Any, playing: jax.Array
        ) -> tuple[TrainState, jax.Array]:
            def of_one(state: TrainState, arguments: Tree, seed: jax.Array, numbers: jax.Array):
                own = with_numbers(configs[0], places, list(numbers))
                parts = build_parts(own, dataset.spec)
                moves = build_moves(own, parts, source.draws_per_epoch)
                step = step_of(moves, source.materialize)
                key = jax.random.key(seed)
                return steps_in_a_loop(
                    step, key, names, capacity, state, resident, arguments, count
                )

            played, tables = jax.vmap(of_one)(states, arguments, seeds, table)

            def kept(new: jax.Array, old: jax.Array) -> jax.Array:
                return jnp.where(playing.reshape(-1, *[1] * (new.ndim - 1)), new, old)

            return jax.tree.map(kept, played, states), tables

        arguments = _stacked([self._nothing for _ in configs])
        playing = np.ones(len(configs), bool)
        shapes = jax.eval_shape(lambda: self._states)
        options = compiler_options()
        program = jax.jit(many_steps, donate_argnums=0, compiler_options=options)
        return program.lower(shapes, self._resident, arguments, np.int32(0), playing)

    def compile(self) -> None:
        """Compiles the program."""
        self._play = self._program.compile()

    def play(self, places: Sequence[int], most: int) -> None:
        """Computes the same number of next steps for some of the runs, and hands them out.

        Args:
            places: places of the waiting runs.
            most: largest number of steps.
        """
        drawn: dict[int, Drawn] = {}
        for place in places:
            seat = self._seats[place]
            if seat.wanted.here is not self._given[place]:  # The run has been restored.
                self._states = _put_in(self._states, place, seat.wanted.here.state)
            drawn[place] = seat.execution.draw(most)
            seat.wanted.drawn()
        count = next(iter(drawn.values())).steps
        every = range(len(self._given))
        arguments = _stacked([drawn[p].arguments if p in drawn else self._nothing for p in every])
        playing = np.asarray([place in drawn for place in every])
        self._states, tables = self._play(
            self._states, self._resident, arguments, np.int32(count), playing
        )
        states = self._states
        for place in places:
            chunk = Chunk(
                lambda states=states, place=place: _take_out(states, place), count, tables[place]
            )
            self._given[place] = chunk
            self._seats[place].at += count
            advancing = self._seats[place].advancing
            assert advancing is not None
            advancing.set_result(chunk)


def train_together(
    plans: Sequence[Plan], runs: Sequence[Run | None], stop: StopRequest | None = None
) -> Iterator[tuple[int, Event | GanError]]:
    """Trains runs of one likeness together, each from its current step to its last one.

    A run that diverges ends, or trains on alone from an earlier checkpoint, as one that goes back
    for a remedy does; the others continue.
    Finished runs keep their place in the batch, because the size of a vectorized product decides
    its rounding. So every run computes the same bits whichever of the others have finished.

    Args:
        plans: plans of all runs, on the same data.
        runs: their directories, which the caller holds; None for a finished run.
        stop: asked after each call to the device; None for runs that cannot be stopped.

    Yields:
        The place of a run and its events; at last the error that ended it, if it diverged, was
        interrupted, or its disk refused.
    """
    stop = StopRequest() if stop is None else stop
    seats = {
        place: Seat(plan.config)
        for place, (plan, run) in enumerate(zip(plans, runs, strict=True))
        if run is not None
    }
    if len(plans) == 1:
        seats[0].by_itself = True
    with ExitStack() as stack:
        stack.enter_context(stop.deferred())
        loops = {
            place: stack.enter_context(closing(train(plans[place], run, stop, seats[place])))
            for place, run in enumerate(runs)
            if run is not None
        }
        try:
            yield from _Group(plans, seats, loops).play()
        except KeyboardInterrupt as error:
            for loop in loops.values():  # All are told first, so that none waits for its writes.
                with suppress(KeyboardInterrupt):
                    loop.throw(error)
            raise


class _Group:
    """Plays runs in turns: work that all of them wait for is done once for all."""

    def __init__(
        self, plans: Sequence[Plan], seats: Mapping[int, Seat], loops: Mapping[int, Iterator[Event]]
    ):
        self._plans, self._seats, self._loops = plans, seats, dict(loops)
        self._together: Together | None = None

    def play(self) -> Iterator[tuple[int, Event | GanError]]:
        """Plays all runs to their ends, one event of each in turn."""
        while self._loops:
            for place, loop in list(self._loops.items()):
                try:
                    event = next(loop)
                    if not isinstance(event, Waiting):
                        yield place, event
                except StopIteration:
                    del self._loops[place]
                except GanError as error:
                    del self._loops[place]
                    yield place, error
            waiting = {p: self._seats[p] for p in self._loops if not self._seats[p].by_itself}
            if all(seat.waits_to_compile or seat.waits_to_advance for seat in waiting.values()):
                if to_compile := {p: s for p, s in waiting.items() if s.waits_to_compile}:
                    self._compile(to_compile)
                elif waiting:
                    self._advance(waiting)

    def _compile(self, seats: Mapping[int, Seat]) -> None:
        """Compiles one program for all runs that still follow their plan."""

        def compile_all() -> Together:
            configs = [plan.config for plan in self._plans]
            together = Together(configs, seats, self._plans[0].dataset)
            together.compile()
            return together

        self._together = while_listening(compile_all, next(iter(seats.values())).stop)
        for seat in seats.values():
            assert seat.compiling is not None
            seat.compiling.set_result(self._together is not None)

    def _advance(self, seats: Mapping[int, Seat]) -> None:
        """Computes steps of the runs furthest behind, up to the step of the next run."""
        assert self._together is not None
        at = {place: seat.at for place, seat in seats.items()}
        least = min(at.values())
        behind = [place for place, step in at.items() if step == least]
        ahead = [step - least for step in at.values() if step > least]
        self._together.play(behind, min([*(seats[p].wanted.most for p in behind), *ahead]))


def _stacked(trees: Sequence[Tree]) -> Tree:
    """Stacks trees of arrays along a new first axis."""

    def stack(*leaves: Any) -> Any:
        on_host = isinstance(leaves[0], np.ndarray)
        return np.stack(leaves) if on_host else jnp.stack(leaves)

    return jax.tree.map(stack, *trees)


@jax.jit
def _take_out(states: TrainState, place: Any) -> TrainState:
    return jax.tree.map(lambda leaf: leaf[place], states)


def _put_in(states: TrainState, place: int, state: TrainState) -> TrainState:
    return jax.tree.map(lambda leaf, own: leaf.at[place].set(own), states, state)
