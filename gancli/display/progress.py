"""Progress of work outside training, on a console."""

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

from gancli.system.progress import listening


@contextmanager
def shown_progress(console: Console) -> Iterator[None]:
    """Shows reported progress: transient bars on a terminal, else one line per work."""
    if not console.is_terminal:
        with listening(_lines(console)):
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


def _lines(console: Console):
    """A listener that prints a line when work of more than one part begins."""

    def tell(what: str, done: int, count: int) -> None:
        if done == 0 and count > 1:
            console.print(f"{what} …", markup=False)

    return tell
