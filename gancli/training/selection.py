"""Runs that are measured while they train: the best step, and when to give up."""

import math
from collections.abc import Mapping

from gancli.config import Config
from gancli.evaluation import Evaluator
from gancli.runs.resume_point import Best
from gancli.system import processes


def choose(
    evaluator: Evaluator | None,
    config: Config,
    figures: Mapping[str, float],
    step: int,
    best: Best | None,
) -> tuple[bool, Best | None]:
    """Compares an evaluation with the best one so far; the first process decides for all.

    Args:
        evaluator: what measured the figures, in the first process.
        config: the run's.
        figures: by `metric/figure`.
        step: at which they were measured.
        best: the best evaluation before.

    Returns:
        Whether this one is better, and the best one now.
    """
    chosen = config.evaluation.best
    value = figures.get(chosen, math.nan)
    sign = -1 if evaluator and evaluator.lower_is_better else 1
    better = math.isfinite(value) and (best is None or sign * value > sign * best.value)
    if bool(chosen) and processes.agree(False, better, 0).save:
        return True, Best(chosen, value, step, 0)
    return False, best and best._replace(since=best.since + 1)


def is_given_up(best: Best | None, config: Config) -> bool:
    """Whether as many evaluations as there is patience for were no better than the best."""
    return best is not None and 0 < config.evaluation.patience <= best.since
