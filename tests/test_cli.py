"""The command line as a person meets it: what each command prints, makes, and leaves alone."""

import hashlib
import inspect
import io
import itertools
import json
import os
import re
import resource
import select
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import test_adversarial_losses
from PIL import Image
from tiny_runs import (
    BY_ANY_LOSS,
    COMPARED,
    POINTS,
    STEPS,
    TEXT,
    digits_output,
    digits_run,
    gan,
    labelled_run,
    pixels_run,
    points_run,
    snapshot,
    succeed,
    text_run,
    tokens_run,
    write_idx,
)

from gancli import __version__
from gancli.adversarial.losses import LOSSES, Loss
from gancli.cli.application import Lines, app
from gancli.cli.catalogues import catalogues
from gancli.cli.evaluate import names_of
from gancli.cli.training import user_layers
from gancli.config import fields
from gancli.runs.directory import Run

HEAVY = {"jax", "numpy", "flax", "tensorflow_datasets", "matplotlib", "pydantic", "PIL", "orbax"}
COMMANDS = ["train", "resume", "sample", "evaluate", "compare", "game", "list", "data"]
COMMANDS += [
    "verify",
    "export",
    "project",
    "diagnose",
    "doctor",
    "report",
    "data prepare",
    "data info",
    "submit",
    "status",
]


def process(*arguments, **options):
    """The command line as a process of its own."""
    return run_python("-m", "gancli", *arguments, **options)


def run_python(*arguments, **options):
    """A process of the interpreter."""
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, **options
    )


def words(text):
    """A text without line breaks, so that it does not matter where a table broke it."""
    return " ".join(text.split())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def points(folder):
    """A copy of the finished run on points, to be changed."""
    return Path(shutil.copytree(points_run(), folder / "points"))


@pytest.fixture
def digits(folder):
    """A copy of the finished run on digits."""
    return Path(shutil.copytree(digits_run(), folder / "digits"))


# Help


def imported_by(result):
    """The packages that a process under `-X importtime` has imported, and its modules."""
    assert result.returncode == 0, result.stderr
    modules = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    return {name.partition(".")[0] for name in modules}, modules


def test_help_imports_nothing_heavy():
    result = run_python("-X", "importtime", "-m", "gancli", "--help")
    packages, modules = imported_by(result)
    assert "gancli.cli.training" in modules
    assert not packages & HEAVY
    assert all(f" {command} " in result.stdout for command in COMMANDS if " " not in command)


def test_training_imports_what_it_computes_with():
    """SciPy and scikit-learn take a second, and the default data set needs neither."""
    packages, _ = imported_by(run_python("-X", "importtime", "-m", "gancli", "train", "--dry-run"))
    assert {"jax", "flax"} <= packages
    assert not packages & {"scipy", "sklearn", "matplotlib", "tensorflow_datasets"}


def test_help_is_instant():
    """In the processor's time, as a share of importing JAX: machines differ, and are shared."""

    def seconds(*words):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert run_python(*words).returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    shares = [seconds("-m", "gancli", "--help") / seconds("-c", "import jax") for _ in range(6)]
    assert statistics.median(shares[1:]) < 0.4


def test_every_command_is_known():
    known = [command.name or command.callback.__name__ for command in app.registered_commands]
    assert {*known, "data"} == {command for command in COMMANDS if " " not in command}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_every_command_explains_itself(command, option):
    result = succeed(command, option)
    assert f"gan {command} " in result.stdout.replace("root", "gan")
    assert "Usage" in result.stdout
    assert result.stderr == ""


def test_version():
    assert succeed("--version").stdout == f"{__version__}\n"


# Catalogues


@pytest.mark.parametrize("name", catalogues())
def test_list_names_every_entry_with_summary_options_and_reference(name):
    printed = words(succeed("list", name).stdout)
    assert list(catalogues()[name])
    for entry in catalogues()[name]:
        place = printed.index(f" {entry.name} {entry.summary}")
        assert entry.reference in printed[place:]
        for option in entry.options:
            assert f"{option.name}=" in printed[place:]
            if option.bounds:
                least, largest = option.bounds
                assert f"({least:,.10g} to {largest:,.10g})" in printed[place:]


def test_list_shows_every_catalogue():
    printed = succeed("list").stdout.splitlines()
    assert [line for line in printed if line in catalogues()] == list(catalogues())


@pytest.fixture
def exponential(monkeypatch):
    """A loss that is added by one function and nothing else."""
    monkeypatch.setattr(LOSSES, "_entries", dict(LOSSES._entries))

    @LOSSES.register("exponential", reference="doi:10.1006/jcss.1997.1504")
    def exponential(weight: float = 1.0) -> Loss:
        """Exponential loss of boosting: errors cost exponentially more.

        discriminator: w (exp(-r) + exp(f)); generator: w exp(-f).
        """
        return Loss(
            lambda real, fake: weight * (jnp.exp(-real) + jnp.exp(fake)),
            lambda real, fake: weight * jnp.exp(-fake),
        )

    return "exponential"


def properties_of_losses():
    """The property tests of every loss, and what each is run with beside the loss."""
    for name, test in inspect.getmembers(test_adversarial_losses, inspect.isfunction):
        marks = {
            mark.args[0] if isinstance(mark.args[0], str) else tuple(mark.args[0]): mark.args[1]
            for mark in getattr(test, "pytestmark", [])
            if mark.name == "parametrize"
        }
        if name.startswith("test_") and marks.pop("spec", None) is test_adversarial_losses.SPECS:
            for chosen in itertools.product(*marks.values()):
                arguments = {}
                for names, values in zip(marks, chosen, strict=True):
                    both = (names, values) if isinstance(names, tuple) else ([names], [values])
                    arguments |= dict(zip(*both, strict=True))
                yield test, arguments


def test_a_registered_loss_is_in_the_whole_command_line(exponential, folder):
    listed = words(succeed("list losses").stdout)
    assert "exponential Exponential loss of boosting: errors cost exponentially more" in listed
    assert "weight=1.0 doi:10.1006/jcss.1997.1504" in listed
    misspelt = gan(f"train {BY_ANY_LOSS} --loss exponental").stderr
    assert "'exponental'" in misspelt
    assert "'exponential'" in misspelt

    compared = succeed(f"compare {COMPARED} --loss exponential --seeds 1 --samples 100 --out c")
    assert "[1/1] exponential/seed-0  finished at step 6" in compared.stdout
    assert "│ exponential │" in compared.stdout
    # The comparison's run is an ordinary one: the same configuration goes on with it.
    trained = succeed(f"train {BY_ANY_LOSS} --loss exponential --out c/exponential/seed-0")
    assert "loss exponential (doi:10.1006/jcss.1997.1504)" in trained.stdout
    assert "finished at step 6" in trained.stdout
    assert "compiling" not in trained.stdout


def test_a_registered_loss_has_the_properties_of_every_loss(exponential):
    properties = list(properties_of_losses())
    assert len({test for test, _ in properties}) >= 2
    for test, values in properties:
        test(exponential, **values)


def test_a_wrong_loss_fails_those_properties(monkeypatch):
    """Else the test above could not fail."""
    monkeypatch.setattr(LOSSES, "_entries", dict(LOSSES._entries))

    @LOSSES.register("backwards", reference="")
    def backwards() -> Loss:
        """The discriminator's halves are exchanged."""
        return Loss(lambda real, fake: real - fake, lambda real, fake: fake)

    failed = 0
    for test, values in properties_of_losses():
        try:
            test("backwards", **values)
        except AssertionError:
            failed += 1
    assert failed


# Training


def test_training_tells_what_it_does_and_where_the_pictures_are():
    run, (printed, said) = digits_run(), digits_output()
    assert said == ""
    # Plain lines: nothing is drawn over, nothing is coloured.
    assert "\x1b" not in printed
    assert "\r" not in printed
    lines = printed.splitlines()
    assert lines[0] == "loss non-saturating (arXiv:1406.2661)"
    assert lines[1].startswith("recipe: ")
    assert "optimizer.learning_rate=0.0002" in lines[1]
    assert lines[2] == f"run {run}"
    assert lines[3] == "step 0 of 6: compiling"
    assert re.fullmatch(r"compiled and first step in \d+\.\d s", lines[4])
    measured = [line for line in lines if line.startswith("step ") and "/6" in line]
    assert [line.split()[1] for line in measured] == ["2/6", "4/6", "6/6"]
    for line in measured:
        assert re.search(r"discriminator -?\d+\.\d{3} · generator -?\d+\.\d{3}", line)
        assert re.search(r"accuracy \d+% real \d+% fake", line)
    assert lines[-3:] == [
        "finished at step 6", f"samples {run}/samples/00000006.png",
        f"growth  {run}/samples/growth.png",
    ]  # fmt: skip

    assert {path.name for path in run.iterdir()} >= {"config.json", "run.json", "metrics.jsonl"}
    for name in ("00000000", "00000003", "00000006", "growth"):
        with Image.open(run / "samples" / f"{name}.png") as image:
            image.load()
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in metrics] == [2, 4, 6]
    status = json.loads((run / "run.json").read_text())
    assert (status["status"], status["step"], status["restarts"]) == ("finished", 6, 0)
    assert "unknown left" not in measured[-1], "at the last step nothing is left"


def test_the_same_command_again_trains_nothing(points):
    def content():
        return {name: held for name, held in snapshot(points).items() if name[:4] == "chec"}

    before, metrics = content(), (points / "metrics.jsonl").read_bytes()
    result = succeed(f"train {POINTS} --out points")
    assert "finished at step 6" in result.stdout
    assert "compiling" not in result.stdout
    assert content() == before
    assert (points / "metrics.jsonl").read_bytes() == metrics


def test_resume_goes_on_to_more_steps(points):
    result = succeed("resume points --steps 9")
    assert "step 6 of 9: compiling" in result.stdout
    assert "finished at step 9" in result.stdout
    assert "samples points/samples/00000009.png" in result.stdout
    run = Run(Path("points"))
    assert run.config.train.steps == 9
    assert run.checkpoints().steps()[-1] == 9
    assert run.status["restarts"] == 1


def test_resume_goes_on_without_the_samples_that_were_removed(points):
    shutil.rmtree("points/samples")
    assert "samples none" in succeed("resume points").stdout
    assert "samples points/samples/00000009.png" in succeed("resume points --steps 9").stdout


def test_resume_warns_of_a_damaged_checkpoint_and_goes_on_from_the_one_before(points):
    Path("points/checkpoints/6/resume.json").write_text("{}")
    result = succeed("resume points")
    warnings = [line for line in result.stdout.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert "points/checkpoints/6" in warnings[0]
    assert "resume.json" in warnings[0]
    assert "step 0 of 6: compiling" in result.stdout
    whole = (points_run() / "samples" / "00000006.npy").read_bytes()
    assert Path("points/samples/00000006.npy").read_bytes() == whole


def test_a_run_without_a_name_gets_one_that_is_free(folder):
    Path("runs/ring8-non-saturating-1").mkdir(parents=True)
    assert (
        "run runs/ring8-non-saturating-2\n"
        in succeed(f"train {POINTS.replace('--steps 6', '--steps 1')}").stdout
    )
    assert Run(Path("runs/ring8-non-saturating-2")).exists
    assert not list(Path("runs/ring8-non-saturating-1").iterdir())


def test_divergence_ends_with_its_status_and_names_the_quantity(folder):
    """A step of 1e30 makes logits that float32 cannot square."""
    wild = "--set optimizer.discriminator.name=sgd --loss least-squares --out run"
    result = gan(f"train {BY_ANY_LOSS} {wild} --set optimizer.discriminator.learning_rate=1e30")
    assert result.exit_code == 3
    assert re.search(r"(loss|logit|gradient).* (nan|inf|-inf)\b.*\d", result.stderr)
    assert result.stderr.count("\n") == 1
    assert Run(Path("run")).status["status"] == "diverged"


def test_a_later_layer_wins(folder):
    Path("a.toml").write_text("[train]\nbatch = 10\nsteps = 11\nseed = 12")
    flags = {
        "--batch": ("train.batch", 20), "--steps": ("train.steps", 21), "--loss": ("loss", None),
    }  # fmt: skip
    layers = user_layers(Path("a.toml"), flags, ["train.batch=30", "model=dcgan:width=4"])
    assert [layer.source for layer in layers] == ["a.toml", "--batch", "--steps", "--set"]
    merged = {}
    for layer in layers:
        merged |= layer.values
    assert merged == {
        "train.batch": 30, "train.steps": 21, "train.seed": 12, "model": "dcgan:width=4",
    }  # fmt: skip


# Dry run


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """What a dry run printed, and what it wrote."""
    folder = tmp_path_factory.mktemp("dry")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("a.toml").write_text("[checkpoint]\nkeep = 7\n")
        result = succeed(f"train a.toml {POINTS} --set train.seed=5 --dry-run --verbose --out run")
    return result.stdout, sorted(path.name for path in folder.rglob("*"))


def test_a_dry_run_writes_nothing(planned):
    printed, written = planned
    assert written == ["a.toml"]
    assert "written" in printed


def test_a_dry_run_counts_parameters_and_bytes(planned):
    """Generator 2·16 + 16, 16·16 + 16, 16·2 + 2; discriminator the same with 16 + 1 at its end.

    The state holds both with two moments of Adam each and the generator's average:
    4 · (3 · 691 + 354) bytes and a few counters. Data: 500 points and labels, 500 · (8 + 4).
    """
    printed, _ = planned
    assert "generator: 354 parameters" in printed
    assert "discriminator: 337 parameters" in printed
    assert "data: ring8:count=500 (points), 500 examples of shape (2,)" in printed
    assert "state 9.492 KiB, data 5.859 KiB" in printed
    assert re.search(r"working space of an update \d", printed)


def test_a_dry_run_shows_where_each_value_is_from(planned):
    found, key = {}, ""
    for line in planned[0].splitlines():
        if line.startswith("│"):
            name, value, source = (cell.strip() for cell in line.strip("│").split("│"))
            # What is too wide for its column goes on in the next row, under no key.
            key = name or key
            before = found.get(key, ("", "")) if not name else ("", "")
            found[key] = (before[0] + value, f"{before[1]} {source}".strip())
    assert found["train.batch"] == ("20", "--batch")
    assert found["train.seed"] == ("5", "--set")
    assert found["checkpoint.keep"] == ("7", "a.toml")
    assert found["train.dynamics"] == ("alternating", "default")
    assert found["task"] == ("generation:latent=2", "default for points data")
    assert "recipe of non-saturating" in {source for _, source in found.values()}


def test_every_key_of_a_dry_run_is_whole(planned):
    """It is there to be copied."""
    assert "…" not in planned[0]
    for key in fields():
        assert f" {key} " in planned[0]


def test_lines_of_a_terminal_end_between_words():
    said = f"error: the file {'x' * 60}/data.npz cannot be read, and nothing [was] written."
    text, pipe = io.StringIO(), io.StringIO()
    Lines(file=text, force_terminal=True, width=40).print(said)
    Lines(file=pipe, width=40).print(said)
    Lines(file=pipe, force_terminal=True, width=40).print(said, soft_wrap=True)
    assert pipe.getvalue() == f"{said}\n" * 2
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    assert " ".join(lines) == said
    assert [line for line in lines if len(line) > 40] == [f"{'x' * 60}/data.npz"]


# Samples


def sampled(*arguments):
    """The examples that `gan sample` wrote to `samples.npz`."""
    out = Path(f"out-{time.monotonic_ns()}")
    succeed("sample --format npz", *arguments, f"--out {out}")
    with np.load(out / "samples.npz", allow_pickle=False) as held:
        assert held.files == ["arr_0", "latents"]
        return held["arr_0"]


def test_samples_as_pictures_array_animation_and_manifest(digits):
    result = succeed("sample --ckpt digits --count 5 --seed 3 --interpolate --out s")
    assert result.stdout.split() == [
        "s/grid.png", "s/images", "s/samples.npz", "s/interpolation.webp", "s/manifest.json",
    ]  # fmt: skip
    with np.load("s/samples.npz", allow_pickle=False) as held:
        assert held.files == ["arr_0", "latents"]
        array = held["arr_0"]
    assert array.dtype == np.uint8
    assert array.shape == (5, 8, 8, 1)
    singles = sorted(Path("s/images").iterdir())
    assert [path.name for path in singles] == [f"{index:06d}.png" for index in range(5)]
    for single, pixels in zip(singles, array, strict=True):
        with Image.open(single) as image:
            np.testing.assert_array_equal(np.asarray(image), pixels[..., 0])
    with Image.open("s/grid.png") as image:
        image.load()
    with Image.open("s/interpolation.webp") as animation:
        assert animation.is_animated
        assert animation.n_frames > 10

    manifest = json.loads(Path("s/manifest.json").read_text())
    checksums = Path(f"digits/checkpoints/{STEPS}/checksums.json").read_bytes()
    expected = {
        "checkpoint": f"digits/checkpoints/{STEPS}",
        "checkpoint_sha256": hashlib.sha256(checksums).hexdigest(),
        "step": STEPS,
        "weights": "ema",
        "training_seed": 0,
        "task": "generation:latent=64",
        "loss": "non-saturating",
        "model": "dcgan:width=4",
        "precision": "float32",
        "labels": [],
        "truncation": None,
        "noise": None,
        "latents": "drawn",
        "seed": 3,
        "count": 5,
        "first_index": 0,
        "formats": ["png", "npz"],
    }
    assert manifest.items() >= expected.items()
    assert manifest.keys() - expected.keys() == {"data", "files", "versions", "made"}
    assert manifest["data"]["name"] == "digits"
    assert manifest["versions"]["jax"]


def test_labelled_samples_are_a_grid_by_class_and_their_labels_in_the_array(tmp_path):
    result = succeed(
        f"sample --ckpt {labelled_run()} --count 6 --labels 7,1,4 --traverse --out {tmp_path}/s"
    )
    names = ["grid.png", "images", "samples.npz", "traversal-label.png", "manifest.json"]
    assert result.stdout.split() == [f"{tmp_path}/s/{name}" for name in names]
    with np.load(tmp_path / "s" / "samples.npz", allow_pickle=False) as held:
        assert held["arr_0"].shape == (6, 8, 8, 1)
        assert held["arr_1"].tolist() == [7, 1, 4, 7, 1, 4]
    assert json.loads((tmp_path / "s" / "manifest.json").read_text())["labels"] == ["7", "1", "4"]
    with Image.open(tmp_path / "s" / "grid.png") as image:
        across, down = image.size  # Three columns of two.
    assert across > down
    with Image.open(tmp_path / "s" / "traversal-label.png") as image:
        across, down = image.size  # The three labels of eight noises, named below each image.
    assert across / down == pytest.approx(3 * (64 + 4) / (8 * (64 + 4 + 20)), rel=0.05)


def test_sampled_points_are_a_scatter_and_an_array(points):
    result = succeed("sample --ckpt points --count 300 --out s")
    assert result.stdout.split() == ["s/points.png", "s/samples.npz", "s/manifest.json"]
    with np.load("s/samples.npz", allow_pickle=False) as held:
        assert held["arr_0"].shape == (300, 2)
        assert held["arr_0"].dtype == np.float32


def test_sampled_sequences_are_lines_of_text_and_an_array(tmp_path):
    result = succeed(f"sample --ckpt {tokens_run()} --count 7 --out {tmp_path}/s")
    names = ["samples.txt", "samples.npz", "manifest.json"]
    assert result.stdout.split() == [f"{tmp_path}/s/{name}" for name in names]
    with np.load(tmp_path / "s" / "samples.npz", allow_pickle=False) as held:
        assert held.files == ["arr_0"]
        tokens = held["arr_0"]
    assert (tokens.shape, tokens.dtype) == ((7, 4), np.int32)
    lines = (tmp_path / "s" / "samples.txt").read_text().splitlines()
    assert [[int(token) for token in line.split()] for line in lines] == tokens.tolist()
    assert json.loads((tmp_path / "s" / "manifest.json").read_text())["formats"] == ["txt", "npz"]


@pytest.mark.slow
def test_sampled_pixels_are_images_and_an_array_of_tokens(tmp_path):
    assert (pixels_run() / "samples" / "growth.png").is_file()
    result = succeed(f"sample --ckpt {pixels_run()} --count 7 --out {tmp_path}/s")
    names = ["grid.png", "images", "samples.npz", "manifest.json"]
    assert result.stdout.split() == [f"{tmp_path}/s/{name}" for name in names]
    with np.load(tmp_path / "s" / "samples.npz", allow_pickle=False) as held:
        tokens = held["arr_0"]
    assert tokens.shape == (7, 16)
    with Image.open(tmp_path / "s" / "images" / "000006.png") as image:
        assert np.asarray(image).tolist() == (255 * tokens[6].reshape(4, 4)).tolist()


def test_a_sampled_text_has_its_characters_a_sequence_a_line(tmp_path):
    succeed(f"sample --ckpt {text_run()} --count 9 --format txt --out {tmp_path}/s")
    assert {path.name for path in (tmp_path / "s").iterdir()} == {"samples.txt", "manifest.json"}
    lines = (tmp_path / "s" / "samples.txt").read_text(encoding="utf-8").split("\n")
    assert lines.pop() == ""
    assert len(lines) == 9
    for line in lines:
        # A line break, one character, is written as two.
        assert len(line.replace("\\n", "|")) == 32
        assert set(line.replace("\\n", "")) <= set(TEXT)
    assert any("\\n" in line for line in lines)


def test_a_run_of_a_text_ends_with_lines_of_it(tmp_path):
    run = text_run()
    samples = run / "samples"
    last = (samples / "00000006.txt").read_text(encoding="utf-8").splitlines()
    assert len(last) == 4
    printed = succeed(f"resume {run}").stdout.splitlines()
    assert printed[-7:] == [
        "finished at step 6", f"samples {samples}/00000006.txt",
        f"growth  {samples}/growth.txt", *last,
    ]  # fmt: skip
    growth = (samples / "growth.txt").read_text(encoding="utf-8").splitlines()
    assert [line.split()[0] for line in growth] == ["0", "6"]
    assert growth[-1] == f"       6  {' | '.join(last[:3])}"


def test_the_same_seed_gives_the_same_image_whatever_the_count(digits):
    three, many = sampled("--ckpt digits --count 3"), sampled("--ckpt digits --count 300")
    np.testing.assert_array_equal(three, many[:3])
    # The networks of this run have hardly learned: its images are nearly alike.
    assert (sampled("--ckpt digits --count 300 --seed 1") != many).any()
    assert (sampled("--ckpt digits --count 300 --raw") != many).any()


def test_a_lone_checkpoint_folder_is_enough(digits):
    whole = sampled("--ckpt digits --count 3")
    lone = shutil.copytree(digits / "checkpoints" / str(STEPS), "elsewhere/lone")
    shutil.rmtree(digits)
    np.testing.assert_array_equal(sampled(f"--ckpt {lone} --count 3"), whole)


@pytest.mark.parametrize(
    ("formats", "written"),
    [("png", {"grid.png", "images", "manifest.json"}), ("npz", {"samples.npz", "manifest.json"})],
)
def test_only_the_formats_asked_for_are_written(digits, formats, written):
    succeed(f"sample --ckpt digits --count 2 --format {formats} --out s")
    assert {path.name for path in Path("s").iterdir()} == written


def test_sampling_warns_of_a_damaged_checkpoint_and_uses_the_one_before(points):
    Path("points/checkpoints/6/resume.json").write_text("{}")
    result = succeed("sample --ckpt points --count 2 --format npz --out s")
    assert result.stderr.startswith("warning: ")
    assert "points/checkpoints/6" in result.stderr
    assert "resume.json" in result.stderr
    assert json.loads(Path("s/manifest.json").read_text())["step"] == 0


# Evaluation


def test_an_evaluation_as_json_names_its_provenance(points):
    result = succeed("evaluate --ckpt points --samples 200 --seed 2 --json")
    read = json.loads(result.stdout, parse_constant=pytest.fail)
    assert {"modes/found", "modes/high_quality"} <= set(read["metrics"])
    assert (read["samples"], read["seed"]) == (200, 2)
    checksums = Path(f"points/checkpoints/{STEPS}/checksums.json").read_bytes()
    origin = read["generator"]
    assert origin["checkpoint"] == f"points/checkpoints/{STEPS}"
    assert origin["checkpoint_sha256"] == hashlib.sha256(checksums).hexdigest()
    assert (origin["step"], origin["weights"]) == (STEPS, "ema")
    assert origin["data"]["name"] == "ring8:count=500"
    assert len(origin["data"]["fingerprint"]) == 64
    assert read["versions"]["gan"] == __version__


def test_an_evaluation_as_a_table(digits):
    result = succeed("evaluate --ckpt digits --metrics memorization --samples 100 --raw")
    printed = words(result.stdout)
    for figure in ("copies", "identical", "nearest", "nearest_real"):
        assert re.search(rf"│ {figure} +│ +[\d.]+ ", result.stdout)
    assert "samples 100 of seed 0, by the raw weights of step 6" in printed
    assert f"checkpoint digits/checkpoints/{STEPS}, SHA-256 " in printed
    assert "real 1797 examples of digits, train, SHA-256 " in printed
    assert "features" not in printed


def test_an_evaluation_shows_intervals_features_and_the_classifier(digits):
    result = succeed("evaluate --ckpt digits --metrics neighbours:k=3,classes --samples 100")
    assert re.search(r"neighbours:k=3 +│ precision +│ +[\d.]+ +│ +[\d.]+ to [\d.]+ +│ higher ",
                     result.stdout)  # fmt: skip
    printed = words(result.stdout)
    assert "features 64 of classifier, SHA-256 " in printed
    assert re.search(r"classifier right on 0\.9\d+ of 359 held-out images, SHA-256 ", printed)
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (None, ()),
        ("classes, modes", ("classes", "modes")),
        ("wasserstein:projections=9,order=1,modes", ("wasserstein:projections=9,order=1", "modes")),
        ("frechet:infinity=true,kernel:subsets=3", ("frechet:infinity=true", "kernel:subsets=3")),
    ],
)
def test_commas_separate_metrics_and_their_options(text, names):
    assert names_of(text) == names


def test_an_evaluation_on_features_that_are_named(digits):
    printed = succeed("evaluate --ckpt digits --features pixels --samples 100 --json").stdout
    read = json.loads(printed, parse_constant=pytest.fail)
    assert read["features"]["dimension"] == 64
    assert read["features"]["name"] == "pixels"
    assert "transfer" not in " ".join(read["metrics"])


@pytest.mark.parametrize("data", ["digits", "points"])
def test_an_evaluation_is_drawn_and_kept_with_its_run(data, request):
    request.getfixturevalue(data)
    result = succeed(f"evaluate {data} --metrics wasserstein --samples 100 --plot p.png")
    assert result.stdout.splitlines()[-1] == "p.png"
    with Image.open("p.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 400
    succeed(f"evaluate {data} --metrics wasserstein --samples 100 --raw")
    succeed(f"report {data}")
    report = Path(data, "report.md").read_text()
    assert "Of 100 samples of seed 0 at step 6, by the raw weights, against" in report
    assert "by the ema weights" in report
    assert report.count("| wasserstein/distance |") == 2


def test_an_evaluation_against_another_split(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    for prefix, count in (("train", 300), ("t10k", 120)):
        write_idx(
            Path("data"), prefix, draw.integers(256, size=(count, 4, 4)), np.arange(count) % 2
        )
    succeed("train --dataset data --model mlp:width=8,depth=1 --steps 2 --out r")
    read = json.loads(
        succeed("evaluate --ckpt r --metrics frechet --features pixels --split test --json").stdout
    )
    assert (read["real"]["count"], read["real"]["split"], read["samples"]) == (120, "test", 120)


# Comparison


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Two variants over one seed, compared into `c`: the folder, and what was printed."""
    folder = tmp_path_factory.mktemp("compared")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        asked = (
            f"compare {COMPARED} --loss non-saturating --loss minimax:smoothing=0.1 --samples 100"
        )
        result = succeed(asked, "--seeds 1 --out c")
        yield asked, result.stdout, folder


def test_a_comparison_makes_ordinary_runs_and_a_table(compared):
    _, printed, folder = compared
    names = ["minimax-smoothing-0.1", "non-saturating"]
    assert sorted(path.name for path in (folder / "c").iterdir()) == [*names, "results.json"]
    for name in names:
        run = Run(folder / "c" / name / "seed-0")
        assert run.status["status"] == "finished"
        assert run.config.train.seed == 0
        assert (run.samples / "growth.png").is_file()
        row = next(line for line in printed.splitlines() if line.startswith(f"│ {name}"))
        assert row.split("│")[2].strip() == "1 of 1"
    assert Run(folder / "c" / names[0] / "seed-0").config.loss == "minimax:smoothing=0.1"
    assert re.search(r"\[[12]/2\] non-saturating/seed-0  from step 0 to 6\n", printed)
    assert re.search(r"\[[12]/2\] minimax-smoothing-0.1/seed-0  finished at step 6 ", printed)
    # The answer, which one seed does not give, and where to look.
    assert "c/results.json" in printed
    assert "gan report c\n" in printed
    held = json.loads((folder / "c" / "results.json").read_text(), parse_constant=pytest.fail)
    assert [run["run"] for run in held["runs"]] == [f"{name}/seed-0" for name in reversed(names)]
    assert held["asked"]["samples"] == 100
    (pair,) = held["answer"]["pairs"]
    assert (held["answer"]["figure"], pair["verdict"]) == ("wasserstein/distance", "too few seeds")
    assert held["answer"]["sentence"] in printed
    assert f"{pair['sentence']}\n" in printed


def test_a_second_comparison_trains_nothing(compared):
    asked, _, folder = compared
    before, results = snapshot(folder), (folder / "c" / "results.json").read_bytes()
    result = succeed(asked, "--seeds 1 --out c")
    after = snapshot(folder)
    assert [name for name in after if after[name] != before.get(name)] == ["c/results.json"]
    assert (folder / "c" / "results.json").read_bytes() == results
    assert "from step" not in result.stdout
    assert "non-saturating" in result.stdout


@pytest.mark.slow
def test_another_seed_trains_only_what_is_new_and_its_json_is_json(compared):
    asked, _, folder = compared
    before = snapshot(folder)
    result = succeed(asked, "--seeds 2 --out c --json")
    after = snapshot(folder)
    changed = [name for name in before if after[name] != before[name]]
    assert changed == ["c/results.json"]
    new = {Path(name).parts[2] for name in after.keys() - before.keys()}
    assert new == {"seed-1"}
    for name in ("non-saturating", "minimax-smoothing-0.1"):
        assert Run(folder / "c" / name / "seed-1").config.train.seed == 1

    read = json.loads(result.stdout, parse_constant=pytest.fail)
    runs = [(run["variant"], run["seed"]) for run in read["runs"]]
    assert runs == [
        ("non-saturating", 0), ("non-saturating", 1),
        ("minimax-smoothing-0.1", 0), ("minimax-smoothing-0.1", 1),
    ]  # fmt: skip
    assert [variant["finished"] for variant in read["answer"]["standings"]] == [2, 2]
    assert read == json.loads((folder / "c" / "results.json").read_text())


def test_runs_that_are_there_are_compared_as_they_are(compared):
    _, _, folder = compared
    before = snapshot(folder)
    result = succeed("compare c/non-saturating/seed-0 c/minimax-smoothing-0.1/seed-0 --samples 100")
    after = snapshot(folder)
    own = "comparisons/ring8-count-500-non-saturating-minimax-smoothing-0.1"
    assert after.keys() - before.keys() == {"comparisons", own, f"{own}/results.json"}
    assert {name: after[name] for name in before} == before
    assert "│ non-saturating" in result.stdout
    assert "│ minimax-smoothing-0.1" in result.stdout


# Reports


def test_a_run_is_reported_as_a_page(points):
    printed = succeed("report", "points", "--out", "page").stdout.splitlines()
    assert printed == [
        *(f"page/{name}" for name in ("report.html", "report.md", "config.toml")),
        "points: finished at step 6 of 6.",
    ]
    page = Path("page/report.html").read_text()
    assert "generator/loss" in page
    assert 'src="data:image/png;base64,' in page


# Event files


@pytest.mark.slow
def test_tensorboard_reads_the_event_file_back(folder):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="the extra tensorboard"
    )
    logging = "--set logging.tensorboard=true --set logging.every=2"
    succeed(f"train {POINTS} {logging} --out run")
    lines = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert len(list(Path("run/tensorboard").iterdir())) == 1
    events = accumulator.EventAccumulator("run/tensorboard").Reload()
    assert set(events.Tags()["scalars"]) == (
        {name for line in lines for name in line} - {"step"} | {"examples_per_second"}
    )
    for tag in ("discriminator/loss", "generator/loss"):
        scalars = [(event.step, event.value) for event in events.Scalars(tag)]
        assert [step for step, _ in scalars] == [2, 4, 6]
        assert [value for _, value in scalars] == pytest.approx([line[tag] for line in lines])


# Data and games


@pytest.mark.parametrize(
    ("name", "facts", "picture"),
    [
        ("digits", {"kind": "image", "shape": "8 × 8 × 1", "count": "1,797"}, "digits.png"),
        ("ring8:count=400", {"kind": "points", "shape": "2", "modes": "8"}, "ring8.png"),
        (
            "oracle:length=4,vocabulary=6,count=30",
            {"kind": "tokens", "shape": "4", "vocabulary": "6", "count": "30"},
            "oracle.txt",
        ),
        ("pixels", {"kind": "tokens", "shape": "64", "labels": "none"}, "pixels.png"),
    ],
)
def test_data_info_describes_and_draws(folder, name, facts, picture):
    result = succeed("data info", name)
    rows = [[cell.strip() for cell in line.split("│")] for line in result.stdout.splitlines()]
    printed = {row[1]: row[2] for row in rows if len(row) == 4}
    assert printed["name"] == name
    assert printed.items() >= facts.items()
    assert f"picture {picture}" in result.stdout
    assert [path.name for path in folder.iterdir()] == [picture]
    if picture.endswith(".txt"):
        assert len(Path(picture).read_text().splitlines()) == 30
        return
    with Image.open(picture) as image:
        image.load()


def test_data_info_shows_a_whole_fingerprint(folder):
    """Folded where the terminal is narrow, never cut off."""
    printed = succeed("data info digits --size 16 --out picture.png").stdout
    assert "16 × 16 × 1" in printed
    assert Path("picture.png").is_file()
    assert re.search(r"fingerprint[0-9a-f]{64}(?![0-9a-f])", re.sub(r"[\s│┃]", "", printed))


@pytest.mark.parametrize("name", ["[cats]", "[bold]cats[", "[/cats]"])
def test_names_in_brackets_are_shown_as_they_are(folder, name):
    """They are no markup."""
    Path(name).mkdir(parents=True)
    for index in range(4):
        pixels = np.full((8, 8), index, np.uint8)
        Image.fromarray(pixels).save(Path(name) / f"{index}.png")
    assert f" {name} " in succeed(f"data info {name} --out picture.png").stdout
    small = "--model dcgan:width=4 --batch 2 --dry-run"
    printed = succeed(f"train --dataset {name} {small}").stdout
    assert f" {name} " in printed
    assert f"data: {name} (image), 4 " in printed


def test_the_bilinear_game_ends_where_it_must():
    """From (2, 0.5) the radius grows by sqrt(1.01) a step: sqrt(4.25) · 1.01^50 = 3.390495."""
    last = succeed("game bilinear").stdout.splitlines()[-1]
    radius = re.fullmatch(r"radius after 100 steps: (\S+), from (\S+)", last)
    assert radius
    assert float(radius[1]) == pytest.approx(3.390495, rel=1e-6)
    assert float(radius[2]) == pytest.approx(2.061553, rel=1e-6)


def test_extragradient_shrinks_the_bilinear_game():
    """By sqrt(1 - 0.01 + 0.0001) a step: sqrt(4.25) · 0.9901^50 = 1.253567."""
    last = succeed("game bilinear --dynamics extragradient").stdout.splitlines()[-1]
    assert "radius after 100 steps: 1.25356" in last


def test_game_of_players_with_rates_and_steps_of_their_own():
    """θ' = 1 - 0.25, and five times ψ' = ψ + 0.5 θ': hypot(0.75, 2.875)."""
    options = "--dynamics alternating --learning-rate 0.25 --discriminator-learning-rate 0.5"
    own = f"{options} --discriminator-steps 5 --steps 1"
    last = succeed(f"game dirac:loss=wasserstein {own}").stdout.splitlines()[-1]
    assert last == "radius after 1 steps: 2.971216, from 1.414214"


def test_game_says_what_was_predicted_and_what_was_measured_and_draws_it(folder):
    """By 1 - hγ + h²/4 the radius is multiplied by √0.95 a step, and h < 4γ converges."""
    options = "--learning-rate 0.2 --steps 500 --out picture.png"
    result = succeed(f"game dirac:penalty=r1:weight=0.3 {options}")
    rows = [[cell.strip() for cell in line.split("│")] for line in result.stdout.splitlines()]
    rates = {row[1]: row[3:7] for row in rows if len(row) == 8}
    for factor, turn, period, verdict in (rates["predicted"], rates["measured"]):
        assert float(factor.removeprefix("× ")) == pytest.approx(0.95**0.5, rel=1e-5)
        assert float(turn.removesuffix("°")) == pytest.approx(5.617, abs=3e-3)
        assert (float(period), verdict) == (pytest.approx(64.1, abs=0.1), "converges")
    assert "below a learning rate of 1.2." in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    with Image.open("picture.png") as image:
        image.load()


# Signals


def read_until(stream, text, seconds):
    """Reads until a whole line holds the text; fails when time is up or the process ends."""
    end, held = time.monotonic() + seconds, b""
    while time.monotonic() < end:
        if select.select([stream], [], [], 0.5)[0]:
            read = os.read(stream.fileno(), 4096)
            assert read, held.decode()
            held += read
            if any(text in line for line in held.decode().split("\n")[:-1]):
                return
    pytest.fail(held.decode())


@pytest.mark.slow
def test_a_signal_saves_everything_and_the_same_command_goes_on(folder):
    """The status is that of a process to be started again, as batch systems expect it."""
    steps = 15_000
    longer = POINTS.replace("--steps 6", f"--steps {steps}")
    options = f"{longer} --out run --set logging.every=100 --set monitors.every=500".split()
    options += ["--set", f"sample.every={steps}", "--set", f"checkpoint.every={steps}"]
    started = subprocess.Popen(
        [sys.executable, "-m", "gancli", "train", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        read_until(started.stdout, f"/{steps}  ", 120)
        started.send_signal(signal.SIGTERM)
        _, stderr = started.communicate(timeout=120)
    finally:
        started.kill()
    message = stderr.decode()
    assert started.returncode == 75, message
    run = Run(Path("run"))
    step = run.checkpoints().steps()[-1]
    assert 0 < step < steps
    assert (run.status["status"], run.status["step"]) == ("interrupted", step)
    assert re.search(rf"\b{step}\b.*\b{steps}\b", message)
    assert "gan resume run" in message
    assert "error" not in message
    assert "Traceback" not in message

    again = process("train", *options)
    assert again.returncode == 0, again.stderr
    assert f"step {step} of {steps}: compiling" in again.stdout
    assert f"finished at step {steps}" in again.stdout
    lines = [json.loads(line)["step"] for line in run.metrics.path.read_text().splitlines()]
    assert lines == list(range(100, steps + 1, 100))
