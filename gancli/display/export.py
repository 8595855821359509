"""Samples as files: a grid, single pictures, lines of text, an array, and further pictures."""

import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gancli.data.dataset import DataSpec
from gancli.data.formats.folder import image_files
from gancli.display import pictures
from gancli.display.animation import animate, check_animation
from gancli.display.archive import write_npz
from gancli.display.samples import draw_mixture, draw_samples, draw_traversal
from gancli.display.sequences import lines_of, pictures_of
from gancli.errors import UserError, printable, shown
from gancli.evaluation.generator import Generator, sampler_of
from gancli.evaluation.latents import (
    Draw,
    check_draw,
    kind_of,
    labels_of,
    latent_blocks,
    names_of_labels,
)
from gancli.evaluation.sampling import BLOCK, sample
from gancli.evaluation.translation import translated_images
from gancli.evaluation.variation import (
    directions,
    mix,
    require_between,
    require_directions,
    require_styles,
    traverse,
)
from gancli.export.folder import filled, write_manifest
from gancli.files import MANIFEST

COMMAND = "gan sample"
FORMATS = {"image": ("png", "npz"), "points": ("png", "npz"), "tokens": ("txt", "npz")}
_SHOWN, _POINTS_SHOWN = 100, 100_000
_LABELS_TOGETHER = 1 << 16
_TRAVERSED, _VALUES = 8, 11
_MIXED, _MOVES = 6, range(-3, 4)
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


class Extras(NamedTuple):
    """Pictures of how samples vary.

    `animation` is the format of a walk between latents, empty for none; `traversals` are of each
    label and code; `mix` is of mixed styles; `directions` is a number of directions.
    """

    animation: str = ""
    traversals: bool = False
    mix: bool = False
    directions: int = 0


def export_samples(
    generator: Generator,
    folder: Path,
    draw: Draw,
    count: int,
    formats: tuple[str, ...],
    extras: Extras = Extras(),  # noqa: B008 - it is immutable
) -> list[Path]:
    """Draws examples and writes them block by block; memory does not grow with their number.

    The grid shows the first 100 images, the plot the first 100,000 points. `samples.npz` holds the
    examples as `arr_0`: images as uint8 (n, height, width, channels), the format of common
    evaluators, or uint16 if their data have 16 bits, tokens as (n, length). Labels, if they are
    known, are `arr_1`. `latents`, or `styles` where w was truncated or given, gives the same
    examples back.

    Args:
        generator: the generator.
        folder: where to, a new or an empty one; samples that are there already are replaced.
        draw: the latents.
        count: how many examples.
        formats: those of `check_formats`.
        extras: further pictures.

    Returns:
        What was written for a person to look at.

    Raises:
        UserError: if the folder holds anything else or cannot be written, or the latents or the
            further pictures do not fit the generator.
    """
    sampler, spec = sampler_of(generator.task), generator.spec
    check_draw(generator, draw)
    _check_extras(generator, draw, extras)
    written: list[str] = []
    with filled(folder, COMMAND) as place:
        images = spec.kind == "image" or spec.height > 0
        first: list[np.ndarray] = []
        blocks = sample(generator, draw, count)
        if "png" in formats and images:
            (place / "images").mkdir()
            blocks = _as_images(place / "images", blocks, spec, first)
        elif "png" in formats:
            blocks = _first_kept(blocks, first)
        elif "txt" in formats:
            blocks = _as_lines(place / "samples.txt", blocks, spec)
        if "npz" in formats:
            write_npz(place / "samples.npz", _columns(generator, draw, count, blocks), count)
        else:
            deque(blocks, 0)
        if "png" in formats:
            drawn = np.concatenate(first)
            names = names_of_labels(sampler, draw, np.arange(len(drawn)))
            name = "grid.png" if images else "points.png"
            draw_samples(place / name, drawn, labels=names)
            written += [name, "images"] if images else [name]
        written += [f"samples.{name}" for name in ("txt", "npz") if name in formats]
        if extras.animation:
            path = place / f"interpolation.{extras.animation}"
            written.append(animate(generator, path, draw).name)
        if extras.traversals:
            for name, (values, varied) in traverse(generator, draw, _TRAVERSED, _VALUES).items():
                path = draw_traversal(place / f"traversal-{name}.png", varied, values)
                written.append(path.name)
        if extras.mix:
            mixture = mix(generator, draw, _MIXED, _MIXED)
            written.append(draw_mixture(place / "mix.png", mixture).name)
        if extras.directions:
            moved = directions(generator, draw, extras.directions, _MOVES)
            names = [f"{move:+d}" if move else "0" for move in _MOVES]
            written.append(draw_traversal(place / "directions.png", moved, names).name)
        alone = sorted(path.name for path in place.iterdir() if path.is_file())
        of_images = (f"images/{_image_name(index)}" for index in range(count))
        asked = () if draw.given else np.arange(len(draw.labels) or len(sampler.classes))
        write_manifest(
            place,
            generator.provenance(),
            heapq.merge(alone, of_images if "images" in written else ()),
            seed=None if draw.given else draw.seed,
            count=count,
            first_index=0,
            labels=sampler.names(np.asarray(asked, np.int64), draw.labels),
            truncation=draw.truncation,
            noise=draw.noise,
            latents="given" if draw.given else "drawn",
            formats=list(formats),
        )
    return [folder / name for name in (*written, MANIFEST)]


def _check_extras(generator: Generator, draw: Draw, extras: Extras) -> None:
    """Refuses further pictures that do not fit a generator or its latents."""
    sampler = sampler_of(generator.task)
    if extras.animation:
        require_between(generator)
        check_animation(extras.animation, draw)
    varied = sampler.classes or sampler.continuous
    if extras.traversals and not (generator.spec.kind == "image" and varied):
        raise UserError(
            "--traverse with a generator without labels or codes, or not of images",
            "a generator that was trained with --task conditional or infogan, on images",
            "Leave out --traverse",
        )
    if extras.mix:
        require_styles(generator, "--mix")
        if draw.given is not None and len(draw.given.values) < 2 * _MIXED:
            raise UserError(
                f"--mix with {len(draw.given.values)} given latents", f"at least {2 * _MIXED}"
            )
    if extras.directions:
        require_directions(generator, extras.directions)
    if extras.traversals and draw.given is not None:
        raise UserError("--traverse with --latents", "one of them", "Leave out --traverse")


def _columns(
    generator: Generator, draw: Draw, count: int, blocks: Iterable[np.ndarray]
) -> dict[str, Iterable[np.ndarray]]:
    """The arrays of `samples.npz` by name, in blocks."""
    sampler = sampler_of(generator.task)
    columns = {"arr_0": blocks}
    if sampler.classes and draw.has_labels:
        columns["arr_1"] = (
            labels_of(sampler, draw, np.arange(start, min(start + _LABELS_TOGETHER, count)))
            for start in range(0, count, _LABELS_TOGETHER)
        )
    if sampler.space is not None:
        columns[kind_of(sampler, draw)] = latent_blocks(
            sampler, generator.weights, draw, count, BLOCK
        )
    return columns


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
    with filled(folder, COMMAND) as place:
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
        write_manifest(
            place, generator.provenance(), files, source=str(source), back=back, images=names
        )
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
