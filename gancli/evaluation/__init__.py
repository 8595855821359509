"""Metrics of the samples of a run, with the provenance of each figure."""

from gancli.evaluation.evaluator import (
    Answer,
    Evaluator,
    Question,
    choose_metrics,
    evaluate,
    evaluator_of,
    look_at,
)
from gancli.evaluation.evidence import Evaluated
from gancli.evaluation.kept import keep
from gancli.evaluation.metric import METRICS, side_of
from gancli.evaluation.two_sets import compare_sets, load_pair, metrics_of_pair
from gancli.registry import import_all

__all__ = [
    "METRICS",
    "Answer",
    "Evaluated",
    "Evaluator",
    "Question",
    "choose_metrics",
    "compare_sets",
    "evaluate",
    "evaluator_of",
    "keep",
    "load_pair",
    "look_at",
    "metrics_of_pair",
    "side_of",
]

import_all(__name__, __path__)
