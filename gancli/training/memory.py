"""The memory that a run needs: a lower bound before it starts, and the figures that XLA reports."""

from math import prod
from typing import Any, NamedTuple

import jax
import numpy as np

from gancli.adversarial.dynamics import Turn
from gancli.config import MOST_UPDATES, Config
from gancli.data import Dataset
from gancli.errors import UserError
from gancli.system.limits import memory_limit
from gancli.tasks.program import Program


class Memory(NamedTuple):
    """Bytes on the device: the state, the resident data, and one update's working space."""

    state: int
    data: int
    working: int


def require_memory(config: Config, dataset: Dataset, program: Program) -> None:
    """Refuses a run that cannot fit into memory, before anything is allocated.

    The bound counts the state, the data that stay on the device, and the examples of one step.
    The activations of the networks come on top.

    Raises:
        UserError: naming the memory needed and the memory available.
    """
    spec = dataset.spec
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
    drawn = examples * (dataset.examples[:1].nbytes if program.source.streams else 4)
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
            f"at most {size_in_words(available)}, the memory of this machine",
            "Choose a smaller model, batch, data.size or data.resident_mib",
        )


def memory_bytes() -> int:
    """The memory to compute in: the accelerator's, or what this process may use here."""
    statistics = jax.local_devices()[0].memory_stats() or {}
    return statistics.get("bytes_limit", memory_limit())


def estimate_memory(program: Program) -> Memory:
    """Estimates the memory of a run on the device; XLA reports the working space.

    Returns:
        Bytes; the working space is that of the largest move.
    """
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


def parameter_counts(program: Program) -> dict[str, int]:
    """Number of trainable parameters of each player."""
    state = jax.eval_shape(lambda: program.initial_state(0))
    return {
        name: sum(leaf.size for leaf in jax.tree.leaves(player.params))
        for name, player in state.players.items()
    }


def state_bytes(program: Program) -> int:
    """Size of a run's state in bytes."""
    state = jax.eval_shape(lambda: program.initial_state(0))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))


def _resident_bytes(program: Program) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(program.source.resident))


def size_in_words(size: float) -> str:
    """A number of bytes in readable units."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:,.1f} GiB"
