"""Progress of slow work, reported to a listener such as a terminal, or to nobody."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Item = TypeVar("Item")

# Called with the name of the work, the number of items done, and their total.
Listener = Callable[[str, int, int], None]

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Reports all progress of this thread to `listener` within the context."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def reported(what: str, items: Sequence[Item]) -> Iterator[Item]:
    """Yields items one after another, and reports each finished one to the listener.

    Args:
        what: name of the work, for example `fitting the classifier`.
        items: the items to work on.
    """
    listener = _listener.get()
    for done, item in enumerate(items):
        if listener:
            listener(what, done, len(items))
        yield item
    if listener:
        listener(what, len(items), len(items))
