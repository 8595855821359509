"""Remedies: a run goes back, changes its configuration, and trains on from there."""

import shutil
import signal

import pytest
from refusals import refused
from test_training_loop import assert_equal_states, content, lines, start, train_until

from gancli.config import Config
from gancli.errors import RunInterruptedError
from gancli.registry import Registry
from gancli.runs.checkpoints import CHECKSUMS
from gancli.system.interruption import listen
from gancli.training.events import Advanced, Measured, Started, Warned
from gancli.training.loop import train
from gancli.training.monitors import Remedy, diagnosis
from gancli.training.monitors.diagnosis import Pathology
from gancli.training.rollback import changed, plan_remedy

LAGGING = {
    "loss": "non-saturating",
    "optimizer.discriminator.learning_rate": 1e-7,
    "optimizer.generator.learning_rate": 1e-3,
    "train.steps": 40,
    "monitors.every": 4,
    "monitors.policy": "remedy",
    "monitors.remedies": 1,
}


@pytest.fixture
def pathologies(monkeypatch):
    known = Registry("pathology")
    monkeypatch.setattr(diagnosis, "PATHOLOGIES", known)
    return known


@pytest.mark.slow
def test_a_run_goes_back_applies_a_remedy_and_records_it(tmp_path):
    run, planned = start(tmp_path / "run", **LAGGING)
    events = list(train(planned, run))
    messages = [event.message for event in events if isinstance(event, Warned)]
    rollbacks = run.status["rollbacks"]
    assert len(messages) == len(rollbacks) == 1
    first = rollbacks[0]
    assert first["pathology"] == "discriminator-lags"
    assert first["changes"] == {"optimizer.discriminator.learning_rate": 0.001}
    assert first["back_to"] == (first["step"] - 5) // 4 * 4  # It takes two measurements.
    for words in (
        "discriminator lags begins: AUC",
        f"going back to step {first['back_to']} with "
        "--set optimizer.discriminator.learning_rate=0.001",
        "remedy 1 of at most 1",
    ):
        assert words in messages[0]
    assert [event.step for event in events if isinstance(event, Started)][1] == first["back_to"]
    assert run.status["status"] == "finished"
    assert run.status["restarts"] == 0
    assert run.status["goodput"]["steps_repeated"] >= first["step"] - first["back_to"]
    held = [line["step"] for line in run.metrics.lines()]
    assert held == sorted(set(held))
    assert held[-1] == 40


def penalized(known):
    @known.register("low-tide", reference="a test")
    def low_tide(config):
        """From step 6 on, in runs without a penalty."""

        def evidence(history):
            return None if history.config.penalties or history.steps[-1] < 6 else "it is"

        return Pathology("", evidence, 1, (Remedy({"penalties": ["r1"]}, "a penalty"),))


def stop_after_remedy(run, planned):
    """Trains, and asks to stop once the second attempt has made a step."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    seen: list = []
    for event in train(planned, run, listen()):
        seen.append(type(event))
        if seen.count(Started) == 2 and isinstance(event, Advanced):
            signal.raise_signal(signal.SIGTERM)


SICK = {"monitors.every": 3, "monitors.policy": "remedy"}


@pytest.mark.slow
def test_a_remedied_run_ends_bit_identical_wherever_it_was_stopped_or_killed(tmp_path, pathologies):
    """It goes from step 6 to 4, where a step of the line at 5 has been made without the penalty."""
    penalized(pathologies)
    whole, planned = start(tmp_path / "whole", **SICK)
    list(train(planned, whole))
    assert [(one["step"], one["back_to"]) for one in whole.status["rollbacks"]] == [(6, 4)]
    held = {line["step"]: line for line in whole.metrics.lines()}
    assert ["discriminator/penalty/r1" in held[step] for step in (3, 5, 6)] == [False, True, True]

    run, planned = start(tmp_path / "run", **SICK)
    seen: list = []
    for event in train(planned, run):  # Killed after the remedy, before a new checkpoint.
        seen.append(type(event))
        if seen.count(Started) == 2 and isinstance(event, Measured):
            break
    assert run.checkpoints().steps()[-1] == 4
    with pytest.raises(RunInterruptedError):
        stop_after_remedy(run, planned)
    assert run.checkpoints().steps()[-1] in (5, 6, 7)
    assert len(run.status["rollbacks"]) == 1
    with pytest.raises(RunInterruptedError):
        train_until(run, planned, 9)
    list(train(planned, run))
    assert run.status["rollbacks"] == whole.status["rollbacks"]
    assert lines(run) == lines(whole)
    assert_equal_states(content(run, 12), content(whole, 12))


@pytest.fixture
def planned_at_9(tmp_path, pathologies):
    """What is planned at step 9 for a pathology that is shown from step 6 on, after rollbacks."""

    @pathologies.register("flood", reference="a test")
    def flood(config):
        """From step 6 on."""
        remedies = (
            Remedy({"inputs.packing": 2}, "pairs"),
            Remedy({"model": "mlp:width=17,depth=2"}, "another network"),
            Remedy({"train.dynamics": "no-such"}, "what does not exist"),
            Remedy({"optimizer.generator.clip_norm": 1.0}, "bounded gradients"),
            Remedy({"loss": "relativistic", "penalties": ["r1"]}, "another loss"),
        )
        return Pathology("", lambda seen: "it is" if seen.steps[-1] > 5 else None, 2, remedies)

    run, planned = start(tmp_path / "run", **SICK, **{"monitors.remedies": 2})
    found = diagnosis.Diagnosis(planned.config)
    begun = [change for step in (3, 6, 9) for change in found.add(step, {"monitors/any": 1.0})]
    assert [(change.step, change.name) for change in begun] == [(9, "flood")]

    def at_9(before=(), steps=(0, 4, 5, 8), keep=3):
        checkpoints = run.checkpoints(keep, planned.config.checkpoint.every)
        shutil.rmtree(checkpoints.path, ignore_errors=True)
        for step in steps:
            checkpoints.folder(step).mkdir(parents=True)
            (checkpoints.folder(step) / CHECKSUMS).touch()
        return plan_remedy(found, begun, planned.dataset, checkpoints, before)

    return at_9


def test_remedies_of_another_shape_are_passed_over_none_is_applied_twice_and_they_are_bounded(
    planned_at_9,
):
    first = planned_at_9().record
    second = planned_at_9([first]).record
    assert [one["remedy"] for one in (first, second)] == ["bounded gradients", "another loss"]
    assert first["changes"] == {"optimizer.generator.clip_norm": 1.0}
    assert planned_at_9([first, second]) is None
    assert planned_at_9([{"player": "generator"}, first]).record == second


@pytest.mark.parametrize(
    ("steps", "keep", "back"),
    [
        ((0, 4, 5, 8), 3, 4),  # The newest one before step 6 that was saved on schedule.
        ((0, 5, 8), 3, 0),
        ((4, 8), 2, 4),
        ((4, 8), 1, None),  # A process that was killed left step 4, which others remove.
        ((8,), 3, None),
    ],
)
def test_a_run_goes_back_to_before_the_first_evidence(planned_at_9, steps, keep, back):
    rollback = planned_at_9(steps=steps, keep=keep)
    assert (rollback and rollback.record["back_to"]) == back


def test_a_rollback_that_does_not_say_what_it_changed_is_refused():
    with refused("step 7", allowed="changes"):
        changed(Config(), [{"step": 7, "back_to": 0, "learning_rate_factor": 0.5}])
