"""Runs that start from other runs: what they take, what they refuse, and that they end the same."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import jax
import numpy as np
import pytest
from faults import content as bytes_of
from faults import play
from refusals import refused
from tiny_runs import STEPS, digits_run, succeed

from gancli.comparison import Variant, has_result, make_cells
from gancli.config import Layer
from gancli.data.configured import load_data
from gancli.data.dataset import DataSpec
from gancli.runs.directory import Run
from gancli.runs.state_files import by_path, read_arrays
from gancli.tasks.program import state_like
from gancli.training.backends.together import train_together
from gancli.training.events import Saved
from gancli.training.finetuning import RECORD, find_source, first_state
from gancli.training.loop import train
from gancli.training.planning import opened, plan, reopened

POINTS = {
    "data.name": "ring8:count=500",
    "model": "mlp:width=8,depth=1",
    "loss": "hinge",
    "train.steps": 4,
    "train.batch": 20,
    "logging.every": 2,
    "sample.every": 2,
    "sample.count": 4,
    "checkpoint.every": 2,
    "checkpoint.keep": 9,
    "monitors.every": 0,
}
# Of the same shape.
OTHER = {**POINTS, "data.name": "moons:count=500"}
IMAGES = DataSpec("test", "image", (8, 8, 1))
# As the finished run on digits.
DIGITS = {
    "data.name": "digits:margin=4",
    "data.size": 8,
    "model": "dcgan:width=4",
    "loss": "non-saturating",
    "train.batch": 20,
}


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Run:
    """A finished run on points with checkpoints of steps 0, 2 and 4, to be read only."""
    return finished(tmp_path_factory.mktemp("source") / "run", POINTS)


def finished(path: Path, values) -> Run:
    planned = plan([Layer("test", values)])
    with opened(path, planned) as run:
        for _ in train(planned, run):
            pass
    return run


def from_(source, base=OTHER, **values):
    flat = {key.replace("__", "."): value for key, value in values.items()}
    return {**base, "finetune.source": str(getattr(source, "path", source)), **flat}


def state(run: Run, step: int):
    """The arrays of a checkpoint by path."""
    _, like = state_like(run.config, load_data(run.config).spec)
    return by_path(read_arrays(run.checkpoints().folder(step), like))


def start_of(path: Path, values):
    """The first state of a run that is created here, by path, and the record of its source."""
    planned = plan([Layer("test", values)])
    with opened(path, planned) as run:
        found = first_state(planned.config, planned.program, run)
        return by_path(found), run.status.get(RECORD)


def test_a_run_starts_from_weights_averages_and_statistics_and_nothing_else(tmp_path):
    source = Run(digits_run())
    begun, record = start_of(tmp_path / "run", from_(source, DIGITS))
    there = state(source, STEPS)
    raw, average = (
        f"players/generator/{kind}layers/4/kernel" for kind in ("params/", "average/params/")
    )
    assert not np.array_equal(there[raw], there[average])
    assert any("/stats/" in path for path in begun)
    for path, array in begun.items():
        if "/opt_state/" in path or path == "step":
            assert not np.any(array)
        else:
            np.testing.assert_array_equal(array, there[path])
    players = record["players"]
    assert all(found["unused"] == found["new"] == [] for found in players.values())
    assert (record["step"], record["run"]) == (STEPS, str(source.path))
    assert len(record["sha256"]) == 64
    sizes = [
        a.size for path, a in there.items() if path.startswith("players/discriminator/params/")
    ]
    assert players["discriminator"]["values"] == {"taken": sum(sizes), "new": 0, "unused": 0}


@pytest.mark.slow
def test_what_does_not_fit_is_as_it_would_be_without_a_source(tmp_path):
    source = Run(digits_run())
    larger = DIGITS | {"data.size": 16}
    begun, record = start_of(tmp_path / "run", from_(source, larger))
    plain, none = start_of(tmp_path / "plain", larger)
    assert none is None
    there, players = state(source, STEPS), record["players"]
    for name, found in players.items():
        for path in found["new"]:
            np.testing.assert_array_equal(
                begun[f"players/{name}/{path}"], plain[f"players/{name}/{path}"]
            )
        for path, origin in found["taken"].items():
            own = begun[f"players/{name}/{path}"]
            np.testing.assert_array_equal(own, there[f"players/{name}/{origin}"])
            same = np.array_equal(own, plain[f"players/{name}/{path}"])
            assert not (same and path.endswith("kernel"))
    # The smallest maps are 4x4 in place of 2x2.
    assert {*players["generator"]["new"]} >= {"params/layers/0/kernel", "stats/layers/2/mean"}
    assert players["discriminator"]["new"] == ["params/layers/5/kernel"]


@pytest.mark.slow
def test_an_average_that_the_source_has_not_begins_as_the_weights(tmp_path):
    without = finished(tmp_path / "source", POINTS | {"average.decay": 0.0})
    begun, record = start_of(tmp_path / "run", from_(without))
    for path in record["players"]["generator"]["taken"]:
        own = begun[f"players/generator/{path}"]
        np.testing.assert_array_equal(begun[f"players/generator/average/{path}"], own)
        np.testing.assert_array_equal(state(without, 4)[f"players/generator/{path}"], own)


@pytest.mark.slow
def test_a_checkpoint_alone_and_an_older_one_when_the_newest_is_damaged(tmp_path, source):
    folder = source.path / "checkpoints/2"
    _, record = start_of(tmp_path / "one", from_(folder))
    assert (record["step"], record["checkpoint"]) == (2, str(folder))
    copy = tmp_path / "copy"
    shutil.copytree(source.path, copy)
    (copy / "checkpoints/4/data.json").write_text("{}")
    assert start_of(tmp_path / "two", from_(copy))[1]["step"] == 2


@pytest.mark.slow
def test_frozen_layers_end_as_they_began(tmp_path, source):
    values = {f"optimizer.{player}.name": "adamw" for player in ("generator", "discriminator")}
    values |= {"optimizer.generator.weight_decay": 0.1, "optimizer.discriminator.clip_weights": 0.1}
    frozen = {"finetune.freeze_generator": 1, "finetune.freeze_discriminator": 1}
    run = finished(tmp_path / "run", from_(source) | values | frozen)
    before, after = state(source, 4), state(run, 4)
    held = {
        "generator": ("params/layers/0/", "average/params/layers/0/"),
        "discriminator": ("params/layers/1/",),
    }
    compared = 0
    for path, array in after.items():
        _, player, *_ = [*path.split("/"), ""]
        if path.startswith(tuple(f"players/{player}/{one}" for one in held.get(player, ()))):
            np.testing.assert_array_equal(array, before[path])
            compared += 1
        elif "/params/" in path and path.endswith("kernel") and "opt_state" not in path:
            assert not np.array_equal(array, before[path]), path
    assert compared == 6


def test_another_run_is_refused_as_a_source_with_the_reason(tmp_path):
    source, out = digits_run(), tmp_path / "run"

    def start(**values):
        with opened(out, plan([Layer("test", from_(source, DIGITS) | values)])):
            pass

    with refused("task", "generation", "vae", remedy="--from"):
        start(task="vae:latent=4", loss="")
    with refused("model", "dcgan", "maxout-mlp", remedy="--model dcgan"):
        start(model="maxout-mlp:width=2,maxout_width=2")
    with refused("discriminator", "width=4", "width=3"):
        start(model="dcgan:width=3")
    deep = {"data.size": 16, "finetune.freeze_discriminator": 3}
    with refused("freeze_discriminator", "layers/5/kernel", remedy="freeze_discriminator"):
        start(**deep)
    with refused("finetune.source", "nowhere", allowed="run"):
        start(**{"finetune.source": "nowhere"})
    assert not out.exists()


def begin(path: Path, values) -> None:
    """Creates a run, and is killed before its first checkpoint is there."""
    planned = plan([Layer("test", values)])
    with opened(path, planned):
        pass
    assert not Run(path).checkpoints().steps()


def go_on(path: Path):
    with reopened(path, None) as (run, planned):
        for _ in train(planned, run):
            pass
    return run


@pytest.mark.slow
def test_a_run_without_a_checkpoint_of_its_own_needs_the_same_bytes(tmp_path, source):
    whole = finished(tmp_path / "whole", from_(source))
    copy, out = tmp_path / "copy", tmp_path / "run"
    shutil.copytree(source.path, copy)
    begin(out, from_(copy))
    # The source has gone.
    copy.rename(tmp_path / "away")
    with refused(str(out), str(copy), "no checkpoint of its own"):
        go_on(out)
    # It has trained on, and the checkpoint of then is no longer kept.
    shutil.copytree(source.path, copy)
    shutil.rmtree(copy / "checkpoints/4")
    with refused(str(out), "step 4", allowed="unchanged"):
        go_on(out)
    # It is back, with a newer one beside it.
    shutil.rmtree(copy)
    (tmp_path / "away").rename(copy)
    shutil.copytree(copy / "checkpoints/2", copy / "checkpoints/6")
    run = go_on(out)
    jax.tree.map(np.testing.assert_array_equal, state(run, 4), state(whole, 4))
    assert run.metrics.path.read_bytes() == whole.metrics.path.read_bytes()


@pytest.mark.slow
def test_a_run_with_a_checkpoint_of_its_own_needs_the_source_no_more(tmp_path, source):
    whole = finished(tmp_path / "whole", from_(source))
    copy, out = tmp_path / "copy", tmp_path / "run"
    shutil.copytree(source.path, copy)
    planned = plan([Layer("test", from_(copy))])
    with opened(out, planned) as run:
        for event in (loop := train(planned, run)):
            if event == Saved(2):
                with suppress(KeyboardInterrupt):
                    loop.throw(KeyboardInterrupt())
                break
    assert max(run.checkpoints().steps()) < 4
    shutil.rmtree(copy)
    # By the same command, and by the path of a source that is there and of other bytes.
    with refused(str(out), str(source.path)):
        finished(out, from_(source.path / "checkpoints/2"))
    with refused(str(out), "random weights"):
        finished(out, OTHER)
    run = finished(out, from_(copy))
    jax.tree.map(np.testing.assert_array_equal, state(run, 4), state(whole, 4))


@pytest.mark.slow
def test_a_relative_source_is_found_from_above_the_run(tmp_path, source, monkeypatch):
    shutil.copytree(source.path, tmp_path / "there/source")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    begin(Path("runs/one"), from_("source"))
    monkeypatch.chdir(tmp_path / "elsewhere")
    run = go_on(tmp_path / "there/runs/one")
    assert run.status["status"] == "finished"
    assert run.config.finetune.source == "source"


@pytest.mark.slow
def test_runs_trained_together_start_from_the_source(tmp_path, source):
    plans = [
        plan([Layer("test", from_(source, train__seed=seed, finetune__freeze_generator=1))])
        for seed in range(2)
    ]
    with opened(tmp_path / "0", plans[0]) as first, opened(tmp_path / "1", plans[1]) as second:
        for _ in train_together(plans, [first, second]):
            pass
    there = state(source, 4)
    for run in (first, second):
        held = "players/generator/params/layers/0/kernel"
        np.testing.assert_array_equal(state(run, 4)[held], there[held])
        np.testing.assert_array_equal(
            state(run, 0)["players/discriminator/params/layers/3/layer/kernel"],
            there["players/discriminator/params/layers/3/layer/kernel"],
        )


@pytest.mark.slow
def test_a_comparison_checks_its_sources_before_anything_is_written(tmp_path, source):
    copy, out = tmp_path / "copy", tmp_path / "comparison"
    shutil.copytree(source.path, copy)
    variants = [Variant("tuned", (Layer("test", from_(copy)),))]
    (cell,) = make_cells(variants, 1, out)
    assert cell.records[RECORD]["step"] == 4
    finished(cell.run.path, from_(copy))
    shutil.rmtree(copy)
    (cell,) = make_cells(variants, 1, out)  # It has its own checkpoints.
    assert has_result(cell)
    assert not cell.records
    with refused("finetune.source", str(copy)):
        make_cells(variants, 2, out)


def test_the_command_says_what_is_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = "--dataset digits --loss non-saturating --model dcgan:width=4 --batch 20 --dry-run"
    frozen = "--set finetune.freeze_discriminator=1"
    said = succeed("train", f"--from {digits_run()} {options} {frozen}").output
    record = find_source(plan([Layer("test", from_(digits_run(), DIGITS))]).config, IMAGES)
    for expected in (f"step {STEPS}", record.sha256[:12], "takes", "1 of 3 layers frozen"):
        assert expected in said
    assert not [*tmp_path.iterdir()]


@pytest.mark.slow
def test_a_fine_tuned_run_that_is_killed_ends_bit_identical(tmp_path, source):
    """Before its first checkpoint, and at an instant after it."""
    options = (
        f"train --from {source.path} --dataset moons:count=500 --model mlp:width=8,depth=1 "
        "--loss hinge --batch 20 --steps 60 "
        "--set finetune.freeze_discriminator=1 --set finetune.freeze_generator=1 "
        "--set logging.every=7 --set sample.every=20 --set checkpoint.every=20 --set sample.count=4"
    )
    command = [sys.executable, "-m", "gancli", *options.split(), "--out"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    ended = play([*command, str(whole)])
    assert ended.status == 0, ended.said
    reached = []
    for is_time in (lambda run: run.exists, lambda run: any(run.checkpoints().steps())):
        process = subprocess.Popen(
            [*command, str(killed)], stdout=subprocess.DEVNULL, env=os.environ
        )
        while process.poll() is None and not is_time(Run(killed)):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        reached.append(Run(killed).checkpoints().steps())
    assert reached[0] == []
    assert json.loads((killed / "run.json").read_text())["status"] != "finished"
    ended = play([*command, str(killed)])
    assert ended.status == 0, ended.said
    assert bytes_of(killed) == bytes_of(whole)
