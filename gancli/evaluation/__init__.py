"""Metrics of what a run generates, with where each figure came from."""

from gancli.evaluation import classes, memorization, modes  # noqa: F401 - fill the registry
from gancli.evaluation.evaluate import evaluate, judge_of
from gancli.evaluation.metric import METRICS, Evaluated

__all__ = ["METRICS", "Evaluated", "evaluate", "judge_of"]
