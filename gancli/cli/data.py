"""`gan data prepare` and `gan data info`."""

from pathlib import Path
from typing import Annotated

import typer

from gancli.cli.application import Application, Commands, Keep, app, out, warn

data = Application(cls=Commands, help="Prepare and inspect data sets.", no_args_is_help=True)
app.add_typer(data, name="data")


@data.command()
def prepare(
    name: Annotated[str, typer.Argument(help="Data set of TensorFlow Datasets, e.g. mnist.")],
    from_: Annotated[
        Path | None,
        typer.Option("--from", metavar="DIR", help="Directory with the official files."),
    ] = None,
) -> None:
    """Prepare a data set of TensorFlow Datasets for training (needs the extra tfds)."""
    from gancli.data import prepare as prepare_data

    out.print(f"prepared {prepare_data(name, from_)}")
    out.print(f"train on it with: gan train --dataset {name}")


@data.command()
def info(
    name: Annotated[str, typer.Argument(help="Name (gan list datasets) or path of the data.")],
    size: Annotated[
        str | None,
        typer.Option(metavar="SIDE|HEIGHTxWIDTH", help="Size of the images in pixels."),
    ] = None,
    split: Annotated[str, typer.Option(help="Split to read.")] = "train",
    keep: Keep = None,
    out_: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE.png",
            help="Picture to draw; no other file is replaced.",
            show_default="NAME.png",
        ),
    ] = None,
) -> None:
    """Describe a data set, and draw a grid of its examples or write its sequences as text."""
    from gancli.data import DataRequest, describe, load
    from gancli.display.data import draw_data, show_description

    dataset = load(name, DataRequest(size=size, split=split, keep=keep or ""))
    warn(dataset.notices)
    show_description(describe(dataset), out)
    out.print(f"picture {draw_data(dataset, out_)}")
