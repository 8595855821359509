"""Runs of a comparison, trained one by one, in processes and as one program."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from faults import few_or_many
from tiny_variants import WILD, variant

from gancli.comparison import make_cells, measure_all, run_all
from gancli.comparison.running import choose_way, groups
from gancli.comparison.verdicts import answer
from gancli.comparison.workers import Job, WorkerError, train_in_processes
from gancli.errors import DivergedError, RunInterruptedError
from gancli.evaluation import Question
from gancli.system.interruption import StopRequest
from gancli.training.events import Finished, Measured

QUESTION = Question(("modes", "wasserstein"), 100)


def cells_of(out, *variants, seeds=2):
    return make_cells(variants or [variant("one"), variant("two", loss="hinge")], seeds, out)


def bytes_of(out: Path) -> dict[str, bytes]:
    """What a comparison left of its runs that no clock decides: the metrics' values."""
    return {
        str(path.relative_to(out)): [
            {k: v for k, v in json.loads(line).items() if k != "examples_per_second"}
            for line in path.read_text().splitlines()
        ]
        for path in sorted(out.rglob("metrics.jsonl"))
    }


@pytest.mark.slow
def test_processes_make_the_same_runs_as_one_after_another(tmp_path):
    alone, apart = cells_of(tmp_path / "alone"), cells_of(tmp_path / "apart")
    list(run_all(alone, QUESTION, way="alone"))
    happened = list(run_all(apart, QUESTION, way="processes", most=2))
    assert sum(isinstance(event, Finished) for _, event in happened) == 4
    assert len(bytes_of(tmp_path / "alone")) == 4
    assert bytes_of(tmp_path / "alone") == bytes_of(tmp_path / "apart")
    # They have measured what they trained.
    assert all((cell.run.path / "evaluation.json").is_file() for cell in apart)
    figures = [[o.metrics for o in measure_all(cells, QUESTION)] for cells in (alone, apart)]
    assert figures[0] == figures[1]


@pytest.mark.slow
def test_one_that_diverges_in_a_process_does_not_stop_the_others(tmp_path):
    cells = cells_of(tmp_path, variant("wild", **WILD), variant("tame"), seeds=1)
    happened = list(run_all(cells, QUESTION, way="processes", most=2))
    ends = {cell.variant: event for cell, event in happened}
    assert isinstance(ends["wild"], DivergedError)
    assert isinstance(ends["tame"], Finished)
    assert list(run_all(cells, QUESTION, way="processes")) == []


@pytest.mark.slow
def test_a_process_that_dies_is_said_and_the_rest_is_saved(tmp_path):
    cells = cells_of(tmp_path, variant("one", train__steps=100_000), seeds=2)
    tasks = [Job(cell.run.path, cell.planned.config, QUESTION) for cell in cells]

    def kill_the_first() -> None:
        for index, event in train_in_processes(tasks, 2, StopRequest()):
            if isinstance(event, Measured) and index == 0:
                for child in children_training(cells[0].run.path):
                    os.kill(child, signal.SIGKILL)

    with pytest.raises(WorkerError, match=re.escape(str(cells[0].run.path))) as caught:
        kill_the_first()
    assert "-9" in str(caught.value)
    assert cells[1].run.status["status"] in ("interrupted", "new")
    assert not children_training(cells[0].run.path)


def children_training(path: Path) -> list[int]:
    """The processes that hold a run's lock."""
    held = path / ".lock"
    return [
        int(entry.name)
        for entry in Path("/proc").glob("[0-9]*")
        if entry.name != str(os.getpid())
        and any(_target(link) == str(held.resolve()) for link in _links(entry))
    ]


def _links(entry: Path) -> list[Path]:
    try:
        return list((entry / "fd").iterdir())
    except OSError:
        return []


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""


@pytest.mark.slow
def test_a_request_to_stop_saves_all_runs(tmp_path):
    cells = cells_of(tmp_path, variant("one", train__steps=100_000), seeds=2)

    def stop_when_both_have_begun() -> None:
        stop, begun = StopRequest(), set()
        for cell, event in run_all(cells, QUESTION, stop, "processes", 2):
            if isinstance(event, Measured):
                begun.add(cell.seed)
                stop.made = len(begun) == 2

    with pytest.raises(RunInterruptedError):
        stop_when_both_have_begun()
    assert [cell.run.status["status"] for cell in cells] == ["interrupted"] * 2


@pytest.mark.slow
def test_no_process_outlives_the_one_that_started_it(tmp_path):
    """Killed at once, it leaves runs that the next command can hold."""
    command = [
        *(sys.executable, "-m", "gancli", "compare", "--loss", "hinge", "--seeds", "2"),
        *("--dataset", "ring8:count=500", "--set", "model=mlp:width=16,depth=2"),
        *("--steps", "100000", "--parallel", "processes", "--at-once", "2", "--out"),
    ]
    process = subprocess.Popen([*command, str(tmp_path / "out")], stdout=subprocess.DEVNULL)
    runs = [tmp_path / "out" / "hinge" / f"seed-{seed}" for seed in (0, 1)]
    end = time.monotonic() + 120
    while not all((run / "checkpoints").is_dir() for run in runs) and time.monotonic() < end:
        time.sleep(0.1)
    assert all(children_training(run) for run in runs)
    process.kill()
    process.wait()
    while any(children_training(run) for run in runs) and time.monotonic() < end:
        time.sleep(0.1)
    assert not any(children_training(run) for run in runs)


@few_or_many(2, 10)
@pytest.mark.parametrize("way", ["processes", "together"])
def test_a_comparison_killed_at_random_instants_ends_with_the_same_results(tmp_path, way, count):
    command = [
        *(sys.executable, "-m", "gancli", "compare", "--loss", "hinge", "--loss", "minimax"),
        *("--seeds", "2", "--steps", "1200", "--set", "checkpoint.every=200", "--out", "out"),
        *("--dataset", "ring8:count=500", "--set", "model=mlp:width=16,depth=2"),
        *("--samples", "500", "--metrics", "modes", "--parallel", way),
    ]

    def start(folder: Path) -> subprocess.Popen:
        folder.mkdir(exist_ok=True)
        return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)

    began = time.monotonic()
    assert start(tmp_path / "whole").wait() == 0
    life, random = time.monotonic() - began, np.random.default_rng(0)
    whole, killed = (tmp_path / name / "out" for name in ("whole", "killed"))

    def restarts_of_what_ended() -> int:
        assert (killed / "results.json").read_bytes() == (whole / "results.json").read_bytes()
        assert bytes_of(killed) == bytes_of(whole)
        return sum(json.loads(path.read_text())["restarts"] for path in killed.rglob("run.json"))

    kills = restarts = 0
    while kills < count:
        process = start(killed.parent)
        try:
            # One that has come to its end before is looked at, and another one begins.
            assert process.wait(random.uniform(0.2, 1.0) * life / 2) == 0
            restarts += restarts_of_what_ended()
            shutil.rmtree(killed.parent)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
    assert start(killed.parent).wait() == 0
    assert restarts + restarts_of_what_ended() > 0


@pytest.mark.slow
def test_what_is_the_same_shows_no_significant_difference_and_what_is_broken_fails(tmp_path):
    """The same variant with other seeds, and one that cannot learn at a rate of 1."""
    wild = {
        "optimizer__generator__learning_rate": 1.0,
        "optimizer__discriminator__learning_rate": 1.0,
    }
    longer = {"train__steps": 300, "checkpoint__every": 300, "loss": "least-squares"}
    variants = [
        variant("one", **longer),
        variant("same", **longer, train__seed=100),
        variant("broken", **longer, **wild),
    ]
    cells = cells_of(tmp_path, *variants, seeds=5)
    list(run_all(cells, QUESTION, way="together"))
    found = answer(measure_all(cells, QUESTION), "points")
    verdicts = {frozenset((pair.variant, pair.other)): pair.verdict for pair in found.pairs}
    assert verdicts[frozenset(("one", "same"))] == "no significant difference"
    assert found.standings[-1].variant == "broken"
    ends = {one.variant: (one.finished, one.diverged) for one in found.standings}
    assert ends == {"one": (5, 0), "same": (5, 0), "broken": (0, 5)}
    assert "Diverged: broken in 5 of 5 runs." in found.sentence
    assert re.search(r"no significant difference from (one|same)\.", found.sentence)


@pytest.mark.slow
def test_together_gives_the_figures_of_each(tmp_path):
    cells = cells_of(tmp_path)
    happened = list(run_all(cells, QUESTION, way="together"))
    assert sum(isinstance(event, Finished) for _, event in happened) == 4
    found = measure_all(cells, QUESTION)
    assert [(one.variant, one.seed) for one in found] == [
        ("one", 0), ("one", 1), ("two", 0), ("two", 1),
    ]  # fmt: skip
    assert list(run_all(cells, QUESTION, way="together")) == []


def test_runs_are_grouped_by_what_they_have_in_common(tmp_path):
    rates = [{"optimizer__generator__learning_rate": rate} for rate in (1e-3, 1e-4)]
    variants = [variant(f"rate-{i}", **own) for i, own in enumerate(rates)]
    cells = cells_of(tmp_path, *variants, variant("other", loss="hinge"))

    def names(most):
        return [[(c.variant, c.seed) for c in group] for group in groups(cells, most)]

    alike = [("rate-0", 0), ("rate-1", 0), ("rate-0", 1), ("rate-1", 1)]
    assert names(64) == [alike, [("other", 0), ("other", 1)]]
    assert names(3) == [alike[:3], alike[3:], [("other", 0), ("other", 1)]]


def test_one_run_is_trained_alone(tmp_path):
    (cell,) = cells_of(tmp_path, variant("one"), seeds=1)
    assert choose_way([cell]) == "alone"
    assert choose_way([]) == "alone"
