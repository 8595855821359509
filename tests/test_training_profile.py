"""Profiles: the trace, what it says, and that the run's results stay the same."""

import gzip
import json

import jax
import jax.numpy as jnp
import pytest

from gancli.config import Layer
from gancli.runs.directory import Run
from gancli.runs.state_files import read_arrays
from gancli.tasks.program import state_like
from gancli.training.backends import Devices
from gancli.training.backends.devices import done
from gancli.training.events import Finished, Profiled, Warned
from gancli.training.execution import Chunk
from gancli.training.loop import train
from gancli.training.planning import opened, plan
from gancli.training.profile import Profiling

POINTS = {
    "data.name": "ring8:count=1000",
    "model": "mlp:width=16,depth=2",
    "train.batch": 20,
    "logging.every": 5,
    "sample.every": 6,
    "sample.count": 10,
    "checkpoint.every": 4,
}


def play(path, steps, profile):
    """Trains a run up to a step; returns it, and its events."""
    planned = plan([Layer("test", POINTS | {"train.steps": steps, "logging.profile": profile})])
    with opened(path, planned) as run:
        return run, list(train(planned, run))


def results(run: Run, step: int) -> tuple[bytes, list[bytes]]:
    """The metrics and the state's arrays, byte for byte."""
    spec = plan([Layer("test", POINTS)]).dataset.spec
    state = read_arrays(run.checkpoints().folder(step), state_like(run.config, spec)[1])
    return run.metrics.path.read_bytes(), [leaf.tobytes() for leaf in jax.tree.leaves(state)]


@pytest.mark.slow
@pytest.mark.parametrize("stops", [(12,), pytest.param((6, 12), marks=pytest.mark.slow)])
def test_a_profile_says_what_took_longest_and_changes_no_result(tmp_path, stops):
    plain, events = play(tmp_path / "plain", 12, False)
    assert not any(isinstance(event, Profiled) for event in events)
    assert not (plain.path / "profile").exists()

    for steps in stops:
        traced, events = play(tmp_path / "traced", steps, True)
    assert results(traced, 12) == results(plain, 12)
    assert isinstance(events[-2], Finished)
    profiled = events[-1]
    assert isinstance(profiled, Profiled)
    assert profiled.folder == traced.path / "profile"
    assert 4 <= profiled.steps <= 8  # All after the first two of a process, or five calls.
    times = [one.seconds for one in profiled.operations]
    assert len(times) == 10
    assert times == sorted(times, reverse=True)
    assert times[-1] > 0
    assert 0 < sum(one.share for one in profiled.operations) <= 1
    assert not {"while", "call"} & {one.name.partition(".")[0] for one in profiled.operations}

    # One of each process; Perfetto reads Chrome's format.
    files = sorted(profiled.folder.rglob("*.trace.json.gz"))
    assert len(files) == len(sorted(profiled.folder.rglob("*.xplane.pb"))) >= 1
    held = json.loads(gzip.decompress(files[-1].read_bytes()))["traceEvents"]
    assert profiled.operations[0].name in {event.get("name") for event in held}


def test_a_run_that_is_too_short_for_a_trace_says_so(tmp_path):
    class Idle(Devices):
        def advance(self, here, most, drawn):
            return done(here)

    profiling = Profiling(Idle(), tmp_path / "profile")
    for _ in range(2):
        profiling.advance(Chunk(None, 1, jnp.zeros((1, 0))), 1, lambda: None)
    (warned,) = profiling.events()
    assert isinstance(warned, Warned)
    assert "logging.profile" in warned.message
    assert not profiling.folder.exists()
