"""`gan compare`."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gancli.cli.application import app, compute, err, out, warn
from gancli.cli.evaluate import Metrics, names_of
from gancli.cli.training import Setting, user_layers
from gancli.system.interruption import listen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gancli.comparison import Cell, Variant


@app.command()
def compare(
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[CONFIG.toml|RUN]...", help="Configuration files or existing runs to compare."
        ),
    ] = None,
    loss: Annotated[
        list[str] | None,
        typer.Option(metavar="SPEC", help="Loss of one variant; repeatable."),
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=[VALUE,...]", help="Cross every variant with these values; repeatable."
        ),
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Data set of every variant.")] = None,
    seeds: Annotated[
        int,
        typer.Option(min=1, max=1000, help="Seeds per variant, counted up from train.seed."),
    ] = 3,
    steps: Annotated[int | None, typer.Option(help="Generator updates per run.")] = None,
    examples: Annotated[
        int | None, typer.Option(min=1, help="Budget in real examples, instead of --steps.")
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(min=0.001, help="Budget in seconds of training, instead of --steps."),
    ] = None,
    equal: Annotated[bool, typer.Option("--equal", help="Disable the losses' recipes.")] = False,
    samples: Annotated[
        int, typer.Option(min=100, max=10_000_000, help="Generated examples to measure per run.")
    ] = 1000,
    metrics: Metrics = None,
    split: Annotated[
        str | None,
        typer.Option(help="Split of the data to measure against.", show_default="training split"),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="METRIC/FIGURE",
            help="Metric used for ranking.",
            show_default="depends on the data",
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(metavar="VARIANT", help="Variant to compare the others with."),
    ] = None,
    parallel: Annotated[
        Literal["auto", "alone", "processes", "together"],
        typer.Option(help="Train runs one by one, in several processes, or as one program."),
    ] = "auto",
    at_once: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Maximum number of simultaneous runs.")
    ] = None,
    out_: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Comparison directory.",
            show_default="comparisons/NAME",
        ),
    ] = None,
    set_: Setting = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VARIANT/seed-N",
            help="Train and measure this run alone, without results; repeatable.",
        ),
    ] = None,
    gather: Annotated[
        bool, typer.Option("--gather", help="Train nothing: write results and report of the runs.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the runs and write nothing.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print every figure.")] = False,
) -> None:
    """Train variants over the same seeds, and report which is better with what certainty."""
    stop = listen()
    compute()
    from gancli import comparison
    from gancli.cluster.submission import send_again
    from gancli.display.comparison import follow_comparison, show_results, show_runs
    from gancli.display.configuration import show_source
    from gancli.display.progress import shown_progress
    from gancli.errors import UserError
    from gancli.evaluation import Question

    if only and gather:
        raise UserError("both --only and --gather", "one of them")
    if seconds and only:
        raise UserError(
            f"--only with --seconds {seconds:g}: a process that trains one run would measure a "
            "pace of its own",
            "--steps or --examples",
        )
    if sum(budget is not None for budget in (steps, examples, seconds)) > 1:
        raise UserError("more than one of --steps, --examples and --seconds", "one of them")
    configs = [path for path in inputs or [] if path.suffix.lower() == ".toml"]
    runs = [path for path in inputs or [] if path not in configs]
    flags = {"--dataset": ("data.name", dataset), "--steps": ("train.steps", steps)}
    variants = _variants(configs, loss or [], vary or [], flags, set_)
    if not variants and not runs:
        raise UserError(
            "nothing to compare", "several of --loss SPEC, --vary KEY=[...], CONFIG.toml or RUN"
        )
    if by:
        comparison.require_figure(by)
    found = comparison.existing_cells(runs, dataset)
    folder = out_ or comparison.default_folder(variants, found)
    budget = comparison.Budget(examples, seconds)
    cells = comparison.make_cells(variants, seeds, folder, budget, not equal) + found
    comparison.require_distinct(cells)
    comparison.require_baseline(baseline or "", [cell.variant for cell in cells])
    question = Question(names_of(metrics), samples, split=split or "")
    comparison.check_question(cells, question, by or "")
    plans = [cell.planned for cell in cells if cell.planned]
    warn(dict.fromkeys(notice for one in plans for notice in one.dataset.notices))
    if not json:
        for name, record in {c.variant: one for c in cells for one in c.records.values()}.items():
            out.print(f"{name}:", markup=False)
            show_source(record, out)
    if dry_run:
        comparison.require_folder(folder)
        show_runs(folder, cells, out, json)
        return
    chosen = comparison.chosen_cells(cells, only or [])
    comparison.open_folder(folder)
    missing: dict[str, str] = {}
    if gather:
        missing = _missing(folder, cells)
        if missing and (sent := send_again(folder, list(missing))):
            out.print(f"{len(missing)} of {len(cells)} runs have no result: {sent}")
            return
    else:
        if seconds:
            steps_of = {one.variant: one.planned.config.train.steps for one in cells if one.planned}
            comparison.keep_steps(folder, seconds, steps_of)
        happenings = comparison.run_all(chosen, question, stop, parallel, at_once)
        follow_comparison(happenings, chosen, err if json else out)
    with shown_progress(err):
        outcomes = comparison.measure_all(chosen, question, missing)
    if only:
        return
    # Where no run has a figure, there is none to rank by.
    by = by if any(outcome.metrics for outcome in outcomes) else None
    # The command that repeats the comparison, wherever its runs were trained.
    command = shlex.join(["gan", *(word for word in sys.argv[1:] if word != "--gather")])
    results = comparison.gather(cells, outcomes, question, command, by or "", baseline or "", equal)
    comparison.write_results(folder, results)
    show_results(results, folder, out, json, verbose)
    if gather:
        from gancli.report import write_report

        for path in write_report(folder, None, "", "").paths:
            (err if json else out).print(str(path))
    if missing:
        raise UserError(
            f"{len(missing)} of {len(cells)} runs have no result: "
            f"{'; '.join(f'{name}: {reason}' for name, reason in missing.items())}",
            "runs that have finished or diverged",
            "Mend the cause, and send or run the comparison again",
        )


def _missing(folder: Path, cells: "Sequence[Cell]") -> dict[str, str]:
    """Why runs have no result, by their names."""
    from gancli import comparison
    from gancli.cluster.status import reason_of

    return {
        cell.name: reason_of(folder, cell.name)
        for cell in cells
        if cell.planned is not None and not comparison.has_result(cell)
    }


def _variants(
    configs: list[Path], losses: list[str], vary: list[str], flags: Any, settings: list[str] | None
) -> "list[Variant]":
    """The variants of files and options: each file and loss, with each varied value."""
    from gancli import comparison
    from gancli.config import build_sweep, parse_assignments, read_sweeping_toml

    variants = []
    for path in configs:
        layer, table = read_sweeping_toml(path)
        # The common base of all variants needs no name.
        alone = len(configs) == 1 and not losses and table is not None
        name = "" if alone else path.stem
        own = comparison.Variant(name, (layer, *user_layers(None, flags, settings)))
        if table is None:
            variants.append(own)
        else:
            source = f"[sweep] in {layer.source}"
            variants += comparison.swept(own, build_sweep(table, source), source)
    for spec in losses:
        layers = user_layers(None, flags | {"--loss": ("loss", spec)}, settings)
        variants.append(comparison.Variant(comparison.variant_name(spec), tuple(layers)))
    if vary:
        sweep = build_sweep({"values": parse_assignments("--vary", vary)}, "--vary")
        bases = variants or [comparison.Variant("", tuple(user_layers(None, flags, settings)))]
        variants = [one for base in bases for one in comparison.swept(base, sweep, "--vary")]
    return variants
