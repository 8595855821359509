"""Progress of work that takes long, told to whoever listens: a terminal, or nobody."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Item = TypeVar("Item")

# Told what is being done, how much of it is done, and how much there is.
Listener = Callable[[str, int, int], None]

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Within it `listener` hears of all progress of this thread."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def reported(what: str, items: Sequence[Item]) -> Iterator[Item]:
    """Items, one after another; the listener hears of each that is done.

    Args:
        what: what is being done, for example `fitting the classifier`.
        items: what it is done with.

    Yields:
        The items.
    """
    listener = _listener.get()
    for done, item in enumerate(items):
        if listener:
            listener(what, done, len(items))
        yield item
    if listener:
        listener(what, len(items), len(items))
