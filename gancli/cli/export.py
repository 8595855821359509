"""`gan export`."""

from pathlib import Path
from typing import Annotated

import typer

from gancli.cli.application import (
    Checkpoint,
    Raw,
    RunToUse,
    app,
    compute,
    one_of,
    out,
    refuse_with,
    warn,
)


@app.command()
def export(
    run: RunToUse = None,
    ckpt: Checkpoint = None,
    format_: Annotated[
        str, typer.Option("--format", help="stablehlo, safetensors, onnx or web.")
    ] = "stablehlo",
    part: Annotated[
        str,
        typer.Option(
            help="generator; back (cyclegan), discriminator, discriminator-back (cyclegan) or "
            "encoder, where the task has one."
        ),
    ] = "generator",
    out_: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Output directory: new, empty, or of an earlier export, which is replaced.",
            show_default="./NAME-STEP-export",
        ),
    ] = None,
    raw: Raw = False,
    push: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER/NAME",
            help="Push the export to this repository of the Hugging Face hub, too; one that is not "
            "there yet is made private.",
            show_default=False,
        ),
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="Make a new repository of --push public.")
    ] = False,
) -> None:
    """Write a trained network for use without gan: the program, its weights, a model card."""
    compute()
    from gancli.export import Repository, export, load_part, require_format

    require_format(format_)
    if push is None:
        refuse_with("an export without --push", "--public with --push", {"--public": public})
    repository = None if push is None else Repository(push, public)
    ckpt = one_of(run, ckpt)
    trained = load_part(ckpt, part, raw)
    warn(trained.generator.skipped)
    folder = out_ or Path(f"{ckpt.resolve().name}-{trained.generator.step}-export")
    for path in export(trained, format_, folder):
        out.print(str(path))
    if repository:
        out.print(repository.push(folder))
