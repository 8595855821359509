"""`gan sample`."""

from pathlib import Path
from typing import Annotated, Literal

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
def sample(
    run: RunToUse = None,
    ckpt: Checkpoint = None,
    count: Annotated[
        int | None,
        typer.Option(min=1, max=10_000_000, help="Number of examples.", show_default="64"),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=2**31 - 1,
            help="Random seed; example i depends only on (seed, i).",
            show_default="0",
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="0,1,2", help="Labels to cycle through, by name or number; all by default."
        ),
    ] = None,
    truncation: Annotated[
        float | None,
        typer.Option(
            metavar="PSI",
            help="Truncate latents: w towards its mean by 0 to 1 (stylegan2), else at ±PSI.",
        ),
    ] = None,
    latents: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Latents to use: samples.npz, of gan project, or an .npy."
        ),
    ] = None,
    noise: Annotated[
        Literal["constant", "random", "none"] | None,
        typer.Option(help="Noise of stylegan2's layers.", show_default="constant"),
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
    animation: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT", help="Of --interpolate: webp, gif or mp4.", show_default="webp"
        ),
    ] = None,
    traverse: Annotated[
        bool, typer.Option("--traverse", help="Also draw the effect of each label or code.")
    ] = False,
    mix: Annotated[
        bool, typer.Option("--mix", help="Also draw mixed styles of stylegan2.")
    ] = False,
    directions: Annotated[
        int,
        typer.Option(
            min=0, max=100, metavar="N", help="Also draw the N leading directions of latents."
        ),
    ] = 0,
    raw: Raw = False,
) -> None:
    """Generate examples with a trained generator: a grid, single images or text, .npz, manifest."""
    compute()
    from gancli.data.dataset import left_out_of_pictures
    from gancli.display.export import Extras, check_formats, export_samples, export_translations
    from gancli.errors import UserError, shown
    from gancli.evaluation.generator import load_generator
    from gancli.evaluation.latents import Draw, read_latents
    from gancli.evaluation.sampling import label_numbers

    if source is None and back:
        raise UserError("--back without --source", "--source FOLDER with images to translate back")
    if animation is not None and not interpolate:
        raise UserError(f"--animation {shown(animation)} without --interpolate", "both, or neither")
    drawn = {"--labels": labels, "--truncation": truncation}
    if source is not None:
        varied = {"--interpolate": interpolate, "--traverse": traverse, "--mix": mix}
        of_noise = {"--latents": latents, "--noise": noise, "--directions": directions or None}
        refuse_with(
            f"--source {shown(str(source))}",
            "--source alone, or the others without it",
            drawn | of_noise | varied,
        )
    if latents is not None:
        refuse_with(
            f"--latents {shown(str(latents))}",
            "given latents, or drawn ones",
            {"--count": count, "--seed": seed} | drawn,
        )
    ckpt = one_of(run, ckpt)
    generator = load_generator(ckpt, raw)
    formats = check_formats(format_, generator.spec)
    warn((*generator.skipped, *left_out_of_pictures(generator.spec)))
    folder = out_ or Path(f"{ckpt.resolve().name}-{generator.step}-samples")
    if source is not None:
        for path in export_translations(generator, folder, source, back, warn):
            out.print(str(path))
        return
    numbers = label_numbers(generator, labels) if labels is not None else ()
    given = read_latents(generator, latents) if latents is not None else None
    draw = Draw(seed or 0, numbers, truncation, given, noise)
    number = (count or 64) if given is None else len(given.values)
    extras = Extras((animation or "webp") if interpolate else "", traverse, mix, directions)
    for path in export_samples(generator, folder, draw, number, formats, extras):
        out.print(str(path))
