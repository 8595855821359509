"""Runs that differ only in their seed or in numbers, trained together as one vectorized program.

Each stays an ordinary run, with its directory, checkpoints and metrics; only its steps are played
with those of the others. Vectorized products may be rounded otherwise than single ones, so a run
of a population equals the run alone up to rounding.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gancli.config import Config
from gancli.data.dataset import Dataset
from gancli.dynamics import TrainState
from gancli.errors import GanError
from gancli.events import Event
from gancli.execution import (
    Compile,
    Drawn,
    Play,
    Progress,
    Request,
    step_of,
    steps_in_a_loop,
)
from gancli.interruption import StopRequest, while_listening
from gancli.judge import Judge
from gancli.loop import Requests, requests_of
from gancli.losses import LOSSES
from gancli.penalties import PENALTIES
from gancli.program import build_moves, build_parts
from gancli.registry import Registry, Spec
from gancli.runs.directory import Run
from gancli.train import Player, answered, sent

Tree = Any

# Of each player's optimizer: numbers that no code looks at before it computes with them.
_OF_OPTIMIZERS = ("learning_rate", "beta1", "beta2", "epsilon")
# Stands for a number wherever one may differ.
_ANY = "a number"


class Member(NamedTuple):
    """One run of a population: what it computes, its directory, which the caller holds, its judge.

    One that has ended has no directory here, and keeps its place: how a number is rounded may
    depend on how many are computed at once, and what is left must not depend on what has ended.
    """

    config: Config
    dataset: Dataset
    run: Run | None = None
    judge: Judge | None = None


class Numbers(NamedTuple):
    """The numbers in which configurations differ: their places, and (configurations, places)."""

    places: tuple[tuple[str, ...], ...]
    table: np.ndarray


def likeness(config: Config) -> str:
    """What configurations have in common that can be trained together.

    Args:
        config: a run's.

    Returns:
        The configuration as text, without its seed and the numbers that may differ: learning
        rates, betas and epsilon of the optimizers, options of loss and penalties that are floats.
    """
    held = config.model_dump(mode="json")
    held["train"]["seed"] = _ANY
    for role in held["optimizer"].values():
        role.update(dict.fromkeys(_OF_OPTIMIZERS, _ANY))
    held["loss"], held["penalties"] = (
        _alike(LOSSES, held["loss"]) if held["loss"] else "",
        [_alike(PENALTIES, spec) for spec in held["penalties"]],
    )
    return json.dumps(held, sort_keys=True)


def differing(configs: Sequence[Config]) -> Numbers:
    """The numbers in which configurations of one likeness differ.

    Args:
        configs: at least one.
    """
    every = [_numbers(config) for config in configs]
    places = tuple(place for place in every[0] if len({numbers[place] for numbers in every}) > 1)
    table = [[numbers[place] for place in places] for numbers in every]
    return Numbers(places, np.asarray(table, np.float32).reshape(len(configs), len(places)))


def with_numbers(
    config: Config, places: Sequence[tuple[str, ...]], values: Sequence[jax.Array]
) -> Config:
    """A configuration with other numbers, which need not be known before they are computed with.

    Args:
        config: any of those that differ.
        places: where the numbers stand.
        values: the numbers, one for each place.

    Returns:
        The configuration, good for building its program alone: nothing in it was validated.
    """
    for (section, *path), value in zip(places, values, strict=True):
        if section == "optimizer":
            role, name = path
            own = getattr(config.optimizer, role).model_copy(update={name: value})
            update: dict[str, Any] = {"optimizer": config.optimizer.model_copy(update={role: own})}
        elif section == "loss":
            update = {"loss": _with_option(LOSSES, config.loss, path[0], value)}
        else:
            index = int(path[0])
            specs: list[str | Spec] = list(config.penalties)
            specs[index] = _with_option(PENALTIES, specs[index], path[1], value)
            update = {"penalties": tuple(specs)}
        config = config.model_copy(update=update)
    return config


def _numbers(config: Config) -> dict[tuple[str, ...], float]:
    """The numbers that may differ, by their places."""
    found = {
        ("optimizer", role, name): float(getattr(getattr(config.optimizer, role), name))
        for role in ("generator", "discriminator")
        for name in _OF_OPTIMIZERS
    }
    if config.loss:
        found |= {("loss", name): value for name, value in _floats(LOSSES, config.loss).items()}
    for index, spec in enumerate(config.penalties):
        own = _floats(PENALTIES, spec)
        found |= {("penalties", str(index), name): value for name, value in own.items()}
    return found


def _floats(registry: Registry, spec: str) -> dict[str, float]:
    """The options of a spec that are floats and not nothing."""
    kinds = {option.name: option.kind for option in registry.entry(spec).options}
    return {
        name: value
        for name, value in registry.options(spec).items()
        if kinds[name] is float and value
    }


def _alike(registry: Registry, spec: str) -> list[Any]:
    """A spec without its floats; one that is zero stays, as it may leave something out."""
    options = registry.options(spec) | dict.fromkeys(_floats(registry, spec), _ANY)
    return [registry.entry(spec).name, sorted((k, str(v)) for k, v in options.items())]


def _with_option(registry: Registry, spec: str | Spec, name: str, value: Any) -> Spec:
    return Spec(registry.entry(spec).name, registry.options(spec) | {name: value})


class Together:
    """The program of several runs, and where it stands.

    Args:
        configs: of all runs, which are of one likeness.
        asked: what those that are to be played asked to be compiled, by their places among them.
        dataset: of all of them.
    """

    def __init__(self, configs: Sequence[Config], asked: Mapping[int, Compile], dataset: Dataset):
        first = next(iter(asked.values()))
        self._executions = {place: one.execution for place, one in asked.items()}
        self._nothing = first.execution.arguments
        self._resident = jax.device_put(first.program.source.resident)
        places = range(len(configs))
        self._states = _stacked([asked.get(place, first).state for place in places])
        # What each was given last: the same as what it goes on from, but for the first time.
        self._given: list[Progress | None] = [None for _ in places]
        self._program = self._lowered(configs, first, dataset)
        self._play: Any = None

    def _lowered(self, configs: Sequence[Config], first: Compile, dataset: Dataset) -> Any:
        """The program of all, not yet compiled."""
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
        program = jax.jit(many_steps, donate_argnums=0)
        return program.lower(shapes, self._resident, arguments, np.int32(0), playing)

    def compile(self) -> None:
        """Compiles the program."""
        self._play = self._program.compile()

    def play(self, asked: dict[int, Play]) -> dict[int, Progress]:
        """Plays the next steps of some of the runs, as many of each.

        Args:
            asked: what they ask for, by their places among the runs.

        Returns:
            Where each stands.
        """
        steps = min(one.most for one in asked.values())
        drawn: dict[int, Drawn] = {}
        for place, one in asked.items():
            if one.here is not self._given[place]:  # It has been restored.
                self._states = _put_in(self._states, place, one.here.state)
            drawn[place] = self._executions[place].draw(steps)
            one.drawn()
        count = next(iter(drawn.values())).steps
        places = range(len(self._given))
        arguments = _stacked([drawn[p].arguments if p in drawn else self._nothing for p in places])
        playing = np.asarray([place in asked for place in places])
        self._states, tables = self._play(
            self._states, self._resident, arguments, np.int32(count), playing
        )
        states = self._states
        for place in asked:
            self._given[place] = Progress(
                lambda states=states, place=place: _take_out(states, place), count, tables[place]
            )
        return {place: given for place in asked if (given := self._given[place])}


def _stacked(trees: Sequence[Tree]) -> Tree:
    """Trees of arrays as one, along a new first axis."""

    def stack(*leaves: Any) -> Any:
        on_host = isinstance(leaves[0], np.ndarray)
        return np.stack(leaves) if on_host else jnp.stack(leaves)

    return jax.tree.map(stack, *trees)


@jax.jit
def _take_out(states: TrainState, place: Any) -> TrainState:
    return jax.tree.map(lambda leaf: leaf[place], states)


def _put_in(states: TrainState, place: int, state: TrainState) -> TrainState:
    return jax.tree.map(lambda leaf, own: leaf.at[place].set(own), states, state)


def train_together(
    members: Sequence[Member], stop: StopRequest | None = None
) -> Iterator[tuple[int, Event | GanError]]:
    """Trains runs of one likeness together, each from where it stands to its last step.

    One that diverges ends, or goes on by itself from its last checkpoint; the others go on. What a
    run computes is the same to the bit whatever is left of the others.

    Args:
        members: all runs, of one data set, those that have ended among them.
        stop: asked after each call to the device; None for runs that cannot be stopped.

    Yields:
        The place of a run among them, and what happens in it; at last the error by which it ended,
        if it diverged, was interrupted, or its disk refused.
    """
    stop = StopRequest() if stop is None else stop
    with ExitStack() as stack:
        stack.enter_context(stop.deferred())
        requests = {
            index: stack.enter_context(closing(requests_of(one.run, one.dataset, stop, one.judge)))
            for index, one in enumerate(members)
            if one.run is not None
        }
        try:
            yield from _Driver(members, requests).play()
        except KeyboardInterrupt as error:
            for own in requests.values():  # Each is told: none waits for what it is writing.
                with suppress(KeyboardInterrupt):
                    own.throw(error)
            raise


class _Driver:
    """Plays several runs in turns: what all of them wait for is done once for all.

    Args:
        members: all runs.
        requests: what each that has not ended asks for, by its place among them.
    """

    def __init__(self, members: Sequence[Member], requests: Mapping[int, Requests]):
        self._configs = [member.config for member in members]
        self._dataset, self._requests = members[0].dataset, requests
        # What each run waits for; runs that have ended are not in it.
        self._asked: dict[int, Request] = {}
        self._alone: dict[int, Player] = {}
        self._together: Together | None = None

    def play(self) -> Iterator[tuple[int, Event | GanError]]:
        """Plays all runs to their ends."""
        for index in self._requests:
            yield from self._until_it_asks(index, lambda own: next(own, None))
        if len(self._configs) > 1:
            yield from self._begin()
        while self._asked:
            for index, asked in self._asked.items():
                if isinstance(asked, Compile):  # After a divergence, or one run by itself.
                    self._alone.setdefault(index, Player())
            for index in [i for i in self._asked if i in self._alone]:
                player, asked = self._alone[index], self._asked[index]
                yield from self._until_it_asks(
                    index, lambda own, p=player, a=asked: answered(own, p, a)
                )
            yield from self._play_together()

    def _begin(self) -> Iterator[tuple[int, Event | GanError]]:
        """Compiles one program for all runs that are as they were configured."""
        waiting = {
            index: asked
            for index, asked in self._asked.items()
            if isinstance(asked, Compile) and asked.config == self._configs[index]
        }
        if not waiting:
            return
        first = next(iter(waiting.values()))

        def compile_all() -> Together:
            together = Together(self._configs, waiting, self._dataset)
            together.compile()
            return together

        self._together = while_listening(compile_all, first.stop)
        for index in waiting:
            yield from self._until_it_asks(index, lambda own: sent(own, self._together is not None))

    def _play_together(self) -> Iterator[tuple[int, Event | GanError]]:
        """Plays the runs that are furthest behind, up to where the next one stands."""
        waiting = {
            index: asked
            for index, asked in self._asked.items()
            if index not in self._alone and isinstance(asked, Play)
        }
        if not waiting or self._together is None:
            return
        at = {index: int(asked.at) for index, asked in waiting.items()}
        least = min(at.values())
        ahead = [step - least for step in at.values() if step > least]
        behind = {
            index: asked._replace(most=min([asked.most, *ahead]))
            for index, asked in waiting.items()
            if at[index] == least
        }
        for index, progress in self._together.play(behind).items():
            yield from self._until_it_asks(index, lambda own, p=progress: sent(own, p))

    def _until_it_asks(
        self, index: int, go_on: Callable[[Requests], Event | Request | None]
    ) -> Iterator[tuple[int, Event | GanError]]:
        """Lets a run go on until it waits for something or ends."""
        own = self._requests[index]
        self._asked.pop(index, None)
        try:
            happened = go_on(own)
            while happened is not None:
                if isinstance(happened, Compile | Play):
                    self._asked[index] = happened
                    return
                yield index, happened
                happened = next(own, None)
        except GanError as error:
            yield index, error
