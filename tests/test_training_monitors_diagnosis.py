"""Every pathology: silent on sound lines, named on lines that show it, and gone after them."""

import pytest
from typer.testing import CliRunner

from gancli.cli.application import app
from gancli.config import Config, Layer
from gancli.training.monitors import PATHOLOGIES, Diagnosis, diagnose
from gancli.training.planning import plan

SOUND = {
    "discriminator/auc": 0.75,
    "discriminator/gradient_norm": 1.0,
    "generator/gradient_norm": 0.5,
    "monitors/distance": 0.004,
    "monitors/diversity": 1.0,
    "monitors/spacing": 1.1,
    "monitors/restlessness": 0.05,
    "monitors/modes/found": 1.0,
    "monitors/modes/near": 0.8,
    "monitors/overfitting": 0.02,
    "monitors/auc/train": 0.75,
    "monitors/auc/held_out": 0.74,
    "monitors/copying": -0.5,
    "monitors/nearness": 0.98,
}
FAR = {"monitors/distance": 0.3}
SHOWN = {
    "mode-collapse": FAR | {"monitors/diversity": 0.1},
    "discriminator-wins": FAR | {"discriminator/auc": 0.999},
    "discriminator-lags": FAR | {"discriminator/auc": 0.5},
    "oscillation": FAR | {"monitors/restlessness": 0.9},
    "exploding-gradients": {"generator/gradient_norm": 5e4},
    "discriminator-overfitting": {
        "monitors/overfitting": 0.9,
        "monitors/auc/train": 0.99,
        "monitors/auc/held_out": 0.6,
    },
    "memorization": {"monitors/copying": -12.0, "monitors/nearness": 0.2},
}


def changes_of(lines) -> list[tuple[int, str, bool]]:
    diagnosis = Diagnosis(Config())
    return [
        (change.step, change.name, change.begins)
        for step, line in enumerate(lines, 1)
        for change in diagnosis.add(step, line)
    ]


def test_sound_lines_show_nothing():
    assert changes_of([SOUND] * 30) == []


def test_every_pathology_is_tested():
    assert {*SHOWN} == {*PATHOLOGIES.names()}


@pytest.mark.parametrize("name", PATHOLOGIES.names())
def test_a_pathology_begins_and_ends(name):
    found = changes_of([SOUND] * 8 + [SOUND | SHOWN[name]] * 6 + [SOUND] * 6)
    assert [(changed, begins) for _, changed, begins in found] == [(name, True), (name, False)]
    (first, _, _), (last, _, _) = found
    assert 9 <= first <= 13
    assert 15 <= last <= 19


def test_a_run_that_gets_better_is_left_alone():
    """However alike its samples are, and however well they are told from the data."""
    early = {"monitors/diversity": 0.1, "discriminator/auc": 1.0}
    distances = [0.5 * 0.8**n for n in range(20)]
    assert changes_of([SOUND | early | {"monitors/distance": d} for d in distances]) == []


def test_lines_without_measurements_change_nothing():
    bare = {name: value for name, value in SOUND.items() if "monitors" not in name}
    shown = SOUND | SHOWN["exploding-gradients"]
    assert changes_of([SOUND, SOUND, bare, bare, shown]) == [(5, "exploding-gradients", True)]
    assert changes_of([bare] * 3) == []


def test_gradients_explode_at_any_line_and_calm_down_at_a_measured_one():
    calm, wild = ({"generator/gradient_norm": norm} for norm in (1.0, 1e6))
    assert changes_of([calm, wild, wild, calm, SOUND]) == [
        (2, "exploding-gradients", True),
        (5, "exploding-gradients", False),
    ]


def test_classes_of_the_newest_evaluation_show_a_collapse():
    """An evaluation has a line of its own; ln 5 nats are two classes of ten."""
    few, all_of_them = ({"evaluation/classes/kl": kl} for kl in (1.609, 0.01))
    lines = [SOUND] * 6 + [few, SOUND, SOUND, SOUND, all_of_them, SOUND, SOUND]
    assert changes_of(lines) == [(9, "mode-collapse", True), (13, "mode-collapse", False)]


def test_figures_stay_known_at_lines_that_have_none():
    diagnosis = Diagnosis(Config())
    diagnosis.add(1, SOUND)
    diagnosis.add(2, {"generator/loss": 1.0})
    assert diagnosis.history.newest("monitors/distance") == SOUND["monitors/distance"]
    diagnosis.add(3, {"monitors/diversity": 1.0})
    assert diagnosis.history.newest("monitors/distance") != SOUND["monitors/distance"]


@pytest.mark.slow
def test_every_remedy_is_a_command_that_can_be_given():
    tried = plan([Layer("", {"model": "dcgan:width=4", "loss": "minimax"})], recipes=False).config
    found = {name: PATHOLOGIES.build(name, tried).remedies for name in PATHOLOGIES.names()}
    assert all(found.values())
    different = {tuple(remedy.options) for remedies in found.values() for remedy in remedies}
    for options in different:
        result = CliRunner().invoke(app, ["train", "--dry-run", *options])
        assert result.exit_code == 0, (options, result.output)


def test_what_a_run_has_already_is_no_remedy():
    held = Config(penalties=("r1",), loss="relativistic")
    keys = {key for one in PATHOLOGIES.build("mode-collapse", held).remedies for key in one.changes}
    assert keys == {"inputs.packing", "loss", "penalties"}
    (packing, both) = PATHOLOGIES.build("mode-collapse", held).remedies
    assert both.changes["penalties"] == ["r1", "r2"]
    assert packing.options == ["--set", "inputs.packing=2"]


@pytest.mark.parametrize(("backs", "begins"), [((), 10), ((8,), 13), ((9, 8), 13), ((3,), 10)])
def test_lines_after_a_rollback_are_judged_by_themselves(backs, begins):
    """It takes three measurements to see whether samples get better, and two that they do not."""
    shown = [SOUND] * 8 + [SOUND | SHOWN["mode-collapse"]] * 6
    lines = [{"step": step, **line} for step, line in enumerate(shown, 1)]
    _, changes = diagnose(Config(), lines, [{"back_to": back} for back in backs])
    assert [(change.name, change.step) for change in changes] == [("mode-collapse", begins)]
