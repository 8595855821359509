"""Runs and comparisons on a real Slurm: time limits, a node that dies, a run that fails."""

import json
import os
import signal
from pathlib import Path

import pytest
from faults import content
from slurm_cluster import cluster, gan, missing, said, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=f"no Slurm: {missing()}"),
]

RUN = (
    "--dataset ring8:count=500 --set model=mlp:width=16,depth=2 --set train.batch=20 "
    "--set sample.count=4 --set checkpoint.every=3"
)
COMPARED = f"compare {RUN} --samples 100 --metrics modes"


@pytest.fixture(scope="module")
def sent(tmp_path_factory):
    """The environment, and a folder in which all jobs of the tests have been sent at once."""
    folder = tmp_path_factory.mktemp("jobs")
    with cluster() as environment:
        (folder / "failing/hinge/seed-1").mkdir(parents=True)
        (folder / "failing/hinge/seed-1/mine.txt").write_text("Not gan's.")
        for words in (
            f"--name slow --partition second -- train --loss hinge {RUN} --steps 60 "
            f"--out {folder}/moved",
            f"--name slow -- {COMPARED} --loss hinge --loss minimax --seeds 2 --steps 60 "
            f"--out {folder}/limited",
            f"--array-parallelism 1 -- {COMPARED} --loss hinge --seeds 2 --steps 6 "
            f"--out {folder}/failing",
        ):
            status, told = gan(environment, f"submit {words}")
            assert status == 0, told
        yield environment, folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory, sent):
    """The same run as `moved` and the first of `limited`, which nothing stops."""
    run = tmp_path_factory.mktemp("whole") / "run"
    status, told = gan(sent[0], f"train --loss hinge {RUN} --steps 60 --out {run}")
    assert status == 0, told
    return decided(run)


def decided(run: Path) -> dict[str, str]:
    names = ("metrics.jsonl", "config.json", "checkpoints/")
    return {name: held for name, held in content(run).items() if name.startswith(names)}


def rows(environment, folder: Path) -> dict[str, dict]:
    status, told = gan(environment, f"status {folder} --json")
    assert status == 0, told
    held = json.loads(told)
    assert held["unknown"] == ""
    return {row["name"]: row for row in held["runs"]}


def has_begun(run: Path) -> bool:
    path = run / "run.json"
    return path.exists() and json.loads(path.read_text()).get("step", 0) > 0


def test_a_run_goes_on_on_another_node_when_its_node_dies(sent, whole):
    environment, folder = sent
    run = folder / "moved"
    until(lambda: has_begun(run))
    assert rows(environment, run)["moved"]["state"] == "running"
    job = rows(environment, run)["moved"]["job"]
    assert said(environment, "squeue", "-h", "-j", job, "-o", "%N").strip() == "n2"
    process = json.loads((run / ".lock.held").read_text())["process"]
    shell = parent_of(process)
    for one in (int(environment["NODE_2"]), parent_of(shell), shell, process):
        os.kill(one, signal.SIGKILL)
    until(lambda: rows(environment, run)["moved"]["state"] in ("requeued", "starting"))
    until(lambda: rows(environment, run)["moved"]["state"] == "finished")
    assert json.loads((run / "run.json").read_text())["restarts"] == 1
    assert decided(run) == whole


def test_a_task_comes_to_its_limit_and_the_comparison_to_its_report(sent, whole):
    environment, folder = sent
    first = folder / "limited/hinge/seed-0"
    until(lambda: has_begun(first))
    array = rows(environment, folder / "limited")["hinge/seed-0"]["job"].partition("_")[0]
    status, told = gan(
        environment,
        f"submit -- {COMPARED} --loss hinge --loss minimax --seeds 2 --steps 60 "
        f"--out {folder}/limited",
    )
    assert (status, "nothing was sent" in told, f"job {array}_1" in told) == (0, True, True)
    limit = ("scontrol", "update", f"JobId={array}_1")
    age = said(environment, "squeue", "-h", "-j", f"{array}_1", "-o", "%M").strip()
    # From one to two minutes are left, and the signal comes two ahead.
    said(environment, *limit, f"TimeLimit={int(age.split(':')[0]) + 2}")
    until(lambda: "requeueing" in log(folder / "limited", f"compare-{array}_1"))
    said(environment, *limit, "TimeLimit=UNLIMITED")
    until((folder / "limited/report.html").exists)
    found = json.loads((folder / "limited/results.json").read_text())
    assert len(found["runs"]) == 4
    assert all(run["metrics"] and not run["left"] for run in found["runs"])
    assert json.loads((first / "run.json").read_text())["restarts"] >= 1
    assert decided(first) == whole
    for task in (2, 3, 4):
        assert log(folder / "limited", f"compare-{array}_{task}").count(": start ") == 1


def test_a_failing_run_leaves_the_report_with_its_reason_and_is_sent_again(sent):
    environment, folder = sent
    out = folder / "failing"
    until((out / "report.html").exists)
    until(lambda: rows(environment, out)["gather"]["state"] == "finished")
    whole, failed = json.loads((out / "results.json").read_text())["runs"]
    assert whole["metrics"]
    assert not failed["metrics"]
    assert "mine.txt" in failed["left"]
    assert "mine.txt" in (out / "report.md").read_text()
    record = json.loads((out / "slurm/jobs.json").read_text())
    assert record["again"] == 2
    row = rows(environment, out)["hinge/seed-1"]
    assert row["state"] == "failed"
    assert "mine.txt" in row["note"]
    (out / "hinge/seed-1/mine.txt").unlink()
    status, told = gan(
        environment, f"submit -- {COMPARED} --loss hinge --seeds 2 --steps 6 --out {out}"
    )
    assert (status, "hinge/seed-0" in told, "hinge/seed-1" in told) == (0, False, True)
    until(lambda: rows(environment, out)["gather"]["state"] == "finished")
    assert all(run["metrics"] for run in json.loads((out / "results.json").read_text())["runs"])


def log(folder: Path, stem: str) -> str:
    path = folder / f"slurm/{stem}.log"
    return path.read_text() if path.exists() else ""


def parent_of(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
