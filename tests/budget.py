"""What a part of the suite costs: processor seconds as of one machine, and its largest worker."""

import os
import re
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

# What the default part may cost: two cores for six minutes, and a quarter more where other work
# shares their caches, which the loop does not feel.
MOST_SECONDS = 1.25 * 720
MOST_MIB = 1536
# What the loop takes on the machine in whose seconds budgets are written.
_LOOP_SECONDS = 0.26
_KEY = "gan/default-part"


class Spent(NamedTuple):
    """Processor seconds of a process and its children, its peak of memory, and the loop's time."""

    seconds: float
    mib: float
    loop: float

    @property
    def scaled(self) -> float:
        """The seconds that it would be where the loop takes 0.26 s."""
        return self.seconds * _LOOP_SECONDS / self.loop


def loop_seconds() -> float:
    """Processor seconds of adding up 10^7 numbers: how fast a core is, now."""
    began, total = time.process_time(), 0
    for number in range(10**7):
        total += number
    return time.process_time() - began


def peak_mib() -> int:
    """What this program held at most; `ru_maxrss` begins with what its parent held."""
    (kib,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(kib) // 2**10


def all_of(workers: list[Spent]) -> Spent:
    """What several processes spent: the sum of seconds, the largest, and their mean loop."""
    return Spent(
        sum(one.seconds for one in workers),
        max(one.mib for one in workers),
        sum(one.loop for one in workers) / len(workers),
    )


def recorded(config: pytest.Config) -> Spent | None:
    """What the default part spent when it was last run as a whole."""
    found: Any = config.cache.get(_KEY, None) if config.cache else None
    return Spent(*found) if found else None


class Accountant:
    """The plugin that adds up, in the worker what it spent and in the main process all of it."""

    def __init__(self, config: pytest.Config):
        self.config = config
        self.of_worker = getattr(config, "workeroutput", None)
        self.loop = loop_seconds()
        self.workers: list[Spent] = []

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Notes what this process spent."""
        seconds = sum(os.times()[:4])
        spent = Spent(seconds, peak_mib(), (self.loop + loop_seconds()) / 2)
        if self.of_worker is not None:
            self.of_worker["spent"] = tuple(spent)
        elif not self.workers:
            self.workers.append(spent)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Takes what a worker noted."""
        if spent := getattr(node, "workeroutput", {}).get("spent"):
            self.workers.append(Spent(*spent))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Says it, and keeps that of the whole default part."""
        if not self.workers:
            return
        spent, option = all_of(self.workers), self.config.option
        whole = self.config.args == ["tests"] and not option.keyword
        if whole and option.markexpr.startswith("not slow") and self.config.cache:
            self.config.cache.set(_KEY, spent)
        terminalreporter.write_line(
            f"{spent.scaled:.0f} processor seconds where a loop over 10^7 numbers takes "
            f"{_LOOP_SECONDS} s (here {spent.seconds:.0f}, it takes {spent.loop:.2f}); "
            f"the largest worker held {spent.mib:,.0f} MiB"
        )
