from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from refusals import refused
from tiny_runs import snapshot

from gancli.data import load
from gancli.display.data import draw_data

TEXT = "The cat sat on the mat, and that was that.\n" * 3


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with a folder of four images."""
    monkeypatch.setenv("GAN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "here" / "photos").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    for level in range(4):
        Image.fromarray(np.full((8, 8), level, np.uint8)).save(f"photos/{level}.png")
    return tmp_path / "here"


def test_no_other_file_is_replaced(folder):
    photos = load("photos")
    for taken in ("photos.png", "photos-2.png"):
        Path(taken).write_text(taken)
    before = snapshot(folder)
    assert draw_data(photos) == Path("photos-3.png")
    assert draw_data(photos) == Path("photos-3.png"), "it is there already"
    assert snapshot(folder).items() >= before.items()
    with refused("'photos.png'", remedy="--out"):
        draw_data(photos, Path("photos.png"))
    Path("link.png").symlink_to("nowhere.png")
    with refused("'link.png'"):
        draw_data(photos, Path("link.png"))


def test_real_examples_are_called_real_and_shown_with_their_labels(folder, monkeypatch):
    drawn = []
    monkeypatch.setattr("gancli.display.scatter.save_figure", lambda path, figure: (
        drawn.append(figure), path.write_bytes(b"")))  # fmt: skip
    draw_data(load("moons:count=50"), folder / "moons.png")
    legend = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert legend == ["real"]
    assert {text.get_text() for text in drawn[0].axes[0].texts} == {"upper", "lower"}


def test_a_picture_is_called_what_it_is(folder):
    for name in ("a.jpg", "a"):
        with refused(f"'{name}'", allowed=".png", remedy="--out"):
            draw_data(load("photos"), Path(name))
    assert draw_data(load("photos"), Path("a.PNG")).read_bytes()[:4] == b"\x89PNG"


def test_a_text_is_not_written_over_itself(folder):
    Path("text.txt").write_text(TEXT)
    drawn = draw_data(load("text:path=text.txt"))
    assert drawn == Path("text-2.txt")
    assert Path("text.txt").read_text() == TEXT


@pytest.mark.parametrize(("inside", "name"), [("photos", "."), ("photos", "../photos")])
def test_no_picture_is_drawn_among_the_data(folder, monkeypatch, inside, name):
    monkeypatch.chdir(folder / inside)
    photos = load(name)
    assert draw_data(photos) == folder / "photos.png"
    with refused("'a.png'", allowed=str(folder / "photos"), remedy="--out"):
        draw_data(photos, Path("a.png"))
    assert load(name).fingerprint == photos.fingerprint
