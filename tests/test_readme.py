"""What the README and the pages that it links say is what the program does."""

import glob
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import typer
from compiling import SOON
from PIL import Image
from sklearn.datasets import load_digits
from test_data_formats_tfds import LABEL_FEATURE, image_feature, png, write
from tiny_runs import TEXT, digits_run, labelled_run

from gancli.adversarial.losses import LOSSES
from gancli.cli.application import app
from gancli.config import Layer, build_sweep, flatten
from gancli.evaluation.generator import load_generator
from gancli.networks import MODELS
from gancli.tasks import TASKS
from gancli.tasks.recipes import resolve

ROOT = Path(__file__).parents[1]
PAGES = {path: path.read_text() for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]}
README = "\n".join(PAGES.values())
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)
# Of blocks, each line's; of prose, those that are more than the name of a command.
COMMANDS = [
    part.partition("#")[0].strip()
    for _, block in BLOCKS
    for line in block.splitlines()
    for part in line.split("&&")
    if part.strip().startswith("gan ")
] + [
    " ".join(span.split()) for span in re.findall(r"`(gan [^`]+)`", README) if len(span.split()) > 2
]
EXPERIMENTS = sorted({word for word in " ".join(COMMANDS).split() if "experiments/" in word})
# Parsed and not run, for want of something.
ONLY_PARSED = {
    "gan export runs/mine --format onnx": "the converter to ONNX",
    "gan export runs/mine --format web": "ONNX Runtime Web",
    "gan export runs/labels --format web": "ONNX Runtime Web",
    "gan export runs/mine --push": "the Hugging Face hub",
    "gan evaluate runs/photos --inception-weights FILE": "the weights of Inception",
}

# What makes the commands small, in the place of what they say.
INSTEAD = {
    "train": "--steps 2 --batch 8 --set sample.count=4",
    "resume": "--steps 3",
    "sample": "--count 8",
    "evaluate": "--samples 100",
    "compare": "--seeds 1 --samples 100 --metrics classes,frechet --parallel alone "
    "--set train.batch=8 --set sample.count=4",
    "game": "--steps 2",
    "project": "--steps 2 --starts 1",
}
SMALL = {
    "mlp": "width=8,depth=1",
    "sequence": "hidden=4,width=4",
    "stylegan2": "width=2,style=4,mapping=2",
    "unet": "width=4,depth=1,discriminator_width=4",
    "cyclegan": "width=4,blocks=1,discriminator_width=4",
}
MODEL_OF_WORD = {
    "colorization": "unet",
    "super-resolution:factor=4": "unet",
    "paired": "unet",
    "cyclegan": "cyclegan",
    "stylegan2": "stylegan2",
    "book.txt": "sequence",
}


def small(words: list[str]) -> list[str]:
    """A command line as it is shown, with options that make it cheap in place of its own."""
    name, words = words[0], [*words]
    options = [] if "--latents" in words else INSTEAD.get(name, "").split()
    if name == "train":
        model = next((MODEL_OF_WORD[word] for word in words if word in MODEL_OF_WORD), "mlp")
        options += ["--model", f"{model}:{SMALL[model]}"]
        for size in [word for word in words if word.startswith("data.size=")]:
            options += ["--set", re.sub(r"\d+", lambda side: str(max(8, int(side[0]) // 4)), size)]
    if name == "compare":
        options += ["--set", f"model=mlp:{SMALL['mlp']}"]
        options += ["--examples", "16"] if "--examples" in words else ["--steps", "2"]
    for option, value in zip(options[::2], options[1::2], strict=True):
        key = f"{value.partition('=')[0]}=" if option == "--set" else ""
        places = (at for at, word in enumerate(words) if word == option)
        if (at := next((at for at in places if words[at + 1].startswith(key)), None)) is None:
            words += [option, value]
        else:
            words[at + 1] = value
    return words


# One process runs all commands, so that their programs are compiled without optimization.
RUN_ALL = """
import json, sys
from compiling import let_go
from typer.testing import CliRunner
import gancli.cli
from gancli.cli.application import app
from gancli.features import fitting

fitting._LEAST_STEPS = fitting._MOST_STEPS = 20
for number, words in enumerate(json.load(sys.stdin), 1):
    result = CliRunner().invoke(app, words)
    print(json.dumps([result.exit_code, f"{result.output}{result.exception!r}"]), flush=True)
    if number % 12 == 0:
        let_go()
"""


@pytest.fixture
def sandbox(tmp_path, monkeypatch):
    """A working directory that holds what the commands name."""
    monkeypatch.chdir(tmp_path)
    digits = load_digits()
    images = np.pad(np.kron(digits.images * 15.9, np.ones((3, 3))), ((0, 0), (2, 2), (2, 2)))
    images = images.astype(np.uint8)[:320, ..., None]
    for number, image in enumerate(images[:120]):
        folder = tmp_path / "photos" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.repeat(3, axis=-1)).save(folder / f"{number}.png")
    features = {
        "image": image_feature(28, 28, 1),
        "label": LABEL_FEATURE | {"classLabel": {"numClasses": "10"}},
    }
    records = [
        {"image": png(image[..., 0]), "label": int(label)}
        for image, label in zip(images, digits.target, strict=False)
    ]
    for name in ("mnist", "fashion_mnist"):
        write(tmp_path / "prepared", features, records, name, splits=("train", "test"))
    for number, image in enumerate(images[:16, ..., 0]):
        for place, pixels in (("trainA", 255 - image), ("trainB", image)):
            path = tmp_path / "edges" / place / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    np.savez(tmp_path / "generated.npz", images=(digits.images[:200] * 15.9).astype(np.uint8))
    (tmp_path / "DIR").mkdir()
    (tmp_path / "FOLDER").symlink_to("photos")
    for named in EXPERIMENTS:
        (tmp_path / named).parent.mkdir(parents=True, exist_ok=True)
        files = sorted(ROOT.glob(named))
        for file in {files[0], files[-1]}:
            shutil.copy(file, (tmp_path / named).parent)
    (tmp_path / "book.txt").write_text(TEXT)
    sweep = next(block for kind, block in BLOCKS if kind == "toml" and "[sweep]" in block)
    (tmp_path / "sweep.toml").write_text(sweep.replace("draws = 20", "draws = 1"))
    encoder = jax.export.export(jax.jit(lambda images: images.mean((1, 2)) / 255.0))
    images = jax.ShapeDtypeStruct((64, 16, 16, 3), jnp.float32)
    (tmp_path / "my-encoder.bin").write_bytes(encoder(images).serialize())
    shutil.copytree(labelled_run(), tmp_path / "runs/mine")
    shutil.copytree(digits_run(), tmp_path / "comparisons/one/hinge/seed-0")
    return tmp_path


def test_there_are_commands():
    assert len(COMMANDS) >= 15


@pytest.mark.parametrize("named", EXPERIMENTS)
def test_every_experiment_that_is_named_exists(named):
    assert list(ROOT.glob(named))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_line_is_understood(command):
    """Parsed by the command that it names, which is not run."""
    words = shlex.split(command)[1:]
    named = typer.main.get_command(app)
    while hasattr(named, "commands"):
        named = named.commands[words.pop(0)]
    assert named.make_context(named.name, words).params
    if "--model" in words:  # Which a small one replaces where the command is run.
        assert MODELS.options(words[words.index("--model") + 1])


@pytest.mark.slow
def test_every_command_shown_runs(sandbox):
    """In the order of the pages, each with what those before it have made."""
    shown = [command for command in COMMANDS if not command.startswith(tuple(ONLY_PARSED))]
    lines = [
        [path for word in words for path in glob.glob(word) or [word]]
        for command in shown
        for words in [small(shlex.split(command.replace("verify RUN", "verify runs/photos"))[1:])]
    ]
    environment = os.environ | {
        "XLA_FLAGS": SOON,
        "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
        "GAN_CACHE": str(sandbox / "cache"),
        "TFDS_DATA_DIR": str(sandbox / "prepared"),
    }
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALL],
        env=environment,
        input=json.dumps(lines),
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    results = map(json.loads, done.stdout.splitlines())
    failed = [
        f"{command}\n{output}"
        for command, (status, output) in zip(shown, results, strict=True)
        if status != 0
    ]
    assert not failed, "\n\n".join(failed)


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


@pytest.mark.slow
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
