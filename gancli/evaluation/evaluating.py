"""Evaluation of a trained generator: samples, metrics, and the provenance of both."""

import math
import os
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gancli.config import Config
from gancli.data import DataRequest, Dataset, load
from gancli.dynamics import Weights
from gancli.errors import UserError, unknown_name
from gancli.evaluation.evaluated import MOST_COMPARED, Evaluated, default_features
from gancli.evaluation.intervals import Interval
from gancli.evaluation.metric import METRICS, Figures, Metric
from gancli.features import FEATURES, Features
from gancli.judge import Judge
from gancli.launch import request_of
from gancli.registry import parse_spec
from gancli.runs.directory import versions
from gancli.sampling import Generator, sample, sample_weights
from gancli.tasks import Task

# Of a data set of a few images; less than that tells nothing of a generator.
_FEWEST = 100
_MOST_IN_MEMORY = 2**30


def fitting_metrics(dataset: Dataset, features: str = "") -> list[str]:
    """The names of the metrics that a data set has what it takes for.

    Args:
        dataset: what they are to measure against.
        features: the spec of the features; empty for those of the data's kind.

    Returns:
        Their names, those that are not quick among them.
    """
    name = parse_spec(features or default_features(dataset)).name
    return [metric for metric in METRICS.names() if METRICS.build(metric).fits(dataset, name)]


def choose_metrics(
    dataset: Dataset, names: Sequence[str] = (), features: str = ""
) -> dict[str, Metric]:
    """Builds metrics by their specs.

    Args:
        dataset: what they are to measure against.
        names: specs of metrics; empty for all quick ones that fit the data.
        features: the spec of the features; empty for those of the data's kind.

    Returns:
        The metrics by spec.

    Raises:
        UserError: if a metric or the features are unknown, or one does not fit the data.
    """
    spec = features or default_features(dataset)
    FEATURES.entry(spec)
    fitting = fitting_metrics(dataset, spec)
    if not names:
        built = {name: METRICS.build(name) for name in fitting}
        return {name: metric for name, metric in built.items() if metric.quick}
    chosen: dict[str, Metric] = {}
    for name in names:
        metric = METRICS.build(name)
        if not metric.fits(dataset, parse_spec(spec).name):
            raise UserError(
                f"metric {name!r} does not fit {dataset.spec.name!r} with the features {spec!r}",
                ", ".join(fitting) or "none",
            )
        chosen[name] = metric
    return chosen


def measure(metrics: Mapping[str, Metric], evaluated: Evaluated) -> Figures:
    """The figures of some metrics, by `metric/figure`."""
    return {
        f"{name}/{figure}": value
        for name, metric in metrics.items()
        for figure, value in metric.measure(evaluated).items()
    }


def _estimates(figures: Figures) -> dict[str, float]:
    """The figures without their intervals."""
    return {
        name: value.estimate if isinstance(value, Interval) else value
        for name, value in figures.items()
    }


def judge_of(config: Config, dataset: Dataset) -> Judge | None:
    """What measures a run while it trains, as its configuration asks for.

    Args:
        config: the run's; its samples are those of seed 0.
        dataset: its data.

    Returns:
        The judge; None for a run that is not to be measured.

    Raises:
        UserError: if a metric does not fit, or the figure to choose by is none that has a
            better side.
    """
    settings = config.evaluation
    if not settings.every:
        if settings.best or settings.patience:
            raise UserError(
                f"evaluation.best was {settings.best!r} and evaluation.patience "
                f"{settings.patience}, and the run is never measured",
                "evaluation.every from 1 on",
            )
        return None
    metrics = choose_metrics(dataset, settings.metrics, settings.features)
    better = {
        f"{name}/{figure}": side
        for name, metric in metrics.items()
        for figure, side in metric.better.items()
    }
    if settings.best and settings.best not in better:
        raise unknown_name("figure in evaluation.best:", settings.best, better)
    if settings.patience and not settings.best:
        raise UserError(
            f"evaluation.patience was {settings.patience}, and evaluation.best names no figure",
            ", ".join(sorted(better)),
        )

    request = request_of(config)
    features = _named_features(settings.features, dataset, request)

    def measure_weights(task: Task, weights: Weights) -> dict[str, float]:
        blocks = sample_weights(task, weights, 0, settings.samples)
        generated = _gathered(blocks, settings.samples, dataset)
        evaluated = Evaluated(generated, dataset, request, features=features)
        return _estimates(measure(metrics, evaluated))

    return Judge(measure_weights, better.get(settings.best) == "lower")


class Question(NamedTuple):
    """What is asked of a generator.

    `metrics` are specs, empty for all quick ones that fit; `samples` is how many examples are
    generated, None for as many as there are real ones, at most 10,000; `seed` is that of their
    latents; `features` a spec, empty for those of the data's kind; `split` the part of the data
    that the samples are compared with, empty for that which was trained on.
    """

    metrics: tuple[str, ...] = ()
    samples: int | None = None
    seed: int = 0
    features: str = ""
    split: str = ""


class Answer(NamedTuple):
    """What was measured: a JSON object, and what it was measured on, for pictures of it."""

    report: dict[str, Any]
    evaluated: Evaluated


def evaluate(generator: Generator, dataset: Dataset, question: Question) -> Answer:
    """Measures what a generator makes.

    Args:
        generator: a trained generator.
        dataset: the data that it was trained on.
        question: what is to be measured, and on what.

    Returns:
        `metrics` with the figures by `metric/figure`, `intervals` of 95 % of those that have
        them, and their provenance.

    Raises:
        UserError: if a metric does not fit the data, or the data are others.
    """
    if dataset.fingerprint != generator.data.fingerprint:
        raise UserError(
            f"the data set {dataset.spec.name!r} is not the one that the generator was trained on",
            "the same data",
        )
    began = time.monotonic()
    request = request_of(generator.config)
    chosen = choose_metrics(dataset, question.metrics, question.features)
    split = question.split or request.split
    real = dataset
    if split != request.split:
        real = load(generator.config.data.name, request._replace(split=split))
    features = _named_features(question.features, dataset, request)
    samples = question.samples or max(_FEWEST, min(MOST_COMPARED, len(real.examples)))
    generated = _gathered(sample(generator, question.seed, samples), samples, dataset)
    evaluated = Evaluated(generated, dataset, request, real, features, with_intervals=True)
    figures = measure(chosen, evaluated)
    provenance = evaluated.provenance()
    report = {
        "metrics": _estimates(figures),
        "intervals": {
            name: [value.low, value.high]
            for name, value in figures.items()
            if isinstance(value, Interval)
        },
        "asked": list(chosen),
        "seed": question.seed,
        **provenance,
        "real": {**provenance["real"], "split": split},
        "seconds": round(time.monotonic() - began, 1),
        "generator": generator.provenance(),
        "versions": versions(),
    }
    return Answer(report, evaluated)


def _named_features(spec: str, dataset: Dataset, request: DataRequest) -> Features | None:
    """Features that are asked for, before anything that takes long; None where none are."""
    return FEATURES.build(spec, dataset, request) if spec else None


def _gathered(blocks: Iterable[np.ndarray], count: int, dataset: Dataset) -> np.ndarray:
    """Examples that come in blocks, as one array: of many, in a file that has no name."""
    shape, dtype = (count, *dataset.spec.shape), dataset.examples.dtype
    size = math.prod(shape) * dtype.itemsize
    if size <= _MOST_IN_MEMORY:
        examples = np.empty(shape, dtype)
    else:
        with tempfile.TemporaryFile() as file:
            try:
                os.posix_fallocate(file.fileno(), 0, size)
            except OSError as error:
                raise UserError(
                    f"{count} examples take {size / 2**30:.1f} GiB in {tempfile.gettempdir()!r}: "
                    f"{error.strerror}",
                    "as much free space there",
                    "Ask for fewer samples, or set TMPDIR to another folder",
                ) from None
            examples = np.memmap(file, dtype, "r+", shape=shape)
    done = 0
    for block in blocks:
        examples[done : done + len(block)] = block
        done += len(block)
    return examples
