"""Requests to stop."""

import signal

import pytest

from gancli.interruption import listen


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_is_a_request(number):
    request = listen()
    assert not request
    signal.raise_signal(number)
    assert request


def test_schedulers_may_repeat_themselves():
    request = listen()
    for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGUSR1, signal.SIGTERM):
        signal.raise_signal(number)
    assert request


def test_a_second_interrupt_stops_at_once():
    listen()
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
