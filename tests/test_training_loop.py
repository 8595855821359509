"""The loop: events, exact resumption, interruption, divergence."""

import json
import os
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from refusals import refused

from gancli.adversarial.dynamics import DYNAMICS
from gancli.config import Layer
from gancli.data.configured import load_data
from gancli.errors import DivergedError, RunInterruptedError
from gancli.evaluation import METRICS
from gancli.evaluation.metric import Metric
from gancli.registry import Registry
from gancli.runs import versions
from gancli.runs.directory import Run
from gancli.runs.state_files import read_arrays
from gancli.system import processes
from gancli.system.interruption import listen
from gancli.tasks.program import state_like
from gancli.training.events import (
    Compiled,
    Diagnosed,
    Evaluated,
    Finished,
    Measured,
    Sampled,
    Saved,
    Started,
    Warned,
)
from gancli.training.loop import train
from gancli.training.monitors import diagnosis
from gancli.training.monitors.diagnosis import Pathology
from gancli.training.planning import Plan, opened, plan

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
IMAGES = POINTS | {
    "data.name": "digits",
    "model": "mlp:width=8,depth=2",
    "task": "generation:latent=4",
}
TOKENS = POINTS | {
    "data.name": "oracle:length=4,vocabulary=6,count=200",
    "model": "sequence:hidden=4,embedding=3,width=4,longest=2",
}


def start(path: Path, **values) -> tuple[Run, Plan]:
    flat = {key.replace("__", "."): value for key, value in values.items()}
    planned = plan([Layer("test", {**POINTS, **flat})])
    with opened(path, planned) as run:
        return run, planned


def lines(run: Run) -> bytes:
    """The metrics, byte for byte."""
    return run.metrics.path.read_bytes()


def content(run: Run, step: int):
    """Every array of a checkpoint, byte for byte."""
    _, like = state_like(run.config, load_data(run.config).spec)
    return read_arrays(run.checkpoints().folder(step), like)


def numbers(text: str) -> list[str]:
    """The numbers in a message."""
    return re.findall(r"\d+(?:\.\d+)*", text)


def assert_equal_states(first, second):
    import jax

    jax.tree.map(np.testing.assert_array_equal, first, second)


def test_events_tell_what_happens_in_order(tmp_path):
    run, planned = start(tmp_path / "run")
    events = list(train(planned, run))
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
    assert [line["step"] for line in run.metrics.lines()] == [5, 10, 12]
    assert all(examples.shape == (10, 2) for _, examples in run.sample_history())


def test_same_seed_same_bytes_and_other_seed_other_bytes(tmp_path):
    runs = {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run, planned = start(tmp_path / name, train__seed=seed)
        list(train(planned, run))
        runs[name] = run
    assert lines(runs["a"]) == lines(runs["b"]) != lines(runs["c"])
    assert_equal_states(content(runs["a"], 12), content(runs["b"], 12))


def train_until(run, planned, stop, seen=None):
    """Trains until a step is reached, and asks to stop there, as a scheduler does."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Each process has a request of its own.
    for event in train(planned, run, listen()):
        if seen is not None:
            seen.append(event)
        if getattr(event, "step", 0) >= stop and not isinstance(event, Started):
            signal.raise_signal(signal.SIGTERM)


VARIANTS = {
    "wasserstein, watched": {"loss": "wasserstein", "monitors.every": 3},
    **{name: {"train.dynamics": name} for name in DYNAMICS.names() if name != "alternating"},
    "packing, noise, schedules and path lengths": {
        "task": "generation:latent=2,path_length=2,path_every=3",
        "inputs.packing": 2,
        "inputs.noise": "linear:initial=0.1",
        "optimizer.generator.learning_rate": "cosine:initial=1e-3,warmup=3",
        "optimizer.discriminator.beta2": "linear:initial=0.9,final=0.99",
        "penalties": ["r1:weight=(step:initial=10,final=1,begin=4)"],
        "average.half_life": "linear:initial=0,final=200",
    },
    "streamed, rmsprop, clipped": {
        "data.resident_mib": 0,
        "optimizer.generator.name": "rmsprop",
        "optimizer.discriminator.name": "rmsprop",
        "optimizer.discriminator.clip_weights": 0.05,
    },
    "bfloat16, convolutions, spectral norm, lazy penalty, adaptive augmentation": IMAGES
    | {
        "train.precision": "bfloat16",
        "model": "dcgan:width=4",
        "loss": "hinge",
        "penalties": ["r1:every=3"],
        "inputs.augment": ["flip", "brightness"],
        "inputs.augment_target": 0.5,
        "inputs.augment_images": 500,
    },
    "labels": IMAGES
    | {"task": "conditional", "model": "mlp:width=8,depth=2,generator_norm=conditional"},
    "codes with a reader": IMAGES | {"task": "infogan:agreement=1,spare=5"},
    "codes, streamed": IMAGES | {"task": "infogan", "data.resident_mib": 0},
    "styles and noise": IMAGES | {"model": "stylegan2:width=2,style=4,mapping=2"},
    "autoencoder": IMAGES | {"task": "vae:latent=4"},
    "tokens by policy gradient": TOKENS
    | {"task": "policy-gradient:pretrain=5,pretrain_discriminator=2"},
    "tokens relaxed, streamed": TOKENS
    | {"task": "gumbel:pretrain=4,cooling=5", "data.resident_mib": 0},
    "tokens by likelihood": TOKENS | {"task": "maximum-likelihood", "loss": ""},
    "super-resolution": IMAGES
    | {
        "task": "super-resolution:factor=2",
        "model": "unet:width=4,depth=1,discriminator_width=4",
    },
    "two data sets and pools, streamed": IMAGES
    | {
        "task": "cyclegan:pool=8",
        "model": "cyclegan:width=4,blocks=1,discriminator_width=4",
        "data.target": "digits",
        "data.resident_mib": 0,
    },
    "autoencoder and discriminator": IMAGES | {"task": "vae-gan:latent=4", "loss": "hinge"},
}


# Those that take longest to compile, and those that carry no more than others.
HEAVY = {
    "autoencoder",
    "autoencoder and discriminator",
    "codes, streamed",
    "consensus",
    "extragradient",
    "implicit",
    "labels",
    "simultaneous",
    "tokens by policy gradient",
    "tokens relaxed, streamed",
    "two data sets and pools, streamed",
    "styles and noise",
    "codes with a reader",
    "super-resolution",
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if name in HEAVY else []) for name in VARIANTS],
)
def test_a_run_stopped_anywhere_and_resumed_ends_bit_identical(tmp_path, name):
    measured = {"monitors.every": 6} if name in HEAVY else {}
    variant = VARIANTS[name] | {"checkpoint.every": 6} | measured
    whole, planned = start(tmp_path / "whole", **variant)
    list(train(planned, whole))
    run, planned = start(tmp_path / "stopped", **variant)
    for stop in (3, 7):
        with pytest.raises(RunInterruptedError):
            train_until(run, planned, stop)
        assert run.status["status"] == "interrupted"
        assert run.checkpoints().steps()[-1] == run.status["step"]
    list(train(planned, run))
    assert run.status["restarts"] == 2
    assert lines(run) == lines(whole)
    assert_equal_states(content(run, 12), content(whole, 12))
    for (step, one), (other_step, other) in zip(
        run.sample_history(), whole.sample_history(), strict=True
    ):
        assert step == other_step
        np.testing.assert_array_equal(one, other)


def test_a_pathology_is_told_noted_and_found_again(tmp_path, monkeypatch):
    """It begins at step 6, before the run is stopped, and ends at step 12, after it resumes."""
    known = Registry("pathology")

    @known.register("high-tide", reference="a test")
    def high_tide(config):
        """Twice at 6 and 9."""
        return Pathology("", lambda history: "it is" if 5 < history.steps[-1] < 11 else None, 1, ())

    monkeypatch.setattr(diagnosis, "PATHOLOGIES", known)
    run, planned = start(tmp_path / "run", monitors__every=3)
    before: list = []
    with pytest.raises(RunInterruptedError):
        train_until(run, planned, 9, before)
    began, ended = (
        [event.change for event in events if isinstance(event, Diagnosed)]
        for events in (before, train(planned, run))
    )
    assert began == [(6, "high-tide", True, "it is")]
    assert ended == [(12, "high-tide", False, "it is")]
    held = {line["step"]: line.get("pathologies") for line in run.metrics.lines()}
    assert [step for step, names in held.items() if names == ["high-tide"]] == [6, 9, 10]
    assert diagnosis.diagnose(run.config, run.metrics.lines())[1] == began + ended


@pytest.mark.slow
def test_a_pathology_may_end_a_run_and_it_goes_on_when_told_to(tmp_path, monkeypatch):
    known = Registry("pathology")

    @known.register("low-tide", reference="a test")
    def low_tide(config):
        """From step 6 on."""
        return Pathology("", lambda history: "it is" if history.steps[-1] > 5 else None, 1, ())

    monkeypatch.setattr(diagnosis, "PATHOLOGIES", known)
    steps = []
    for policy in ("stop", "stop", "report"):
        run, planned = start(tmp_path / "run", monitors__every=3, monitors__policy=policy)
        steps.append([event.step for event in train(planned, run) if isinstance(event, Finished)])
        assert run.status["pathologies"] == (["low-tide"] if policy == "stop" else [])
    assert steps == [[6], [6], [12]]
    whole, planned = start(tmp_path / "whole", monitors__every=3)
    list(train(planned, whole))
    assert lines(run) == lines(whole)
    assert_equal_states(content(run, 12), content(whole, 12))


def test_a_run_cut_off_between_checkpoints_repeats_from_the_last(tmp_path):
    whole, planned = start(tmp_path / "whole")
    list(train(planned, whole))
    run, planned = start(tmp_path / "cut")
    for event in train(planned, run):
        if isinstance(event, Measured) and event.step == 10:
            break
    run.checkpoints().folder(8).joinpath("state", "_METADATA").write_bytes(b"damaged")
    warnings = [e for e in train(planned, run) if isinstance(e, Warned)]
    assert "checkpoints/8'" in warnings[0].message
    assert "state/_METADATA" in warnings[0].message
    assert lines(run) == lines(whole)
    assert_equal_states(content(run, 12), content(whole, 12))


@pytest.mark.slow
def test_more_steps_go_on_from_the_end_as_if_there_had_been_none(tmp_path):
    whole, planned = start(tmp_path / "whole", train__steps=20, sample__every=8)
    list(train(planned, whole))
    run, planned = start(tmp_path / "run", sample__every=8)
    list(train(planned, run))
    assert [line["step"] for line in run.metrics.lines()] == [5, 10, 12]
    assert [step for step, _ in run.sample_history()] == [0, 8, 12]
    run, planned = start(tmp_path / "run", train__steps=20, sample__every=8)
    list(train(planned, run))
    assert_equal_states(content(run, 20), content(whole, 20))
    assert [line["step"] for line in run.metrics.lines()] == [5, 10, 15, 20]
    assert lines(run) == lines(whole)
    assert [step for step, _ in run.sample_history()] == [0, 8, 16, 20]


def test_a_finished_run_stays_as_it_is(tmp_path):
    run, planned = start(tmp_path / "run")
    list(train(planned, run))
    before = run.metrics.path.read_bytes()
    assert [type(event) for event in train(planned, run)] == [Started, Finished]
    assert run.metrics.path.read_bytes() == before


EXPLODING = {
    "optimizer.discriminator.name": "sgd",
    "optimizer.generator.name": "sgd",
    "loss": "least-squares",
    "train.steps": 40,
}


def test_divergence_is_named_and_the_last_checkpoint_stays(tmp_path):
    run, planned = start(
        tmp_path / "run", **EXPLODING, **{"optimizer.discriminator.learning_rate": 1e30}
    )
    with pytest.raises(DivergedError) as raised:
        list(train(planned, run))
    found = raised.value.finding
    assert all(part in str(raised.value) for part in (found.player, found.quantity, found.value))
    assert str(found.first) in numbers(str(raised.value))
    assert run.status["status"] == "diverged"
    assert run.status["reason"] == str(raised.value)
    assert run.checkpoints().steps() == [0]
    for line in run.metrics.path.read_text().splitlines() if run.metrics.path.exists() else []:
        json.loads(line, parse_constant=pytest.fail)
    # The state in which it was found is kept beside, where nothing goes on from it.
    (aside,) = (run.path / "diverged").iterdir()
    assert str(aside) in str(raised.value)
    finding = json.loads((aside / "divergence.json").read_text())
    assert finding == found._asdict()
    assert finding["player"] in ("discriminator", "generator")
    assert 1 <= finding["first"] <= int(aside.name) <= 4
    _, like = state_like(run.config, planned.dataset.spec)
    assert int(read_arrays(aside, like).step) == int(aside.name)


def rolled_back(tmp_path, name, **more):
    """A run whose learning rate is far too high until it has been lowered."""
    return start(
        tmp_path / name,
        **EXPLODING,
        **{
            "optimizer.discriminator.learning_rate": 50.0,
            "divergence.policy": "rollback",
            "divergence.factor": 0.05,
        },
        **more,
    )


def test_a_rollback_goes_back_lowers_the_learning_rate_and_is_recorded(tmp_path):
    run, planned = rolled_back(tmp_path, "run")
    events = list(train(planned, run))
    warnings = [event.message for event in events if isinstance(event, Warned)]
    rollbacks = run.status["rollbacks"]
    assert len(warnings) == len(rollbacks) >= 1
    first = rollbacks[0]
    assert first["player"] in warnings[0]
    # Back to which step, times what, and which rollback of how many; before it what was found.
    said = numbers(warnings[0])
    assert sorted(said[-4:]) == sorted([str(first["back_to"]), "0.05", "1", "3"])
    assert [one["learning_rate_factor"] for one in rollbacks] == [
        pytest.approx(0.05 ** (number + 1)) for number in range(len(rollbacks))
    ]
    assert run.status["status"] == "finished"
    assert run.status["restarts"] == 0
    assert run.status["goodput"]["steps_repeated"] > 0
    final = list(run.metrics.lines())[-1]
    assert final["step"] == 40
    assert final["discriminator/learning_rate"] == pytest.approx(50 * 0.05 ** len(rollbacks))
    assert [line["step"] for line in run.metrics.lines()] == list(range(5, 41, 5))


@pytest.mark.slow
def test_a_run_that_rolls_back_ends_bit_identical_wherever_it_was_stopped(tmp_path):
    whole, planned = rolled_back(tmp_path, "whole")
    list(train(planned, whole))
    run, planned = rolled_back(tmp_path, "stopped")
    for stop in (1, 2, 3, 7, 18, 29):
        with pytest.raises(RunInterruptedError):
            train_until(run, planned, stop)
    list(train(planned, run))
    assert lines(run) == lines(whole)
    assert_equal_states(content(run, 40), content(whole, 40))
    assert run.status["rollbacks"] == whole.status["rollbacks"]
    assert run.status["rollbacks"][0].keys() == {
        "player", "quantity", "value", "step", "back_to", "learning_rate_factor", "changes"
    }  # fmt: skip


def test_rollbacks_are_bounded(tmp_path):
    run, planned = start(
        tmp_path / "run",
        **EXPLODING,
        **{
            "optimizer.discriminator.learning_rate": 1e30,
            "divergence.policy": "rollback",
            "divergence.rollbacks": 2,
        },
    )
    with pytest.raises(DivergedError) as raised:
        list(train(planned, run))
    assert "2" in numbers(str(raised.value).partition(str(raised.value.finding))[2])
    assert run.status["status"] == "diverged"
    assert len(run.status["rollbacks"]) == 2


def test_a_loss_beyond_its_limit_is_divergence(tmp_path):
    run, planned = start(tmp_path / "run", divergence__loss_limit=1e-6)
    with pytest.raises(DivergedError, match=r"divergence\.loss_limit=1e-06") as raised:
        list(train(planned, run))
    found = raised.value.finding
    assert found.quantity == "loss"
    assert found.value in str(raised.value)
    assert 1 == found.first < found.last


def test_a_run_without_a_sound_checkpoint_is_refused_and_left(tmp_path):
    run, planned = start(tmp_path / "run")
    list(train(planned, run))
    for step in run.checkpoints().steps():
        (run.checkpoints().folder(step) / "data.json").write_text("{}")
    before = lines(run)
    folders = [f"{str(run.checkpoints().folder(step))!r}" for step in run.checkpoints().steps()]
    with refused(*folders, "data.json", remedy=str(run.path / "checkpoints")):
        list(train(planned, run))
    assert lines(run) == before
    assert len(list(run.sample_history())) == 3


class Marks:
    """The metric `test`: a mark for each step; it may ask to stop while it measures."""

    def __init__(self):
        self.left, self.lower, self.stop_at, self.measured = [], True, None, []

    def give(self, marks, lower=True, stop_at=None):
        self.left, self.lower, self.stop_at, self.measured = list(marks), lower, stop_at, []

    def measure(self, evaluated):
        self.measured.append(self.left.pop(0))
        if self.stop_at == len(self.measured):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)
        return {"mark": self.measured[-1], "other": 7.0}


@pytest.fixture
def marks(monkeypatch):
    given = Marks()
    monkeypatch.setattr(METRICS, "_entries", dict(METRICS._entries))

    def test() -> Metric:
        """Marks."""
        return Metric(
            lambda subject: True, given.measure, {"mark": "lower" if given.lower else "higher"}
        )

    METRICS.register("test", reference="")(test)
    return given


MEASURED = {
    "evaluation.every": 3, "evaluation.metrics": ["test"], "evaluation.best": "test/mark",
    "evaluation.samples": 100, "checkpoint.keep": 1,
}  # fmt: skip


def measured(tmp_path, name, **more):
    run, planned = start(tmp_path / name, **MEASURED, **more)
    return run, list(train(planned, run))


@pytest.mark.parametrize(("lower", "best"), [(True, 6), (False, 9)])
def test_the_best_step_is_kept_and_measurements_are_in_the_metrics(tmp_path, marks, lower, best):
    marks.give([3.0, 1.0, 4.0, 2.0], lower)
    run, events = measured(tmp_path, "run")
    assert [(e.step, e.best) for e in events if isinstance(e, Evaluated)] == (
        [(3, True), (6, True), (9, False), (12, False)]
        if lower
        else [(3, True), (6, False), (9, True), (12, False)]
    )
    lines = {line["step"]: line for line in run.metrics.lines()}
    assert sorted(lines) == [3, 5, 6, 9, 10, 12]
    assert [lines[step]["evaluation/test/mark"] for step in (3, 6, 9, 12)] == [3, 1, 4, 2]
    assert "evaluation/test/mark" not in lines[5]
    assert run.checkpoints().steps() == [best, 12]
    assert run.status["best"] == {
        "figure": "test/mark",
        "value": lines[best]["evaluation/test/mark"],
        "step": best,
    }
    assert run.status["goodput"]["seconds"]["evaluation"] > 0


@pytest.mark.slow
def test_patience_ends_a_run_early_and_more_of_it_goes_on(tmp_path, marks):
    each = [3.0, 1.0, 4.0, 2.0, 0.5, 0.6, 0.7]
    marks.give(each)
    run, events = measured(tmp_path, "run", evaluation__patience=2, train__steps=21)
    assert events[-1].step == 12
    assert run.status["status"] == "finished"
    marks.give(each)
    _, events = measured(tmp_path, "run", evaluation__patience=2, train__steps=21)
    assert [type(event) for event in events] == [Started, Finished]
    assert marks.measured == []
    marks.give(each[4:])
    run, _ = measured(tmp_path, "run", evaluation__patience=0, train__steps=21)
    marks.give(each)
    whole, _ = measured(tmp_path, "whole", evaluation__patience=0, train__steps=21)
    assert lines(run) == lines(whole)
    assert run.checkpoints().steps() == whole.checkpoints().steps() == [15, 20, 21]


@pytest.mark.slow
def test_the_best_by_another_figure_begins_anew(tmp_path, marks):
    marks.give([3.0, 1.0, 4.0, 2.0])
    run, _ = measured(tmp_path, "run", evaluation__metrics=["test", "modes"])
    assert run.status["best"]["figure"] == "test/mark"
    marks.give([5.0, 6.0])
    both = {"evaluation__metrics": ["test", "modes"], "evaluation__best": "modes/high_quality"}
    _, events = measured(tmp_path, "run", **both, train__steps=18)
    assert next(e.best for e in events if isinstance(e, Evaluated))
    assert run.status["best"]["figure"] == "modes/high_quality"


def test_a_request_to_stop_does_not_wait_for_an_evaluation_which_is_made_later(tmp_path, marks):
    marks.give([3.0, 1.0, 4.0, 2.0])
    whole, _ = measured(tmp_path, "whole")
    run, planned = start(tmp_path / "run", **MEASURED)
    marks.give([3.0, 1.0], stop_at=2)
    with pytest.raises(RunInterruptedError, match=r"\b6\b.*\b12\b.*gan resume"):
        list(train(planned, run, listen()))
    assert 6 in run.checkpoints().steps()
    assert 'step": 6' not in run.metrics.path.read_text()
    marks.give([1.0, 4.0, 2.0])
    list(train(planned, run))
    assert lines(run) == lines(whole)
    assert run.checkpoints().steps() == whole.checkpoints().steps()
    assert_equal_states(content(run, 12), content(whole, 12))


def test_metrics_that_were_removed_begin_again_and_it_is_said(tmp_path):
    run, planned = start(tmp_path / "run")
    with pytest.raises(RunInterruptedError):
        train_until(run, planned, 6)
    run.metrics.path.unlink()
    step = run.status["step"]
    warnings = [event.message for event in train(planned, run) if isinstance(event, Warned)]
    assert str(run.metrics.path) in warnings[0]
    assert numbers(warnings[0])[-1] == str(step)
    assert [line["step"] for line in run.metrics.lines()] == [10, 12]


def test_checkpoints_of_interruptions_do_not_displace_those_by_schedule(tmp_path):
    run, planned = start(tmp_path / "run", checkpoint__keep=1)
    for stop in (2, 5, 6, 7, 9):
        with pytest.raises(RunInterruptedError):
            train_until(run, planned, stop)
    steps = run.checkpoints().steps()
    assert steps[0] == 8
    assert len(steps) == 2


def test_a_checkpoint_is_written_after_some_minutes_whatever_the_schedule(tmp_path):
    run, planned = start(
        tmp_path / "run", checkpoint__every=1000, checkpoint__minutes=1e-9, train__steps=3
    )
    saved = [event.step for event in train(planned, run) if isinstance(event, Saved)]
    assert saved == [0, 1, 2, 3]


def test_other_versions_are_said_and_incompatible_ones_refused(tmp_path, monkeypatch):
    run, planned = start(tmp_path / "run")
    with pytest.raises(RunInterruptedError):
        train_until(run, planned, 5)
    here = versions.versions()
    monkeypatch.setattr(versions, "versions", lambda: here | {"gan": "7.1.0"})
    with refused("checkpoints/", f"gan '{here['gan']}'", "gan 7.1.0", allowed="gan 7.1."):
        list(train(planned, run))
    monkeypatch.setattr(versions, "versions", lambda: here | {"jax": "99.0"})
    warnings = [event.message for event in train(planned, run) if isinstance(event, Warned)]
    assert f"jax {here['jax']}" in warnings[0]
    assert "99.0" in warnings[0]


def test_goodput_counts_what_was_lost_and_made_again(tmp_path):
    # A model of its own: what another test has played need not be compiled again.
    run, planned = start(tmp_path / "run", model="mlp:width=15,depth=2")
    for event in train(planned, run):
        if isinstance(event, Measured) and event.step == 10:
            break
    list(train(planned, run))
    goodput = run.status["goodput"]
    assert run.status["restarts"] == 1
    assert goodput["steps_repeated"] == 2  # From step 8, the last checkpoint, to the line of 10.
    assert goodput["steps"] >= 14
    assert all(seconds >= 0 for seconds in goodput["seconds"].values())
    assert goodput["seconds"]["compile"] > 0


def test_another_configuration_in_the_same_directory_is_refused(tmp_path):
    run, _ = start(tmp_path / "run")
    before = run.config
    with refused(repr(str(run.path)), "train.batch", " 20", " 30", allowed="--out"):
        start(tmp_path / "run", train__batch=30)
    assert run.config == before


@pytest.mark.parametrize("first", [True, False])
def test_other_data_are_refused_in_every_process_of_a_job(tmp_path, monkeypatch, first):
    run, planned = start(tmp_path / "run")
    _, other = start(tmp_path / "other", data__name="ring8:count=1000,seed=1")
    monkeypatch.setattr(processes, "is_first", lambda: first)
    prints = (one.dataset.fingerprint[:12] for one in (planned, other))
    with (
        refused("'ring8:count=1000,seed=1'", repr(str(run.path)), *prints),
        opened(run.path, planned._replace(dataset=other.dataset)),
    ):
        pass
