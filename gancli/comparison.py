"""Comparison of variants: each trained over the same seeds as ordinary runs, then measured."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gancli.config import Config, Layer, differences
from gancli.errors import DivergedError, UserError
from gancli.evaluation import Question, choose_metrics, evaluate, judge_of
from gancli.events import Event
from gancli.interruption import StopRequest
from gancli.launch import Plan, load_data, opened, plan
from gancli.runs.checkpoints import CHECKSUMS
from gancli.runs.directory import Run, versions
from gancli.runs.files import read_json, sha256, write_json
from gancli.sampling import load_generator
from gancli.train import train

EVALUATION = "evaluation.json"


class Variant(NamedTuple):
    """One configuration of a comparison, under the name of its folder."""

    name: str
    layers: tuple[Layer, ...]


class Cell(NamedTuple):
    """One run of a comparison: a variant with a seed, and what it is to compute."""

    variant: str
    seed: int
    run: Run
    planned: Plan | None


class Outcome(NamedTuple):
    """How a run of a comparison ended: its figures, or why there are none.

    `left` says which step of a run was measured that has not ended, or lost its last checkpoint.
    """

    variant: str
    seed: int
    run: Path
    metrics: Mapping[str, float]
    failure: str
    left: str = ""


class Summary(NamedTuple):
    """A variant over its seeds: how many ended well, and mean and deviation of each figure.

    The figures are also of runs that have not ended, which are counted as failed.
    """

    variant: str
    finished: int
    failed: int
    figures: Mapping[str, tuple[float, float]]


def make_cells(variants: Sequence[Variant], seeds: int, out: Path) -> list[Cell]:
    """Every run of a comparison; all are checked before any is made.

    Args:
        variants: what is compared.
        seeds: how many seeds each variant is trained with: 0, 1, and so on.
        out: the comparison's directory; runs are `VARIANT/seed-N` in it.

    Returns:
        The runs, seed by seed, so that an early look compares all variants.

    Raises:
        UserError: if a variant is not sound, or two have the same name.
    """
    names = [variant.name for variant in variants]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UserError(f"variant {sorted(twice)[0]!r} is given twice", "each variant once")
    return [
        Cell(
            variant.name,
            seed,
            Run(out / variant.name / f"seed-{seed}"),
            plan((*variant.layers, Layer("the comparison", {"train.seed": seed}))),
        )
        for seed in range(seeds)
        for variant in variants
    ]


def existing_cells(paths: Sequence[Path]) -> list[Cell]:
    """Runs that are there already, as parts of a comparison.

    Args:
        paths: run directories; those of one configuration count as seeds of one variant.

    Returns:
        A cell for each, with nothing to compute.

    Raises:
        UserError: if one is not a run.
    """
    cells: list[Cell] = []
    variants: dict[str, Config] = {}
    for path in paths:
        run = Run(path)
        config = run.config
        but_seed = config.model_copy(update={"train": config.train.model_copy(update={"seed": 0})})
        own = path.parent.name if re.fullmatch(r"seed-\d+", path.name) else path.name
        name = next((known for known, held in variants.items() if held == but_seed), own)
        if variants.setdefault(name, but_seed) != but_seed:
            what = "; ".join(differences(variants[name], but_seed))
            raise UserError(
                f"two configurations are called {name!r} ({what})",
                "one configuration under one name",
                "Rename a directory",
            )
        cells.append(Cell(name, config.train.seed, run, None))
    require_distinct(cells)
    return cells


def require_distinct(cells: Sequence[Cell]) -> None:
    """Refuses a seed of a variant that would be counted twice.

    Raises:
        UserError: naming both runs.
    """
    seen: dict[tuple[str, int], Path] = {}
    for cell in cells:
        first = seen.setdefault((cell.variant, cell.seed), cell.run.path)
        if first is not cell.run.path:
            raise UserError(
                f"seed {cell.seed} of {cell.variant!r} is given twice: {first} and {cell.run.path}",
                "each seed of a variant once",
                "Leave one of them out",
            )


def train_cell(cell: Cell, stop: StopRequest | None = None) -> Iterator[Event]:
    """Trains one run of a comparison from where it stands.

    Args:
        cell: the run; one that has a result is left as it is.
        stop: asked as `train` asks it.

    Yields:
        What `train` yields.

    Raises:
        DivergedError: if training diverged.
    """
    if cell.planned is None or has_result(cell):
        return
    config, dataset = cell.planned.config, cell.planned.dataset
    judge = judge_of(config, dataset)
    with opened(cell.run.path, config, dataset) as run:
        yield from train(run, dataset, stop, judge)


def has_result(cell: Cell) -> bool:
    """Whether a run has ended as its plan says, well or not."""
    run = cell.run
    if not run.exists:
        return False
    status = run.status
    as_planned = cell.planned is None or run.config == cell.planned.config
    return as_planned and status["status"] in ("finished", "diverged")


def measure(cell: Cell, samples: int, metrics: Sequence[str] = (), split: str = "") -> Outcome:
    """The figures of a run that has ended; they are kept beside it for the next time.

    Args:
        cell: the run.
        samples: how many examples to generate.
        metrics: specs of metrics; empty for all quick ones that fit the data.
        split: of the data, to compare with; empty for that which was trained on.

    Returns:
        The outcome, without figures for a run that diverged.
    """
    run = cell.run
    status = run.status
    if status["status"] == "diverged":
        return Outcome(cell.variant, cell.seed, run.path, {}, status["reason"])
    generator = load_generator(run.path)
    left = ""
    if status["status"] != "finished" or generator.step != status["step"]:
        left = (
            f"measured at step {generator.step} of {run.config.train.steps}, its newest checkpoint"
        )
    dataset = cell.planned.dataset if cell.planned else load_data(run.config)
    asked = list(choose_metrics(dataset, metrics, task=generator.task))
    path = run.path / EVALUATION
    if path.is_file():
        same = {
            "asked": asked,
            "samples": samples,
            "split": split or run.config.data.split,
            "sha256": sha256(generator.checkpoint / CHECKSUMS),
            "versions": versions(),
        }
        if (kept := _kept(path, same)) is not None:
            return Outcome(cell.variant, cell.seed, run.path, kept, "", left)
    report = evaluate(generator, dataset, Question(tuple(asked), samples, split=split)).report
    write_json(path, report)
    return Outcome(cell.variant, cell.seed, run.path, report["metrics"], "", left)


def check_metrics(cells: Sequence[Cell], metrics: Sequence[str]) -> None:
    """Refuses metrics that some run of a comparison cannot be measured by, before any is trained.

    Raises:
        UserError: naming the metric.
    """
    for cell in cells:
        if cell.planned:
            choose_metrics(cell.planned.dataset, metrics, task=cell.planned.program.task)


def measure_all(
    cells: Sequence[Cell], samples: int, metrics: Sequence[str] = (), split: str = ""
) -> list[Outcome]:
    """The outcomes of runs that have ended, in the order of their variants."""
    order = list(dict.fromkeys(cell.variant for cell in cells))
    return [
        measure(cell, samples, metrics, split)
        for cell in sorted(cells, key=lambda cell: (order.index(cell.variant), cell.seed))
    ]


def summarize(outcomes: Sequence[Outcome]) -> list[Summary]:
    """Mean and standard deviation (n - 1) of each figure over a variant's seeds.

    Args:
        outcomes: of all runs.

    Returns:
        A summary for each variant, in the order of their first outcome.
    """
    summaries = []
    for variant in dict.fromkeys(outcome.variant for outcome in outcomes):
        own = [outcome for outcome in outcomes if outcome.variant == variant]
        good = [outcome for outcome in own if not outcome.failure]
        names = dict.fromkeys(name for outcome in good for name in outcome.metrics)
        figures = {
            name: _mean_and_deviation([o.metrics[name] for o in good if name in o.metrics])
            for name in names
        }
        ended = sum(not outcome.left for outcome in good)
        summaries.append(Summary(variant, ended, len(own) - ended, figures))
    return summaries


def run_all(
    cells: Sequence[Cell], stop: StopRequest | None = None
) -> Iterator[tuple[Cell, Event | DivergedError]]:
    """Trains every run that has no result yet; one that diverges does not stop the others.

    Args:
        cells: the runs.
        stop: asked as `train` asks it.

    Yields:
        The run and what happens in it; at last the error of one that diverged.
    """
    for cell in cells:
        if stop is not None:
            stop.heed()
        try:
            for event in train_cell(cell, stop):
                yield cell, event
        except DivergedError as error:
            yield cell, error


def default_folder(variants: Sequence[Variant]) -> Path:
    """Where a comparison goes that was not told: the same for the same question."""

    def data_of(variant: Variant) -> str:
        name = Config().data.name
        for layer in variant.layers:
            name = layer.values.get("data.name", name)
        return variant_name(Path(str(name)).name)

    data = dict.fromkeys(data_of(variant) for variant in variants)
    names = [variant.name for variant in variants]
    return Path("comparisons") / "-".join([*data, *names])[:120]


def variant_name(spec: str) -> str:
    """A spec as the name of a folder."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", spec).strip("-.") or "variant"


def as_json(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Outcomes and their summary as a JSON object."""

    def figures(summary: Summary) -> dict[str, Any]:
        # One seed has no deviation, and JSON no NaN.
        return {
            name: [mean, None if math.isnan(deviation) else deviation]
            for name, (mean, deviation) in summary.figures.items()
        }

    return {
        "runs": [outcome._asdict() | {"run": str(outcome.run)} for outcome in outcomes],
        "variants": [s._asdict() | {"figures": figures(s)} for s in summarize(outcomes)],
    }


def _mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, math.nan
    return mean, math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))


def _kept(path: Path, asked: Mapping[str, Any]) -> dict[str, float] | None:
    """The figures that were kept, if they answer the same question."""
    kept = read_json(path)
    try:
        same = {
            "asked": kept["asked"],
            "samples": kept["samples"],
            "split": kept["real"]["split"],
            "sha256": kept["generator"]["checkpoint_sha256"],
            "versions": kept["versions"],
        } == asked
        return dict(kept["metrics"]) if same else None
    except (KeyError, TypeError):
        return None  # Not what was written: it is made again.
