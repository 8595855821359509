"""A configuration turned into functions: task, optimizers, batches, moves."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np

from gancli import tasks
from gancli.config import Config
from gancli.data.batches import BatchSource, batch_source
from gancli.data.dataset import Dataset, DataSpec
from gancli.data.transform import to_uint8
from gancli.dynamics import DYNAMICS, Move, TrainState, initial_state
from gancli.optimizers import Optimizer, build_optimizer


class Program(NamedTuple):
    """What a run computes."""

    task: tasks.Task
    optimizers: Mapping[str, Optimizer]
    source: BatchSource
    moves: tuple[Move, ...]

    def initial_state(self, seed: int) -> TrainState:
        """The state at step 0 of a run with this seed."""
        return initial_state(self.task.initialize(jax.random.key(seed)), self.optimizers)


def build_task(config: Config, data: DataSpec) -> tasks.Task:
    """The task of a configuration, for data of this kind."""
    return tasks.TASKS.build(config.task, config, data)


def build_optimizers(config: Config, task: tasks.Task) -> dict[str, Optimizer]:
    """The optimizer of each player; generators' weights are averaged."""
    built = {}
    for player, role in task.roles.items():
        averaged = config.average if role == "generator" and config.average.decay else None
        built[player] = build_optimizer(getattr(config.optimizer, role), averaged)
    return built


def build_program(config: Config, dataset: Dataset) -> Program:
    """Turns a configuration into what a run computes.

    Args:
        config: the configuration.
        dataset: the data that it names.

    Returns:
        The program; building it compiles and computes nothing.

    Raises:
        UserError: if parts of the configuration do not fit each other or the data.
    """
    task = build_task(config, dataset.spec)
    optimizers = build_optimizers(config, task)
    resident_bytes = config.data.resident_mib * 2**20
    source = batch_source(dataset, task.examples_per_update, config.train.seed, resident_bytes)
    updates = {
        player: _updates(getattr(config.train, f"{role}_steps"), source.draws_per_epoch)
        for player, role in task.roles.items()
    }
    moves = DYNAMICS.build(config.train.dynamics, task.game, optimizers, updates)
    return Program(task, optimizers, source, moves)


def state_like(config: Config, data: DataSpec) -> tuple[tasks.Task, TrainState]:
    """A task and the abstract state of its runs, from a configuration and no data."""
    task = build_task(config, data)
    optimizers = build_optimizers(config, task)

    def start() -> TrainState:
        return initial_state(task.initialize(jax.random.key(0)), optimizers)

    return task, jax.eval_shape(start)


def to_stored(examples: np.ndarray) -> np.ndarray:
    """Examples as they are kept: images (three axes) uint8, tokens int32, points float32."""
    if examples.dtype.kind in "iu":
        return examples
    return to_uint8(examples) if examples.ndim == 4 else np.asarray(examples, np.float32)


def _updates(setting: int | str, draws_per_epoch: int) -> int:
    """How many updates a step holds: a number, or whole epochs such as `2 epochs`."""
    if isinstance(setting, int):
        return setting
    words = setting.split()
    return (int(words[0]) if len(words) == 2 else 1) * draws_per_epoch
