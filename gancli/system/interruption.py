"""Requests to stop, which schedulers and people make by signals."""

import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

Built = TypeVar("Built")

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
# Schedulers repeat a signal; one that comes this much later was not heard the first time.
_REPEATED_SECONDS = 5.0
_AGAIN_SECONDS = 0.02
# A thread that a request to stop has left working.
_LEFT = "left working"


class StopNow(BaseException):
    """A signal came where nothing has to be finished first.

    Like KeyboardInterrupt it is no Exception, so that no library takes it for one of its own.
    """


class StopRequest:
    """Whether a signal has asked to stop; true in a condition once it has.

    It raises `StopNow` at once, except within `deferred`, where it is only noted.
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
        """Until its end a signal is noted only, for what asks between its steps."""
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
        """The handler of the signals; after a first SIGINT the next one stops at once."""
        self.made = True
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, self.end_at_once)
        if not self._deferring and time.monotonic() - self._raised > _REPEATED_SECONDS:
            self._raised = time.monotonic()
            self.ask_again(number, frame)

    def end_at_once(self, number: int, frame: FrameType | None) -> None:
        """The handler of a second SIGINT, which is as Python's own."""
        self._at_once = True
        self.ask_again(number, frame)

    def ask_again(self, number: int, frame: FrameType | None) -> None:
        """Raises what was raised and not heard, or comes back here where nobody could hear it.

        An exception inside the initialization of a library in C++ would abort the process, and
        one inside the hook for those that go no further would be dropped like them.
        """
        if self._deferring and not self._at_once:
            return
        if _is_dropped(frame) or (_is_importing(frame) and not self._at_once):
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
        else:
            raise KeyboardInterrupt if self._at_once else StopNow


def listen() -> StopRequest:
    """Turns SIGINT, SIGTERM, SIGUSR1 and SIGHUP into a request, from now to the process's end.

    SIGHUP stays ignored where it was at the start, as nohup has it. A second SIGINT stops at once,
    as Python does. To be called before slow imports, so that a signal during them is a request,
    too.

    Returns:
        The request; the same one when it is called again.
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
    """Lets the process end as it has decided to: what listened hears no more of signals.

    Else Python's end, which gives them back to the system, could be cut off by one, and a
    command that has done everything would have the status of one that was killed.
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
    """Whether what is raised here is dropped: in the hook for what goes no further."""
    while frame is not None:
        if frame.f_code is _hear_unraisable.__code__:
            return True
        frame = frame.f_back
    return False


def _hear_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    """Raises again, soon, what asks to stop and was raised where Python drops exceptions."""
    if issubclass(unraisable.exc_type, StopNow | KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
    else:
        sys.__unraisablehook__(unraisable)


def while_listening(build: Callable[[], Built], stop: StopRequest) -> Built | None:
    """Calls a function that takes long in a thread, so that a request to stop is heard.

    Args:
        build: the function; it must do no harm when it is cut off.
        stop: the request.

    Returns:
        What the function returned; None if a request came first. The thread then works on
        until the process ends, see `left_working`.
    """
    outcome: queue.SimpleQueue[tuple[Built | None, BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        try:
            outcome.put((build(), None))
        except BaseException as error:  # Raised again where it is waited for.
            outcome.put((None, error))

    thread = threading.Thread(target=work, name=_LEFT, daemon=True)
    thread.start()
    while True:
        try:
            built, error = outcome.get(timeout=0.05)
        except queue.Empty:
            if stop:
                return None
            continue
        thread.join()
        if error is not None:
            raise error
        return built


def left_working() -> bool:
    """Whether a thread works on, so that the process must be ended without waiting for it.

    Ours, or the timer of a minute by which JAX watches over the start of its devices, and which
    it forgets if that is cut off.
    """
    return any(
        thread.name == _LEFT or isinstance(thread, threading.Timer)
        for thread in threading.enumerate()
    )
