"""`gan project`."""

from pathlib import Path
from typing import Annotated

import typer

from gancli.cli.application import Raw, app, compute, err, out, warn
from gancli.cli.training import Moved


@app.command()
def project(
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE...", help="Images to find.", show_default=False)
    ],
    ckpt: Annotated[
        Path, typer.Option(metavar="RUN", help="Run directory, or one of its checkpoints/STEP.")
    ],
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="0,1,2", help="Labels of the images, cycling; all are tried by default."
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            help="Compare these besides pixels: pixels (none), classifier, or an exported encoder.",
            show_default="classifier of labelled data, else pixels",
        ),
    ] = None,
    starts: Annotated[int, typer.Option(min=1, max=32, help="Starts of each image.")] = 4,
    steps: Annotated[int, typer.Option(min=1, max=1_000_000, help="Steps of Adam.")] = 500,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Random seed of the starts.")] = 0,
    dataset: Moved = None,
    raw: Raw = False,
    out_: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Output directory: new, empty, or of an earlier projection, which is replaced.",
            show_default="./NAME-STEP-projection",
        ),
    ] = None,
) -> None:
    """Find the latents whose images are nearest to given images."""
    compute()
    from gancli.data.configured import load_data, request_of
    from gancli.display.progress import shown_progress
    from gancli.display.projection import COMMAND, export_projection, read_targets
    from gancli.evaluation.generator import load_generator
    from gancli.evaluation.projection import project as find
    from gancli.evaluation.projection import require_projection
    from gancli.evaluation.sampling import label_numbers
    from gancli.export.folder import require_free
    from gancli.features import FEATURES, spec_of

    generator = load_generator(ckpt, raw, dataset)
    warn(generator.skipped)
    require_projection(generator)
    numbers = label_numbers(generator, labels) if labels is not None else ()
    folder = out_ or Path(f"{ckpt.resolve().name}-{generator.step}-projection")
    require_free(folder, COMMAND)
    targets = read_targets(generator, images)
    default = "classifier" if generator.spec.classifiable else "pixels"
    chosen = spec_of(features or default)
    with shown_progress(err):
        compared = None
        if chosen != "pixels":
            data, request = load_data(generator.config), request_of(generator.config)
            compared = FEATURES.build(chosen, data, request)
        found = find(generator, targets, compared, numbers, starts, steps, seed)
    written = export_projection(
        generator,
        folder,
        images,
        targets,
        found,
        features=compared and compared.fingerprint,
        compared=chosen,
        starts=starts,
        steps=steps,
        seed=seed,
    )
    for path, before, after in zip(images, found.before, found.after, strict=True):
        out.print(f"{path}: distance {after:.3f}, from {before:.3f}")
    for path in written:
        out.print(str(path))
