"""Where the time of a run went."""

import time

import pytest

from gancli.runs.goodput import Goodput


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def pass_time(seconds):
        now[0] += seconds

    return pass_time


def test_phases_add_up_to_the_time_that_passed(clock):
    goodput = Goodput()
    clock(2)
    with goodput.within("compile"):
        clock(3)
    goodput.enter("steps")
    clock(4)
    goodput.charge("data")
    clock(10)
    with goodput.within("checkpoints"):
        clock(1)
    goodput.steps, goodput.steps_repeated = 100, 20
    held = goodput.as_json()
    assert held == {
        "share": 0.4,  # 80 of 100 steps were kept, so 8 of 10 seconds, of 20 in all.
        "seconds": {
            "start": 2, "compile": 3, "data": 4, "steps": 10, "samples": 0, "evaluation": 0,
            "monitors": 0, "checkpoints": 1,
        },
        "steps": 100,
        "steps_repeated": 20,
    }  # fmt: skip
    again = Goodput(held)
    clock(5)
    assert again.as_json()["seconds"]["start"] == 7
    assert again.as_json()["steps"] == 100
