"""`gan sample`."""

from pathlib import Path
from typing import Annotated

import typer

from gancli.cli.application import Checkpoint, RunToUse, app, compute, one_of, out, warn


@app.command()
def sample(
    run: RunToUse = None,
    ckpt: Checkpoint = None,
    count: Annotated[int, typer.Option(min=1, max=10_000_000, help="Number of examples.")] = 64,
    seed: Annotated[
        int,
        typer.Option(
            min=0, max=2**31 - 1, help="Random seed; example i depends only on (seed, i)."
        ),
    ] = 0,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="0,1,2", help="Labels to cycle through, by name or number; all by default."
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Folder of input images, or one (image-to-image)."),
    ] = None,
    back: Annotated[
        bool, typer.Option("--back", help="cyclegan: translate target to source.")
    ] = False,
    out_: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Output directory: new, empty, or of earlier samples, which are replaced.",
            show_default="./NAME-STEP-samples",
        ),
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option("--format", help="png (tokens: txt), npz, or png,npz.", show_default="both"),
    ] = None,
    interpolate: Annotated[
        bool, typer.Option("--interpolate", help="Also draw an animation between latents.")
    ] = False,
    traverse: Annotated[
        bool, typer.Option("--traverse", help="Also draw the effect of each label or code.")
    ] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="Use the raw weights instead of their EMA.")
    ] = False,
) -> None:
    """Generate examples with a trained generator: a grid, single images or text, .npz, manifest."""
    compute()
    from gancli.display.export import check_formats, export_samples, export_translations
    from gancli.errors import UserError, shown
    from gancli.evaluation.sampling import label_numbers, load_generator

    if source is None and back:
        raise UserError("--back without --source", "--source FOLDER with images to translate back")
    if source is not None and (labels is not None or interpolate or traverse):
        raise UserError(
            f"--source {shown(str(source))} with --labels, --interpolate or --traverse",
            "--source alone, or the others without it",
        )
    ckpt = one_of(run, ckpt)
    generator = load_generator(ckpt, raw)
    formats = check_formats(format_, generator.spec)
    warn(generator.skipped)
    folder = out_ or Path(f"{ckpt.resolve().name}-{generator.step}-samples")
    if source is not None:
        for path in export_translations(generator, folder, source, back, warn):
            out.print(str(path))
        return
    numbers = label_numbers(generator, labels) if labels is not None else ()
    for path in export_samples(
        generator, folder, count, seed, formats, interpolate, traverse, numbers
    ):
        out.print(str(path))
