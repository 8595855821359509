"""`gan compare`."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from gancli.cli.application import app, compute, err, out
from gancli.cli.evaluate import Metrics, names_of
from gancli.cli.training import Setting, user_layers
from gancli.interruption import listen


@app.command()
def compare(
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[CONFIG.toml|RUN]...", help="Configurations, or runs."),
    ] = None,
    loss: Annotated[
        list[str] | None, typer.Option(metavar="SPEC", help="A variant for each.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="For all variants.")] = None,
    seeds: Annotated[
        int, typer.Option(min=1, max=1000, help="Each variant's runs: seeds 0, 1, …")
    ] = 3,
    steps: Annotated[int | None, typer.Option(help="For all variants.")] = None,
    samples: Annotated[
        int, typer.Option(min=100, max=10_000_000, help="Examples to measure.")
    ] = 1000,
    metrics: Metrics = None,
    split: Annotated[
        str | None, typer.Option(help="Compare with this split.", show_default="trained on")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="METRIC/FIGURE", help="What decides.", show_default="by the kind of data"
        ),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(metavar="VARIANT", help="Compare each other variant with it.")
    ] = None,
    out_: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", show_default="comparisons/NAME")
    ] = None,
    set_: Setting = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train variants over the same seeds and put their figures side by side."""
    stop = listen()
    compute()
    from gancli import comparison
    from gancli.display.comparison import follow_comparison, show_results
    from gancli.display.progress import shown_progress
    from gancli.errors import UserError

    configs = [path for path in inputs or [] if path.suffix == ".toml"]
    runs = [path for path in inputs or [] if path.suffix != ".toml"]
    flags = {"--dataset": ("data.name", dataset), "--steps": ("train.steps", steps)}
    variants = [
        comparison.Variant(path.stem, tuple(user_layers(path, flags, set_))) for path in configs
    ] + [
        comparison.Variant(
            comparison.variant_name(spec),
            tuple(user_layers(None, flags | {"--loss": ("loss", spec)}, set_)),
        )
        for spec in loss or []
    ]
    if not variants and not runs:
        raise UserError("nothing to compare", "--loss SPEC, CONFIG.toml or RUN, several of them")
    if by:
        comparison.require_figure(by)
    found = comparison.existing_cells(runs)
    folder = out_ or comparison.default_folder(variants, found)
    cells = comparison.make_cells(variants, seeds, folder) + found
    comparison.require_distinct(cells)
    comparison.require_variant(cells, baseline)
    comparison.check_metrics(cells, names_of(metrics))
    follow_comparison(comparison.run_all(cells, stop), len(cells), err if json else out)
    with shown_progress(err):
        outcomes = comparison.measure_all(cells, samples, names_of(metrics), split or "")
    asked = {
        "command": shlex.join(["gan", *sys.argv[1:]]),
        "samples": samples,
        "metrics": list(names_of(metrics)),
        "split": split or "",
        "figure": by or "",
        "baseline": baseline or "",
    }
    results = comparison.gather(cells, outcomes, asked)
    comparison.write_results(folder, results)
    show_results(results, folder, out, json)
    if not json:
        out.print(f"results {folder / comparison.RESULTS}; draw them with: gan report {folder}")
