"""Where the time of a run went, over all its processes: goodput and losses."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

PHASES = ("start", "compile", "data", "steps", "samples", "evaluation", "monitors", "checkpoints")


class Goodput:
    """A clock that is always in one phase, so that the phases add up to the elapsed time.

    `start` is the time before the first step without compilation; `data` is time in which the
    device waited for a batch; `steps` is computing; `samples` includes drawing pictures;
    `checkpoints` is the time for which saving held up the steps, without background threads.

    Args:
        before: result of `as_json` of the run's previous process, if there was one.
    """

    def __init__(self, before: Mapping[str, Any] | None = None):
        held = before or {"seconds": {}, "steps": 0, "steps_repeated": 0}
        self.seconds = dict.fromkeys(PHASES, 0.0) | held["seconds"]
        self.steps, self.steps_repeated = held["steps"], held["steps_repeated"]
        self._phase = "start"
        self._since = time.monotonic()

    def enter(self, phase: str) -> str:
        """Enters another phase; returns the previous one."""
        now = time.monotonic()
        before, self._phase = self._phase, phase
        self.seconds[before] += now - self._since
        self._since = now
        return before

    @contextmanager
    def within(self, phase: str) -> Iterator[None]:
        """Stays in a phase until the block ends."""
        before = self.enter(phase)
        try:
            yield
        finally:
            self.enter(before)

    def charge(self, phase: str) -> None:
        """Charges the time since the last change to a phase that is known only in hindsight."""
        now = time.monotonic()
        self.seconds[phase] += now - self._since
        self._since = now

    @property
    def share(self) -> float:
        """The goodput: time in steps that were not repeated over all time, in [0, 1]."""
        total = sum(self.seconds.values())
        kept = 1 - self.steps_repeated / self.steps if self.steps else 0.0
        return max(0.0, kept * self.seconds["steps"] / total) if total else 0.0

    def as_json(self) -> dict[str, Any]:
        """The account as a JSON object, up to now."""
        self.enter(self._phase)
        return {
            "share": round(self.share, 4),
            "seconds": {phase: round(self.seconds[phase], 3) for phase in PHASES},
            "steps": self.steps,
            "steps_repeated": self.steps_repeated,
        }
