"""The picture of an evaluation: its panels, for what the data have."""

import numpy as np
import pytest
from PIL import Image

from gancli.data import Dataset, DataSpec
from gancli.display import evaluation_picture
from gancli.display.evaluation_picture import draw_evaluation
from gancli.evaluation import Answer, Evaluated
from gancli.evaluation import evidence as module
from gancli.evaluation.evidence import Drawn

REPORT = {"generator": {"step": 1200}}


def dataset(shape, names=()):
    draw = np.random.default_rng(0)
    examples = draw.integers(256, size=(90, *shape), dtype=np.uint8)
    labels = np.int32(np.arange(90) % len(names)) if names else None
    return Dataset(DataSpec("placed", "image", shape, tuple(names)), examples, labels, "0" * 64)


@pytest.fixture
def titles(monkeypatch):
    """What stands above each panel that is drawn, in order."""
    seen = []
    draw = evaluation_picture._draw
    monkeypatch.setattr(
        evaluation_picture, "_draw", lambda axes, picture, title: (
            seen.append(title), draw(axes, picture, title)
        ),
    )  # fmt: skip
    return seen


@pytest.mark.parametrize("shape", [(8, 8, 1), (32, 20, 3)])
def test_images_are_shown_beside_real_ones_and_their_neighbours(tmp_path, titles, shape):
    data = dataset(shape)
    draw_evaluation(tmp_path / "p.png", Answer(REPORT, Evaluated(Drawn(data.examples[:5]), data)))
    assert titles == [
        "real", "generated, step 1,200",
        "samples, and below each the nearest training image (in pixels)",
    ]  # fmt: skip
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.size == (1080, 804)
    assert [path.name for path in tmp_path.iterdir()] == ["p.png"]


def test_classes_are_counted_beside_those_of_the_data(tmp_path, monkeypatch, titles):
    data = dataset((8, 8, 1), ["boot", "shirt", "a name that is long"])
    posteriors = np.eye(3)[[0, 0, 1, 2]][:, None]
    monkeypatch.setattr(module, "fitted_classifier", lambda *_: None)
    monkeypatch.setattr(module, "posteriors", lambda *_: posteriors)
    bars = []
    show = evaluation_picture._show_classes

    def note(axes, evaluated):
        show(axes, evaluated)
        bars.extend(bar.get_height() for bar in axes.patches)

    monkeypatch.setattr(evaluation_picture, "_show_classes", note)
    draw_evaluation(tmp_path / "p.png", Answer(REPORT, Evaluated(Drawn(data.examples[:4]), data)))
    assert bars == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1 / 2, 1 / 4, 1 / 4])


def test_points_are_shown_over_real_ones(tmp_path):
    examples = np.random.default_rng(0).standard_normal((50, 2)).astype(np.float32)
    data = Dataset(DataSpec("placed", "points", (2,)), examples, None, "0" * 64)
    draw_evaluation(tmp_path / "p.png", Answer(REPORT, Evaluated(Drawn(examples), data)))
    with Image.open(tmp_path / "p.png") as picture:
        assert min(picture.size) > 400
