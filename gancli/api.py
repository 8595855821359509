"""The commands as Python functions, which `gancli` exports."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gancli import comparison
from gancli.config import Layer
from gancli.data.configured import load_data
from gancli.evaluation import Question, keep, sampling
from gancli.evaluation import evaluate as evaluate_generator
from gancli.evaluation.generator import load_generator
from gancli.evaluation.latents import Draw
from gancli.export import TrainedPart
from gancli.export import load as load_part
from gancli.runs.directory import Run
from gancli.system.compilation_cache import keep_compiled
from gancli.training import loop, planning
from gancli.training.events import Event

Settings = Mapping[str, Any]
Listener = Callable[[Event], object]


def train(
    settings: Settings, out: str | Path | None = None, listener: Listener | None = None
) -> Run:
    """Trains a generator as `gan train` does; the same call resumes its run.

    Args:
        settings: values by the dotted keys of the configuration, such as `train.steps`.
        out: the run's directory; None for one under `runs/`: an unfinished run of the same
            settings, or a new one.
        listener: called with each event, as it happens.

    Returns:
        The finished run; its `path` is what the other functions take.

    Raises:
        UserError: if a value is unknown or does not fit the others, or the directory holds
            another run.
        DivergedError: if training diverged.
    """
    keep_compiled()
    plan = planning.plan([Layer("settings", settings)])
    path = planning.choose_path(None if out is None else Path(out), plan)
    with planning.opened(path, plan) as run:
        return _finished(plan, run, listener)


def resume(
    path: str | Path,
    steps: int | None = None,
    listener: Listener | None = None,
    dataset: str | None = None,
) -> Run:
    """Goes on with a run from its newest sound checkpoint, as `gan resume` does.

    Args:
        path: the run.
        steps: new total number of steps; None keeps the run's own.
        listener: called with each event, as it happens.
        dataset: where its data are now; None for where they were.

    Returns:
        The finished run.

    Raises:
        UserError: if there is no such run, or it is already past that step.
        DivergedError: if training diverged.
    """
    keep_compiled()
    with planning.reopened(Path(path), steps, dataset) as (run, plan):
        return _finished(plan, run, listener)


def sample(
    path: str | Path,
    count: int = 64,
    seed: int = 0,
    labels: Sequence[int] = (),
    raw: bool = False,
    truncation: float | None = None,
) -> np.ndarray:
    """Draws examples from a trained generator, as `gan sample` does.

    Args:
        path: a run, or one of its checkpoints.
        count: number of examples.
        seed: random seed of the latents; example i depends only on (seed, i) and its label.
        labels: class numbers to cycle through; empty for all classes.
        raw: whether to use the raw weights instead of their moving average.
        truncation: ψ, as `gan sample --truncation`; None for no truncation.

    Returns:
        Images as uint8 or uint16 (count, height, width, channels), points as float32 (count, 2),
        tokens as int32 (count, length).

    Raises:
        UserError: if there is no sound checkpoint, the count is not positive, a label is unknown,
            the truncation does not fit, or the generator is an image-to-image model.
    """
    keep_compiled()
    generator = load_generator(Path(path), raw)
    draw = Draw(seed, labels, truncation)
    return np.concatenate(list(sampling.sample(generator, draw, count)))


def evaluate(
    path: str | Path,
    metrics: Sequence[str] = (),
    samples: int | None = None,
    seed: int = 0,
    split: str = "",
    raw: bool = False,
    dataset: str | None = None,
) -> dict[str, Any]:
    """Measures what a trained generator makes, as `gan evaluate --json` does; kept with its run.

    Args:
        path: a run, or one of its checkpoints.
        metrics: specs of metrics; empty for all quick ones that fit the data.
        samples: how many examples are drawn; None for as many as there are real ones, at most
            10,000.
        seed: of their latents.
        split: of the data to compare with; empty for the one that was trained on.
        raw: whether to take the weights as trained instead of their moving average.
        dataset: where the data are now that were trained on; None for where they were.

    Returns:
        `metrics` by `metric/figure`, their `intervals`, and the provenance of both.

    Raises:
        UserError: if there is no sound checkpoint, or a metric does not fit.
    """
    keep_compiled()
    generator = load_generator(Path(path), raw, dataset)
    question = Question(tuple(metrics), samples, seed, split=split)
    report = evaluate_generator(generator, load_data(generator.config), question).report
    keep(generator, report)
    return report


def load(path: str | Path, part: str = "", raw: bool = False) -> TrainedPart:
    """Loads a trained part as a function from NumPy arrays to NumPy arrays.

    `generator = gancli.load(path)` is called with latents: `generator(generator.latents(16))`.

    Args:
        path: a run, one of its checkpoints, or a file of `gan export --format safetensors`.
        part: the name of the part; empty for the generator, or what the file holds.
        raw: whether to use the raw weights of a generator instead of their moving average.

    Returns:
        The part. Its `latents(count, seed, labels)` are those that `gan sample` uses; a translator
        is called with images in [-1, 1].

    Raises:
        UserError: if there is no such part, or nothing sound to load.
    """
    keep_compiled()
    return load_part(Path(path), part, raw)


def compare(
    variants: Mapping[str, Settings],
    out: str | Path,
    seeds: int = 3,
    metrics: Sequence[str] = (),
    samples: int = 1000,
    recipes: bool = True,
) -> comparison.Results:
    """Trains variants over the same seeds and says which is better, as `gan compare` does.

    Args:
        variants: the settings of each variant by its name.
        out: the directory of the runs and results; the same call resumes the comparison.
        seeds: number of seeds of each variant, counted up from its `train.seed`.
        metrics: metric specs; empty for all quick metrics that fit the data.
        samples: number of generated examples to measure per run.
        recipes: whether the published recipes of losses apply where nothing else is set.

    Returns:
        The outcome of each run, and the answer with its intervals.

    Raises:
        UserError: if a variant or a metric does not fit.
    """
    keep_compiled()
    folder, question = Path(out), Question(tuple(metrics), samples)
    layers = {name: (Layer(name, settings),) for name, settings in variants.items()}
    cells = comparison.make_cells(
        [comparison.Variant(name, own) for name, own in layers.items()],
        seeds,
        folder,
        comparison.Budget(),
        recipes,
    )
    comparison.require_distinct(cells)
    comparison.check_question(cells, question)
    comparison.open_folder(folder)
    for _ in comparison.run_all(cells, question, way="alone"):
        pass
    outcomes = comparison.measure_all(cells, question)
    command = f"gancli.compare(…, {str(out)!r}, seeds={seeds})"
    results = comparison.gather(cells, outcomes, question, command, equal=not recipes)
    comparison.write_results(folder, results)
    return results


def _finished(plan: planning.Plan, run: Run, listener: Listener | None) -> Run:
    for event in loop.train(plan, run):
        if listener is not None:
            listener(event)
    return run
