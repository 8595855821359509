"""What is printed and drawn of a game."""

import io
import math

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from gancli.adversarial.games import GAMES, Trajectory
from gancli.adversarial.stability import Prediction, Rate
from gancli.display.game import draw_game, show_game

DIVERGES = Rate(1.01, 0.2, "diverges")


def path_of(x, y):
    return Trajectory({"x": jnp.float32(x), "y": jnp.float32(y)})


def printed(predicted, measured):
    text = io.StringIO()
    show_game(path_of([1, 2], [0, 0]), predicted, measured, Console(file=text, width=80))
    return text.getvalue()


@pytest.mark.parametrize(
    ("below", "said"),
    [
        (None, "no small learning rate"),
        ({"x": math.inf, "y": math.inf}, "every learning rate up to 100"),
        ({"x": 0.57735, "y": 0.57735}, "a learning rate of 0.577"),
        ({"x": 1.2, "y": 2.4}, "1.2 (x) and 2.4 (y)"),
    ],
)
def test_learning_rates_that_converge_are_named(below, said):
    assert said in " ".join(printed(Prediction(DIVERGES, below), DIVERGES).split())


@pytest.mark.parametrize(
    ("predicted", "verdict", "said"),
    [
        (Prediction(DIVERGES, None), "cycles", "near the equilibrium and"),
        (Prediction(DIVERGES, None), "undecided", "no half-turn"),
        (None, "cycles", "No rate is predicted"),
        (Prediction(DIVERGES, None), "diverges", None),
    ],
)
def test_what_the_two_rates_do_not_say_is_explained(predicted, verdict, said):
    text = printed(predicted, Rate(1.0, 0.2, verdict, (0, 1)))
    explanations = ("near the equilibrium and", "no half-turn", "No rate is predicted")
    assert [one for one in explanations if one in text] == ([said] if said else [])


@pytest.mark.parametrize(
    ("x", "y", "span"),
    [
        ([0, 0, 0], [0, 0, 0], None),
        ([1e30, np.inf, np.nan], [0, np.inf, np.nan], None),
        ([1, 1e20, np.inf], [0, 1e20, np.nan], (0, 1)),
    ],
)
def test_any_path_can_be_drawn(tmp_path, x, y, span):
    file, measured = tmp_path / "game.png", Rate(1.0, 0.2, "cycles", span)
    game = GAMES.build("bilinear").game
    draw_game(file, game, path_of(x, y), Prediction(DIVERGES, None), measured)
    with Image.open(file) as image:
        assert image.size == (1200, 576)
        image.load()
