"""The account of a run: its verdict, its timeline, and commands that can be pasted."""

import json
import shlex
import shutil

import pytest
from refusals import refused
from test_training_monitors_diagnosis import FAR, SHOWN, SOUND
from tiny_runs import gan, points_run, succeed

from gancli.training.account import account_of, accounts_of, in_common


def run_of(folder, lines):
    """A finished run with these measurements."""
    shutil.copytree(points_run(), folder)
    rows = [{"step": step, **line} for step, line in enumerate(lines, 1)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


COLLAPSED = [SOUND] * 6 + [SOUND | SHOWN["mode-collapse"]] * 6


def test_the_account_of_a_collapsed_run(tmp_path):
    account = account_of(run_of(tmp_path / "run", COLLAPSED))
    assert [*account.present] == ["mode-collapse"]
    assert [change.name for change in account.changes] == ["mode-collapse"]
    assert "few different examples" in account.verdict
    command = shlex.split(account.command(account.remedies[0][1]))
    assert command[:3] == ["gan", "train", str(tmp_path / "run" / "config.json")]
    tried = gan("train --dry-run", *command[2:])
    assert tried.exit_code == 0, tried.output


def test_a_remedy_of_two_pathologies_is_offered_once(tmp_path):
    both = SOUND | SHOWN["discriminator-lags"] | SHOWN["oscillation"]
    account = account_of(run_of(tmp_path / "run", [SOUND] * 6 + [both] * 6))
    assert {*account.present} == {"discriminator-lags", "oscillation"}
    commands = [account.command(remedy) for _, remedy in account.remedies]
    assert len(commands) == len(set(commands)) > 3


def test_what_rollbacks_have_changed_is_told_and_part_of_what_to_try(tmp_path):
    run = run_of(tmp_path / "run", COLLAPSED)
    status = json.loads((run / "run.json").read_text())
    back = {
        "pathology": "mode-collapse", "evidence": "all alike", "remedy": "a penalty", "step": 900,
        "back_to": 400, "changes": {"penalties": ["r1"]},
    }  # fmt: skip
    (run / "run.json").write_text(json.dumps(status | {"rollbacks": [back]}))
    account = account_of(run)
    assert account.config.penalties == ("r1",)
    assert [remedy.options for _, remedy in account.remedies] == [
        ["--set", "inputs.packing=2"],
        ["--loss", "relativistic", "--penalty", "r1", "--penalty", "r2"],
    ]
    command = shlex.split(account.command(account.remedies[0][1]))
    assert command[3:] == ["--penalty", "r1", "--set", "inputs.packing=2"]
    said = succeed("diagnose", str(run)).stdout
    assert "step 900: mode collapse, all alike; went back to step 400 with --penalty r1" in said
    assert json.loads(succeed("diagnose --json", str(run)).stdout)["rollbacks"] == [back]


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        ([], "no measurement"),
        ([SOUND | FAR] * 3, "barely begun"),
        ([SOUND | FAR] * 3 + [SOUND] * 9, "Nothing is wrong that"),
        ([SOUND | FAR] + COLLAPSED + [SOUND] * 6, "has ended"),
    ],
)
def test_runs_without_a_pathology(tmp_path, lines, word):
    assert word in account_of(run_of(tmp_path / "run", lines)).verdict


def test_what_runs_with_a_pathology_have_in_common(tmp_path):
    accounts = []
    for index, (lines, rate) in enumerate(((COLLAPSED, 0.5), (COLLAPSED, 0.5), ([SOUND], 0.1))):
        account = account_of(run_of(tmp_path / str(index), lines))
        train = account.config.train.model_copy(update={"seed": index})
        average = account.config.average.model_copy(update={"decay": rate})
        config = account.config.model_copy(update={"train": train, "average": average})
        accounts.append(account._replace(config=config))
    assert in_common(accounts, "mode-collapse") == {"average.decay": 0.5}
    assert in_common(accounts[:2], "mode-collapse") == {}
    assert in_common(accounts[1:], "mode-collapse") == {"average.decay": 0.5}


def test_a_comparison_has_an_account_for_each_run(tmp_path):
    for seed, lines in enumerate((COLLAPSED, [SOUND] * 4)):
        run_of(tmp_path / "cmp" / "hinge" / f"seed-{seed}", lines)
    found = accounts_of(tmp_path / "cmp")
    assert [[*one.present] for one in found] == [["mode-collapse"], []]
    said = succeed("diagnose", str(tmp_path / "cmp")).stdout
    assert "hinge/seed-0" in said
    assert "0.004" in said
    assert "mode collapse" in said


def test_what_is_no_run_is_refused(tmp_path):
    with refused(str(tmp_path)):
        accounts_of(tmp_path)


def test_the_command_prints_the_account_and_its_json(tmp_path):
    run = run_of(tmp_path / "run", COLLAPSED)
    said = succeed("diagnose --explain", str(run)).stdout
    for word in ("Timeline", "step 8", "inputs.packing=2", "logits tell nothing apart"):
        assert word in said
    held = json.loads(succeed("diagnose --json", str(run)).stdout)
    assert held["present"] == {
        "mode-collapse": "samples are 0.10 as far apart as real examples (below 0.5)"
    }
    assert held["remedies"][0]["command"].endswith("--set inputs.packing=2")
