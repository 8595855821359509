"""Evaluation of a trained generator: samples, metrics, and the provenance of both."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gancli.config import Config
from gancli.data import Dataset
from gancli.dynamics import Weights
from gancli.errors import UserError, unknown_name
from gancli.evaluation.metric import METRICS, Evaluated, Metric
from gancli.judge import Judge
from gancli.runs.directory import versions
from gancli.sampling import Generator, sample, sample_weights
from gancli.tasks import Task


def fitting_metrics(dataset: Dataset) -> list[str]:
    """The names of the metrics that a data set has what it takes for."""
    return [name for name in METRICS.names() if METRICS.build(name).fits(dataset)]


def choose_metrics(dataset: Dataset, names: Sequence[str] = ()) -> dict[str, Metric]:
    """Builds metrics by their specs.

    Args:
        dataset: what they are to measure against.
        names: specs of metrics; empty for all that fit the data.

    Returns:
        The metrics by spec.

    Raises:
        UserError: if one is unknown or does not fit the data.
    """
    chosen: dict[str, Metric] = {}
    for name in names or fitting_metrics(dataset):
        metric = METRICS.build(name)
        if not metric.fits(dataset):
            fitting = ", ".join(fitting_metrics(dataset)) or "none"
            raise UserError(f"metric {name!r} does not fit {dataset.spec.name!r}", fitting)
        chosen[name] = metric
    return chosen


def measure(metrics: Mapping[str, Metric], evaluated: Evaluated) -> dict[str, float]:
    """The figures of some metrics, by `metric/figure`."""
    return {
        f"{name}/{figure}": value
        for name, metric in metrics.items()
        for figure, value in metric.measure(evaluated).items()
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
    metrics = choose_metrics(dataset, settings.metrics)
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

    def measure_weights(task: Task, weights: Weights) -> dict[str, float]:
        generated = np.concatenate(list(sample_weights(task, weights, 0, settings.samples)))
        return measure(metrics, Evaluated(generated, dataset))

    return Judge(measure_weights, better.get(settings.best) == "lower")


def evaluate(
    generator: Generator, dataset: Dataset, names: Sequence[str], samples: int, seed: int = 0
) -> dict[str, Any]:
    """Measures what a generator makes.

    Args:
        generator: a trained generator.
        dataset: the data that it was trained on.
        names: specs of metrics; empty for all that fit the data.
        samples: how many examples to generate.
        seed: of their latents.

    Returns:
        `metrics`, figures by `metric/figure`, and their provenance, as a JSON object.

    Raises:
        UserError: if a metric does not fit the data, or the data are others.
    """
    if dataset.fingerprint != generator.data.fingerprint:
        raise UserError(
            f"the data set {dataset.spec.name!r} is not the one that the generator was trained on",
            "the same data",
        )
    chosen = choose_metrics(dataset, names)
    generated = np.concatenate(list(sample(generator, seed, samples)))
    figures = measure(chosen, Evaluated(generated, dataset))
    return {
        "metrics": figures,
        "samples": samples,
        "seed": seed,
        "generator": generator.provenance(),
        "versions": versions(),
    }
