"""What is printed while a run trains."""

import io

import numpy as np
import pytest
from rich.console import Console

from gancli.config import Layer
from gancli.display.training import _Live, account, final_pictures, follow, headline
from gancli.system.progress import reported
from gancli.training.events import (
    Advanced,
    Compiled,
    Diagnosed,
    Evaluated,
    Finished,
    Measured,
    Sampled,
    Started,
    Warned,
)
from gancli.training.monitors import Change
from gancli.training.planning import opened, plan

VALUES = {
    "discriminator/accuracy/fake": 0.5,
    "discriminator/accuracy/real": 0.75,
    "discriminator/loss": 1.25,
    "generator/loss": -0.5,
}
GOODPUT = {
    "share": 0.6321,
    "seconds": {"start": 2.04, "compile": 1.0, "data": 0.01, "steps": 7.0, "checkpoints": 0.5},
    "steps": 110,
    "steps_repeated": 10,
    "restarts": 2,
}
EVENTS = [
    Started(0, 4),
    Sampled(0, np.zeros((4, 2), np.float32)),
    Compiled(2.5),
    Advanced(2),
    Measured(2, VALUES, 1000.0),
    Evaluated(2, {"modes/found": 8.0, "modes/kl": 0.012345}, 1.25, True),
    Diagnosed(Change(2, "mode-collapse", True, "all alike")),
    Warned("something to know"),
    Sampled(4, np.ones((4, 2), np.float32)),
    Finished(4, 3.0, GOODPUT),
]


@pytest.fixture
def run(tmp_path):
    planned = plan([Layer("test", {"data.name": "ring8:count=100", "train.steps": 4})])
    with opened(tmp_path / "run", planned) as run:
        for event in EVENTS:
            if isinstance(event, Sampled):
                run.add_sample(event.step, event.examples)
    return run, planned.dataset


def test_an_evaluation_shows_how_far_it_is(run, monkeypatch):
    def events():
        yield Started(0, 4)
        list(reported("fitting the classifier", range(3)))
        yield EVENTS[5]

    view = io.StringIO()
    live = _Live(Console(file=view, width=80, force_terminal=True))
    live.work("fitting the classifier", 1, 3)
    assert live.text.plain == "fitting the classifier: 1 of 3"
    text, clock = io.StringIO(), iter(range(0, 900, 9))
    monkeypatch.setattr("gancli.display.progress.time.monotonic", lambda: float(next(clock)))
    follow(events(), *run, Console(file=text, width=80))
    assert "fitting the classifier: 2 of 3\n" in text.getvalue()


def test_the_account_names_what_took_time_and_what_was_lost():
    assert account(GOODPUT) == (
        "useful time 63% of 10.5 s: start 2.0 s, compile 1.0 s, steps 7.0 s, checkpoints 0.5 s; "
        "restarts 2; 10 of 110 steps were repeated"
    )


def test_headline_names_losses_and_accuracy():
    assert headline(VALUES) == "discriminator 1.250 · generator -0.500 · accuracy 75% real 50% fake"
    assert headline({"generator/loss": 1.0}) == "generator 1.000"
    scores = {"discriminator/logit/real": -0.5, "discriminator/logit/fake": -2.25}
    assert headline(VALUES | scores) == headline(VALUES)
    assert headline({"generator/loss": 1.0} | scores) == "generator 1.000 · separation 1.750"


def test_after_a_rollback_there_is_one_bar_and_no_negative_time(run, monkeypatch):
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr("gancli.display.training.time.monotonic", lambda: next(clock))
    events = [Started(0, 40), Advanced(10), Advanced(30), Warned("back"), Started(10, 40)]
    events += [Advanced(15), Advanced(20), Measured(20, VALUES, 1.0)]
    file = io.StringIO()
    follow(events, *run, Console(file=file, width=100))
    assert "step 20/40  0.5 steps/s  0:00:40 left  disc" in file.getvalue()
    live = _Live(Console(file=io.StringIO(), force_terminal=True))
    with live.live:
        for event in events:
            live.show(event)
    (task,) = live.progress.tasks
    assert (task.completed, task.total) == (20, 40)


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_says_what_happens_and_draws_pictures(run, terminal):
    file = io.StringIO()
    follow(EVENTS, *run, Console(file=file, width=100, force_terminal=terminal))
    text = file.getvalue()
    for words in (
        "discriminator 1.250 · generator -0.500",
        "warning: something to know",
        "step 2: mode collapse begins: all alike",
        "step 2 measured in 1.2 s, the best so far: modes/found 8 · modes/kl 0.01235",
        "useful time 63% of 10.5 s",
    ):
        assert words in text
    assert ("step 2/4" in text) is not terminal
    assert ("\x1b[" in text) is terminal
    assert "unknown" not in text
    for picture in final_pictures(run[0]):
        assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
