"""Samples over the steps of training, for a slider: pictures as data URIs, or lines of text."""

import base64
import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gancli.data.dataset import Dataset
from gancli.display import scatter
from gancli.display.pictures import choose_evenly
from gancli.display.report.page import Film, Frame, Samples
from gancli.display.report.records import Record
from gancli.display.sequences import lines_of

MOST_STEPS, MOST_EXAMPLES = 12, 64
# Characters of all pictures of a page, and what is tried until those of one seed are fewer.
MOST_CHARACTERS = 10 * 2**20
_TRIED = ((64, 12), (36, 12), (16, 12), (16, 6), (9, 6), (4, 6), (4, 3), (1, 2))
_LARGE = 96
_MOST_LINES, _LONGEST_LINE, _REAL_POINTS = 16, 200, 1000
_POINTS_DPI = 75


class Shot(NamedTuple):
    """A run whose samples are shown: its variant as it is called there, and its seed."""

    name: str
    seed: int
    record: Record


class Background(NamedTuple):
    """What is shown behind points, (n, 2), and with tokens: real points, modes, characters."""

    real: np.ndarray | None = None
    centres: np.ndarray | None = None
    characters: str = ""


def background_of(dataset: Dataset) -> Background:
    """What a data set has to be shown behind samples."""
    if dataset.spec.kind != "points":
        return Background(characters=dataset.spec.characters)
    centres = dataset.modes.centres if dataset.modes else None
    return Background(np.asarray(dataset.examples[:_REAL_POINTS]), centres)


def samples_of(
    shots: Sequence[Shot], background: Background, most_characters: int = MOST_CHARACTERS
) -> tuple[Samples | None, list[str]]:
    """The samples of runs, as many as a page holds.

    Args:
        shots: the runs.
        background: what is shown behind them.
        most_characters: how long all pictures together may be.

    Returns:
        The samples, None where no run has any; and sentences that say what is left out.
    """
    every = sorted({step for shot in shots for step, _ in shot.record.samples})
    if not every:
        return None, []
    seeds = list(dict.fromkeys(shot.seed for shot in shots))
    by_seed = {seed: [shot for shot in shots if shot.seed == seed] for seed in seeds}
    first = next(examples for shot in shots for _, examples in shot.record.samples[:1])
    develop = _developer(shots, background)
    count, most = _fitting(by_seed, every, develop, most_characters, first.ndim == 4)
    steps = [every[index] for index in choose_evenly(len(every), most)]
    films: list[tuple[str, list[Film]]] = []
    spent = 0
    for seed, own in by_seed.items():
        some = [_film(shot, steps, count, develop) for shot in own]
        cost = sum(len(frame.picture) + len(frame.text) for film in some for frame in film.frames)
        if films and spent + cost > most_characters:
            break
        spent += cost
        films.append((str(seed), some))
    notes = _left_out(every, steps, shots, count, seeds, len(films), first.ndim == 4)
    pixelated = first.ndim == 4 and max(first.shape[1:3]) < _LARGE
    return Samples(steps, films, pixelated), notes


def contact_sheet(images: np.ndarray) -> np.ndarray:
    """Images beside each other, as square as can be, every pixel as it is.

    Args:
        images: uint8 (n, height, width, channels).

    Returns:
        uint8 (height', width', channels), with a pixel between images.
    """
    count, height, width, channels = images.shape
    columns = math.ceil(math.sqrt(count * height / width))
    rows = math.ceil(count / columns)
    shape = (rows * (height + 1) - 1, columns * (width + 1) - 1, channels)
    sheet = np.full(shape, 128, np.uint8)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        top, left = row * (height + 1), column * (width + 1)
        sheet[top : top + height, left : left + width] = image
    return sheet


def as_data_uri(picture: np.ndarray) -> str:
    """A picture, uint8 (height, width, channels), as a PNG in a data URI."""
    from PIL import Image

    stream = io.BytesIO()
    grey = picture.shape[-1] == 1
    Image.fromarray(picture[..., 0] if grey else picture).save(stream, "PNG", optimize=True)
    return _uri(stream)


def _uri(stream: io.BytesIO) -> str:
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


_Developer = Callable[[np.ndarray, int], Mapping[str, str]]


def _developer(shots: Sequence[Shot], background: Background) -> _Developer:
    """The function from examples, and how many of them to show, to a frame's picture or text."""
    points = [
        np.asarray(examples, np.float64)
        for shot in shots
        for _, examples in shot.record.samples
        if examples.ndim == 2 and examples.dtype.kind == "f"
    ]
    window = None
    if points:
        behind = np.concatenate(points) if background.real is None else background.real
        window = scatter.choose_window(behind, background.centres)

    def develop(examples: np.ndarray, count: int) -> Mapping[str, str]:
        if examples.ndim == 4:
            return {"picture": as_data_uri(contact_sheet(np.asarray(examples[:count])))}
        if examples.dtype.kind == "f":
            return {"picture": _scattered(np.asarray(examples), background, window)}
        tokens = np.asarray(examples[:_MOST_LINES, :_LONGEST_LINE])
        known = 0 <= tokens.min() and tokens.max() < len(background.characters)
        return {"text": "\n".join(lines_of(tokens, background.characters if known else ""))}

    return develop


def _scattered(points: np.ndarray, background: Background, window: scatter.Window | None) -> str:
    """Points over the real ones, small, as a data URI."""
    figure = scatter.points_figure(points, background.real, background.centres, window)
    figure.set_size_inches(3.6, 4.0)
    stream = io.BytesIO()
    figure.savefig(
        stream, format="png", dpi=_POINTS_DPI, facecolor="white", metadata={"Software": None}
    )
    return _uri(stream)


def _fitting(
    by_seed: Mapping[int, Sequence[Shot]],
    every: Sequence[int],
    develop: _Developer,
    most_characters: int,
    of_images: bool,
) -> tuple[int, int]:
    """How many examples and steps are shown, so that those of one seed fit; by their last ones."""
    if not of_images:
        return MOST_EXAMPLES, MOST_STEPS
    largest = max(by_seed.values(), key=len)
    for count, most in _TRIED:
        cost = sum(
            len(develop(shot.record.samples[-1][1], count)["picture"])
            for shot in largest
            if shot.record.samples
        )
        if cost * min(most, len(every)) <= most_characters:
            break
    return count, most


def _film(shot: Shot, steps: Sequence[int], count: int, develop: _Developer) -> Film:
    """The samples of a run at each step of the slider: the newest that there were."""
    frames: list[Frame] = []
    for position, step in enumerate(steps):
        before = [one for one in shot.record.samples if one[0] <= step]
        if before and (not frames or frames[-1].step != before[-1][0]):
            frames.append(Frame(position, before[-1][0], **develop(before[-1][1], count)))
    note = "; ".join(one for one in shot.record.missing if "sample" in one or "directory" in one)
    return Film(shot.name, frames, note)


def _left_out(
    every: Sequence[int],
    steps: Sequence[int],
    shots: Sequence[Shot],
    count: int,
    seeds: Sequence[int],
    shown: int,
    of_images: bool,
) -> list[str]:
    """What a page does not show, in sentences."""
    notes = []
    if len(steps) < len(every):
        notes.append(f"{len(steps)} of {len(every)} sampled steps are shown.")
    most = max(len(examples) for shot in shots for _, examples in shot.record.samples)
    if of_images and count < most:
        notes.append(f"The first {count} of {most} examples are shown.")
    if not of_images and shots[0].record.samples and most > _MOST_LINES:
        kind = shots[0].record.samples[0][1].dtype.kind
        if kind in "iu":
            notes.append(f"The first {_MOST_LINES} of {most} sequences are shown.")
    if shown < len(seeds):
        given = ", ".join(map(str, seeds[:shown]))
        notes.append(f"Samples of {shown} of {len(seeds)} seeds are shown ({given}).")
    return notes
