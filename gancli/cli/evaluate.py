"""`gan evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gancli.cli.application import (
    Checkpoint,
    Keep,
    Raw,
    RunToUse,
    app,
    compute,
    err,
    one_of,
    out,
    refuse_with,
    warn,
)
from gancli.cli.training import Moved

if TYPE_CHECKING:
    from gancli.evaluation import Answer, Question

Metrics = Annotated[
    str | None, typer.Option(help="Metrics, separated by commas (gan list metrics).")
]


@app.command()
def evaluate(
    run: RunToUse = None,
    ckpt: Checkpoint = None,
    metrics: Metrics = None,
    samples: Annotated[
        int | None,
        typer.Option(
            min=100,
            max=10_000_000,
            help="Number of generated examples.",
            show_default="as many as the data have, at most 10000",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**31 - 1, help="Random seed of the generated examples.")
    ] = 0,
    features: Annotated[
        str | None,
        typer.Option(help="Features (gan list features), or the file of an exported encoder."),
    ] = None,
    inception_weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Inception v3 weights; selects its features."),
    ] = None,
    folders: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="REAL GENERATED",
            help="Measure a folder of images, .npz or data set against another one; no run.",
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="64", help="Size of the images of --folders.", show_default="theirs"),
    ] = None,
    kept: Keep = None,
    dataset: Moved = None,
    split: Annotated[
        str | None,
        typer.Option(help="Split of the data to measure against.", show_default="training split"),
    ] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Baseline: measure the untranslated inputs.")
    ] = False,
    back: Annotated[
        bool, typer.Option("--back", help="cyclegan: translate target to source.")
    ] = False,
    raw: Raw = False,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw samples next to real examples."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the metrics and measure nothing.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Measure what a trained generator makes, and keep the figures with its run."""
    compute()
    from gancli.data.configured import load_data
    from gancli.display.progress import shown_progress
    from gancli.display.scatter import require_own_figure
    from gancli.errors import UserError
    from gancli.evaluation import Question, keep, look_at
    from gancli.evaluation import evaluate as evaluate_generator
    from gancli.evaluation.generator import load_generator
    from gancli.features import spec_of
    from gancli.files import require_writable

    if plot is not None:
        if plot.suffix.lower() != ".png":
            raise UserError(f"--plot {str(plot)!r}", "a file whose name ends in .png")
        require_writable(plot, "--plot")
        require_own_figure(plot, "--plot")
    if features and inception_weights:
        raise UserError("both --features and --inception-weights", "one of them")
    chosen = spec_of(features, inception_weights)
    question = Question(names_of(metrics), samples, seed, chosen, split or "", plain, back)
    if folders is not None:
        of_runs = {"RUN": run or ckpt, "--dataset": dataset, "--seed": seed or None,
                   "--plain": plain, "--back": back, "--raw": raw}  # fmt: skip
        refuse_with("--folders", "--folders without options of runs", of_runs)
        _evaluate_folders(folders, size, kept, question, plot, dry_run, json)
        return
    refuse_with("a run", "--size and --keep with --folders", {"--size": size, "--keep": kept})
    ckpt = one_of(run, ckpt)
    generator = load_generator(ckpt, raw, dataset)
    warn(generator.skipped)
    if plot is not None and generator.spec.kind == "tokens":
        raise UserError(f"--plot {str(plot)!r} of tokens", "images or points", "Leave out --plot")
    data = load_data(generator.config)
    if dry_run:
        asked = look_at(question, generator.config, data, generator.task)
        out.print(
            f"{', '.join(asked.metrics)} of {asked.samples} examples at step {generator.step}"
        )
        return
    with shown_progress(err):
        answer = evaluate_generator(generator, data, question)
    keep(generator, answer.report)
    _show(answer, plot, json)


def _evaluate_folders(
    folders: tuple[str, str],
    size: str | None,
    kept: Keep,
    question: "Question",
    plot: Path | None,
    dry_run: bool,
    json: bool,
) -> None:
    """Measures a data set against another one."""
    from gancli.data import DataRequest
    from gancli.display.progress import shown_progress
    from gancli.evaluation import compare_sets, load_pair, metrics_of_pair

    request = DataRequest(size, split=question.split or "train", keep=kept or "")
    with shown_progress(err):
        real, generated = load_pair(*folders, request)
    warn(real.notices + generated.notices)
    if dry_run:
        named = ", ".join(metrics_of_pair(real, generated, question))
        out.print(f"{named} of {len(generated.examples)} examples")
        return
    with shown_progress(err):
        answer = compare_sets(real, generated, question, request)
    _show(answer, plot, json)


def _show(answer: "Answer", plot: Path | None, json: bool) -> None:
    """Prints the figures, and draws the evidence if asked for."""
    from gancli.display.evaluation import show_evaluation
    from gancli.display.progress import shown_progress

    show_evaluation(answer.report, out, json)
    if plot is not None:
        from gancli.display.evaluation_picture import draw_evaluation

        with shown_progress(err):
            draw_evaluation(plot, answer)
        if not json:
            out.print(str(plot), markup=False)


def names_of(metrics: str | None) -> tuple[str, ...]:
    """Splits a list of metric specs at commas, which also separate the options of a spec."""
    names: list[str] = []
    for part in filter(None, map(str.strip, (metrics or "").split(","))):
        if names and "=" in part and ":" not in part:
            names[-1] += f",{part}"
        else:
            names.append(part)
    return tuple(names)
