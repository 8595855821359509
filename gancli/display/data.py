"""A data set in words and as a picture."""

import itertools
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from gancli.data import Dataset
from gancli.display.samples import draw_samples, labels_of
from gancli.errors import UserError, shown
from gancli.files import replacing

_IMAGES, _POINTS = 100, 5000


def show_description(facts: dict[str, Any], console: Console) -> None:
    """Prints the facts of `gancli.data.describe`."""
    table = Table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in facts.items():
        if key == "labels" and value:
            shown = ", ".join(f"{name}: {count:,}" for name, count in list(value.items())[:20])
            more = f" and {len(value) - 20} more" if len(value) > 20 else ""
            text = f"{len(value)} ({shown}{more})"
        elif isinstance(value, list):
            text = (
                " × ".join(map(str, value)) if key == "shape" else " to ".join(map(_short, value))
            )
        else:
            text = _short(value) if value != {} else ""
        table.add_row(key, text or "none")
    console.print(table)


def draw_data(dataset: Dataset, path: Path | None = None) -> Path:
    """Draws examples spread evenly over the set, so that classes kept in order all show.

    Args:
        dataset: what is drawn.
        path: the PNG file; sequences go to a .txt of the same name instead. None for one called
            like the data set in the working directory, or beside the data where these are there.

    Returns:
        The path of what was written, which has replaced no other file: where none was named and
        the name is taken, a number is added to it.

    Raises:
        UserError: if the file that was named is there with another content, would be among the
            data, or is called like another kind of picture.
    """
    most = _POINTS if dataset.spec.kind == "points" else _IMAGES
    drawn_as_png = dataset.spec.kind != "tokens" or dataset.spec.height
    if path is not None and drawn_as_png and path.suffix.lower() != ".png":
        raise UserError(
            f"--out {shown(str(path))}", "a file whose name ends in .png", "Choose another --out"
        )
    count = len(dataset.examples)
    chosen = np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(int))
    data = Path(os.path.expanduser(dataset.spec.name)).resolve()
    place = path or Path(f"{data.name.partition(':')[0] or 'data'}.png")
    if data.is_dir() and place.resolve().is_relative_to(data):
        if path is not None:
            raise UserError(
                f"--out {shown(str(path))} is among the data, and would be one of them",
                f"a place outside {shown(str(data))}",
                "Choose another --out",
            )
        place = data.parent / place.name
    with tempfile.TemporaryDirectory() as temporary:
        examples = np.asarray(dataset.examples[chosen])
        labels = labels_of(dataset, chosen)
        drawn = draw_samples(Path(temporary) / place.name, examples, dataset, labels, real=True)
        content = drawn.read_bytes()
    named = place.with_name(drawn.name)
    numbered = (named.with_stem(f"{named.stem}-{number}") for number in itertools.count(2))
    for place in itertools.chain([named], numbered):
        if place.is_file() and place.read_bytes() == content:
            return place
        if not os.path.lexists(place):
            break
        if path is not None:
            raise UserError(
                f"--out {shown(str(place))} is there already, with another content",
                "a new file",
                "Remove it, or choose another --out",
            )
    with replacing(place) as beside:
        beside.write_bytes(content)
    return place


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
