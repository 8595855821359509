"""Runs that are measured while they train: the best step, and when to give up."""

import math
import time
from collections.abc import Callable
from typing import NamedTuple

from gancli import processes, tasks
from gancli.config import Config
from gancli.dynamics import TrainState, Weights
from gancli.events import Evaluated
from gancli.runs.bookmark import Best


class Judge(NamedTuple):
    """How a run is measured.

    `measure(task, weights)` gives figures by `metric/figure` for the weights of the player that
    samples; `lower_is_better` is about the figure whose best step is kept.
    """

    measure: Callable[[tasks.Task, Weights], dict[str, float]]
    lower_is_better: bool

    def evaluate(
        self, config: Config, task: tasks.Task, state: TrainState, best: Best | None
    ) -> tuple[Evaluated, Best | None]:
        """Measures the samples of a state; the first process does, and decides for all.

        Args:
            config: the run's.
            task: its task.
            state: its state.
            best: the best evaluation before this one.

        Returns:
            What was measured, and the best evaluation now.
        """
        began, step, chosen = time.monotonic(), int(state.step), config.evaluation.best
        figures, better = {}, False
        if processes.is_first():
            player = processes.of_one_device(state.players[task.sampler.player])
            figures = self.measure(task, player.average or player.weights)
            value = figures.get(chosen, math.nan)
            better = math.isfinite(value) and (best is None or self._is_better(value, best.value))
        better = bool(chosen) and processes.agree(False, better, 0).save
        if better:
            best = Best(chosen, figures.get(chosen, math.nan), step, 0)
        elif best is not None:
            best = best._replace(since=best.since + 1)
        return Evaluated(step, figures, time.monotonic() - began, better), best

    def _is_better(self, value: float, than: float) -> bool:
        return value < than if self.lower_is_better else value > than


def is_given_up(best: Best | None, config: Config) -> bool:
    """Whether as many evaluations as there is patience for were no better than the best."""
    return best is not None and 0 < config.evaluation.patience <= best.since
