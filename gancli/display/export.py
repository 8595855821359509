"""Samples as files: a grid, single pictures, an array, an animation, and a manifest."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from gancli.display import pictures, scatter
from gancli.display.samples import draw_samples
from gancli.errors import UserError
from gancli.runs.directory import versions
from gancli.runs.files import cannot_write, replacing, write_json
from gancli.sampling import Generator, interpolate, sample

FORMATS = ("png", "npz")
_SHOWN = 100
_WALKS, _FRAMES = 8, 30


def check_formats(text: str) -> tuple[str, ...]:
    """The formats named in a list separated by commas.

    Raises:
        UserError: if one is unknown or none is named.
    """
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    if not names or any(name not in FORMATS for name in names):
        raise UserError(f"--format {text!r}", ", ".join(FORMATS) + ", or both with a comma")
    return names


def export_samples(
    generator: Generator,
    folder: Path,
    count: int,
    seed: int,
    formats: tuple[str, ...],
    animate: bool,
) -> Iterator[Path]:
    """Draws examples and writes them.

    `samples.npz` holds the examples as `arr_0`, uint8 (n, height, width, channels), which
    evaluators of the field read.

    Args:
        generator: the generator.
        folder: where to; files of the same names are replaced.
        count: how many examples.
        seed: of the latents.
        formats: `png`, `npz` or both.
        animate: whether to add a walk between latents.

    Yields:
        What was written for a person to look at.

    Raises:
        UserError: if the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        examples = np.concatenate(list(sample(generator, seed, count)))
        images = generator.spec.kind == "image"
        if "png" in formats:
            name = "grid.png" if images else "points.png"
            yield draw_samples(folder / name, examples[:_SHOWN] if images else examples)
            if images:
                (folder / "images").mkdir(exist_ok=True)
                for index, image in enumerate(examples):
                    pictures.save_png(folder / "images" / f"{index:06d}.png", image)
                yield folder / "images"
        if "npz" in formats:
            path = folder / "samples.npz"
            with replacing(path) as partial, partial.open("wb") as file:
                np.savez(file, arr_0=examples)
            yield folder / "samples.npz"
        if animate:
            yield _animate(generator, folder / "interpolation.webp", seed)
    except OSError as error:
        raise cannot_write(folder, error) from None
    manifest = {
        **generator.provenance(),
        "seed": seed,
        "count": count,
        "first_index": 0,
        "formats": list(formats),
        "versions": versions(),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_json(folder / "manifest.json", manifest)
    yield folder / "manifest.json"


def _animate(generator: Generator, path: Path, seed: int) -> Path:
    """Walks between pairs of latents, side by side for images."""
    if generator.spec.kind == "image":
        frames = interpolate(generator, seed, _WALKS, _FRAMES)
        pictures.save_animation(path, pictures.side_by_side(np.moveaxis(frames, 1, 0)))
    else:
        frames = interpolate(generator, seed, 1000, _FRAMES)
        scatter.points_animation(path, frames)
    return path
