"""`gan train` and `gan resume`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gancli.cli.application import app, compute, out, warn
from gancli.system.interruption import StopRequest, listen

if TYPE_CHECKING:
    from gancli.config import Layer
    from gancli.runs.directory import Run
    from gancli.training.planning import Plan

# Number of sequences printed at the end of a run on tokens.
_LINES = 5

# Of a run that is there.
Moved = Annotated[
    str | None,
    typer.Option(help="Where the same data are now.", show_default="where they were"),
]

Setting = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a key of the configuration; repeatable."),
]


@app.command()
def train(
    config: Annotated[
        Path | None,
        typer.Argument(
            metavar="[CONFIG.toml]", help="TOML file, or config.json of a run.", show_default=False
        ),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Name (gan list datasets) or path of the data.")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Second data set to translate into (image-to-image).")
    ] = None,
    loss: Annotated[
        str | None, typer.Option(metavar="SPEC", help="Loss, e.g. hinge (gan list losses).")
    ] = None,
    penalty: Annotated[
        list[str] | None,
        typer.Option(metavar="SPEC", help="Penalty, e.g. r1:weight=10; repeatable."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="SPEC", help="Networks, e.g. dcgan (gan list models).")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(metavar="SPEC", help="What to train, e.g. conditional (gan list tasks)."),
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="CKPT", help="Run or checkpoint whose weights to start from."
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Number of generator updates.")] = None,
    batch: Annotated[int | None, typer.Option(help="Examples per update.")] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed of the run.")] = None,
    out_: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="Run directory.", show_default="runs/DATASET-LOSS-N"
        ),
    ] = None,
    set_: Setting = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and write nothing.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Let --dry-run print the defaults, too.")
    ] = False,
) -> None:
    """Train a generator against a discriminator; the same command continues an unfinished run."""
    stop = listen()
    compute(together=True)
    from gancli.errors import UserError
    from gancli.system import processes
    from gancli.training.planning import choose_path, opened, plan

    if verbose and not dry_run:
        raise UserError("--verbose without --dry-run", "--dry-run --verbose")
    flags = {
        "--dataset": ("data.name", dataset),
        "--target": ("data.target", target),
        "--loss": ("loss", loss),
        "--penalty": ("penalties", penalty),
        "--model": ("model", model),
        "--task": ("task", task),
        "--from": ("finetune.source", from_),
        "--steps": ("train.steps", steps),
        "--batch": ("train.batch", batch),
        "--seed": ("train.seed", seed),
    }
    with processes.losing_none():
        with processes.alike(stop):
            planned = plan(user_layers(config, flags, set_))
            path = None if dry_run else choose_path(out_, planned)
        from gancli.display.configuration import show_plan, show_recipe, show_source
        from gancli.runs.directory import Run
        from gancli.training.finetuning import RECORD, records_of_source

        if path is None:
            warn(planned.dataset.notices)
            own, spec = Run(out_) if out_ else None, planned.dataset.spec
            for record in records_of_source(own, planned.config, spec).values():
                show_source(record, out)
            show_plan(planned, out, verbose)
            return
        if processes.is_first():
            show_recipe(planned, out)
        if out_ is None and path.exists():
            out.print(
                f"{path} is an unfinished run of this configuration; --out DIR starts another"
            )
        with opened(path, planned, stop) as run:
            if processes.is_first() and RECORD in run.status and run.status["status"] == "new":
                show_source(run.status[RECORD], out)
            _play(planned, run, stop)


@app.command()
def resume(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run directory.", show_default=False)],
    steps: Annotated[int | None, typer.Option(help="New total number of steps.")] = None,
    dataset: Moved = None,
) -> None:
    """Resume a run from its newest sound checkpoint."""
    stop = listen()
    compute(together=True)
    from gancli.system import processes
    from gancli.training.planning import reopened

    with processes.losing_none(), reopened(run, steps, dataset, stop) as (found, planned):
        _play(planned, found, stop)


def user_layers(
    config: Path | None, flags: Mapping[str, tuple[str, Any]], settings: list[str] | None
) -> "list[Layer]":
    """The user's layers: a file, then the given flags, then --set; later ones win."""
    from gancli.config import Layer, parse_assignments, read_toml

    layers = [read_toml(config)] if config else []
    layers += [
        Layer(flag, {key: value}) for flag, (key, value) in flags.items() if value is not None
    ]
    layers.append(Layer("--set", parse_assignments("--set", settings or [])))
    return layers


def _play(planned: "Plan", run: "Run", stop: StopRequest) -> None:
    """Trains an open run to its end, and prints the paths of its pictures."""
    from gancli.display.sequences import first_lines
    from gancli.display.training import final_pictures, follow
    from gancli.system import processes
    from gancli.training.loop import train

    out.print(f"run {run.path}")
    if processes.is_first():
        warn(planned.dataset.notices)
    follow(train(planned, run, stop), run, planned.dataset, out)
    if processes.is_first():
        status = run.status
        out.print(f"finished at step {status['step']}")
        if best := status.get("best"):
            kept = run.checkpoints().folder(best["step"])
            out.print(f"best    {best['figure']} {best['value']:.4g}: {kept}")
        if (pictures := final_pictures(run)) is None:
            out.print(f"samples none: they were removed from {run.samples}")
            return
        grid, growth = pictures
        out.print(f"samples {grid}")
        out.print(f"growth  {growth}")
        for line in first_lines(grid, _LINES) if grid.suffix == ".txt" else ():
            out.print(line, markup=False, highlight=False, soft_wrap=True)
