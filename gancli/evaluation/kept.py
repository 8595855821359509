"""What was measured of a run, kept in its directory: each answer with its question and origin."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gancli.errors import UserError
from gancli.evaluation.evaluator import Question
from gancli.evaluation.generator import Generator
from gancli.files import read_json, write_json
from gancli.runs.directory import Run
from gancli.runs.versions import versions

EVALUATIONS = "evaluation.json"


def keep(generator: Generator, report: Mapping[str, Any]) -> None:
    """Keeps an evaluation with its run, in the place of an earlier one of the same question.

    A run that cannot be written or whose earlier evaluations cannot be read, or a checkpoint that
    is in no run, is measured all the same; the first two are warned of.
    """
    folder = _run_of(generator)
    if folder is None:
        return
    try:
        others = [one for one in kept(folder) if _asked(one) != _asked(report)]
        write_json(folder / EVALUATIONS, [*others, report])
    except UserError as error:
        warnings.warn(f"What was measured is not kept with the run: {error.given}.", stacklevel=2)


def kept(folder: Path) -> list[dict[str, Any]]:
    """The evaluations that are kept with a run, the newest last.

    Raises:
        UserError: if they cannot be read.
    """
    path = folder / EVALUATIONS
    held = read_json(path) if path.is_file() else []
    every = held if isinstance(held, list) else [held]  # Once there was one alone.
    return [one for one in every if _asked(one)]


def find(generator: Generator, question: Question) -> dict[str, Any] | None:
    """The kept evaluation that answers a question, made by these versions.

    Args:
        generator: what is to be measured.
        question: with its metrics, number of samples and split filled in.

    Raises:
        UserError: if what is kept cannot be read.
    """
    folder = _run_of(generator)
    wanted = {
        "asked": list(question.metrics),
        "samples": question.samples,
        "seed": question.seed,
        "plain": question.plain,
        "back": question.back,
        "asked_features": question.features,
        "split": question.split,
        "sha256": generator.sha256,
        "weights": "ema" if generator.averaged else "raw",
    }
    for report in kept(folder) if folder else ():
        if _asked(report) == wanted and report.get("versions") == versions():
            return report
    return None


def evaluations_of(generator: Generator) -> list[dict[str, Any]]:
    """The evaluations of a generator's weights that are kept with its run, the newest last.

    Raises:
        UserError: if they cannot be read.
    """
    folder = _run_of(generator)
    origin = generator.provenance()
    same = ("checkpoint_sha256", "weights")
    return [
        report
        for report in (kept(folder) if folder else ())
        if all(report["generator"][name] == origin[name] for name in same)
    ]


def _run_of(generator: Generator) -> Path | None:
    folder = generator.checkpoint.parent.parent
    return folder if Run(folder).exists else None


def _asked(report: Any) -> dict[str, Any] | None:
    """What an evaluation answers, and of what; None for what is no evaluation."""
    names = ("asked", "samples", "seed", "plain", "back", "asked_features")
    try:
        dict(report["metrics"])
        return {name: report[name] for name in names} | {
            "split": report["real"]["split"],
            "sha256": report["generator"]["checkpoint_sha256"],
            "weights": report["generator"]["weights"],
        }
    except (KeyError, TypeError, ValueError):
        return None
