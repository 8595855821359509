"""What a data set holds, in words and as a picture."""

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from gancli.data import Dataset
from gancli.display.samples import draw_samples

_IMAGES, _POINTS = 100, 5000


def show_description(facts: dict[str, Any], console: Console) -> None:
    """Prints what `gancli.data.describe` found."""
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


def draw_data(dataset: Dataset, path: Path) -> Path:
    """Draws examples spread evenly over the set, so that classes kept in order all show."""
    most = _POINTS if dataset.spec.kind == "points" else _IMAGES
    of_tokens = dataset if dataset.spec.kind == "tokens" else None
    count = len(dataset.examples)
    chosen = np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(int))
    return draw_samples(path, np.asarray(dataset.examples[chosen]), of_tokens)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
