"""Samples as files: a grid, single pictures, lines of text, an array, an animation, a manifest."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from gancli.data.dataset import DataSpec
from gancli.display import pictures, scatter
from gancli.display.samples import draw_samples, draw_traversal
from gancli.display.sequences import pictures_of, write_sequences
from gancli.errors import UserError, shown
from gancli.evaluation.sampling import (
    Generator,
    interpolate,
    require_between,
    sample,
    sampler_of,
    translated_images,
    traverse,
)
from gancli.files import cannot_write, replacing, write_json
from gancli.runs.versions import versions
from gancli.tasks import Sampler

FORMATS = {"image": ("png", "npz"), "points": ("png", "npz"), "tokens": ("txt", "npz")}
_SHOWN = 100
_WALKS, _POINTS, _FRAMES = 8, 1000, 30
_TRAVERSED, _VALUES = 8, 11
_PAIR = ("source", "made")


def check_formats(text: str | None, spec: DataSpec) -> tuple[str, ...]:
    """The formats named in a list separated by commas.

    Args:
        text: the list; None for all that there are.
        spec: of the data.

    Returns:
        Their names.

    Raises:
        UserError: if one is unknown, or not of this kind of data, or none is named.
    """
    formats = FORMATS["image" if spec.height else spec.kind]
    if text is None:
        return formats
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    if not names or any(name not in formats for name in names):
        allowed = ", ".join(formats) + ", or both with a comma"
        raise UserError(f"--format {shown(text)} of {spec.kind}", allowed)
    return names


def export_samples(
    generator: Generator,
    folder: Path,
    count: int,
    seed: int,
    formats: tuple[str, ...],
    animate: bool = False,
    traversals: bool = False,
    labels: tuple[int, ...] = (),
) -> Iterator[Path]:
    """Draws examples and writes them.

    `samples.npz` holds the examples as `arr_0`, of images uint8 (n, height, width, channels), as
    evaluators of the field read them, of tokens (n, length); and where they have labels their
    numbers as `arr_1`.

    Args:
        generator: the generator.
        folder: where to; files of the same names are replaced.
        count: how many examples.
        seed: of the latents.
        formats: those of `check_formats`.
        animate: whether to add a walk between latents.
        traversals: whether to add pictures of what each label and code does.
        labels: of the examples, over and over; empty for every label that there is, in turn.

    Yields:
        What was written for a person to look at.

    Raises:
        UserError: if the folder cannot be written, or there is no label or code to vary, or
            nothing between two samples.
    """
    sampler, indices = sampler_of(generator.task), np.arange(count)
    if animate:
        require_between(generator)
    varied = sampler.classes or sampler.continuous
    if traversals and not (generator.spec.kind == "image" and varied):
        raise UserError(
            "--traverse, and the generator makes no images of labels or codes",
            "one that was trained with --task conditional or infogan, on images",
            "Leave out --traverse",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        examples = np.concatenate(list(sample(generator, seed, count, labels=labels)))
        pixels = pictures_of(examples, generator.spec) if generator.spec.height else examples
        images = pixels.ndim == 4
        if "png" in formats:
            name = "grid.png" if images else "points.png"
            drawn = pixels[:_SHOWN] if images else examples
            names = sampler.names(indices[: len(drawn)], labels)
            yield draw_samples(folder / name, drawn, labels=names)
            if images:
                (folder / "images").mkdir(exist_ok=True)
                for index, image in enumerate(pixels):
                    path = folder / "images" / f"{index:06d}.png"
                    pictures.save_png(path, pictures.to_image(image))
                yield folder / "images"
        if "txt" in formats:
            path = folder / "samples.txt"
            write_sequences(path, examples, generator.spec.characters)
            yield path
        if "npz" in formats:
            path = folder / "samples.npz"
            with replacing(path) as partial, partial.open("wb") as file:
                np.savez(file, allow_pickle=False, **_columns(sampler, examples, labels))
            yield folder / "samples.npz"
        if animate:
            yield _animate(generator, folder / "interpolation.webp", seed, labels)
        if traversals:
            varied_alone = traverse(generator, seed, _TRAVERSED, _VALUES, labels)
            for name, shown in varied_alone.items():
                yield draw_traversal(folder / f"traversal-{name}.png", shown)
    except OSError as error:
        raise cannot_write(folder, error) from None
    yield _write_manifest(
        folder,
        generator,
        seed=seed,
        count=count,
        first_index=0,
        labels=sampler.names(np.arange(len(labels) or len(sampler.classes)), labels),
        formats=list(formats),
    )


def export_translations(
    generator: Generator, folder: Path, source: Path, back: bool = False
) -> Iterator[Path]:
    """Makes an image of each image in a folder, whatever its size, and writes them.

    Args:
        generator: of images of images.
        folder: where to; files of the same names are replaced.
        source: the folder, whose images are the generator's sources as they are.
        back: whether to go from the second of two data sets to the first.

    Yields:
        What was written for a person to look at.

    Raises:
        UserError: if the folder cannot be written, an image cannot be read or is too large, or
            the generator makes its examples of noise.
    """
    names, columns = [], []
    try:
        (folder / "images").mkdir(parents=True, exist_ok=True)
        for path, plain, made in translated_images(generator, source, back):
            name = path.with_suffix(".png")
            (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
            pictures.save_png(folder / "images" / name, pictures.to_image(made))
            names.append(str(name))
            if len(columns) < _SHOWN and (not columns or columns[0].shape == made.shape):
                columns += [plain, made]
        yield folder / "images"
        # Images of one size alone fit into a grid; the first one's counts.
        yield draw_samples(
            folder / "grid.png", np.stack(columns), labels=_PAIR * (len(columns) // 2)
        )
    except OSError as error:
        raise cannot_write(folder, error) from None
    yield _write_manifest(folder, generator, source=str(source), back=back, images=names)


def _write_manifest(folder: Path, generator: Generator, **values: Any) -> Path:
    """Says where the files of a folder come from."""
    manifest = {
        **generator.provenance(),
        **values,
        "versions": versions(),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_json(folder / "manifest.json", manifest)
    return folder / "manifest.json"


def _columns(
    sampler: Sampler, examples: np.ndarray, labels: tuple[int, ...]
) -> dict[str, np.ndarray]:
    """What the array file holds."""
    columns = {"arr_0": examples}
    if sampler.classes:
        columns["arr_1"] = sampler.labels(np.arange(len(examples)), labels)
    return columns


def _animate(generator: Generator, path: Path, seed: int, labels: tuple[int, ...]) -> Path:
    """Walks between pairs of latents, side by side for images."""
    if generator.spec.kind == "image":
        walks = interpolate(generator, seed, _WALKS, _FRAMES, labels)
        frames = [pictures.make_grid(images, _WALKS) for images in walks]
    else:
        walks = interpolate(generator, seed, _POINTS, _FRAMES, labels)
        window = scatter.choose_window(walks.reshape(-1, 2))
        frames = list(map(scatter.painter(window), walks))
    pictures.save_animation(path, frames)
    return path
