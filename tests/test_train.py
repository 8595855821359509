"""The loop: events, exact resumption, interruption, divergence."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest

from gancli.config import Layer
from gancli.errors import DivergedError, RunInterruptedError, UserError
from gancli.interruption import listen
from gancli.launch import open_run, plan
from gancli.runs.checkpoints import restore
from gancli.runs.directory import Run
from gancli.train import Compiled, Finished, Measured, Sampled, Saved, Started, Warned, train

POINTS = {
    "data.name": "ring8:count=1000",
    "model": "mlp:width=16,depth=2",
    "train.steps": 12,
    "train.batch": 20,
    "logging.every": 5,
    "sample.every": 6,
    "sample.count": 10,
    "checkpoint.every": 4,
}
IMAGES = POINTS | {"data.name": "digits", "model": "dcgan:width=4", "task": "generation:latent=4"}


def start(path: Path, **values) -> tuple[Run, object]:
    flat = {key.replace("__", "."): value for key, value in values.items()}
    planned = plan([Layer("test", {**POINTS, **flat})])
    return open_run(path, planned), planned.dataset


def lines(run: Run) -> list[dict]:
    """The metrics, less what a clock decides."""
    return [
        {k: v for k, v in line.items() if k != "examples_per_second"}
        for line in run.metrics.lines()
    ]


def content(run: Run, step: int):
    """Every array of a checkpoint, byte for byte."""
    from gancli.train import state_like

    _, like = state_like(run.config, plan([Layer("test", _flat(run))]).dataset.spec)
    return restore(run.checkpoints().folder(step), like)


def _flat(run: Run) -> dict:
    return {"data.name": run.config.data.name}


def assert_equal_states(first, second):
    import jax

    jax.tree.map(np.testing.assert_array_equal, first, second)


def test_events_tell_what_happens_in_order(tmp_path):
    run, dataset = start(tmp_path / "run")
    events = list(train(run, dataset))
    assert isinstance(events[0], Started)
    assert events[0] == (0, 12)
    assert [e.step for e in events if isinstance(e, Sampled)] == [0, 6, 12]
    assert [e.step for e in events if isinstance(e, Saved)] == [0, 4, 8, 12]
    assert [e.step for e in events if isinstance(e, Measured)] == [5, 10, 12]
    assert sum(isinstance(e, Compiled) for e in events) == 1
    assert isinstance(events[-1], Finished)
    assert run.status["status"] == "finished"
    assert run.checkpoints().steps() == [4, 8, 12]
    assert [step for step, _ in run.sample_history()] == [0, 6, 12]
    assert [line["step"] for line in lines(run)] == [5, 10, 12]
    assert all(examples.shape == (10, 2) for _, examples in run.sample_history())


def test_same_seed_same_bytes_and_other_seed_other_bytes(tmp_path):
    runs = {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run, dataset = start(tmp_path / name, train__seed=seed)
        list(train(run, dataset))
        runs[name] = run
    assert lines(runs["a"]) == lines(runs["b"]) != lines(runs["c"])
    assert_equal_states(content(runs["a"], 12), content(runs["b"], 12))


def train_until(run, dataset, stop):
    """Trains until a step is reached, and asks to stop there, as a scheduler does."""
    for event in train(run, dataset, listen()):
        if getattr(event, "step", 0) >= stop and not isinstance(event, Started):
            signal.raise_signal(signal.SIGTERM)


VARIANTS = {
    "wasserstein": {"loss": "wasserstein"},
    "extragradient": {"train.dynamics": "extragradient"},
    "streamed": {"data.resident_mib": 0},
    "packing and noise": {"inputs.packing": 2, "inputs.noise": 0.1},
    "rmsprop, clipped": {
        "optimizer.generator.name": "rmsprop",
        "optimizer.discriminator.name": "rmsprop",
        "optimizer.discriminator.clip_weights": 0.05,
    },
    "spectral norm on images": IMAGES | {"loss": "hinge"},
    "lazy penalty on images": IMAGES | {"penalties": ["r1:every=3"]},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_run_stopped_anywhere_and_resumed_ends_bit_identical(tmp_path, name):
    whole, dataset = start(tmp_path / "whole", **VARIANTS[name])
    list(train(whole, dataset))
    run, dataset = start(tmp_path / "stopped", **VARIANTS[name])
    for stop in (1, 3, 7, 10):
        with pytest.raises(RunInterruptedError):
            train_until(run, dataset, stop)
        assert run.status["status"] == "interrupted"
        assert run.checkpoints().steps()[-1] == run.status["step"]
    list(train(run, dataset))
    assert run.status["restarts"] == 4
    assert lines(run) == lines(whole)
    assert_equal_states(content(run, 12), content(whole, 12))
    for (step, one), (other_step, other) in zip(
        run.sample_history(), whole.sample_history(), strict=True
    ):
        assert step == other_step
        np.testing.assert_array_equal(one, other)


def test_a_run_cut_off_between_checkpoints_repeats_from_the_last(tmp_path):
    whole, dataset = start(tmp_path / "whole")
    list(train(whole, dataset))
    run, dataset = start(tmp_path / "cut")
    for event in train(run, dataset):
        if isinstance(event, Measured) and event.step == 10:
            break
    run.checkpoints().folder(8).joinpath("state", "manifest.ocdbt").write_bytes(b"damaged")
    warnings = [e for e in train(run, dataset) if isinstance(e, Warned)]
    assert "checkpoints/8' is damaged: state/manifest.ocdbt was changed" in warnings[0].message
    assert lines(run) == lines(whole)
    assert_equal_states(content(run, 12), content(whole, 12))


def test_more_steps_go_on_from_the_end(tmp_path):
    whole, dataset = start(tmp_path / "whole", train__steps=20)
    list(train(whole, dataset))
    run, dataset = start(tmp_path / "run")
    list(train(run, dataset))
    run, dataset = start(tmp_path / "run", train__steps=20)
    list(train(run, dataset))
    assert_equal_states(content(run, 20), content(whole, 20))


def test_a_finished_run_stays_as_it_is(tmp_path):
    run, dataset = start(tmp_path / "run")
    list(train(run, dataset))
    before = run.metrics.path.read_bytes()
    assert [type(event) for event in train(run, dataset)] == [Started, Finished]
    assert run.metrics.path.read_bytes() == before


def test_divergence_is_named_and_the_last_checkpoint_stays(tmp_path):
    run, dataset = start(
        tmp_path / "run",
        optimizer__discriminator__name="sgd",
        optimizer__discriminator__learning_rate=1e30,
        loss="least-squares",
    )
    with pytest.raises(
        DivergedError, match=r"of the (discriminator|generator) was (nan|inf|-inf) at step"
    ):
        list(train(run, dataset))
    assert run.status["status"] == "diverged"
    assert run.checkpoints().steps() == [0]
    for line in run.metrics.path.read_text().splitlines() if run.metrics.path.exists() else []:
        json.loads(line, parse_constant=pytest.fail)


def test_another_configuration_in_the_same_directory_is_refused(tmp_path):
    run, _ = start(tmp_path / "run")
    before = run.config
    with pytest.raises(UserError, match=r"train\.batch: 20 there, 30 asked for"):
        start(tmp_path / "run", train__batch=30)
    assert run.config == before


def test_other_data_are_refused(tmp_path):
    run, _ = start(tmp_path / "run")
    _, other = start(tmp_path / "other", data__name="ring8:count=1000,seed=1")
    with pytest.raises(UserError, match="is not the one that"):
        list(train(run, other))
