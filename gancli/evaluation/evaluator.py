"""Evaluation of a trained generator: samples, metrics, and the provenance of both."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from gancli.adversarial.dynamics import Weights
from gancli.config import Config
from gancli.data import DataRequest, Dataset
from gancli.data.configured import load_split, request_of
from gancli.data.dataset import turned
from gancli.errors import UserError, shown, unknown_name
from gancli.evaluation.draw_samples import draw, labelling, reference_data
from gancli.evaluation.evidence import MOST_COMPARED, Evaluated, default_features
from gancli.evaluation.generator import Generator
from gancli.evaluation.intervals import Interval
from gancli.evaluation.metric import METRICS, Figures, Metric, Subject
from gancli.features import FEATURES, Features
from gancli.runs.versions import versions
from gancli.tasks import Task, Translator

# Fewest samples for a data set of few images; fewer say nothing about a generator.
_FEWEST = 100


def choose_metrics(
    dataset: Dataset, names: Sequence[str] = (), features: str = "", task: Task | None = None
) -> dict[str, Metric]:
    """Builds metrics by their specs.

    Args:
        dataset: the data to measure against.
        names: metric specs; empty for all quick metrics that fit the data.
        features: the spec of the features; empty for the default of the data.
        task: task of the generator; None for plain generation from noise.

    Raises:
        UserError: if a metric or the features are unknown or do not fit the data.
    """
    own = reference_data(dataset)
    spec = features or default_features(own)
    subject = Subject(own, FEATURES.entry(spec).name)
    if task:
        subject = subject._replace(
            labels=labelling(task, dataset),
            bounded=task.bound is not None,
            likely=task.log_likelihood is not None,
            restores=isinstance(task.sampler, Translator) and task.sampler.restores,
        )
    return fitting_metrics(subject, names)


def fitting_metrics(subject: Subject, names: Sequence[str] = ()) -> dict[str, Metric]:
    """The metrics of some specs, or all quick ones that fit a subject.

    Raises:
        UserError: if one is unknown or does not fit.
    """
    built = {name: METRICS.build(name) for name in METRICS.names()}
    fitting = {name: metric for name, metric in built.items() if metric.fits(subject)}
    if not names:
        return {name: metric for name, metric in fitting.items() if metric.quick}
    chosen: dict[str, Metric] = {}
    for name in names:
        metric = METRICS.build(name)
        if not metric.fits(subject):
            of_labels = "" if subject.labels else " and samples without labels"
            raise UserError(
                f"metric {name!r} does not fit {subject.data.spec.name!r} with the features "
                f"{subject.features!r}{of_labels}",
                ", ".join(fitting) or "none",
            )
        chosen[name] = metric
    return chosen


def measure(metrics: Mapping[str, Metric], evaluated: Evaluated) -> tuple[Figures, dict[str, str]]:
    """The figures of some metrics, and which had to be left out.

    Args:
        metrics: by spec.
        evaluated: what is measured.

    Returns:
        Figures by `metric/figure`; and by spec why a metric gave none.

    Raises:
        UserError: if no metric gave a figure, naming the first.
    """
    figures: Figures = {}
    left_out: dict[str, str] = {}
    for name, metric in metrics.items():
        try:
            own = metric.measure(evaluated)
        except UserError as error:
            left_out[name] = str(error)
            if len(left_out) == len(metrics):
                first, reason = next(iter(left_out.items()))
                raise UserError(f"metric {first!r}: {reason}") from error
        else:
            figures |= {f"{name}/{figure}": value for figure, value in own.items()}
    return figures, left_out


def _estimates(figures: Figures) -> dict[str, float]:
    """The figures without their intervals."""
    return {
        name: value.estimate if isinstance(value, Interval) else value
        for name, value in figures.items()
    }


class Evaluator(NamedTuple):
    """The evaluation of a run while it trains.

    `measure(task, weights)` gives, for the weights of the player that samples, figures by
    `metric/figure`, and by spec why a metric was left out; `lower_is_better` is about the figure
    whose best step is kept.
    """

    measure: Callable[[Task, Weights], tuple[dict[str, float], dict[str, str]]]
    lower_is_better: bool


def evaluator_of(config: Config, dataset: Dataset, task: Task) -> Evaluator | None:
    """Builds the evaluator that a run's configuration asks for.

    Args:
        config: configuration of the run; its samples have the seed 0.
        dataset: data set of the run.
        task: task of the run.

    Returns:
        The evaluator; None for a run without evaluation.

    Raises:
        UserError: if a metric does not fit, or evaluation.best does not rank.
    """
    settings = config.evaluation
    if not settings.every:
        if settings.best or settings.patience:
            raise UserError(
                f"evaluation.best was {settings.best!r} and evaluation.patience "
                f"{settings.patience}, but the run is never evaluated",
                "evaluation.every from 1 on",
            )
        return None
    metrics = choose_metrics(dataset, settings.metrics, settings.features, task)
    better = {
        f"{name}/{figure}": side
        for name, metric in metrics.items()
        for figure, side in metric.better.items()
    }
    if settings.best and settings.best not in better:
        raise unknown_name("figure in evaluation.best:", settings.best, better)
    if settings.patience and not settings.best:
        raise UserError(
            f"evaluation.patience was {settings.patience} without a figure in evaluation.best",
            ", ".join(sorted(better)),
        )

    request = request_of(config)
    features = named_features(settings.features, reference_data(dataset), request)

    def measure_weights(task: Task, weights: Weights) -> tuple[dict[str, float], dict[str, str]]:
        drawn = draw(task, weights, dataset, settings.samples, 0)
        evaluated = Evaluated(drawn, reference_data(dataset), request, features=features)
        figures, left_out = measure(metrics, evaluated)
        return _estimates(figures), left_out

    return Evaluator(measure_weights, better.get(settings.best) == "lower")


class Question(NamedTuple):
    """What to measure of a generator.

    `metrics` are specs, empty for all quick metrics that fit. `samples` is the number of generated
    examples, None for as many as the data have, at most 10,000, and `seed` the random seed of
    their latents. `features` is a spec, empty for the default of the data. `split` is the split to
    compare with, empty for the training split. For image-to-image models, `plain` measures the
    untranslated sources, and `back` the direction from the second data set to the first.
    """

    metrics: tuple[str, ...] = ()
    samples: int | None = None
    seed: int = 0
    features: str = ""
    split: str = ""
    plain: bool = False
    back: bool = False


class Answer(NamedTuple):
    """The report of an evaluation as a JSON object, and its evidence, for pictures."""

    report: dict[str, Any]
    evaluated: Evaluated


class Asked(NamedTuple):
    """A resolved question: task and data, exchanged if the direction back is measured.

    `real` is the split to compare with, `metrics` holds the fitting metrics by spec, and `samples`
    is the number of samples.
    """

    task: Task
    data: Dataset
    real: Dataset
    metrics: dict[str, Metric]
    samples: int


def evaluate(generator: Generator, dataset: Dataset, question: Question) -> Answer:
    """Measures the samples of a generator.

    Args:
        generator: a trained generator.
        dataset: the data that it was trained on.
        question: what to measure.

    Returns:
        `metrics` with the figures by `metric/figure`, `intervals` of 95 % of those that have
        them, `left_out` with why a metric gave none, and their provenance.

    Raises:
        UserError: if a metric does not fit the data, or the data are others, or no metric gives
            a figure.
    """
    if dataset.fingerprint != generator.data.fingerprint:
        raise UserError(
            f"the data set {dataset.spec.name!r} is not the one that the generator was trained on",
            f"the same data, {shown(generator.config.data.name)} as it was then",
            "Bring it back, or name where it is with --dataset",
        )
    began = time.monotonic()
    request = request_of(generator.config)
    asked = look_at(question, generator.config, dataset, generator.task)
    own, real, chosen = reference_data(asked.data), asked.real, asked.metrics
    features = named_features(question.features, own, request)
    drawn = draw(asked.task, generator.weights, real, asked.samples, question.seed, question.plain)
    evaluated = Evaluated(drawn, own, request, reference_data(real), features, True)
    report = report_of(chosen, evaluated, question.split or request.split) | {
        "asked_features": question.features,
        "seed": question.seed,
        "plain": question.plain,
        "back": question.back,
        "seconds": round(time.monotonic() - began, 1),
        "generator": generator.provenance(),
    }
    return Answer(report, evaluated)


def report_of(metrics: Mapping[str, Metric], evaluated: Evaluated, split: str) -> dict[str, Any]:
    """The figures of some metrics, their intervals and provenance, as a JSON object.

    Args:
        metrics: by spec.
        evaluated: what is measured.
        split: that of the real examples.

    Raises:
        UserError: if no metric gave a figure.
    """
    figures, left_out = measure(metrics, evaluated)
    provenance = evaluated.provenance()
    return {
        "metrics": _estimates(figures),
        "intervals": {
            name: [value.low, value.high]
            for name, value in figures.items()
            if isinstance(value, Interval)
        },
        "left_out": left_out,
        "asked": list(metrics),
        **provenance,
        "real": provenance["real"] | {"split": split},
        "versions": versions(),
    }


def look_at(question: Question, config: Config, dataset: Dataset, task: Task) -> Asked:
    """Resolves a question for a generator, which need not be trained yet.

    Raises:
        UserError: if a metric or the requested split does not fit.
    """
    split = question.split or config.data.split
    real = dataset if split == config.data.split else load_split(config, split)
    if question.back:
        task, dataset, real = task.turned(), turned(dataset), turned(real)
    chosen = choose_metrics(dataset, question.metrics, question.features, task)
    _require_labels(task, dataset, real, split)
    return Asked(task, dataset, real, chosen, _samples(question, task, real))


def _samples(question: Question, task: Task, real: Dataset) -> int:
    """Number of examples to draw.

    Raises:
        UserError: if there are fewer sources.
    """
    count = len(real.examples)
    if not isinstance(task.sampler, Translator):
        return question.samples or max(_FEWEST, min(MOST_COMPARED, count))
    if question.samples and question.samples > count:
        raise UserError(
            f"--samples {question.samples}, but {shown(real.spec.name)} has {count} sources",
            f"at most {count}",
        )
    return question.samples or min(MOST_COMPARED, count)


def _require_labels(task: Task, dataset: Dataset, real: Dataset, split: str) -> None:
    """Refuses a split without the labels that the generator needs.

    Raises:
        UserError: naming the split.
    """
    labelled = real.labels is not None and real.spec.classes == dataset.spec.classes
    if labelling(task, dataset) == "asked" and not labelled:
        raise UserError(
            f"the split {shown(split)} of {shown(dataset.spec.name)} lacks the labels that the "
            "generator needs",
            "a split with the classes of the training split",
            "Leave out --split",
        )


def named_features(spec: str, dataset: Dataset, request: DataRequest) -> Features | None:
    """The requested features, built before any slow work; None if there are none."""
    return FEATURES.build(spec, dataset, request) if spec else None
