"""The suite itself: what its default part may cost."""

import os

import pytest
from budget import MOST_MIB, MOST_SECONDS, Spent, all_of, recorded


def test_seconds_are_scaled_by_the_loop_and_memory_is_the_largest_workers():
    spent = all_of([Spent(100.0, 500.0, 0.52), Spent(300.0, 700.0, 0.52)])
    assert spent == (400.0, 700.0, 0.52)
    assert spent.scaled == pytest.approx(200.0)


@pytest.mark.slow
def test_the_default_part_keeps_its_budget(pytestconfig):
    spent = recorded(pytestconfig)
    if spent is None and not os.environ.get("CI"):
        pytest.skip("make test has not been run here")
    assert spent is not None
    assert spent.scaled <= MOST_SECONDS
    assert spent.mib <= MOST_MIB
