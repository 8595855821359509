"""Builds functions from a configuration: task, optimizers, batches, moves."""

import functools
from collections.abc import Callable, Mapping
from math import prod
from typing import NamedTuple

import jax
import numpy as np

from gancli import tasks
from gancli.adversarial.augmentations import AUGMENTATIONS, OF_COLOURS
from gancli.adversarial.dynamics import (
    DYNAMICS,
    Move,
    TrainState,
    Weights,
    initial_state,
    with_frozen,
)
from gancli.adversarial.keys import Stream, key_of
from gancli.adversarial.optimizers import Optimizer, build_average, build_optimizer
from gancli.config import Config
from gancli.config.layers import without_seed
from gancli.data.batches import BatchSource, batch_source
from gancli.data.dataset import Dataset, DataSpec
from gancli.errors import UserError, shown
from gancli.registry import Entry, parse_spec
from gancli.tasks.freezing import frozen_parameters

# Number of programs kept, so that a later run that computes the same need not trace it again.
_KEPT = 2


class Parts(NamedTuple):
    """The parts of a configuration for a kind of data.

    `start(key)` returns the state at step 0 of a run with this key.
    """

    task: tasks.Task
    optimizers: Mapping[str, Optimizer]
    start: Callable[[jax.Array], TrainState]


class Program(NamedTuple):
    """The computation of a run."""

    task: tasks.Task
    optimizers: Mapping[str, Optimizer]
    source: BatchSource
    moves: tuple[Move, ...]
    start: Callable[[jax.Array], TrainState]

    def initial_state(self, seed: int) -> TrainState:
        """The state at step 0 of a run with this seed."""
        return self.start(jax.random.key(seed))

    def values_of_origin(self, spec: DataSpec) -> int:
        """Number of values that an example is generated from: of a latent, or of a source image."""
        sampler = self.task.sampler
        if isinstance(sampler, tasks.Translator):
            return prod(spec.shape)
        one = np.zeros(1, np.int32)
        return jax.eval_shape(sampler.latents, jax.random.key(0), one, one).size


def build_task(config: Config, data: DataSpec) -> tasks.Task:
    """Builds the task of a configuration for this kind of data.

    Raises:
        UserError: if the parts do not fit each other, or the task does not use the target.
    """
    task = tasks.TASKS.build(config.task, config, data)
    if data.target and not (task.back or task.paired):
        raise UserError(
            f"{shown(data.name)} with the second data set {shown(data.target.name)}, and task "
            f"{shown(config.task)}, which does not use it",
            "a task between two data sets",
            "Choose --task cyclegan or paired, or name one data set alone",
        )
    if data.kind == "image":
        _require_usual_images(config, data, task)
    return task._replace(bits=data.bits)


def _require_usual_images(config: Config, data: DataSpec, task: tasks.Task) -> None:
    """Refuses images of other bits or channels where they have no meaning.

    Raises:
        UserError: naming the task, or the augmentations of colours.
    """
    of_colours = "grey or RGB images"
    if isinstance(task.sampler, tasks.Translator):
        for spec in filter(None, (data, data.target)):
            if spec.shape[-1] not in (1, 3) or spec.bits > 8:
                raise UserError(
                    f"task {shown(config.task)} with {shown(spec.name)}, images of shape "
                    f"{spec.shape} and {spec.bits} bits",
                    f"{of_colours} of 8 bits",
                    "Leave out data.keep, or choose a --task that generates from noise",
                )
    elif data.shape[-1] not in (1, 3):
        named = sorted({own.name for own in _augmentations(config)} & set(OF_COLOURS))
        if named:
            raise UserError(
                f"augmentation {shown(named[0])} of {shown(data.name)}, images of shape "
                f"{data.shape}",
                f"{of_colours}, or augmentations that move or cover pixels",
                f"Leave out {named[0]}",
            )


def _augmentations(config: Config) -> list[Entry]:
    """The augmentations of a configuration: of inputs, of penalties and of a task's views."""
    options = [parse_spec(spec).options for spec in (config.task, *config.penalties)]
    joined = [str(own[name]) for own in options for name in ("augment", "views") if name in own]
    names = [*config.inputs.augment, *(name for text in joined for name in text.split("+"))]
    return [AUGMENTATIONS.entry(name) for name in names]


def build_parts(config: Config, data: DataSpec) -> Parts:
    """Builds the task and the optimizers of a configuration; weights of generators are averaged.

    Raises:
        UserError: if the parts do not fit each other.
    """
    task = build_task(config, data)
    frozen = frozen_parameters(config, task)
    task = task._replace(game=with_frozen(task.game, frozen))
    average = build_average(config.average, task.examples_per_update)
    optimizers = {
        player: build_optimizer(
            getattr(config.optimizer, role), average if role == "generator" else None
        )._replace(frozen=frozen.get(player))
        for player, role in task.roles.items()
    }

    def start(key: jax.Array) -> TrainState:
        return initial_state(task.initialize(key_of(key, Stream.INITIALIZATION)), optimizers)

    return Parts(task, optimizers, jax.jit(start))


def build_moves(config: Config, parts: Parts, draws_per_epoch: int) -> tuple[Move, ...]:
    """Builds the moves of a step, for data with this number of draws per epoch."""
    updates = {
        player: _updates(getattr(config.train, f"{role}_steps"), draws_per_epoch)
        for player, role in parts.task.roles.items()
    }
    return DYNAMICS.build(config.train.dynamics, parts.task.game, parts.optimizers, updates)


def build_program(config: Config, dataset: Dataset) -> Program:
    """Builds the program of a configuration.

    Runs that differ only in their seed share the same functions, so that later runs of this
    process reuse what the first has traced and compiled.

    Returns:
        The program; building it compiles and computes nothing.

    Raises:
        UserError: if parts of the configuration do not fit each other or the data.
    """
    any_seed = without_seed(config)
    parts = _kept_parts(any_seed, dataset.spec)
    resident_bytes = config.data.resident_mib * 2**20
    examples = parts.task.examples_per_update
    seed, paired = config.train.seed, parts.task.paired
    source = batch_source(dataset, examples, seed, resident_bytes, paired)
    moves = _kept_moves(any_seed, dataset.spec, source.draws_per_epoch)
    return Program(parts.task, parts.optimizers, source, moves, parts.start)


def state_like(config: Config, data: DataSpec) -> tuple[tasks.Task, TrainState]:
    """A task and the abstract state of its runs, without loading the data."""
    parts = _kept_parts(without_seed(config), data)
    return parts.task, jax.eval_shape(parts.start, jax.random.key(0))


def weights_like(
    config: Config, data: DataSpec, player: str | None = None
) -> tuple[tasks.Task, bool, Weights]:
    """A task and the abstract weights of a player, without loading the data.

    Args:
        config: the run's configuration.
        data: description of the examples.
        player: whose weights; None for the player that samples.

    Returns:
        The task; whether the weights of the player are averaged; these weights, abstract.
    """
    parts = _kept_parts(without_seed(config), data)
    player = player or parts.task.sampler.player
    averaged = parts.optimizers[player].average_decay is not None
    initial = jax.eval_shape(parts.task.initialize, jax.random.key(0))
    return parts.task, averaged, initial[player]


_kept_parts = functools.lru_cache(_KEPT)(build_parts)


@functools.lru_cache(_KEPT)
def _kept_moves(config: Config, data: DataSpec, draws_per_epoch: int) -> tuple[Move, ...]:
    return build_moves(config, _kept_parts(config, data), draws_per_epoch)


def _updates(setting: int | str, draws_per_epoch: int) -> int:
    """Number of updates per step, given as a number or as whole epochs such as `2 epochs`."""
    if isinstance(setting, int):
        return setting
    return int(setting.partition(" ")[0]) * draws_per_epoch
