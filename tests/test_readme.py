"""What the README and the pages that it links say is what the program does."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import jax
import pytest
import typer
from tiny_runs import digits_run

from gancli.adversarial.losses import LOSSES
from gancli.cli.application import app
from gancli.config import Layer, build_sweep, flatten
from gancli.evaluation.sampling import load_generator
from gancli.tasks import TASKS
from gancli.tasks.recipes import resolve

ROOT = Path(__file__).parents[1]
PAGES = {path: path.read_text() for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]}
README = "\n".join(PAGES.values())
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    part.partition("#")[0].strip()
    for _, block in BLOCKS
    for line in block.splitlines()
    for part in line.split("&&")
    if part.strip().startswith("gan ")
]


def test_there_are_commands():
    assert len(COMMANDS) >= 15


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_line_is_understood(command):
    """Parsed by the command that it names, which is not run."""
    words = shlex.split(command)[1:]
    named = typer.main.get_command(app)
    while hasattr(named, "commands"):
        named = named.commands[words.pop(0)]
    assert named.make_context(named.name, words).params


def test_every_recipe_is_held_against_its_source():
    """By a row whose last two columns say so; numbers of the recipe stand in the second."""
    page = PAGES[ROOT / "docs/recipes.md"]
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    for entry in (one for registry in (LOSSES, TASKS) for one in registry if one.recipe):
        (row,) = [row for row in rows if f"`{entry.name}`" in row[0]]
        assert all(cell.strip(" |") for cell in row[2:])
        numbers = {f"{value:g}" for value in entry.recipe.values() if type(value) in (int, float)}
        said = {f"{float(found):g}" for found in re.findall(r"\d[\d.e-]*", row[1])}
        assert numbers <= said


def test_the_configuration_shown_is_one():
    shown = [block for kind, block in BLOCKS if kind == "toml"]
    sweep, text = sorted(shown, key=lambda block: "[sweep]" not in block)
    layer = Layer("README", flatten(tomllib.loads(text)))
    config = resolve([layer], "image").config
    assert config.inputs.packing == 2
    assert config.optimizer.generator.learning_rate == "cosine:initial=1e-4,steps=20000"
    assert len(build_sweep(tomllib.loads(sweep)["sweep"], "README").assignments()) == 20


def test_the_python_shown_runs(tmp_path, monkeypatch):
    """Of five steps in place of five hundred."""
    monkeypatch.chdir(tmp_path)
    shown = next(block for kind, block in BLOCKS if kind == "python" and "import gancli" in block)
    held: dict = {}
    exec(shown.replace("500}", "5}").replace("steps=1000", "steps=8"), held)
    assert held["images"].shape == (16, 8, 8, 1)
    assert 0 <= held["figures"]["classes/found"] <= 10
    assert held["run"].status["step"] == 8


def test_the_state_is_read_by_orbax_alone(tmp_path):
    """With the script as it is shown, in a process of its own."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/demo").symlink_to(digits_run())
    shown = next(block for kind, block in BLOCKS if kind == "python" and "ocp" in block)
    assert "gan" not in shown.replace("runs/demo", "")
    script = shown + "import jax; print(sum(leaf.size for leaf in jax.tree.leaves(weights)))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    generator = load_generator(digits_run())
    assert generator.averaged
    expected = sum(leaf.size for leaf in jax.tree.leaves(generator.weights.params))
    assert int(done.stdout) == expected > 1_000


def test_every_link_leads_somewhere_and_every_page_is_linked():
    linked = set()
    for path, text in PAGES.items():
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
            assert (path.parent / target).is_file(), (path.name, target)
            linked.add((path.parent / target).resolve())
    assert {path.resolve() for path in PAGES if path.parent.name == "docs"} <= linked


def test_make_targets_exist():
    makefile = (Path(__file__).parents[1] / "Makefile").read_text()
    for target in set(re.findall(r"`?make ([\w-]+)", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_set_up_is_two_commands():
    assert BLOCKS[0][1] == "make demo\nmake test\n"
