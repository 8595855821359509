"""Progress of work outside of training, on a console."""

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
    """Shows what is reported within it: bars that go away, or a line each without a terminal.

    Args:
        console: where, as a rule standard error.
    """
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
    """A listener that prints a line when something begins that has more than one part."""

    def tell(what: str, done: int, count: int) -> None:
        if done == 0 and count > 1:
            console.print(f"{what} …", markup=False)

    return tell
