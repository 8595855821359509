"""Training of the runs of a comparison: one by one, in several processes, or as one program."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Literal

import jax

from gancli.comparison.runs import Cell, has_result
from gancli.comparison.workers import Job, train_in_processes
from gancli.errors import DivergedError, GanError, RunInterruptedError
from gancli.evaluation import Question
from gancli.system import processes
from gancli.system.interruption import StopRequest
from gancli.system.limits import core_count
from gancli.training.backends.likeness import likeness
from gancli.training.backends.together import train_together
from gancli.training.events import Event
from gancli.training.loop import train
from gancli.training.memory import memory_bytes, state_bytes
from gancli.training.planning import opened

Way = Literal["auto", "alone", "processes", "together"]
Happening = tuple[Cell, Event | DivergedError]

# Largest number of runs in one program; more do not make it faster.
_MOST_TOGETHER = 64
# Share of the memory for the states of a population and their copies during an update.
_SHARE_OF_MEMORY = 0.25
_COPIES = 4
# Memory of a process before it has trained anything and while it measures.
_BYTES_A_PROCESS = 3 * 2**30


def run_all(
    cells: Sequence[Cell],
    question: Question,
    stop: StopRequest | None = None,
    way: Way = "auto",
    most: int | None = None,
) -> Iterator[Happening]:
    """Trains every run that has no result yet; one that diverges does not stop the others.

    Args:
        cells: the runs.
        question: the metrics and the number of samples; processes measure after training.
        stop: checked as in `train`.
        way: `alone`, one run after another; in `processes`; `together` for runs that differ only
            in seed or numbers; `auto` for the choice of `choose_way`.
        most: maximum number of simultaneous runs; None for as many as fit.

    Yields:
        The run and its events; at last the error of a run that diverged.

    Raises:
        RunInterruptedError: if it was asked to stop; everything is saved.
    """
    stop = StopRequest() if stop is None else stop
    stop.heed()
    planned = [cell for cell in cells if cell.planned is not None]
    left = [cell for cell in planned if not has_result(cell)]
    match choose_way(planned) if way == "auto" else way:
        case "processes":
            yield from _in_processes(left, question, stop, most or _processes())
        case "together":
            # From all runs, so that a resumed comparison forms the same groups.
            for group in groups(planned, most or _MOST_TOGETHER):
                if not all(has_result(cell) for cell in group):
                    yield from _together(group, stop)
        case _:
            for cell in left:
                yield from _alone(cell, stop)
    if stop:
        raise RunInterruptedError("Stopped; all runs are saved. Run the same command to resume.")


def choose_way(cells: Sequence[Cell]) -> Way:
    """The default way of training runs.

    An accelerator has room for many small runs at once, and processes do not share it well. On a
    CPU processes are as fast as one program (experiments/results.md), and give the same bits as
    runs one after another.
    """
    if processes.are_several() or len(cells) < 2:
        return "alone"
    if jax.default_backend() != "cpu":
        return "together" if jax.device_count() == 1 else "alone"
    return "processes" if _processes() > 1 else "alone"


def groups(cells: Sequence[Cell], most: int) -> list[list[Cell]]:
    """The runs that can be trained together, in the order of the first of each.

    Args:
        cells: the runs, with plans.
        most: maximum size of a group; the memory may allow fewer.
    """
    alike: dict[tuple[str, str], list[Cell]] = defaultdict(list)
    for cell in cells:
        assert cell.planned is not None
        alike[likeness(cell.planned.config), cell.planned.dataset.fingerprint].append(cell)
    found = []
    for own in alike.values():
        assert own[0].planned is not None
        room = _SHARE_OF_MEMORY * memory_bytes() / _COPIES / state_bytes(own[0].planned.program)
        size = max(1, min(most, int(room)))
        found += [own[first : first + size] for first in range(0, len(own), size)]
    return found


def _processes() -> int:
    """Number of processes that the cores and the memory allow."""
    return max(1, min(core_count(), memory_bytes() // _BYTES_A_PROCESS))


def _alone(cell: Cell, stop: StopRequest) -> Iterator[Happening]:
    """Trains one run from its current step."""
    assert cell.planned is not None
    try:
        with opened(cell.run.path, cell.planned) as run:
            for event in train(cell.planned, run, stop):
                yield cell, event
    except DivergedError as error:
        yield cell, error


def _together(cells: Sequence[Cell], stop: StopRequest) -> Iterator[Happening]:
    """Trains the unfinished runs of one likeness from their current steps."""
    stop.heed()
    with ExitStack() as stack:
        plans = [cell.planned for cell in cells if cell.planned]
        runs = [
            None if has_result(cell) else stack.enter_context(opened(cell.run.path, plan))
            for cell, plan in zip(cells, plans, strict=True)
        ]
        happenings = train_together(plans, runs, stop)
        yield from _told((cells[index], happened) for index, happened in happenings)


def _in_processes(
    cells: Sequence[Cell], question: Question, stop: StopRequest, count: int
) -> Iterator[Happening]:
    """Trains runs in several processes from their current steps."""
    jobs = [Job(cell.run.path, cell.planned.config, question) for cell in cells if cell.planned]
    happenings = train_in_processes(jobs, count, stop)
    yield from _told((cells[index], happened) for index, happened in happenings)


def _told(happenings: Iterator[tuple[Cell, Event | GanError]]) -> Iterator[Happening]:
    """Passes on events; an error of the disk is raised once all runs have ended."""
    refused: list[GanError] = []
    for cell, happened in happenings:
        if isinstance(happened, GanError) and not isinstance(happened, DivergedError):
            refused.append(happened)
        else:
            yield cell, happened
    for error in refused:
        if not isinstance(error, RunInterruptedError):  # Reported once for all runs.
            raise error
