"""The functions that `gancli` exports: each does what its command does."""

import inspect
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache.compilation_cache import reset_cache
from refusals import refused
from tiny_runs import points_run

import gancli
from gancli.errors import UserError
from gancli.training.events import Finished, Measured

SETTINGS = {
    "data.name": "ring8:count=200",
    "model": "mlp:width=8,depth=1",
    "loss": "non-saturating",
    "train.batch": 20,
    "train.steps": 4,
}


def test_the_surface_is_exactly_this():
    functions = ["compare", "evaluate", "load", "resume", "sample", "train"]
    assert dir(gancli) == ["__version__", *functions]
    for name in gancli.__all__:
        assert inspect.getdoc(getattr(gancli, name))
    with pytest.raises(AttributeError, match="'gancli' has no attribute 'nothing'"):
        _ = gancli.nothing


def test_importing_it_imports_nothing_that_computes():
    script = "import sys, gancli; print(sorted({'jax', 'flax', 'numpy'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_run_is_trained_resumed_sampled_and_measured(tmp_path):
    events = []
    run = gancli.train(SETTINGS, tmp_path / "run", events.append)
    assert isinstance(events[-1], Finished)
    assert run.status["step"] == 4
    assert gancli.resume(run.path, 6, events.append).status["step"] == 6
    assert [event.step for event in events if isinstance(event, Measured)] == [4, 6]
    drawn = gancli.sample(run.path, 5, seed=1)
    assert (drawn.shape, drawn.dtype) == ((5, 2), np.float32)
    np.testing.assert_array_equal(gancli.sample(run.path, 3, seed=1), drawn[:3])
    report = gancli.evaluate(run.path, ["modes"], samples=100)
    assert report["generator"]["step"] == 6
    assert 0 <= report["metrics"]["modes/found"] <= 8


def test_compiled_programs_are_kept_where_the_commands_keep_them(tmp_path, monkeypatch):
    before = jax.config.jax_compilation_cache_dir
    monkeypatch.setenv("GAN_CACHE", str(tmp_path))
    jax.config.update("jax_compilation_cache_dir", None)
    try:
        with refused("nowhere"):
            gancli.sample(tmp_path / "nowhere")
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "compiled")
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
        reset_cache()


@pytest.mark.slow
def test_variants_are_compared(tmp_path):
    variants = {loss: SETTINGS | {"loss": loss} for loss in ("hinge", "minimax")}
    results = gancli.compare(variants, tmp_path / "out", seeds=2, metrics=["modes"], samples=100)
    assert {one.variant for one in results.answer().standings} == {"hinge", "minimax"}
    assert (tmp_path / "out" / "results.json").is_file()


def test_what_does_not_fit_is_refused(tmp_path):
    with refused("'trian.steps'"):
        gancli.train({"trian.steps": 3}, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(UserError, match="nowhere"):
        gancli.sample(tmp_path / "nowhere")
    with refused("count was 0", allowed="1 or more"):
        gancli.sample(points_run(), 0)
    with refused("labels 2", remedy="labels"):
        gancli.sample(points_run(), 1, labels=[2])
    with refused("'labels'"):
        gancli.evaluate(points_run(), ["labels"])
