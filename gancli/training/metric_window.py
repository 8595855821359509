"""Metrics of the steps since the last line, and the pace of training."""

import time

import numpy as np


class MetricWindow:
    """Collects the metrics of steps until a line is due.

    Args:
        names: names of the metrics.
        carried: rows (steps, metrics) since the last line, from before a restart.
        examples: number of examples per update, for the rate.
    """

    def __init__(self, names: tuple[str, ...], carried: np.ndarray, examples: int):
        self.names, self.examples = names, examples
        self._blocks = [carried.reshape(-1, len(names))]
        self.pace = 0.0
        self.restart_clock()

    def add(self, block: np.ndarray) -> None:
        """Adds the metrics of some steps; sets `pace` to their seconds per step."""
        now = time.monotonic()
        self._blocks.append(block)
        self.pace = (now - self._added) / len(block)
        self._timed, self._added = self._timed + len(block), now

    def rows(self) -> np.ndarray:
        """All metrics since the last line, (steps, metrics) float32."""
        self._blocks = [np.concatenate(self._blocks)]
        return self._blocks[0]

    def restart_clock(self) -> None:
        """Restarts the clock of the rate, which excludes compilation and sampling."""
        self._timed = 0
        self._clock = self._added = time.monotonic()

    def line(self) -> dict[str, float]:
        """The means since the last line, to six significant digits."""
        means = self.rows().mean(axis=0, dtype=np.float64)
        return {name: float(f"{mean:.6g}") for name, mean in zip(self.names, means, strict=True)}

    def rate(self) -> float:
        """Examples per second since the clock was restarted; 0 if nothing was timed."""
        seconds = time.monotonic() - self._clock
        return self._timed * self.examples / seconds if seconds > 0 else 0.0

    def begin_line(self) -> None:
        """Starts a new line."""
        self._blocks = [self.rows()[:0]]
        self.restart_clock()
