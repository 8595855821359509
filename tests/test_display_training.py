"""What is printed while a run trains."""

import io

import numpy as np
import pytest
from rich.console import Console

from gancli.config import Layer
from gancli.display.training import final_pictures, follow, headline
from gancli.launch import open_run, plan
from gancli.train import Advanced, Compiled, Finished, Measured, Sampled, Started, Warned

VALUES = {
    "discriminator/accuracy/fake": 0.5,
    "discriminator/accuracy/real": 0.75,
    "discriminator/loss": 1.25,
    "generator/loss": -0.5,
}
EVENTS = [
    Started(0, 4),
    Sampled(0, np.zeros((4, 2), np.float32)),
    Compiled(2.5),
    Advanced(2),
    Measured(2, VALUES),
    Warned("something to know"),
    Sampled(4, np.ones((4, 2), np.float32)),
    Finished(4, 3.0),
]


@pytest.fixture
def run(tmp_path):
    planned = plan([Layer("test", {"data.name": "ring8:count=100", "train.steps": 4})])
    run = open_run(tmp_path / "run", planned)
    for event in EVENTS:
        if isinstance(event, Sampled):
            run.add_sample(*event)
    return run, planned.dataset


def test_headline_names_losses_and_accuracy():
    assert headline(VALUES) == "discriminator 1.250 · generator -0.500 · accuracy 75% real 50% fake"
    assert headline({"generator/loss": 1.0}) == "generator 1.000"


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_says_what_happens_and_draws_pictures(run, terminal):
    file = io.StringIO()
    follow(EVENTS, *run, Console(file=file, width=100, force_terminal=terminal))
    text = file.getvalue()
    for words in ("discriminator 1.250 · generator -0.500", "warning: something to know"):
        assert words in text
    assert ("step 2/4" in text) is not terminal
    assert ("\x1b[" in text) is terminal
    for picture in final_pictures(run[0]):
        assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
