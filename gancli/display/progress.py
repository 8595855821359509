"""Progress of work outside training, on a console."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from gancli.system.progress import Listener, listening

_SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def shown_progress(console: Console) -> Iterator[None]:
    """Shows reported progress: transient bars on a terminal, else a line now and then."""
    if not console.is_terminal:
        with listening(lines(console)):
            yield
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, count: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=count)
            progress.update(tasks[what], completed=done, total=count)
            if done == count:
                progress.remove_task(tasks.pop(what))

        with listening(show):
            yield


def lines(console: Console, at_start: bool = True) -> Listener:
    """A listener that prints a line every ten seconds of work.

    Args:
        console: where to print.
        at_start: whether a line also says that work of more than one part begins.
    """
    told: dict[str, float] = {}

    def tell(what: str, done: int, count: int) -> None:
        now = time.monotonic()
        if done == 0:
            told[what] = now
            if at_start and count > 1:
                console.print(f"{what} …", markup=False)
        elif done < count and now - told.get(what, now) >= _SECONDS_BETWEEN_LINES:
            told[what] = now
            console.print(f"{what}: {done} of {count}", markup=False)

    return tell
