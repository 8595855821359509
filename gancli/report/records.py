"""The readable parts of a run on disk; unreadable parts are reported and do not stop a report."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gancli.config import Config
from gancli.data.dataset import MOST_CHANNELS
from gancli.errors import UserError, printable
from gancli.evaluation.kept import EVALUATIONS
from gancli.files import read_json
from gancli.runs.directory import Run
from gancli.training.rollback import sentence_of

# Limits: values in float32, sides of images and lengths of sequences, samples of a run.
LARGEST, LONGEST_SIDE, MOST_EXAMPLES = 1e30, 1024, 4096


class Series(NamedTuple):
    """A metric of a run: steps (n,), ascending, and finite values (n,)."""

    steps: np.ndarray
    values: np.ndarray


class Record(NamedTuple):
    """The readable parts of a run.

    `samples` are steps and their examples, memory-mapped, and `labels` those of the examples of
    each step; `missing` names unreadable parts with the reasons. All are empty if the run does not
    exist.
    """

    path: Path
    config: Config | None
    status: Mapping[str, Any]
    curves: Mapping[str, Series]
    samples: Sequence[tuple[int, np.ndarray]]
    evaluations: Sequence[Mapping[str, Any]]
    missing: Sequence[str]
    labels: Sequence[str] = ()

    @property
    def rollbacks(self) -> list[str]:
        """A sentence for each rollback."""
        return [sentence_of(record) for record in self.status.get("rollbacks", ())]


def read_record(path: Path) -> Record:
    """Reads the parts of a run.

    Returns:
        The record; damaged parts are empty and named in `missing`.
    """
    run, missing = Run(path), []
    try:
        there = run.exists
    except UserError as error:
        return Record(path, None, {}, {}, (), (), (_said(error, path),))
    if not there:
        return Record(path, None, {}, {}, (), (), ("its directory is missing",))
    config, status, evaluations, labels = None, {}, [], []
    try:
        config = run.config
    except UserError as error:
        missing.append(f"no configuration: {_said(error, path)}")
    try:
        status = run.status
    except UserError as error:
        missing.append(f"no status: {_said(error, path)}")
    curves, fault = _curves(run)
    missing += fault
    samples, fault = _samples(run)
    missing += fault
    try:
        labels = [printable(label) for label in run.sample_labels]
    except UserError as error:
        missing.append(f"no labels of samples: {_said(error, path)}")
    if labels and any(len(labels) < len(examples) for _, examples in samples):
        missing.append(f"no labels of samples: there are only {len(labels)}")
        labels = []
    if (path / EVALUATIONS).is_file():
        try:
            held = read_json(path / EVALUATIONS)
            evaluations = [_evaluation(one) for one in (held if isinstance(held, list) else [held])]
        except UserError as error:
            missing.append(f"no evaluation: {_said(error, path)}")
        except (AttributeError, KeyError, TypeError):
            missing.append(f"no evaluation: {EVALUATIONS!r} is not what gan wrote")
    return Record(path, config, status, curves, samples, evaluations, tuple(missing), labels)


def number_of(value: Any) -> float:
    """A number from an untrusted file; nan for anything but a float32 number."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) <= LARGEST else math.nan


def _said(error: UserError, path: Path) -> str:
    """The fault of a file, named by its path within the run."""
    return error.given.replace(f"{path}/", "")


def _curves(run: Run) -> tuple[dict[str, Series], list[str]]:
    """Every metric over the steps, up to the first damaged line."""
    held: dict[str, dict[int, float]] = {}
    missing = []
    try:
        if run.metrics.path.exists() and not run.metrics.path.is_file():
            raise UserError(f"{run.metrics.path.name!r} is not a file")  # A pipe would never end.
        for line in run.metrics.lines():
            step = line["step"]
            for name, value in line.items():
                if (
                    name != "step"
                    and 0 <= step < 2**31
                    and math.isfinite(value := number_of(value))
                ):
                    held.setdefault(name, {})[step] = value
    except UserError as error:
        missing.append(f"metrics are cut off: {_said(error, run.path)}")
    if not held and not missing:
        missing.append("no metrics")
    curves = {}
    for name, values in held.items():
        steps = np.array(sorted(values))
        curves[printable(name)] = Series(steps, np.array([values[step] for step in steps.tolist()]))
    return curves, missing


def _samples(run: Run) -> tuple[list[tuple[int, np.ndarray]], list[str]]:
    """The samples, up to the first damaged file."""
    held: list[tuple[int, np.ndarray]] = []
    missing = []
    try:
        for step, examples in run.sample_history():
            if not _can_be_drawn(examples):
                missing.append(f"samples of step {step} are {examples.dtype} {examples.shape}")
                break
            held.append((step, examples[:MOST_EXAMPLES]))
    except UserError as error:
        missing.append(f"samples are cut off: {_said(error, run.path)}")
    if not held and not missing:
        missing.append("no samples")
    return held, missing


def _can_be_drawn(examples: np.ndarray) -> bool:
    """Whether these are images, points in the plane or tokens."""
    if 0 in examples.shape or max(examples.shape[1:], default=0) > LONGEST_SIDE:
        return False
    if examples.ndim == 4:
        return examples.dtype in (np.uint8, np.uint16) and examples.shape[-1] <= MOST_CHANNELS
    if examples.ndim != 2:
        return False
    return examples.dtype.kind in "iu" or (examples.dtype.kind == "f" and examples.shape[1] == 2)


def _evaluation(held: Any) -> dict[str, Any]:
    """The valid figures and intervals of an evaluation."""
    figures = {str(name): number_of(value) for name, value in held["metrics"].items()}
    intervals = {
        str(name): tuple(map(number_of, ends))
        for name, ends in held.get("intervals", {}).items()
        if isinstance(ends, list) and len(ends) == 2
    }
    origin, real = held.get("generator", {}), held.get("real", {})
    return {
        "metrics": {name: value for name, value in figures.items() if math.isfinite(value)},
        "intervals": intervals,
        "samples": held.get("samples"),
        "step": origin.get("step"),
        "seed": held.get("seed"),
        "weights": origin.get("weights"),
        "split": real.get("split"),
        "features": held.get("features", {}).get("name"),
        "plain": held.get("plain") is True,
        "back": held.get("back") is True,
    }
