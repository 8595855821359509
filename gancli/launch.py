"""From what the user asked for to a run that can start: nothing is written before it is sound."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from gancli import processes
from gancli.config import LAST_STEP, MOST_UPDATES, Config, Layer, differences, resolve
from gancli.data import DataRequest, Dataset, load
from gancli.data.dataset import towards
from gancli.dynamics import Turn
from gancli.errors import UserError
from gancli.losses import LOSSES
from gancli.networks import MODELS
from gancli.program import Program, build_program
from gancli.registry import shown
from gancli.runs.directory import DataIdentity, Run
from gancli.tasks import TASKS


class Plan(NamedTuple):
    """A run that could start: its configuration, where each value came from, data, functions."""

    config: Config
    sources: dict[str, str]
    dataset: Dataset
    program: Program


class Memory(NamedTuple):
    """Bytes on the device: the state, the resident data, and one update's working space."""

    state: int
    data: int
    working: int


def load_data(config: Config) -> Dataset:
    """The data set that a configuration names.

    Raises:
        UserError: if it is not there or cannot be read.
    """
    return load_split(config, config.data.split)


def load_split(config: Config, split: str) -> Dataset:
    """A split of the data set that a configuration names, and of its target, if it has one.

    Raises:
        UserError: if they are not there, cannot be read, or do not fit each other.
    """
    request = request_of(config)._replace(split=split)
    dataset = load(config.data.name, request)
    return towards(dataset, load(config.data.target, request)) if config.data.target else dataset


def request_of(config: Config) -> DataRequest:
    """How a configuration wants its data delivered."""
    return DataRequest(config.data.size, config.data.fit, config.data.split)


def plan(layers: Sequence[Layer], recipes: bool = True) -> Plan:
    """Resolves the user's layers, loads the data and builds every part.

    Args:
        layers: what the user asked for, later ones winning.
        recipes: whether the loss's published recipe applies where the user named nothing.

    Returns:
        The plan.

    Raises:
        UserError: if any part is unknown or does not fit the others, or if all of it does not
            fit the memory.
    """
    # The kind of data decides some defaults, and some of the configuration which data.
    resolved = resolve(layers, "image", MODELS, TASKS, recipes)
    dataset = load_data(resolved.config)
    if dataset.spec.kind != "image":
        resolved = resolve(layers, dataset.spec.kind, MODELS, TASKS, recipes)
    program = build_program(resolved.config, dataset)
    planned = Plan(resolved.config, dict(resolved.sources), dataset, program)
    require_memory(planned)
    return planned


def require_memory(planned: Plan) -> None:
    """Refuses a run that cannot fit where it would compute, before anything is allocated.

    Counted is what is certain: the state, the data that stay on the device, and the examples of
    one step. What the networks hold between their layers comes on top.

    Args:
        planned: the plan.

    Raises:
        UserError: naming what is needed and what there is.
    """
    config, spec, program = planned.config, planned.dataset.spec, planned.program
    updates = max(move.repeat for move in program.moves)
    if updates > MOST_UPDATES:
        raise UserError(
            f"a step would hold {updates:,} updates of one player (train.discriminator_steps="
            f"{config.train.discriminator_steps}, generator_steps={config.train.generator_steps}, "
            f"an epoch being {program.source.draws_per_epoch:,})",
            f"at most {MOST_UPDATES:,}",
        )
    examples, values = program.task.examples_per_update, prod(spec.seen_shape)
    origin = program.values_of_origin(spec)
    seen = max(examples * (2 * values + origin), config.sample.count * (values + origin))
    drawn = examples * (planned.dataset.examples[:1].nbytes if program.source.streams else 4)
    parts = {
        "networks and optimizers": state_bytes(program),
        "data": _resident_bytes(program),
        "the examples of a step": 4 * seen + drawn * sum(move.repeat for move in program.moves),
    }
    available = memory_bytes()
    if sum(parts.values()) > available:
        each = ", ".join(f"{what} {size_in_words(size)}" for what, size in parts.items())
        raise UserError(
            f"the run needs at least {size_in_words(sum(parts.values()))} of memory ({each})",
            f"{size_in_words(available)}, which is all that there is here",
            "Choose a smaller model, batch, data.size or data.resident_mib",
        )


def memory_bytes() -> int:
    """The memory to compute in: the accelerator's, or all of the machine's."""
    statistics = jax.local_devices()[0].memory_stats() or {}
    of_machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return statistics.get("bytes_limit", of_machine)


@contextmanager
def opened(out: Path, config: Config, dataset: Dataset) -> Iterator[Run]:
    """Makes a run, or confirms that the one that is there is the same; and holds it.

    In a job of several processes the first makes and holds it, and the others wait for it.

    Args:
        out: the directory.
        config: what it is to compute.
        dataset: on which data.

    Yields:
        The run, with this number of steps, while this process holds its lock.

    Raises:
        UserError: if the directory holds something else, naming what differs, or if another
            process holds it.
    """
    run = Run(out)
    if not processes.is_first():
        processes.meet("the run is open")
        yield run
        return
    _confirm(run, config)  # Also before the lock, which writes a file.
    with run.lock():
        _confirm(run, config)
        if not run.exists:
            run.create(config, DataIdentity(dataset.spec, dataset.fingerprint))
        elif run.config != config:
            run.update_config(config)
        processes.meet("the run is open")
        yield run


@contextmanager
def reopened(path: Path, steps: int | None) -> Iterator[tuple[Run, Dataset]]:
    """Opens a run as it is, to train it up to its last step or another one.

    Args:
        path: the run.
        steps: another last step; None for its own.

    Yields:
        The run and its data, while this process holds its lock.

    Raises:
        UserError: if there is no such run, its data are not there, it has made more steps, or
            another process holds it.
    """
    run = Run(path)
    config = with_steps(run.config, steps)
    dataset = load_data(config)
    with opened(path, config, dataset) as run:
        yield run, dataset


def _confirm(run: Run, config: Config) -> None:
    """Refuses a directory that holds another run, or no run and something else."""
    if not run.exists:
        run.require_free()
        return
    run.require_own_files()
    if found := differences(run.config, config):
        raise UserError(
            f"{str(run.path)!r} holds a run with another configuration ({'; '.join(found)})",
            "the same configuration, or another --out",
        )
    require_steps_ahead(run, config.train.steps)


def require_steps_ahead(run: Run, steps: int) -> None:
    """Refuses a last step that lies behind the one that a run has reached.

    Raises:
        UserError: naming both.
    """
    reached = max(run.checkpoints().steps(), default=0)
    if steps < reached:
        raise UserError(
            f"{steps} steps were asked for, and {str(run.path)!r} has made {reached}",
            f"at least {reached}",
            "Choose more steps, or another --out",
        )


def choose_path(out: Path | None, config: Config) -> Path:
    """The directory that was asked for, or a new one under `runs/`, named by what it trains.

    Raises:
        UserError: if none was asked for in a job of several processes, which would not agree.
    """
    if out is not None:
        return out
    if processes.are_several():
        raise UserError("--out is missing in a job of several processes", "--out DIR, for all")
    name = Path(config.data.name).name.partition(":")[0].partition(".")[0]
    data = re.sub(r"[^\w-]+", "-", name)[:40].strip("-") or "data"
    task = TASKS.entry(config.task).name
    parts = [data, *([task] if task != "generation" else [])]
    stem = "-".join([*parts, *([LOSSES.entry(config.loss).name] if config.loss else [])])
    number = 1
    while (path := Path("runs") / f"{stem}-{number}").exists():
        number += 1
    return path


def estimate_memory(planned: Plan) -> Memory:
    """What a run will hold on the device, the working space as XLA reports it.

    Args:
        planned: the plan.

    Returns:
        Bytes; the working space is the largest of the moves'.
    """
    program = planned.program
    state = jax.eval_shape(lambda: program.initial_state(0))
    working = 0
    for move in program.moves:
        argument = next(program.source.arguments(0))

        def once(players: Any, resident: Any, argument: Any, step: Any, move: Any = move):
            batch = program.source.materialize(resident, argument)
            return move.play(players, Turn(batch, jax.random.key(0), step))

        compiled = (
            jax.jit(once)
            .lower(state.players, program.source.resident, argument, np.int32(0))
            .compile()
        )
        analysis = compiled.memory_analysis()
        working = max(working, analysis.temp_size_in_bytes if analysis else 0)
    return Memory(state_bytes(program), _resident_bytes(program), working)


def parameter_counts(planned: Plan) -> dict[str, int]:
    """Trainable parameters of each player."""
    state = jax.eval_shape(lambda: planned.program.initial_state(0))
    return {
        name: sum(leaf.size for leaf in jax.tree.leaves(player.params))
        for name, player in state.players.items()
    }


def with_steps(config: Config, steps: int | None) -> Config:
    """The configuration, trained up to another step.

    Raises:
        UserError: if the number of steps is not one.
    """
    if steps is None:
        return config
    if not 1 <= steps <= LAST_STEP:
        raise UserError(
            f"--steps was {shown(steps)}", f"a whole number, at least 1, at most {LAST_STEP:,}"
        )
    train = config.train.model_copy(update={"steps": steps})
    return config.model_copy(update={"train": train})


def state_bytes(program: Program) -> int:
    """The bytes of a run's state."""
    state = jax.eval_shape(lambda: program.initial_state(0))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))


def _resident_bytes(program: Program) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(program.source.resident))


def size_in_words(size: float) -> str:
    """A number of bytes, as people read it."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:,.1f} GiB"
