"""Requests to stop."""

import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from gancli import __version__
from gancli.system.interruption import (
    SIGNALS,
    StopNow,
    StopRequest,
    apart,
    left_working,
    listen,
    while_listening,
)
from gancli.system.progress import listening, reported


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_stops_at_once_and_is_remembered(number):
    request = listen()
    assert not request
    with pytest.raises(StopNow):
        signal.raise_signal(number)
    assert request


@pytest.mark.parametrize("number", SIGNALS)
def test_a_deferred_signal_is_a_request(number):
    request = listen()
    with request.deferred():
        signal.raise_signal(number)
        assert request
    with pytest.raises(StopNow):
        request.heed()


def test_no_library_takes_it_for_an_error_of_its_own():
    def swallow():
        try:
            signal.raise_signal(signal.SIGTERM)
        except Exception:
            return

    listen()
    with pytest.raises(StopNow):
        swallow()


def test_a_signal_where_python_drops_exceptions_is_heard_soon():
    class Finalized:
        def __del__(self):
            signal.raise_signal(signal.SIGTERM)

    listen()
    with pytest.raises(StopNow):
        del_it(Finalized())


def test_a_second_interrupt_where_python_drops_exceptions_is_heard_soon(capsys):
    class Finalized:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    with listen().deferred():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            del_it(Finalized())
    assert capsys.readouterr() == ("", "")  # Not a word of what was dropped.


def del_it(last):
    del last
    time.sleep(5)


def test_nothing_is_raised_in_the_hook_that_would_drop_it(monkeypatch):
    """The hook asks for a later signal; one that comes meanwhile waits like it."""
    listen()
    asked = []

    def later(*arguments):
        asked.append(arguments)
        if len(asked) == 1:
            signal.raise_signal(signal.SIGALRM)

    monkeypatch.setattr(signal, "setitimer", later)
    sys.unraisablehook(SimpleNamespace(exc_type=StopNow))
    assert len(asked) == 2


def test_a_timer_that_a_library_forgot_is_not_waited_for():
    timer = threading.Timer(60, print)
    assert not left_working()
    timer.start()
    try:
        assert left_working()
    finally:
        timer.cancel()
        timer.join()


def test_schedulers_may_repeat_themselves():
    request = listen()
    with pytest.raises(StopNow):
        signal.raise_signal(signal.SIGUSR1)
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGTERM):
        signal.raise_signal(number)
    assert request


def test_a_second_interrupt_stops_at_once_even_where_the_first_was_deferred():
    with listen().deferred():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_process_has_one_request():
    assert listen() is listen()


def test_a_long_call_ends_with_its_result_or_its_error():
    assert while_listening(lambda: 3, StopRequest()) == 3
    heard = []
    with listening(lambda *told: heard.append(told)):
        while_listening(lambda: list(reported("counting", "a")), StopRequest())
    assert heard == [("counting", 0, 1), ("counting", 1, 1)]

    def fail():
        raise ValueError("five")

    with pytest.raises(ValueError, match="five"):
        while_listening(fail, StopRequest())
    assert not left_working()


def test_a_request_does_not_wait_for_a_long_call():
    request, end = StopRequest(), threading.Event()
    request.made = True
    began = time.monotonic()
    assert while_listening(lambda: end.wait(30), request) is None
    assert time.monotonic() - began < 5
    assert left_working()
    end.set()


@pytest.mark.parametrize("number", [*SIGNALS, signal.SIGALRM])
def test_a_signal_while_python_ends_changes_nothing(number):
    """The handlers are given back before threads and modules are: a thread sends it then."""
    program = f"""
import atexit, os, sys
from gancli.__main__ import main
atexit.register(os.kill, os.getpid(), {int(number)})
class Last:
    kill, pid = os.kill, os.getpid()
    def __del__(self):
        self.kill(self.pid, {int(number)})
sys.last = Last()
sys.argv = ["gan", "--version"]
main()
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{__version__}\n"


def test_a_hangup_stays_ignored_where_it_was():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    request = listen()
    signal.raise_signal(signal.SIGHUP)
    assert not request


def test_a_library_is_not_cut_off_in_the_middle():
    listen()
    ended = threading.Event()

    def read():
        time.sleep(0.3)
        ended.set()

    threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGTERM]).start()
    with pytest.raises(StopNow):
        apart(read)
    assert not ended.is_set()
    assert ended.wait(10)


def test_what_is_done_apart_returns_or_raises():
    assert apart(lambda: 3) == 3

    def fail():
        raise ValueError("five")

    with pytest.raises(ValueError, match="five"):
        apart(fail)
    assert not left_working()


def test_a_second_interrupt_waits_for_an_import_as_the_first_does(tmp_path, monkeypatch):
    """A C++ library whose initialization is cut off aborts the process."""
    (tmp_path / "imported_twice_interrupted.py").write_text(
        "import signal, time\n"
        "signal.raise_signal(signal.SIGINT)\n"
        "signal.raise_signal(signal.SIGINT)\n"
        "time.sleep(0.1)\n"
        "finished = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    listen()

    def load():
        importlib.import_module("imported_twice_interrupted")
        time.sleep(5)

    with pytest.raises(KeyboardInterrupt):
        load()
    assert sys.modules.pop("imported_twice_interrupted").finished
