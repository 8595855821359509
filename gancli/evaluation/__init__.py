"""Metrics of what a run generates, with where each figure came from."""

from gancli.evaluation import (  # noqa: F401 - fill the registry
    classes,
    distribution,
    labels,
    likelihood,
    memorization,
    modes,
    ngrams,
    restoration,
    transfer,
)
from gancli.evaluation.evaluated import Evaluated
from gancli.evaluation.evaluating import (
    Answer,
    Question,
    choose_metrics,
    evaluate,
    judge_of,
    look_at,
)
from gancli.evaluation.metric import METRICS, side_of

__all__ = [
    "METRICS",
    "Answer",
    "Evaluated",
    "Question",
    "choose_metrics",
    "evaluate",
    "judge_of",
    "look_at",
    "side_of",
]
