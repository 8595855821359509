"""A new loss, penalty, task, monitor and so on is one function in one place: slow."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "gancli"

# What a person would write: a function at the end of a file, or a file of its own.
ADDED = {
    "adversarial/losses.py": '''

@LOSSES.register("added-loss", reference="a test")
def added_loss(scale: Annotated[float, Bounds(0, 10)] = 1.0) -> Loss:
    """Scaled differences of logits."""
    return Loss(
        lambda real, fake: scale * (fake - real), lambda real, fake: -scale * fake, threshold=None
    )
''',
    "adversarial/penalties.py": '''

@PENALTIES.register("added-penalty", reference="a test")
def added_penalty() -> Penalty:
    """Squared logits of generated examples."""
    return lambda critic, real, fake, key, step: critic(fake) ** 2
''',
    "networks/added.py": '''"""A network of one's own."""

from gancli.networks.mlp import mlp
from gancli.networks.network import MODELS, Architecture, Interface


@MODELS.register("added-model", reference="a test")
def added_model(interface: Interface) -> Architecture:
    """Two layers of eight."""
    return mlp(interface, width=8, depth=2)
''',
    "tasks/added.py": '''"""A task of one's own."""

from gancli.config import Config
from gancli.data.dataset import DataSpec
from gancli.tasks.generation import generation
from gancli.tasks.task import TASKS, Task


@TASKS.register("added-task", reference="a test")
def added_task(config: Config, data: DataSpec) -> Task:
    """Examples of three numbers."""
    return generation(config, data, latent=3)
''',
    "evaluation/added.py": '''"""A metric of one's own."""

from gancli.evaluation.metric import METRICS, Metric


@METRICS.register("added-metric", reference="a test")
def added_metric() -> Metric:
    """How many examples there are."""
    return Metric(
        lambda subject: True, lambda evaluated: {"count": float(len(evaluated.generated))}, {}
    )
''',
    "training/monitors/added.py": '''"""A monitor of one's own."""

from gancli.config import Config
from gancli.training.monitors.monitor import MONITORS, Monitor


@MONITORS.register("added-monitor", reference="a test")
def added_monitor(config: Config) -> Monitor:
    """Finds nothing."""
    return lambda window: None
''',
    "training/monitors/pathologies.py": '''

@PATHOLOGIES.register("added-pathology", reference="a test")
def added_pathology(config: Config) -> Pathology:
    """Never there."""
    return Pathology("It is there.", lambda history: None, 1, ())
''',
}
TRAINED = (
    "train --dataset ring8:count=100 --model added-model --task added-task --batch 10 --steps 2 "
    "--loss added-loss:scale=2 --penalty added-penalty --out run"
)
PROPERTIES = {
    "added-loss": "test_tasks.py",
    "added-penalty": "test_adversarial_penalties.py",
    "added-model": "test_networks_models.py",
    "added-task": "test_tasks.py",
    "added-metric": "test_evaluation.py",
    "added-monitor": "test_training_monitors.py",
    "added-pathology": "test_training_monitors_diagnosis.py",
}


@pytest.fixture(scope="module")
def extended(tmp_path_factory) -> Path:
    """A folder with a copy of the package to which each was added."""
    folder = tmp_path_factory.mktemp("extended")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, folder / "gancli", ignore=ignored)
    for name, text in ADDED.items():
        with (folder / "gancli" / name).open("a") as file:
            file.write(text)
    return folder


def python(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_is_listed(extended):
    listed = python(extended, "-m", "gancli", "list")
    assert [name for name in PROPERTIES if name not in listed] == []


def test_each_is_in_the_command_line(extended):
    said = python(extended, "-m", "gancli", *TRAINED.split())
    assert "finished at step 2" in said
    figures = ("--ckpt", "run", "--metrics", "added-metric", "--samples", "100", "--json")
    assert '"added-metric/count": 100.0' in python(extended, "-m", "gancli", "evaluate", *figures)


def test_each_is_in_the_property_tests(extended):
    files = [str(TESTS / name) for name in sorted(set(PROPERTIES.values()))]
    # The default part and the slow part.
    parts = ("-m", "not exhaustive")
    collect = ("-m", "pytest", "--collect-only", *parts, "-n", "0", "-p", "no:cacheprovider")
    collected = python(extended, *collect, "--rootdir", str(TESTS.parent), *files).splitlines()
    for name, file in PROPERTIES.items():
        assert [line for line in collected if f"{file}::" in line and name in line], name
