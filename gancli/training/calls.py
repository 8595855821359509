"""Calls to a backend: sized so that a run stays responsive, with metrics fetched late."""

import time
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future
from typing import TypeVar

import jax

from gancli.runs.goodput import Goodput
from gancli.system.interruption import StopRequest
from gancli.training.backends import Backend
from gancli.training.events import Compiled, Event, Waiting
from gancli.training.execution import Chunk
from gancli.training.metric_window import MetricWindow

Result = TypeVar("Result")

# Target duration of a call of many steps, so that interruptions and the progress line are
# prompt; results do not depend on it.
_SECONDS_A_CALL = 0.5
# Number of first calls, of one step each, that are waited for to measure the pace.
_CALLS_ALONE = 2


class Calls:
    """The calls of one attempt.

    Args:
        backend: computes the steps.
        window: collects their metrics.
        goodput: is charged with the time that drawing batches takes.
    """

    def __init__(self, backend: Backend, window: MetricWindow, goodput: Goodput):
        self._backend, self._window, self._goodput = backend, window, goodput
        self._in_flight: deque[Chunk] = deque()
        self._count, self.most = 0, 1

    def compile(self, here: Chunk, stop: StopRequest) -> Generator[Event, None, bool]:
        """Compiles the program; returns whether it finished before a request to stop."""
        self._began = time.monotonic()
        return (yield from _result(self._backend.compile(here, stop)))

    def advance(self, here: Chunk, left: int) -> Generator[Event, None, Chunk]:
        """Dispatches the next steps: at most `most`, and at most the `left` up to a boundary."""
        most = min(self.most, left)
        here = yield from _result(self._backend.advance(here, most, self._charge))
        self._in_flight.append(here)
        self._count += 1
        if self._count == 1:
            jax.block_until_ready(here.table)
            self._window.restart_clock()
            yield Compiled(time.monotonic() - self._began)
        self.drain(0 if self._count <= _CALLS_ALONE else 1)  # One computes while one is prepared.
        return here

    def drain(self, left: int = 0) -> None:
        """Waits for the metrics of all calls except the newest `left`."""
        while len(self._in_flight) > left:
            self._window.add(self._in_flight.popleft().rows())

    def next_most(self) -> int:
        """Number of steps of the next call, from the pace of earlier calls."""
        pace = self._window.pace
        most = round(_SECONDS_A_CALL / pace) if self._count > 1 and pace else 1
        return min(max(1, most), 2**20)

    def _charge(self) -> None:
        """Charges the time since the last change to drawing batches."""
        waiting = not self._in_flight or self._in_flight[-1].is_done()
        self._goodput.charge("data" if waiting else "steps")


def _result(future: Future[Result]) -> Generator[Event, None, Result]:
    """The result of a future; the run waits until it is available."""
    while not future.done():
        yield Waiting()
    return future.result()
