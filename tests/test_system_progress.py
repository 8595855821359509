"""Progress that is told to whoever listens."""

import io

from rich.console import Console

from gancli.display.progress import lines, shown_progress
from gancli.system.progress import listening, reported


def test_a_listener_hears_of_each_item_that_is_done():
    heard = []
    with listening(lambda *told: heard.append(told)):
        assert list(reported("counting", "ab")) == ["a", "b"]
    assert heard == [("counting", 0, 2), ("counting", 1, 2), ("counting", 2, 2)]


def test_nobody_need_listen():
    assert list(reported("counting", range(3))) == [0, 1, 2]
    with listening(lambda *told: None):
        pass
    heard = []
    with listening(lambda *told: heard.append(told)):
        pass
    assert list(reported("counting", [])) == []
    assert heard == []


def test_without_a_terminal_there_is_a_line_for_what_takes_several_parts():
    text = io.StringIO()
    with shown_progress(Console(file=text, width=80)):
        list(reported("fitting [the classifier]", range(3)))
        list(reported("one part", range(1)))
    assert text.getvalue() == "fitting [the classifier] …\n"


def test_without_a_terminal_long_work_says_how_far_it_is(monkeypatch):
    text, clock = io.StringIO(), iter([0.0, 4.0, 11.0, 12.0, 22.0, 23.0])
    monkeypatch.setattr("gancli.display.progress.time.monotonic", lambda: next(clock))
    with listening(lines(Console(file=text, width=80), at_start=False)):
        list(reported("fitting", range(5)))
    assert text.getvalue() == "fitting: 2 of 5\nfitting: 4 of 5\n"


def test_on_a_terminal_bars_come_and_go():
    text = io.StringIO()
    with shown_progress(Console(file=text, width=80, force_terminal=True)):
        for _ in reported("outer", range(2)):
            list(reported("inner", range(3)))
    shown = text.getvalue()
    assert "outer" in shown
    assert "2/2" not in shown.splitlines()[-1]
