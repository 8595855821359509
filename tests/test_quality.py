"""What training reaches, measured as the README says: slow, and on real data."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gancli.adversarial.losses import LOSSES

# Long training needs optimized programs.
COMPILED_WELL = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
DIVERGENCES = ("kullback-leibler", "reverse-kullback-leibler", "pearson", "squared-hellinger")
SPECS = [*LOSSES.names(), *(f"f-divergence:kind={kind}" for kind in DIVERGENCES)]


def gan(*words, cwd):
    done = subprocess.run(
        [sys.executable, "-m", "gancli", *map(str, words)],
        cwd=cwd, env=COMPILED_WELL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_first_command_draws_readable_digits_of_all_kinds(tmp_path):
    gan("train", "--loss", "wasserstein", "--out", "run", cwd=tmp_path)
    report = json.loads(gan("evaluate", "--ckpt", "run", "--json", cwd=tmp_path))
    assert report["classifier"]["accuracy"] >= 0.97
    figures = report["metrics"]
    assert figures["classes/smallest_share"] >= 0.04
    assert figures["classes/confidence"] >= 0.8
    assert figures["memorization/copies"] == 0


@pytest.mark.exhaustive
@pytest.mark.parametrize("dataset", ["ring8", "digits"])
def test_every_loss_trains_with_its_recipe(tmp_path, dataset):
    losses = [word for spec in SPECS for word in ("--loss", spec)]
    words = ("compare", *losses, "--dataset", dataset, "--seeds", 1, "--steps", 300, "--json")
    text = gan(*words, cwd=tmp_path)
    standings = json.loads(text[text.index("{\n") :])["answer"]["standings"]
    assert len(standings) == len(SPECS)
    for standing in standings:
        assert (standing["runs"], standing["finished"]) == (1, 1), standing["variant"]


@pytest.mark.exhaustive
def test_dcgan_draws_mnist_digits(tmp_path, mnist):
    experiment = Path(__file__).parents[1] / "experiments"
    words = (experiment / "mnist-dcgan.toml", "--dataset", mnist, "--out", "run")
    gan("train", *words, cwd=tmp_path)
    words = ("--ckpt", "run", "--metrics", "classes", "--json")
    figures = json.loads(gan("evaluate", *words, cwd=tmp_path))["metrics"]
    assert figures["classes/found"] == 10
    assert figures["classes/smallest_share"] >= 0.01
    assert figures["classes/confidence"] >= 0.8
