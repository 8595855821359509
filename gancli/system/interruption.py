"""Requests to stop, which schedulers and people send as signals."""

import contextvars
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

Built = TypeVar("Built")

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
# Schedulers repeat a signal; one that comes this much later was not heard the first time.
_REPEATED_SECONDS = 5.0
_AGAIN_SECONDS = 0.02
# A thread that a request to stop has left running.
_LEFT = "left working"


class StopNow(BaseException):
    """A signal arrived where nothing has to be finished first.

    Like KeyboardInterrupt it does not derive from Exception, so that no library catches it.
    """


class StopRequest:
    """Whether a signal has asked to stop; true in a condition once one has.

    A signal raises `StopNow` at once, except within `deferred`, which only records it.
    """

    def __init__(self) -> None:
        self.made = False
        self._deferring = 0
        self._at_once = False
        self._raised = -_REPEATED_SECONDS

    def __bool__(self) -> bool:
        return self.made

    @contextmanager
    def deferred(self) -> Iterator["StopRequest"]:
        """Only records signals until it ends, for code that checks between its steps."""
        self._deferring += 1  # Several may overlap, and end in any order.
        try:
            yield self
        finally:
            self._deferring -= 1

    def heed(self) -> None:
        """Raises `StopNow` if a request was made while it was deferred."""
        if self.made:
            raise StopNow

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Signal handler; after a first SIGINT the next one stops at once."""
        self.made = True
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, self.end_at_once)
        if not self._deferring and time.monotonic() - self._raised > _REPEATED_SECONDS:
            self._raised = time.monotonic()
            self.ask_again(number, frame)

    def end_at_once(self, number: int, frame: FrameType | None) -> None:
        """Handler of a second SIGINT, which is not deferred."""
        self._at_once = True
        self.ask_again(number, frame)

    def ask_again(self, number: int, frame: FrameType | None) -> None:
        """Raises an exception that was lost once more, or retries later where it would be lost.

        An exception inside the initialization of a C++ library would abort the process, and one
        inside the hook for unraisable exceptions would be dropped.
        """
        if self._deferring and not self._at_once:
            return
        if _is_dropped(frame) or _is_importing(frame):
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
        else:
            raise KeyboardInterrupt if self._at_once else StopNow


def listen() -> StopRequest:
    """Turns SIGINT, SIGTERM, SIGUSR1 and SIGHUP into a request, from now to the process's end.

    SIGHUP stays ignored where it was at the start, as nohup has it. A second SIGINT stops at once,
    as Python does. To be called before slow imports, so that a signal during them is a request,
    too.

    Returns:
        The request; later calls return the same one.
    """
    held = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    if isinstance(held, StopRequest):
        return held
    request = StopRequest()
    for number in SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, request.ask)
    # In a callback of the garbage collector or a finalizer an exception goes no further.
    signal.signal(signal.SIGALRM, request.ask_again)
    sys.unraisablehook = _hear_unraisable
    return request


def ignore_signals() -> None:
    """Ignores signals from now on, so that the process keeps its exit status.

    Python restores the default handlers while it exits. A signal would then kill a command that
    has finished, and change its status.
    """
    for number in (*SIGNALS, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)


def _is_importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _is_dropped(frame: FrameType | None) -> bool:
    """Whether Python would drop an exception here: inside the hook for unraisable ones."""
    while frame is not None:
        if frame.f_code is _hear_unraisable.__code__:
            return True
        frame = frame.f_back
    return False


def _hear_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    """Schedules a request to stop again that was raised where Python drops exceptions."""
    if issubclass(unraisable.exc_type, StopNow | KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
    else:
        sys.__unraisablehook__(unraisable)


def apart(build: Callable[[], Built]) -> Built:
    """Calls a function in a thread, so that a request to stop is not raised in the middle of it.

    A library that a signal's exception would leave in disorder then goes on until the process
    ends, see `left_working`.
    """
    thread, future = start(build)
    wait([future])
    thread.join()
    return future.result()


def while_listening(build: Callable[[], Built], stop: StopRequest) -> Built | None:
    """Calls a slow function in a thread, so that a request to stop takes effect at once.

    Args:
        build: the function; it must be safe to cut off.
        stop: the request.

    Returns:
        The function's result; None if a request came first. The thread then keeps running until
        the process ends, see `left_working`.
    """
    thread, future = start(build)
    while not wait([future], timeout=0.05).done:
        if stop:
            return None
    thread.join()
    return future.result()


def start(build: Callable[[], Built]) -> tuple[threading.Thread, "Future[Built]"]:
    """Calls a function in a thread; see `left_working`."""
    future: Future[Built] = Future()

    def work() -> None:
        try:
            future.set_result(build())
        except BaseException as error:  # Raised again in the waiting thread.
            future.set_exception(error)

    # With the context of this thread, so that progress is reported to its listener.
    run = contextvars.copy_context().run
    thread = threading.Thread(target=run, args=(work,), name=_LEFT, daemon=True)
    thread.start()
    return thread, future


def left_working() -> bool:
    """Whether a thread is still running, so that the process must exit without waiting for it.

    It is ours, or JAX's one-minute timer for the start of its devices, which JAX does not stop
    if that start is cut off.
    """
    return any(
        thread.name == _LEFT or isinstance(thread, threading.Timer)
        for thread in threading.enumerate()
    )
