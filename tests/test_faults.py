"""Runs that are stopped at any instant, by any signal, end as if they had not been."""

import signal

import pytest
from faults import at_random_instants


def assert_killed(results):
    assert {number for number, _ in results} == {signal.SIGKILL}
    # Else the instants missed the processes' lives and nothing was tested.
    killed = sum(ended.status == -signal.SIGKILL for _, ended in results)
    assert killed >= 0.8 * len(results), [ended.status for _, ended in results]


def test_runs_killed_at_ten_random_instants_end_bit_identical(tmp_path):
    assert_killed(at_random_instants(tmp_path, [signal.SIGKILL], 10, seed=1))


@pytest.mark.slow
def test_runs_killed_at_a_hundred_random_instants_end_bit_identical(tmp_path):
    assert_killed(at_random_instants(tmp_path, [signal.SIGKILL], 100, seed=2))


@pytest.mark.slow
def test_fifty_signals_at_random_instants_are_heeded_and_the_run_goes_on(tmp_path):
    numbers = [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT]
    results = at_random_instants(tmp_path, numbers, 50, seed=3)
    saved = 0
    for number, ended in results:
        # One that comes before Python has reached the first line of `gan` ends the process
        # with nothing written; one that comes after the last step finds everything done.
        if ended.status == -number:
            assert not ended.said
            assert ended.seconds < 0.5
            continue
        assert ended.status in (0, 75), ended.said
        saved += ended.status == 75
        assert ("Stopped" in ended.said) == (ended.status == 75), ended.said
    assert saved >= 0.8 * len(results), [ended.status for _, ended in results]
