"""`gan compare`."""

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
    from gancli.display.comparison import follow_comparison, show_outcomes
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
    folder = out_ or comparison.default_folder(variants)
    cells = comparison.make_cells(variants, seeds, folder) + comparison.existing_cells(runs)
    comparison.require_distinct(cells)
    comparison.check_metrics(cells, names_of(metrics))
    follow_comparison(comparison.run_all(cells, stop), len(cells), err if json else out)
    with shown_progress(err):
        outcomes = comparison.measure_all(cells, samples, names_of(metrics), split or "")
    show_outcomes(outcomes, out, json)
