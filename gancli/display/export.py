"""Samples as files: a grid, single pictures, lines of text, an array, an animation, a manifest.

A folder of samples is written beside its place in it and moved there once it is complete, so that
it holds what its manifest says and nothing else.
"""

import contextlib
import heapq
import json
import os
import secrets
import shutil
import zipfile
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import filterfalse
from pathlib import Path
from typing import Any

import numpy as np

from gancli.data.dataset import DataSpec
from gancli.data.formats.folder import image_files
from gancli.display import pictures, scatter
from gancli.display.samples import draw_samples, draw_traversal
from gancli.display.sequences import lines_of, pictures_of
from gancli.errors import UserError, printable, shown
from gancli.evaluation.sampling import (
    Generator,
    interpolate,
    names_between,
    require_between,
    sample,
    sampler_of,
    translated_images,
    traverse,
)
from gancli.files import MANIFEST, as_json, cannot_write, is_disposable, read_manifest
from gancli.runs.versions import versions

FORMATS = {"image": ("png", "npz"), "points": ("png", "npz"), "tokens": ("txt", "npz")}
_SHOWN, _POINTS_SHOWN = 100, 100_000
_LABELS_TOGETHER = 1 << 16
_WALKS, _POINTS, _FRAMES = 8, 1000, 30
_TRAVERSED, _VALUES = 8, 11
_PAIR = ("source", "made")


def check_formats(text: str | None, spec: DataSpec) -> tuple[str, ...]:
    """Parses a list of formats separated by commas.

    Args:
        text: the list; None for all formats.
        spec: description of the data.

    Returns:
        The names of the formats.

    Raises:
        UserError: if a format is unknown or does not fit the data, or the list is empty.
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
) -> list[Path]:
    """Draws examples and writes them block by block; memory does not grow with their number.

    The grid shows the first 100 images, the plot the first 100,000 points. `samples.npz` holds the
    examples as `arr_0`: images as uint8 (n, height, width, channels), the format of common
    evaluators, tokens as (n, length). Labels, if there are any, are `arr_1`.

    Args:
        generator: the generator.
        folder: where to, a new or an empty one; samples that are there already are replaced.
        count: how many examples.
        seed: of the latents.
        formats: those of `check_formats`.
        animate: whether to add a walk between latents.
        traversals: whether to add pictures of what each label and code does.
        labels: of the examples, over and over; empty for every label that there is, in turn.

    Returns:
        What was written for a person to look at.

    Raises:
        UserError: if the folder holds anything else or cannot be written, or there is no label or
            code to vary, or nothing between two samples.
    """
    sampler, spec = sampler_of(generator.task), generator.spec
    if animate:
        require_between(generator)
    varied = sampler.classes or sampler.continuous
    if traversals and not (spec.kind == "image" and varied):
        raise UserError(
            "--traverse with a generator without labels or codes, or not of images",
            "a generator that was trained with --task conditional or infogan, on images",
            "Leave out --traverse",
        )
    written: list[str] = []
    with _filled(folder) as place:
        images = spec.kind == "image" or spec.height > 0
        first: list[np.ndarray] = []
        blocks = sample(generator, seed, count, labels=labels)
        if "png" in formats and images:
            (place / "images").mkdir()
            blocks = _as_images(place / "images", blocks, spec, first)
        elif "png" in formats:
            blocks = _first_kept(blocks, first)
        elif "txt" in formats:
            blocks = _as_lines(place / "samples.txt", blocks, spec)
        if "npz" in formats:
            columns = {"arr_0": blocks}
            if sampler.classes:
                starts = range(0, count, _LABELS_TOGETHER)
                columns["arr_1"] = (
                    sampler.labels(np.arange(start, min(start + _LABELS_TOGETHER, count)), labels)
                    for start in starts
                )
            _write_npz(place / "samples.npz", columns, count)
        else:
            deque(blocks, 0)
        if "png" in formats:
            drawn = np.concatenate(first)
            names = sampler.names(np.arange(len(drawn)), labels)
            name = "grid.png" if images else "points.png"
            draw_samples(place / name, drawn, labels=names)
            written += [name, "images"] if images else [name]
        written += [f"samples.{name}" for name in ("txt", "npz") if name in formats]
        if animate:
            written.append(_animate(generator, place / "interpolation.webp", seed, labels).name)
        if traversals:
            varied_alone = traverse(generator, seed, _TRAVERSED, _VALUES, labels)
            for name, (values, shown) in varied_alone.items():
                path = draw_traversal(place / f"traversal-{name}.png", shown, values)
                written.append(path.name)
        alone = sorted(path.name for path in place.iterdir() if path.is_file())
        of_images = (f"images/{_image_name(index)}" for index in range(count))
        _write_manifest(
            place,
            generator,
            heapq.merge(alone, of_images if "images" in written else ()),
            seed=seed,
            count=count,
            first_index=0,
            labels=sampler.names(np.arange(len(labels) or len(sampler.classes)), labels),
            formats=list(formats),
        )
    return [folder / name for name in (*written, MANIFEST)]


def export_translations(
    generator: Generator,
    folder: Path,
    source: Path,
    back: bool = False,
    warn: Callable[[Sequence[str]], object] = lambda _: None,
) -> list[Path]:
    """Makes an image of each image in a folder, whatever its size, and writes them.

    Args:
        generator: of images of images.
        folder: where to, a new or an empty one; samples that are there already are replaced.
        source: the folder, whose images are the generator's sources as they are, or one image.
        back: whether to go from the second of two data sets to the first.
        warn: is told what in the folder is passed over.

    Returns:
        What was written for a person to look at.

    Raises:
        UserError: if the folder holds anything else or cannot be written, an image cannot be read
            or is too large, or the generator makes its examples of noise.
    """
    columns = []
    with _filled(folder) as place:
        files, notices = image_files(source)
        warn(notices)
        base = source if source.is_dir() else source.parent
        names = result_names([path.relative_to(base) for path in files])
        made_of = zip(names, translated_images(generator, source, files, back), strict=True)
        for name, (original, made) in made_of:
            path = place / "images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            pictures.save_png(path, pictures.to_image(made))
            if len(columns) < _SHOWN and (not columns or columns[0].shape[:2] == made.shape[:2]):
                columns += [original, made]
        # Images of one size alone fit into a grid; the first one's counts.
        widest = max(column.shape[-1] for column in columns)
        alike = [np.broadcast_to(column, (*column.shape[:2], widest)) for column in columns]
        draw_samples(place / "grid.png", np.stack(alike), labels=_PAIR * (len(columns) // 2))
        files = sorted(["grid.png", *(printable(f"images/{name}") for name in names)])
        _write_manifest(place, generator, files, source=str(source), back=back, images=names)
    return [folder / name for name in ("images", "grid.png", MANIFEST)]


def result_names(sources: Sequence[Path]) -> list[str]:
    """The name of the PNG that is made of each file, a name of its own.

    Args:
        sources: different paths.

    Returns:
        The path with the suffix .png; where several would have one, each keeps its own before it.
    """
    plain = Counter(str(path.with_suffix(".png")).casefold() for path in sources)
    names: dict[str, str] = {}
    for path in sources:
        name = str(path.with_suffix(".png"))
        if plain[name.casefold()] > 1:
            name = f"{path}.png"
        while name.casefold() in names:
            name += ".png"
        names[name.casefold()] = name
    return list(names.values())


@contextlib.contextmanager
def _filled(folder: Path) -> Iterator[Path]:
    """Gives a place to write to, whose files become those of a folder once all are written.

    Args:
        folder: a new or an empty one, or one of earlier samples, which are then replaced.

    Yields:
        The place, where a manifest must be written.

    Raises:
        UserError: if the folder holds anything else, or the file system refuses.
    """
    try:
        _require_own(folder)
        new = not folder.exists()
        beside = folder / f".samples.{secrets.token_hex(4)}.partial"
        before, after = beside / "before", beside / "after"
        try:
            for place in (before, after):
                place.mkdir(parents=True)
            yield after
            _require_own(folder)
            # At every moment the manifest there names all that is there.
            for path in list(folder.iterdir()):
                if path.name not in (beside.name, MANIFEST):
                    path.replace(before / path.name)
            (after / MANIFEST).replace(folder / MANIFEST)
            for path in list(after.iterdir()):
                path.replace(folder / path.name)
        finally:
            try:
                _remove(beside)
            finally:
                if new:
                    with contextlib.suppress(OSError):  # It holds what was written.
                        folder.rmdir()
    except OSError as error:
        raise cannot_write(folder, error) from None


def _remove(folder: Path) -> None:
    """Removes a folder, also if a request to stop comes meanwhile."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except BaseException:  # It comes once.
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _require_own(folder: Path) -> None:
    """Refuses a folder that holds anything but samples that were written there before."""
    manifest = read_manifest(folder) or {}
    listed = manifest.get("files")
    files = {MANIFEST, *map(str, listed)} if isinstance(listed, list) else set()
    known = files | {str(parent) for name in files for parent in Path(name).parents}
    for place, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = filterfalse(is_disposable, folders)
        for name in filterfalse(is_disposable, (*folders, *names)):
            path = Path(place, name).relative_to(folder)
            if printable(str(path)) not in known:
                raise UserError(
                    f"{shown(str(folder))} holds {shown(str(path))}, which is of no earlier "
                    "samples",
                    "a new or an empty folder, or one that gan sample has filled",
                    "Choose another --out",
                )


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _write_manifest(
    folder: Path, generator: Generator, files: Iterable[str], **values: Any
) -> None:
    """Says where the files of a folder come from, and which they are, maybe millions."""
    manifest = {
        **generator.provenance(),
        **values,
        "files": [],
        "versions": versions(),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    before, key, after = as_json(manifest).partition('"files": [')
    with (folder / MANIFEST).open("w", encoding="utf-8") as file:
        file.write(before + key)
        for number, name in enumerate(files):
            file.write(",\n    " if number else "\n    ")
            file.write(json.dumps(name, ensure_ascii=False))
        file.write("\n  " + after)


def _as_images(
    folder: Path, blocks: Iterable[np.ndarray], spec: DataSpec, first: list[np.ndarray]
) -> Iterator[np.ndarray]:
    """Yields blocks of examples, once each image of them is written; keeps the first images."""
    done = 0
    for block in blocks:
        images = pictures_of(block, spec) if spec.height else block
        for index, image in enumerate(images, done):
            pictures.save_png(folder / _image_name(index), pictures.to_image(image))
        if done < _SHOWN:
            first.append(images[: _SHOWN - done])
        done += len(block)
        yield block


def _image_name(index: int) -> str:
    return f"{index:06d}.png"


def _first_kept(blocks: Iterable[np.ndarray], first: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Yields blocks of points, and keeps the first points."""
    done = 0
    for block in blocks:
        if done < _POINTS_SHOWN:
            first.append(block[: _POINTS_SHOWN - done])
        done += len(block)
        yield block


def _as_lines(path: Path, blocks: Iterable[np.ndarray], spec: DataSpec) -> Iterator[np.ndarray]:
    """Yields blocks of sequences, once each is written as a line."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for block in blocks:
            file.writelines(f"{line}\n" for line in lines_of(block, spec.characters))
            yield block


def _write_npz(path: Path, columns: Mapping[str, Iterable[np.ndarray]], count: int) -> None:
    """Writes the bytes that `np.savez` writes, of arrays that come in blocks.

    Args:
        path: the file.
        columns: blocks (n, *shape) of each array by its name.
        count: the number of rows of each array.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for name, blocks in columns.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                for number, block in enumerate(blocks):
                    if not number:
                        header = {
                            "descr": np.lib.format.dtype_to_descr(block.dtype),
                            "fortran_order": False,
                            "shape": (count, *block.shape[1:]),
                        }
                        np.lib.format.write_array_header_1_0(file, header)
                    file.write(np.ascontiguousarray(block).data)


def _animate(generator: Generator, path: Path, seed: int, labels: tuple[int, ...]) -> Path:
    """Draws an animation between pairs of latents, side by side for images."""
    images = generator.spec.kind == "image"
    pairs = _WALKS if images else _POINTS
    walks = interpolate(generator, seed, pairs, _FRAMES, labels)
    names = names_between(sampler_of(generator.task), pairs, labels)
    if images:
        frames = [pictures.make_grid(row, _WALKS, names) for row in walks]
    else:
        window = scatter.choose_window(walks.reshape(-1, 2))
        paint = scatter.painter(window)
        frames = [paint(points, names) for points in walks]
    pictures.save_animation(path, frames)
    return path
