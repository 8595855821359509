"""Samples over the steps of training for a slider: pictures as data URIs, or lines of text."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from gancli.data.dataset import Dataset, DataSpec
from gancli.display import scatter
from gancli.display.pictures import choose_evenly, lay_out, make_grid, nearly_square, to_image
from gancli.display.sequences import lines_of, pictures_of
from gancli.report.charts import plain_style
from gancli.report.page import Film, Frame, Samples
from gancli.report.records import Record

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_STEPS = 12
# Limit for the characters of all pictures, and the sizes to try until those of one seed fit.
MOST_CHARACTERS = 10 * 2**20
_TRIED = ((64, MOST_STEPS), (36, 12), (16, 12), (16, 6), (9, 6), (4, 6), (4, 3), (1, 6), (1, 2))
_LARGE = 96
_MOST_LINES, _LONGEST_LINE, _REAL_POINTS = 16, 200, 1000


class Shot(NamedTuple):
    """A run whose samples are shown: its name, its seed, and a note."""

    name: str
    seed: int
    record: Record
    mark: str = ""


class Background(NamedTuple):
    """The background of samples: real points (n, 2) and modes, or the meaning of tokens."""

    real: np.ndarray | None = None
    centres: np.ndarray | None = None
    tokens: DataSpec | None = None


def behind_points(dataset: Dataset) -> Background:
    """The background of a data set's points: some of its points, and its modes."""
    centres = dataset.modes.centres if dataset.modes else None
    return Background(np.asarray(dataset.examples[:_REAL_POINTS]), centres)


def samples_of(shots: Sequence[Shot], background: Background) -> tuple[Samples | None, list[str]]:
    """The samples of runs, as many as fit on a page.

    Returns:
        The samples, None if no run has any; and sentences about omissions.
    """
    steps = sorted({step for shot in shots for step, _ in shot.record.samples})
    if not steps:
        return None, []
    by_seed: dict[int, list[Shot]] = {}
    for shot in shots:
        by_seed.setdefault(shot.seed, []).append(shot)
    develop = _developer(shots, background)
    first = next(examples for shot in shots for _, examples in shot.record.samples)
    labelled = any(shot.record.labels for shot in shots)
    look = _look(first, background, labelled)
    if look == "text":
        count, most = _MOST_LINES, MOST_STEPS
    else:
        count, most = _fitting(by_seed, len(steps), develop)
    shown = [steps[index] for index in choose_evenly(len(steps), most)]
    films: list[tuple[str, list[Film]]] = []
    spent = last = 0
    for seed, own in by_seed.items():
        if spent + last > MOST_CHARACTERS:  # The next seed takes about as much as the last one.
            break
        films.append((str(seed), [_film(shot, shown, count, develop) for shot in own]))
        last = sum(_length(frame) for film in films[-1][1] for frame in film.frames)
        spent += last
    notes = []
    if len(shown) < len(steps):
        notes.append(f"{len(shown)} of {len(steps)} sampled steps are shown.")
    if not _are_points(first) and count < len(first):
        notes.append(f"The first {count} of {len(first)} examples are shown.")
    if len(films) < len(by_seed):
        given = ", ".join(seed for seed, _ in films)
        notes.append(f"Samples of {len(films)} of {len(by_seed)} seeds are shown ({given}).")
    return Samples(shown, films, look), notes


def as_data_uri(picture: "Image") -> str:
    """Encodes a picture as a PNG in a data URI."""
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def _are_points(examples: np.ndarray) -> bool:
    return examples.ndim == 2 and examples.dtype.kind == "f"


def _are_pixels(examples: np.ndarray, background: Background) -> bool:
    """Whether examples are tokens that represent the pixels of an image."""
    spec = background.tokens
    return (
        spec is not None
        and spec.height > 0
        and examples.ndim == 2
        and examples.shape[1] % spec.height == 0
        and examples.min() >= 0
        and examples.max() < spec.vocabulary
    )


def _look(
    examples: np.ndarray, background: Background, labelled: bool
) -> Literal["pixels", "picture", "text"]:
    """How to show such examples; labels below images are text, which pixels cannot show."""
    are_pixels = _are_pixels(examples, background)
    if examples.ndim == 2 and not are_pixels:
        return "picture" if _are_points(examples) else "text"
    if labelled:
        return "picture"
    return "pixels" if are_pixels or max(examples.shape[1:3]) < _LARGE else "picture"


# (examples, their labels, number to show, position, step) -> frame.
_Developer = Callable[[np.ndarray, Sequence[str], int, int, int], Frame]


def _developer(shots: Sequence[Shot], background: Background) -> _Developer:
    """The function that makes frames."""
    every = [examples for shot in shots for _, examples in shot.record.samples]
    points = [np.asarray(examples, np.float64) for examples in every if _are_points(examples)]
    scattered = _scatter_of(points, background) if points else None

    def develop(
        examples: np.ndarray, labels: Sequence[str], count: int, position: int, step: int
    ) -> Frame:
        if scattered and _are_points(examples):
            held = np.asarray(examples, np.float64)
            return Frame(position, step, scattered(held, labels[: len(held)]))
        first = np.asarray(examples[:count])
        if _are_pixels(first, background):
            assert background.tokens is not None
            first = pictures_of(first, background.tokens)
        if first.ndim == 4:
            if labels:
                grid = make_grid(first, labels=labels[: len(first)])
                return Frame(position, step, as_data_uri(grid))
            shown, height, width, _ = first.shape
            sheet = lay_out(first, nearly_square(shown, height, width), gap=1)
            return Frame(position, step, as_data_uri(to_image(sheet)))
        characters = background.tokens.characters if background.tokens else ""
        known = first.min() >= 0 and first.max() < len(characters)
        lines = lines_of(first[:, :_LONGEST_LINE], characters if known else "")
        return Frame(position, step, lines=lines)

    return develop


def _length(frame: Frame) -> int:
    """The size of a frame in characters."""
    return len(frame.picture) + sum(map(len, frame.lines))


def _scatter_of(
    history: Sequence[np.ndarray], background: Background
) -> Callable[[np.ndarray, Sequence[str]], str]:
    """The function that draws points over the real ones as a data URI, in a fixed window."""
    real, centres = background.real, background.centres
    window = scatter.choose_window(np.concatenate(history) if real is None else real, centres)
    with plain_style():
        paint = scatter.painter(window, real, centres, (3.6, 4.0), 100)

    def draw(points: np.ndarray, labels: Sequence[str]) -> str:
        with plain_style():
            return as_data_uri(paint(points, labels))

    return draw


def _fitting(
    by_seed: Mapping[int, Sequence[Shot]], steps: int, develop: _Developer
) -> tuple[int, int]:
    """Number of examples and steps to show, so that the pictures of one seed fit.

    Their size is estimated from the first and the last samples of each run.
    """
    by_run = [[s.record for s in own if s.record.samples] for own in by_seed.values()]
    held = max(by_run, key=len)
    count, most = _TRIED[-1]
    for count, most in _TRIED:
        ends = [
            [
                develop(examples, own.labels, count, 0, 0)
                for _, examples in (own.samples[0], own.samples[-1])
            ]
            for own in held
        ]
        cost = sum(max(map(_length, frames)) for frames in ends)
        if cost * min(most, steps) <= MOST_CHARACTERS:
            break
    return count, most


def _film(shot: Shot, steps: Sequence[int], count: int, develop: _Developer) -> Film:
    """The newest samples of a run at each step of the slider."""
    frames: list[Frame] = []
    for position, wanted in enumerate(steps):
        before = [one for one in shot.record.samples if one[0] <= wanted]
        if before and (not frames or frames[-1].step != before[-1][0]):
            step, examples = before[-1]
            frames.append(develop(examples, shot.record.labels, count, position, step))
    about = ("no samples", "samples", "its directory")
    faults = [one.partition(":")[0] for one in shot.record.missing if one.startswith(about)]
    notes = [shot.mark, *faults]
    return Film(shot.name, frames, "; ".join(filter(None, notes)))
