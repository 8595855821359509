"""What is sent for a directory, and what is not sent twice."""

import json
from pathlib import Path

import pytest
from refusals import refused
from tiny_runs import COMPARED, POINTS, gan, points_run, snapshot, succeed

from gancli.cluster.submission import read_record, send_again
from gancli.system import slurm

RUNS = [f"{loss}/seed-{seed}" for seed in (0, 1) for loss in ("hinge", "minimax")]
COMPARE = f"compare --loss hinge --loss minimax --seeds 2 {COMPARED} --samples 100"


class Fake:
    """A Slurm in which jobs wait until a test says that they have ended."""

    def __init__(self):
        self.sent: list[tuple[str, ...]] = []
        self.waiting: list[str] = []
        self.unknown = ""

    def send(self, script: Path, *options: str) -> str:
        self.sent.append((script.name, *options))
        self.waiting.append(str(len(self.sent)))
        return self.waiting[-1]

    def queue(self, jobs):
        states = {job: "PENDING" for job in jobs if job.partition("_")[0] in self.waiting}
        return slurm.Queue({} if self.unknown else states, self.unknown)


@pytest.fixture
def fake(monkeypatch):
    """Stands for Slurm's commands; validation, a process of its own, stays as it is."""
    fake = Fake()
    monkeypatch.setattr(slurm, "send", fake.send)
    monkeypatch.setattr(slurm, "queue", fake.queue)
    return fake


@pytest.fixture
def compared(monkeypatch):
    """A comparison's own check of its arguments, without the process that makes it."""
    done = dict.fromkeys(RUNS, False)
    monkeypatch.setattr("gancli.cli.submit._validated", lambda command: done)
    return done


@pytest.mark.slow
def test_a_run_is_checked_and_sent_once(fake, tmp_path, monkeypatch):
    out = tmp_path / "run"
    words = f"submit --time 9 -- train {POINTS} --out {out}"
    told = succeed(words).output
    monkeypatch.setattr("gancli.cli.submit._validated", lambda command: {})
    assert fake.sent == [("train.sbatch",)]
    assert "job 1" in told
    assert f"gan status {out}" in " ".join(told.split())
    again = succeed(words).output
    assert "nothing was sent" in again
    assert "job 1" in again
    assert len(fake.sent) == 1
    fake.waiting.clear()
    succeed(words)
    assert read_record(out).jobs == {"train": "2"}
    # The directory is still one that a run can be made in.
    succeed(f"train {POINTS} --out {out}")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("train --loss hing --out {}", "'hing'"),
        ("train --los hinge --out {}", "--los"),
        ("train --loss hinge", "--out"),
        ("compare --loss hinge", "--out"),
        ("compare --loss hinge --seconds 5 --out {}", "--seconds"),
        ("compare --loss hinge --only a --out {}", "--only"),
        ("train --dry-run --out {}", "--dry-run"),
        ("sample --out {}", "'sample'"),
        ("evaluate", "RUN"),
    ],
)
def test_bad_input_is_refused_as_by_the_command_and_nothing_is_sent(fake, tmp_path, words, named):
    result = gan(f"submit -- {words.format(tmp_path / 'out')}")
    assert result.exit_code == 2
    assert named in result.output
    assert not fake.sent
    assert not list(tmp_path.iterdir())


def test_a_dry_run_prints_what_would_be_sent_and_writes_nothing(fake, compared, tmp_path):
    told = succeed(f"submit --dry-run --array-parallelism 3 -- {COMPARE} --out {tmp_path}/c").output
    assert told.count("#!/bin/bash") == 2
    assert "#SBATCH --array=1-4%3" in told
    assert "--gather)" in told
    assert not fake.sent
    assert not list(tmp_path.iterdir())


def test_a_comparison_is_an_array_and_what_gathers_it(fake, compared, tmp_path):
    words = f"submit -- {COMPARE} --out {tmp_path}"
    succeed(words)
    assert fake.sent == [("compare.sbatch",), ("gather.sbatch", "--dependency=afterany:1")]
    assert (tmp_path / "slurm/runs.txt").read_text().split() == RUNS
    jobs = {run: f"1_{number}" for number, run in enumerate(RUNS, 1)} | {"gather": "2"}
    assert read_record(tmp_path).jobs == jobs
    succeed(words)
    assert len(fake.sent) == 2


def test_only_runs_without_a_result_are_sent(fake, compared, tmp_path):
    compared[RUNS[0]] = compared[RUNS[3]] = True
    succeed(f"submit --array-parallelism 2 -- {COMPARE} --out {tmp_path}")
    assert fake.sent[0] == ("compare.sbatch", "--array=2-3%2")
    for run in RUNS:
        compared[run] = True
    fake.waiting.clear()
    succeed(f"submit -- {COMPARE} --out {tmp_path}")
    assert fake.sent[2:] == [("gather.sbatch",)]


def test_a_gathering_that_was_not_sent_is_sent_later(fake, compared, tmp_path):
    words = f"submit -- {COMPARE} --out {tmp_path}"
    succeed(words)
    fake.waiting.remove("2")
    succeed(words)
    assert fake.sent[2:] == [("gather.sbatch", "--dependency=afterany:1")]


def test_nothing_is_sent_where_the_queue_is_unknown(fake, compared, tmp_path):
    words = f"submit -- {COMPARE} --out {tmp_path}"
    succeed(words)
    fake.unknown = "squeue: Socket timed out"
    result = gan(words)
    assert (result.exit_code, len(fake.sent)) == (2, 2)
    assert "Socket timed out" in result.output


def test_a_script_that_was_edited_is_not_replaced(fake, compared, tmp_path):
    words = f"submit -- {COMPARE} --out {tmp_path}"
    succeed(words)
    fake.waiting.clear()
    script = tmp_path / "slurm/compare.sbatch"
    script.write_text(script.read_text() + "# mine\n")
    result = gan(words)
    assert (result.exit_code, len(fake.sent)) == (2, 2)
    assert script.read_text().endswith("# mine\n")


def test_runs_without_a_result_are_sent_again_twice(fake, compared, tmp_path, monkeypatch):
    succeed(f"submit --array-parallelism 2 -- {COMPARE} --out {tmp_path}")
    assert send_again(tmp_path, RUNS[1:2]) == ""  # By hand, not in the job that gathers.
    for again in (1, 2):
        fake.waiting.clear()
        monkeypatch.setenv("SLURM_JOB_ID", read_record(tmp_path).jobs["gather"])
        del fake.sent[:]
        fake.sent += [()] * 10 * again  # Other ids.
        assert f"{again} of 2" in send_again(tmp_path, RUNS[1:2])
        script, gathering = fake.sent[10 * again :]
        assert script == ("compare.sbatch", "--array=2%2")
        assert gathering == ("gather.sbatch", f"--dependency=afterany:{10 * again + 1}")
    fake.waiting.clear()
    monkeypatch.setenv("SLURM_JOB_ID", read_record(tmp_path).jobs["gather"])
    assert send_again(tmp_path, RUNS[1:2]) == ""


def test_runs_that_still_have_jobs_are_waited_for(fake, compared, tmp_path, monkeypatch):
    succeed(f"submit -- {COMPARE} --out {tmp_path}")
    monkeypatch.setenv("SLURM_JOB_ID", "2")
    assert send_again(tmp_path, RUNS)
    assert fake.sent[2:] == [("gather.sbatch", "--dependency=afterany:1")]
    assert read_record(tmp_path).again == 0


def test_an_evaluation_is_sent_for_its_run(fake, tmp_path, monkeypatch):
    monkeypatch.setattr("gancli.cli.submit._validated", lambda command: {})
    succeed(f"submit -- evaluate {tmp_path}/run/checkpoints/6")
    assert (tmp_path / "run/slurm/evaluate.sbatch").is_file()


def test_a_damaged_record_is_refused(tmp_path):
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm/jobs.json").write_text(json.dumps({"jobs": {"train": "x; rm"}, "again": 0}))
    with refused("jobs.json"):
        read_record(tmp_path)


# What the scripts call


@pytest.mark.slow
def test_runs_of_a_comparison_one_by_one_give_what_all_give(tmp_path):
    words = f"compare --loss hinge --seeds 2 {COMPARED} --samples 100 --metrics modes"
    told = json.loads(succeed(f"{words} --out {tmp_path}/c --dry-run --json").stdout)
    assert told["runs"] == {"hinge/seed-0": False, "hinge/seed-1": False}
    assert not list(tmp_path.iterdir())
    succeed(f"{words} --out {tmp_path}/c --only hinge/seed-1")
    assert not (tmp_path / "c/hinge/seed-0").exists()
    assert not (tmp_path / "c/results.json").exists()
    result = gan(f"{words} --out {tmp_path}/c --gather")
    assert result.exit_code == 2
    assert "hinge/seed-0" in result.stderr
    lost, whole = json.loads((tmp_path / "c/results.json").read_text())["runs"]
    assert whole["metrics"]
    assert not lost["metrics"]
    assert "not begun" in lost["left"]
    succeed(f"{words} --out {tmp_path}/c --only hinge/seed-0")
    before = snapshot(tmp_path / "c/hinge")
    succeed(f"{words} --out {tmp_path}/c --gather")
    assert snapshot(tmp_path / "c/hinge") == before  # Nothing was trained or measured again.
    assert (tmp_path / "c/report.html").is_file()
    succeed(f"{words} --out {tmp_path}/d --parallel alone")
    one, other = (json.loads((tmp_path / x / "results.json").read_text()) for x in "cd")
    assert (one["runs"], one["answer"]) == (other["runs"], other["answer"])


@pytest.mark.slow
def test_a_dry_evaluation_names_its_metrics(tmp_path):
    run = points_run()
    before = snapshot(run)
    assert "modes" in succeed(f"evaluate {run} --dry-run").output
    assert snapshot(run) == before
    assert gan(f"evaluate {run} --dry-run --metrics classes").exit_code == 2
