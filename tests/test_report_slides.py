"""Samples for a slider: which steps, which runs, and what is left out."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gancli.data.dataset import Dataset, DataSpec, Modes
from gancli.display.pictures import to_image
from gancli.report import slides
from gancli.report.records import Record
from gancli.report.slides import (
    Background,
    Shot,
    as_data_uri,
    behind_points,
    samples_of,
)


def shot(steps, name="a", seed=0, make=lambda step: np.full((4, 2, 2, 1), step % 256, np.uint8)):
    samples = [(step, make(step)) for step in steps]
    return Shot(name, seed, Record(Path("x"), None, {}, {}, samples, {}, ("no metrics",)))


def pixels(uri):
    head, _, content = uri.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_is_whole_in_its_address(channels):
    values = np.arange(6 * channels, dtype=np.uint8).reshape(2, 3, channels)
    held = pixels(as_data_uri(to_image(values)))
    assert held.reshape(values.shape).tolist() == values.tolist()


def test_each_run_shows_its_newest_samples_at_every_step():
    samples, notes = samples_of([shot([0, 10, 20]), shot([10, 30], "b")], Background())
    assert notes == []
    assert samples.steps == [0, 10, 20, 30]
    ((seed, (first, second)),) = samples.films
    assert (seed, first.name, second.name) == ("0", "a", "b")
    assert [(frame.position, frame.step) for frame in first.frames] == [(0, 0), (1, 10), (2, 20)]
    assert [(frame.position, frame.step) for frame in second.frames] == [(1, 10), (3, 30)]
    assert pixels(second.frames[1].picture)[1, 1] == 30
    assert samples.look == "pixels"


def test_labels_stand_below_images_and_beside_points():
    images = shot([0, 10], make=lambda step: np.full((4, 2, 2, 1), 200, np.uint8))
    labelled = images._replace(record=images.record._replace(labels=["a", "b"] * 2))
    samples, _ = samples_of([labelled], Background())
    assert samples.look == "picture"
    shown = pixels(samples.films[0][1][0].frames[0].picture)
    assert min(shown.shape) > 100
    assert (shown < 60).any()  # Black text, where all images are bright.
    points = shot([0], make=lambda step: np.array([[0, 0], [1, 1]], np.float32))
    named = points._replace(record=points.record._replace(labels=["a", "b", "c"]))
    plain, coloured = (
        pixels(samples_of([one], Background())[0].films[0][1][0].frames[0].picture)
        for one in (points, named)
    )
    assert (plain != coloured).any()


def test_at_most_twelve_steps_and_64_examples_are_shown():
    make = lambda step: np.zeros((100, 2, 2, 1), np.uint8)  # noqa: E731
    samples, notes = samples_of([shot(range(0, 250, 10), make=make)], Background())
    assert len(samples.steps) == 12
    assert (samples.steps[0], samples.steps[-1]) == (0, 240)
    assert pixels(samples.films[0][1][0].frames[0].picture).shape == (25, 25)
    assert notes == ["12 of 25 sampled steps are shown.", "The first 64 of 100 examples are shown."]


def test_a_page_is_bounded_first_by_its_seeds(monkeypatch):
    shots = [shot([0, 10], seed=seed) for seed in range(3)]
    whole, _ = samples_of(shots, Background())
    each = sum(len(frame.picture) for frame in whole.films[0][1][0].frames)
    assert [seed for seed, _ in whole.films] == ["0", "1", "2"]
    monkeypatch.setattr(slides, "MOST_CHARACTERS", 2 * each + 10)
    some, notes = samples_of(shots, Background())
    assert [seed for seed, _ in some.films] == ["0", "1"]
    assert notes == ["Samples of 2 of 3 seeds are shown (0, 1)."]


def test_then_by_examples_and_steps(monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (64, 16, 16, 3), np.uint8)
    shots = [shot(range(0, 120, 10), make=lambda step: noise)]
    monkeypatch.setattr(slides, "MOST_CHARACTERS", 60_000)
    samples, notes = samples_of(shots, Background())
    characters = sum(len(frame.picture) for frame in samples.films[0][1][0].frames)
    # Sixteen examples in six steps take about 6 · 16 · 768 bytes, 4 / 3 characters each, and
    # nine take about 55,000.
    assert 40_000 < characters <= 60_000
    assert notes == ["6 of 12 sampled steps are shown.", "The first 9 of 64 examples are shown."]


def test_what_is_large_is_no_matter_of_pixels():
    make = lambda step: np.zeros((1, 128, 128, 3), np.uint8)  # noqa: E731
    assert samples_of([shot([0], make=make)], Background())[0].look == "picture"


def test_points_are_drawn_over_the_real_ones_in_one_window():
    points = np.zeros((5, 2), np.float32)
    spec = DataSpec("ring", "points", (2,))
    modes = Modes(np.array([[1.0, 0.0]]), 0.1)
    dataset = Dataset(spec, np.ones((9, 2), np.float32), None, "", modes)
    samples, notes = samples_of([shot([0, 5], make=lambda step: points)], behind_points(dataset))
    first, last = samples.films[0][1][0].frames
    assert first.picture == last.picture  # The same points, drawn alike.
    assert samples.look == "picture"
    assert notes == []
    red = pixels(first.picture).astype(int)
    assert np.any(red[..., 0] - red[..., 2] > 100)  # The cross of the true mode.


def test_points_that_move_are_drawn_where_they_are():
    """The blue of points at (-2, 0) is left of that of points at (2, 0)."""
    real = np.array([[-2.0, -2.0], [2.0, 2.0]])
    make = lambda step: np.array([[-2.0 if step == 0 else 2.0, 0.0]] * 9)  # noqa: E731
    samples, _ = samples_of([shot([0, 5], make=make)], Background(real))
    columns = []
    for frame in samples.films[0][1][0].frames:
        blue = pixels(frame.picture).astype(int)[80:]  # Below the key.
        columns.append(np.nonzero(blue[..., 2] - blue[..., 0] > 60)[1].mean())
    assert columns[0] < 150 < 250 < columns[1]


def test_tokens_are_lines_of_text():
    tokens = np.array([[0, 1, 2], [2, 1, 0]] * 10)
    spec = DataSpec("a", "tokens", (3,), vocabulary=3, characters="a<\n")
    samples, notes = samples_of([shot([0], make=lambda s: tokens)], Background(tokens=spec))
    assert list(samples.films[0][1][0].frames[0].lines) == ["a<\\n", "\\n<a"] * 8
    assert samples.look == "text"
    assert notes == ["The first 16 of 20 examples are shown."]
    fewer = Background(tokens=spec._replace(vocabulary=2, characters="ab"))
    samples, _ = samples_of([shot([0], make=lambda s: tokens)], fewer)
    assert samples.films[0][1][0].frames[0].lines[0] == "0 1 2"


def test_tokens_that_are_pixels_are_pictures():
    tokens = np.array([[0, 1, 1, 0, 0, 1]] * 4)
    spec = DataSpec("a", "tokens", (6,), vocabulary=2, height=2)
    samples, _ = samples_of([shot([0], make=lambda s: tokens)], Background(tokens=spec))
    assert samples.look == "pixels"
    (sheet,) = [pixels(frame.picture) for frame in samples.films[0][1][0].frames]
    assert sheet[1:3, 1:4].tolist() == [[0, 255, 255], [0, 0, 255]]
    # What is no such picture stays a line.
    taller = Background(tokens=spec._replace(height=4))
    samples, _ = samples_of([shot([0], make=lambda s: tokens)], taller)
    assert samples.look == "text"


def test_runs_without_samples():
    assert samples_of([shot([])], Background()) == (None, [])
    gone = shot([], "b")
    record = gone.record._replace(missing=("samples are cut off: 'x'", "no metrics"))
    gone = gone._replace(record=record, mark="diverged")
    samples, _ = samples_of([shot([0]), gone], Background())
    assert [film.note for film in samples.films[0][1]] == ["", "diverged; samples are cut off"]
    assert samples.films[0][1][1].frames == []


def test_a_first_seed_without_samples():
    samples, _ = samples_of([shot([]), shot([0, 5], seed=1)], Background())
    assert [(seed, len(films[0].frames)) for seed, films in samples.films] == [("0", 0), ("1", 2)]
