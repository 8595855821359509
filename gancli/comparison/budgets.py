"""Equal budgets: the steps that each variant makes of as many examples, or of as much time."""

import time
from pathlib import Path

import jax

from gancli.config import LAST_STEP
from gancli.errors import UserError
from gancli.runs.directory import Run
from gancli.training.execution import build_execution
from gancli.training.planning import Plan

# After this long the pace is that of the last call.
_SECONDS = 3.0
_MOST_STEPS = 128


def steps_of_examples(planned: Plan, examples: int) -> int:
    """How many steps show a discriminator so many real examples, or another player without one.

    Args:
        planned: of one seed.
        examples: the budget.

    Raises:
        UserError: if they are not enough for a step.
    """
    program = planned.program
    each = program.task.examples_per_update * max(move.repeat for move in program.moves)
    return _whole(examples / each, f"{examples:,} examples, of which a step takes {each:,}")


def steps_of_seconds(planned: Plan, seconds: float, folder: Path) -> int:
    """How many steps take so much time here, without compilation, samples and checkpoints.

    A variant that has a run already makes as many as that: the pace is measured once, so that a
    comparison that was stopped goes on as it began.

    Args:
        planned: of one seed.
        seconds: the budget.
        folder: of the variant.

    Raises:
        UserError: if it is not enough for a step.
    """
    for path in sorted(folder.glob("seed-*")):
        if (run := Run(path)).exists:
            return run.config.train.steps
    pace = _seconds_a_step(planned)
    steps = _whole(seconds / pace, f"{seconds:g} seconds, of which a step takes {pace:.3g}")
    # Two digits are what a pace is good for.
    return int(float(f"{steps:.2g}"))


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
