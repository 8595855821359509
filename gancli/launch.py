"""From what the user asked for to a run that can start: nothing is written before it is sound."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from gancli.config import Config, Layer, differences, resolve
from gancli.data import DataRequest, Dataset, load
from gancli.dynamics import Turn
from gancli.errors import UserError
from gancli.networks import MODELS
from gancli.runs.directory import DataIdentity, Run
from gancli.train import Program, build_program


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
    data = config.data
    return load(data.name, DataRequest(data.size, data.fit, data.split))


def plan(layers: Sequence[Layer]) -> Plan:
    """Resolves the user's layers, loads the data and builds every part.

    Args:
        layers: what the user asked for, later ones winning.

    Returns:
        The plan.

    Raises:
        UserError: if any part is unknown or does not fit the others.
    """
    # The kind of data decides some defaults, and some of the configuration which data.
    resolved = resolve(layers, "image", MODELS)
    dataset = load_data(resolved.config)
    if dataset.spec.kind != "image":
        resolved = resolve(layers, dataset.spec.kind, MODELS)
    program = build_program(resolved.config, dataset)
    return Plan(resolved.config, dict(resolved.sources), dataset, program)


def open_run(out: Path, planned: Plan) -> Run:
    """Makes the run of a plan, or confirms that the one that is there is the same.

    Args:
        out: the directory.
        planned: what it is to hold.

    Returns:
        The run, with the plan's number of steps.

    Raises:
        UserError: if the directory holds something else, naming what differs.
    """
    run = Run(out)
    if not run.exists:
        data = DataIdentity(planned.dataset.spec, planned.dataset.fingerprint)
        run.create(planned.config, data)
        return run
    if found := differences(run.config, planned.config):
        raise UserError(
            f"{str(out)!r} holds a run with another configuration ({'; '.join(found)})",
            "the same configuration, or another --out",
        )
    require_steps_ahead(run, planned.config.train.steps)
    if run.config != planned.config:
        with run.lock():
            run.update_config(planned.config)
    return run


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


def new_run_path(config: Config) -> Path:
    """A directory under `runs/` that does not exist yet, named by data and loss."""
    data = Path(config.data.name).name.partition(":")[0].partition(".")[0] or "data"
    stem = f"{data}-{config.loss.partition(':')[0]}"
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
    resident = sum(leaf.nbytes for leaf in jax.tree.leaves(program.source.resident))
    held = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    return Memory(held, resident, working)


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
    if steps < 1:
        raise UserError(f"--steps was {steps}", "a whole number, at least 1")
    train = config.train.model_copy(update={"steps": steps})
    return config.model_copy(update={"train": train})
