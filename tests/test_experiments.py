"""Every experiment file: a whole header, and a configuration that plays."""

import runpy
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from tiny_runs import gan, succeed

from gancli.config import Layer, build_sweep, read_sweeping_toml
from gancli.training.account import account_of
from gancli.training.execution import build_execution
from gancli.training.monitors import PATHOLOGIES
from gancli.training.planning import plan

FOLDER = Path(__file__).parents[1] / "experiments"
EXPERIMENTS = sorted(FOLDER.rglob("*.toml"))
EVERY = pytest.mark.parametrize(
    "path", EXPERIMENTS, ids=lambda path: f"{path.parent.name}/{path.stem}"
)


def test_there_are_experiments():
    assert len(EXPERIMENTS) >= 20


@EVERY
def test_header_states_paper_command_and_result(path):
    text = path.read_text()
    fields = {}
    for line in text.splitlines():
        if line.startswith("# ") and len(line.split()) > 2 and line[2] != " ":
            fields.setdefault(line.split()[1], line.split(maxsplit=2)[2])
    assert "arXiv:" in text
    if read_sweeping_toml(path)[1] is not None:  # A whole table.
        name = path.relative_to(FOLDER).as_posix()
        assert fields["command"].startswith(f"gan compare experiments/{name} ")
        assert f"`gan compare experiments/{name} " in (FOLDER / "results.md").read_text()
        assert all(
            (path.parent / f"{kept}.csv").is_file() for kept in ("runs", "variants", "pairs")
        )
        return
    if path.parent.name == "pathologies":
        name = f"pathologies/{path.stem}"
        assert fields["command"] == f"gan train experiments/{name}.toml --out runs/{path.stem}"
        assert fields["score"] == f"gan diagnose runs/{path.stem}"
        assert any(character.isdigit() for character in fields["result"])
        return
    if path.parent != FOLDER:  # One row of a table.
        table = path.parent.name
        assert fields["command"].startswith(f"gan compare experiments/{table}/*.toml ")
        assert fields["result"].startswith("experiments/results.md")
        assert f"experiments/{table}/*.toml" in (FOLDER / "results.md").read_text()
        return
    assert fields["command"].startswith(f"gan train experiments/{path.name} --out runs/{path.stem}")
    assert fields["score"].startswith(f"gan evaluate --ckpt runs/{path.stem}")
    assert any(character.isdigit() for character in fields["time"])
    assert any(character.isdigit() for character in fields["result"])


@pytest.mark.parametrize("path", sorted(FOLDER.glob("benchmarks/*.py")), ids=lambda path: path.stem)
def test_a_benchmark_explains_how_it_is_run(path, monkeypatch):
    monkeypatch.syspath_prepend(path.parent)  # As where Python runs it.
    module = runpy.run_path(str(path))  # What it imports is there.
    assert f"python experiments/benchmarks/{path.name}" in module["__doc__"]


def test_every_pathology_is_provoked_and_cured():
    names = {path.stem for path in EXPERIMENTS if path.parent.name == "pathologies"}
    assert names == {f"{name}{end}" for name in PATHOLOGIES.names() for end in ("", "-cured")}


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", PATHOLOGIES.names())
def test_a_pathology_is_recognized_and_gone_when_it_is_cured(tmp_path, name):
    sick, cured = tmp_path / "sick", tmp_path / "cured"
    gan("train", str(FOLDER / "pathologies" / f"{name}.toml"), "--out", str(sick))
    assert name in {change.name for change in account_of(sick).changes}
    succeed("train", str(FOLDER / "pathologies" / f"{name}-cured.toml"), "--out", str(cured))
    account = account_of(cured)
    assert not account.present
    assert account.distance < 0.03


@pytest.fixture
def edges(fashion_mnist, tmp_path):
    """A folder of pairs, as the experiment's own script writes it."""
    script = FOLDER / "paired" / "edges.py"
    asked = [str(script), str(fashion_mnist), str(tmp_path / "edges"), "--count", "40"]
    subprocess.run([sys.executable, *asked], check=True)
    return tmp_path / "edges"


@pytest.fixture
def program(path, request):
    """What an experiment computes, at its own size but for the batch."""
    layer, sweep = read_sweeping_toml(path)
    if sweep is not None:
        assert build_sweep(sweep, path.name).assignments()
    small = {"train.batch": 8, "train.steps": 2}
    name = layer.values["data.name"]
    if name == "edges":
        small["data.name"] = str(request.getfixturevalue("edges"))
    if name == "stacked-mnist":
        small["data.name"] = f"stacked-mnist:count=100,source={request.getfixturevalue('mnist')}"
    elif "mnist" in name:
        small["data.name"] = str(request.getfixturevalue(name))
        small["data.split"] = "train"  # Of which IDX files have no slices.
    if layer.values.get("data.target") == "mnist":
        small["data.target"] = str(request.getfixturevalue("mnist"))
    return plan([layer, Layer("test", small)]).program


@pytest.mark.slow
@EVERY
def test_a_step_of_the_configuration_can_be_compiled(program):
    state = jax.eval_shape(lambda: program.initial_state(0))._replace(step=np.int32(0))
    assert state.players.keys() == program.task.roles.keys()
    assert all(jax.tree.leaves(player.params) for player in state.players.values())
    execution = build_execution(program.moves, program.source, 0, state, 2)
    assert [name for name in execution.names if name.endswith("loss")], execution.names


@pytest.mark.exhaustive
@EVERY
def test_configuration_plays_two_steps(program):
    state = program.initial_state(0)
    execution = build_execution(program.moves, program.source, 0, state, 2)
    progress = execution.compile()(state, execution.draw(2))
    assert np.isfinite(progress.rows()).all()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(progress.state.players))
