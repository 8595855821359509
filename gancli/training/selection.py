"""Evaluation during training: the best step, and when to stop early."""

import math
from collections.abc import Mapping
from typing import Any

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
        evaluator: the evaluator that measured the figures, in the first process.
        config: configuration of the run.
        figures: figures by `metric/figure`.
        step: step at which they were measured.
        best: the best earlier evaluation.

    Returns:
        Whether this evaluation is better, and the best one so far.
    """
    chosen = config.evaluation.best
    value = figures.get(chosen, math.nan)
    sign = -1 if evaluator and evaluator.lower_is_better else 1
    better = math.isfinite(value) and (best is None or sign * value > sign * best.value)
    if bool(chosen) and processes.agree(False, better, 0).save:
        return True, Best(chosen, value, step, 0)
    return False, best and best._replace(since=best.since + 1)


def is_given_up(best: Best | None, config: Config) -> bool:
    """Whether `evaluation.patience` evaluations have passed without improvement."""
    return best is not None and 0 < config.evaluation.patience <= best.since


def is_stopped(status: Mapping[str, Any], config: Config) -> bool:
    """Whether a run has ended early because of a pathology, and is still to end for one."""
    return config.monitors.policy == "stop" and bool(status.get("pathologies"))
