"""Equal budgets: the number of steps of each variant for equal examples, or for equal time."""

import time
from collections.abc import Mapping
from pathlib import Path

import jax

from gancli.config import LAST_STEP
from gancli.errors import UserError
from gancli.files import read_json, write_json
from gancli.training.execution import build_execution
from gancli.training.planning import Plan

# Seconds of measuring; the pace is that of the last call.
_SECONDS = 3.0
_MOST_STEPS = 128
_KEPT = "budget.json"


def steps_of_examples(planned: Plan, examples: int) -> int:
    """Number of steps in which the discriminator, or else the only player, sees so many examples.

    Raises:
        UserError: if the budget is too small for one step.
    """
    program = planned.program
    each = program.task.examples_per_update * max(move.repeat for move in program.moves)
    return _whole(examples / each, f"{examples:,} examples, of which a step takes {each:,}")


def steps_of_seconds(planned: Plan, seconds: float) -> int:
    """How many steps take so much time here, without compilation, samples and checkpoints.

    Raises:
        UserError: if the budget is too small for one step.
    """
    pace = _seconds_a_step(planned)
    steps = _whole(seconds / pace, f"{seconds:g} seconds, of which a step takes {pace:.3g}")
    # A measured pace is accurate to about two digits.
    return int(float(f"{steps:.2g}"))


def kept_steps(folder: Path, seconds: float) -> dict[str, int]:
    """The steps of each variant that a comparison began with, if it had this budget.

    The pace is measured once, so that a comparison that was stopped goes on as it began.

    Raises:
        UserError: if they cannot be read.
    """
    path = folder / _KEPT
    if not path.is_file():
        return {}
    held = read_json(path)
    try:
        steps = {str(name): int(count) for name, count in held["steps"].items()}
        return steps if held["seconds"] == seconds else {}
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UserError(
            f"{str(path)!r} is not the budget of a comparison",
            "what gan compare wrote",
            "Remove it to measure the pace again",
        ) from None


def keep_steps(folder: Path, seconds: float, steps: Mapping[str, int]) -> None:
    """Keeps the steps of each variant for `kept_steps`, beside others of the same budget."""
    steps = kept_steps(folder, seconds) | dict(steps)
    write_json(folder / _KEPT, {"seconds": seconds, "steps": steps})


def _whole(steps: float, budget: str) -> int:
    if not 1 <= steps <= LAST_STEP:
        raise UserError(f"a budget of {budget}", f"from 1 to {LAST_STEP:,} steps")
    return int(steps)


def _seconds_a_step(planned: Plan) -> float:
    program, seed = planned.program, planned.config.train.seed
    state = program.initial_state(seed)
    execution = build_execution(program.moves, program.source, seed, state, _MOST_STEPS)
    play, steps, pace = execution.compile(), 1, 0.0
    end = time.monotonic() + _SECONDS
    while not pace or time.monotonic() < end:
        began = time.monotonic()
        progress = play(state, execution.draw(steps))
        state = progress.state
        jax.block_until_ready(progress.table)
        pace = (time.monotonic() - began) / progress.steps
        steps = max(1, min(_MOST_STEPS, round(0.5 / pace)))
    return pace
