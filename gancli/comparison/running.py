"""Training of the runs of a comparison."""

from collections.abc import Iterator, Sequence

from gancli.comparison.cells import Cell, has_result
from gancli.errors import DivergedError
from gancli.evaluation import judge_of
from gancli.events import Event
from gancli.interruption import StopRequest
from gancli.launch import opened
from gancli.train import train


def train_cell(cell: Cell, stop: StopRequest | None = None) -> Iterator[Event]:
    """Trains one run of a comparison from where it stands.

    Args:
        cell: the run; one that has a result is left as it is.
        stop: asked as `train` asks it.

    Yields:
        What `train` yields.

    Raises:
        DivergedError: if training diverged.
    """
    if cell.planned is None or has_result(cell):
        return
    config, dataset = cell.planned.config, cell.planned.dataset
    judge = judge_of(config, dataset)
    with opened(cell.run.path, config, dataset) as run:
        yield from train(run, dataset, stop, judge)


def run_all(
    cells: Sequence[Cell], stop: StopRequest | None = None
) -> Iterator[tuple[Cell, Event | DivergedError]]:
    """Trains every run that has no result yet; one that diverges does not stop the others.

    Args:
        cells: the runs.
        stop: asked as `train` asks it.

    Yields:
        The run and what happens in it; at last the error of one that diverged.
    """
    for cell in cells:
        if stop is not None:
            stop.heed()
        try:
            for event in train_cell(cell, stop):
                yield cell, event
        except DivergedError as error:
            yield cell, error
