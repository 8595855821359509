"""The game of a run: what the command says of it, and the runs that it refuses."""

import json
import shutil

import pytest
from refusals import refused
from tiny_runs import gan, points_run, snapshot, succeed

from gancli.config import Config
from gancli.training import game_analysis
from gancli.training.game_analysis import analyse_game, at_every_step


@pytest.mark.slow
def test_the_command_analyses_a_run_and_leaves_it_as_it_is():
    run, before = points_run(), snapshot(points_run())
    game = json.loads(succeed("diagnose --jacobian --json", str(run)).stdout)["game"]
    assert snapshot(run) == before
    assert game["step"] == 6
    assert set(game["steps"]) == {"simultaneous", "alternating"}
    for found in game["steps"].values():
        assert found["complete"]
        assert found["residual"] < 1e-2
        assert found["verdict"] in ("converges", "cycles", "diverges", "undecided")
    gap = game["duality_gap"]
    assert gap["held_out"]
    assert gap["gap"] == pytest.approx(gap["best_discriminator"] - gap["best_generator"])
    assert gap["best_discriminator"] > gap["value"] > gap["best_generator"]
    said = succeed("diagnose --jacobian", str(run)).stdout
    for word in ("largest real part", "Simultaneous", "Alternating", "Duality gap", "held-out"):
        assert word in said


def test_lazy_terms_enter_by_their_mean():
    config = Config(
        penalties=("r1:weight=(linear:initial=2,final=1,steps=5),every=16", "drift"),
        task="generation:path_length=1,latent=3",
    )
    found = at_every_step(config)
    assert found.penalties == (
        "r1:weight=(linear:initial=2,final=1,steps=5),every=1",
        "drift:every=1",
    )
    assert found.task == "generation:path_length=1,latent=3,path_every=1"


@pytest.mark.parametrize(
    ("task", "loss", "kind"),
    [("vae", "", "points"), ("gumbel", "hinge", "tokens"), ("cyclegan", "hinge", "image")],
)
def test_players_that_do_not_meet_in_a_derivative_are_refused(tmp_path, task, loss, kind):
    run = shutil.copytree(points_run(), tmp_path / "run")
    config, status = (json.loads((run / name).read_text()) for name in ("config.json", "run.json"))
    (run / "config.json").write_text(json.dumps(config | {"task": task, "loss": loss}))
    (run / "run.json").write_text(json.dumps(status | {"data": status["data"] | {"kind": kind}}))
    with refused(task, remedy="--jacobian"):
        analyse_game(run)


def test_a_run_without_a_checkpoint_is_refused(tmp_path):
    run = shutil.copytree(points_run(), tmp_path / "run")
    shutil.rmtree(run / "checkpoints")
    with refused(str(run), remedy="gan resume"):
        analyse_game(run)


def test_vectors_that_do_not_fit_into_memory_are_refused(monkeypatch):
    """32 vectors of Arnoldi's and 15 of the eigenvectors, of 8 bytes a parameter."""
    parameters = 691
    monkeypatch.setattr(game_analysis, "memory_limit", lambda: 8 * 47 * parameters - 1)
    with refused("691 parameters", remedy="--jacobian"):
        analyse_game(points_run())


def test_a_comparison_is_refused(tmp_path):
    shutil.copytree(points_run(), tmp_path / "hinge" / "seed-0")
    result = gan("diagnose --jacobian", str(tmp_path))
    assert result.exit_code == 2
    assert "one run" in result.output


def test_a_data_set_is_named_only_where_it_is_read():
    result = gan("diagnose --dataset ring8", str(points_run()))
    assert result.exit_code == 2
    assert "ring8" in result.output
