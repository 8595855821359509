import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from refusals import refused

from gancli.display.scatter import (
    Window,
    caption,
    choose_window,
    count_outside,
    painter,
    points_figure,
    require_own_figure,
    save_figure,
)

CORNERS = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 2.0], [0.0, 2.0]])
BLUE_OVER_RED = 60


def blue_pixels(pixels):
    """Rows and columns of pixels in the generated points' colour."""
    return np.nonzero(pixels[..., 2].astype(int) - pixels[..., 0] > BLUE_OVER_RED)


def one_panel(points, real=None, centres=None):
    return points_figure({"": points}, real, centres)


def offsets(axes):
    return {one.get_label(): np.asarray(one.get_offsets()).tolist() for one in axes.collections}


def test_window_is_square_with_a_tenth_free_on_each_side():
    # The longer side is 4, so half of it is 2, and a tenth of 4 is free beyond.
    assert choose_window(CORNERS) == pytest.approx(Window(2.0, 1.0, 2.4))


def test_window_leaves_far_points_out_and_counts_them():
    points = np.array([[-1.0, -1.0]] * 50 + [[1.0, 1.0]] * 49 + [[1000.0, -5000.0]])
    window = choose_window(points)
    assert window == pytest.approx(Window(0.0, 0.0, 1.2))
    assert count_outside(points, window) == 1
    assert caption(points, window) == "1 of 100 outside"
    assert caption(points[:99], window) == "99 points"


def test_window_holds_the_centres():
    assert choose_window(CORNERS, np.array([[0.0, 12.0]])) == pytest.approx(Window(2.0, 6.0, 7.2))


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([[3.0, 4.0]] * 7, Window(3.0, 4.0, 1.0)),
        ([[1e30, -1e30]] * 7, Window(1e30, -1e30, 1e29)),
        ([[np.nan, 0.0], [0.0, np.inf]], Window(0.0, 0.0, 1.0)),
        ([[np.nan, np.nan], *CORNERS.tolist()], Window(2.0, 1.0, 2.4)),
    ],
)
def test_window_of_collapsed_or_diverged_points(points, expected):
    assert choose_window(np.array(points)) == pytest.approx(expected)


def test_points_that_are_not_finite_are_outside():
    points = np.array([[0.0, 0.0], [np.nan, 0.0], [0.0, -np.inf], [1.0, -1.0], [1.01, 0.0]])
    assert count_outside(points, Window(0.0, 0.0, 1.0)) == 3


def test_panel_shows_real_generated_and_modes_within_limits_of_the_real_points():
    points = np.array([[1.0, 1.0], [2.0, 0.5], [90.0, 0.0]])
    axes = one_panel(points, CORNERS, np.array([[3.0, 1.0]])).axes[0]
    assert offsets(axes) == {
        "real": CORNERS.tolist(),
        "generated": [[1.0, 1.0], [2.0, 0.5]],
        "true modes": [[3.0, 1.0]],
    }
    assert axes.get_xlim() == pytest.approx((-0.4, 4.4))
    assert axes.get_ylim() == pytest.approx((-1.4, 3.4))
    assert axes.get_aspect() == 1.0
    assert axes.get_xlabel() == "1 of 3 outside"


def test_picture_places_points_where_they_are(tmp_path):
    # Corners are 4 apart across and 2 down; of pixels, each distance is longer by one dot.
    save_figure(tmp_path / "points.png", one_panel(np.repeat(CORNERS, 9, axis=0)))
    assert os.listdir(tmp_path) == ["points.png"]
    with Image.open(tmp_path / "points.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape == (624, 576, 3)
    assert (pixels[0, 0] == 255).all()
    rows, columns = blue_pixels(pixels[60:])
    across, down = np.ptp(columns), np.ptp(rows)
    dot = across - 2 * (across - down)
    assert 2 < dot < 8
    assert 350 < across < 450


def test_a_figure_replaces_no_other_file(tmp_path):
    path = tmp_path / "p.png"
    require_own_figure(path, "--plot")
    save_figure(path, one_panel(CORNERS))
    require_own_figure(path, "--plot")
    Image.new("L", (4, 4)).save(path)
    with refused(str(path), remedy="--plot"):
        require_own_figure(path, "--plot")
    path.write_text("notes")
    with refused(str(path), remedy="--plot"):
        require_own_figure(path, "--plot")


@pytest.mark.parametrize("far", [1e6, 1e30, np.inf, np.nan])
def test_a_diverged_generator_can_still_be_drawn(tmp_path, far):
    figure = one_panel(np.full((20, 2), far), CORNERS)
    assert figure.axes[0].get_xlabel() == "20 of 20 outside"
    save_figure(tmp_path / "points.png", figure)
    save_figure(tmp_path / "alone.png", one_panel(np.full((20, 2), far)))


def test_a_titled_panel_for_each_entry_with_shared_limits(tmp_path):
    scattered = CORNERS.copy()
    scattered[2, 0] = 54.0
    history = [CORNERS / 4, CORNERS / 2, scattered]
    figure = points_figure(dict(zip("abc", history, strict=True)), CORNERS)
    assert [axes.get_title() for axes in figure.axes] == ["a", "b", "c"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "", "1 of 4 outside"]
    for axes in figure.axes:
        assert axes.get_xlim() == pytest.approx((-0.4, 4.4))
        assert axes.get_ylim() == pytest.approx((-1.4, 3.4))
    assert offsets(figure.axes[1])["generated"] == (CORNERS / 2).tolist()
    save_figure(tmp_path / "strip.png", figure)
    below = figure.axes[2].xaxis.label.get_window_extent().y0
    assert below >= 0
    with Image.open(tmp_path / "strip.png") as picture:
        assert picture.size == (876, 360)


def test_panels_without_real_points_share_limits_of_all():
    figure = points_figure({"a": CORNERS[:1], "b": CORNERS})
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim() == pytest.approx((-0.4, 4.4))


def test_a_painter_moves_the_points_and_keeps_the_panel():
    paint = painter(choose_window(CORNERS))
    middles, panels = [], []
    for x in (0.0, 2.0, 4.0):
        picture = paint(np.array([[x, 1.0]] * 9))
        assert (picture.size, picture.mode) == ((576, 624), "RGB")
        pixels = np.asarray(picture)[100:]
        middles.append(blue_pixels(pixels)[1].mean())
        panels.append(np.nonzero((pixels < 60).all(axis=2).sum(axis=0) > 300)[0].tolist())
    # Steps of 2 in a window 4.8 wide: two fifths and a little more of the panel each.
    width = panels[0][-1] - panels[0][0]
    assert np.diff(middles) == pytest.approx([width * 2 / 4.8] * 2, abs=2)
    assert panels[0] == panels[1] == panels[2]
    assert not len(blue_pixels(np.asarray(paint(np.full((9, 2), np.nan)))[100:])[0])


def test_points_have_the_colours_and_names_of_their_labels():
    labels = ["upper", "lower", "lower", "upper"]
    figure = points_figure({"": CORNERS}, None, None, Window(1.0, 1.0, 2.0), labels, "real")
    (axes,) = figure.axes
    assert offsets(axes) == {"real": [[0.0, 0.0], [0.0, 2.0]]}
    first, second = (tuple(colour) for colour in axes.collections[0].get_facecolors())
    assert first == second
    assert [(text.get_text(), text.xy) for text in axes.texts] == [("upper", (0.0, 1.0))]
    many = [str(number) for number in range(31)]
    assert not points_figure({"": np.zeros((31, 2))}, labels=many).axes[0].texts


def test_a_painter_moves_the_names_of_labels_too():
    paint = painter(choose_window(CORNERS))
    labelled, plain = (
        np.asarray(paint(np.array([[1.0, 1.0]] * 2), labels)) for labels in (("a", "a"), ())
    )
    assert (labelled != plain).any()
    assert (np.asarray(paint(np.array([[1.0, 1.0]] * 2))) == plain).all()


def test_importing_the_drawing_modules_loads_neither_pillow_nor_matplotlib():
    check = (
        "import sys, gancli.display.pictures, gancli.display.scatter; "
        "print(sorted({'PIL', 'matplotlib', 'jax'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
