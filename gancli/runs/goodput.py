"""Where the time of a run went, over all its processes: goodput and what it was lost to."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

PHASES = ("start", "compile", "data", "steps", "samples", "evaluation", "checkpoints")


class Goodput:
    """A clock that is always in one phase, so that the phases add up to the time that passed.

    `start` is what precedes the first step and is not compilation; `data` is time in which
    the device waited for a batch; `steps` is computing; `samples` includes drawing them;
    `checkpoints` is what saving held up the steps, not what a thread did meanwhile.

    Args:
        before: what `as_json` gave in the run's process before this one, if there was one.
    """

    def __init__(self, before: Any = None):
        held = before if isinstance(before, Mapping) else {}
        seconds = held.get("seconds")
        seconds = seconds if isinstance(seconds, Mapping) else {}
        self.seconds = {phase: _number(seconds.get(phase)) for phase in PHASES}
        self.steps = int(_number(held.get("steps")))
        self.steps_repeated = int(_number(held.get("steps_repeated")))
        self._phase = "start"
        self._since = time.monotonic()

    def enter(self, phase: str) -> str:
        """Goes on in another phase; returns the one before."""
        now = time.monotonic()
        before, self._phase = self._phase, phase
        self.seconds[before] += now - self._since
        self._since = now
        return before

    @contextmanager
    def within(self, phase: str) -> Iterator[None]:
        """Is in a phase until the block ends."""
        before = self.enter(phase)
        try:
            yield
        finally:
            self.enter(before)

    def charge(self, phase: str) -> None:
        """Counts the time since the last change as a phase's that is known only in hindsight."""
        now = time.monotonic()
        self.seconds[phase] += now - self._since
        self._since = now

    @property
    def share(self) -> float:
        """The goodput: time in steps that were not to be repeated, over all time, in [0, 1]."""
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


def _number(value: Any) -> float:
    """A count or a time that was kept; 0 for what is none."""
    return value if isinstance(value, int | float) and 0 <= value < 1e15 else 0
