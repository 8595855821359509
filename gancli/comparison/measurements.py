"""Outcomes of the runs of a comparison: their figures, cached in each run's directory."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from gancli.comparison.runs import Cell, require_same_data
from gancli.config import Config
from gancli.data import Dataset
from gancli.data.configured import load_data, located
from gancli.errors import UserError, shown
from gancli.evaluation import Question, choose_metrics, evaluate, keep, look_at
from gancli.evaluation.generator import load_generator
from gancli.evaluation.kept import find
from gancli.runs.directory import Run
from gancli.training.account import account_of


class Outcome(NamedTuple):
    """The outcome of a run of a comparison: its figures, or the reason for their absence.

    `failure` is the reason why a run has no figures. `left` names the measured step of a run that
    is unfinished or lost its last checkpoint, or says why none was measured. `collapse` says how
    little of the data the samples show.
    """

    variant: str
    seed: int
    run: Path
    metrics: Mapping[str, float]
    failure: str
    left: str = ""
    collapse: str = ""

    @property
    def name(self) -> str:
        """The name of its run, see `Cell`."""
        return f"{self.variant}/seed-{self.seed}"


def measure(cell: Cell, question: Question) -> Outcome:
    """Measures a run that has ended, and caches its figures in the run's directory.

    Returns:
        The outcome; a diverged run has no figures.
    """
    run = cell.run
    status = run.status
    if status["status"] == "diverged":
        return Outcome(cell.variant, cell.seed, run.path, {}, status["reason"])
    config = cell.planned.config if cell.planned else located(run.config, run.path, cell.dataset)
    dataset = cell.planned.dataset if cell.planned else load_data(config)
    figures, step = measure_run(run, config, dataset, question)
    left = ""
    if status["status"] != "finished" or step != status["step"]:
        left = f"measured at step {step} of {run.config.train.steps}, its newest checkpoint"
    assert question.samples is not None
    lost = "" if _has_barely_begun(run) else collapse(figures, dataset, question.samples)
    return Outcome(cell.variant, cell.seed, run.path, figures, "", left, lost)


def measure_run(
    run: Run, config: Config, dataset: Dataset, question: Question
) -> tuple[dict[str, float], int]:
    """The figures of a run's newest checkpoint and its step; kept ones, if they answer the same."""
    generator = load_generator(run.path)._replace(config=config)
    metrics = tuple(choose_metrics(dataset, question.metrics, task=generator.task))
    split = question.split or run.config.data.split
    question = question._replace(metrics=metrics, split=split)
    report = find(generator, question)
    if report is None:
        report = evaluate(generator, dataset, question).report
        keep(generator, report)
    return dict(report["metrics"]), generator.step


def _has_barely_begun(run: Run) -> bool:
    """Whether a run that watches itself has merely not learned yet."""
    account = account_of(run.path)
    begins = account.diagnosis.has_barely_begun and "mode-collapse" not in account.present
    return bool(account.config.monitors.every) and begins


def collapse(figures: Mapping[str, float], dataset: Dataset, samples: int) -> str:
    """Describes the collapse of a generator; empty if it has not collapsed.

    A generator has collapsed if its samples show less than half as many of the data's n classes
    or modes as evenly spread samples would: n (1 - (1 - 1 / n)^samples).

    Args:
        figures: figures of the generator by `metric/figure`.
        dataset: its training data.
        samples: number of samples measured.
    """
    known = {"classes": len(dataset.spec.classes)}
    if dataset.modes is not None:
        known["modes"] = len(dataset.modes.centres)
    for metric, count in known.items():
        found = figures.get(f"{metric}/found")
        if found is not None and 2 * found < count * (1 - (1 - 1 / count) ** samples):
            said = f"shows {found:.0f} of {count} {metric}"
            share = figures.get(f"{metric}/high_quality")
            return said if share is None else f"{said}, {share:.1%} of its samples near one"
    return ""


def check_question(cells: Sequence[Cell], question: Question, figure: str = "") -> None:
    """Refuses what some run of a comparison could not be measured by, before any is trained.

    Args:
        cells: the runs.
        question: what they will be measured by.
        figure: `metric/figure` by which they will be ranked; empty for none.

    Raises:
        UserError: naming the data, the metric, the split, the number of samples or the figure
            that does not fit.
    """
    require_same_data(cells, question.split)
    if figure and question.metrics:
        _require_measured(figure, question.metrics)
    plans = {cell.variant: cell.planned for cell in cells if cell.planned}
    for planned in plans.values():
        asked = look_at(question, planned.config, planned.dataset, planned.program.task)
        if figure:
            _require_measured(figure, tuple(asked.metrics))


def _require_measured(figure: str, metrics: Sequence[str]) -> None:
    """Refuses a figure of a metric that is not asked for."""
    if (metric := figure.partition("/")[0]) not in metrics:
        raise UserError(
            f"--by {shown(figure)}, and {metric} will not be measured",
            f"a figure of {', '.join(metrics)}",
            f"Add it with --metrics {','.join([*metrics, metric])}",
        )


def measure_all(
    cells: Sequence[Cell], question: Question, missing: Mapping[str, str] = MappingProxyType({})
) -> list[Outcome]:
    """The outcomes of the runs, in the order of their variants.

    Args:
        cells: the runs.
        question: what they are measured by.
        missing: the reasons why runs have no result, by their names.
    """
    order = list(dict.fromkeys(cell.variant for cell in cells))
    return [
        Outcome(cell.variant, cell.seed, cell.run.path, {}, "", missing[cell.name])
        if cell.name in missing
        else measure(cell, question)
        for cell in sorted(cells, key=lambda cell: (order.index(cell.variant), cell.seed))
    ]
