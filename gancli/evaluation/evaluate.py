"""Evaluation of a trained generator: samples, metrics, and the provenance of both."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gancli.data import Dataset
from gancli.errors import UserError
from gancli.evaluation.metric import METRICS, Evaluated, Metric
from gancli.runs.directory import versions
from gancli.sampling import Generator, sample


def fitting_metrics(dataset: Dataset) -> list[str]:
    """The names of the metrics that a data set has what it takes for."""
    return [name for name in METRICS.names() if METRICS.build(name).fits(dataset)]


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
    chosen: dict[str, Metric] = {}
    for name in names or fitting_metrics(dataset):
        metric = METRICS.build(name)
        if not metric.fits(dataset):
            fitting = ", ".join(fitting_metrics(dataset)) or "none"
            raise UserError(f"metric {name!r} does not fit {dataset.spec.name!r}", fitting)
        chosen[name] = metric
    generated = np.concatenate(list(sample(generator, seed, samples)))
    evaluated = Evaluated(generated, dataset)
    figures = {
        f"{name}/{figure}": value
        for name, metric in chosen.items()
        for figure, value in metric.measure(evaluated).items()
    }
    return {
        "metrics": figures,
        "samples": samples,
        "seed": seed,
        "generator": generator.provenance(),
        "versions": versions(),
    }
