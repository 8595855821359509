"""Input that cannot be used: status 2, one clear message, no traceback, and nothing written."""

import errno
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from refusals import require_parts
from tiny_runs import (
    BY_ANY_LOSS,
    COMPARED,
    POINTS,
    digits_run,
    gan,
    points_run,
    snapshot,
    tokens_run,
)
from typer.main import get_command

from gancli.cli.application import app
from gancli.errors import GanError, UserError
from gancli.runs.checkpoints import CheckpointDamagedError
from gancli.runs.directory import Run

# What is done in the folder that `world` fills, and what the refusal's parts name: what was
# given, what is allowed, what to use. A new case is one line.
NO_FOLDER, NO_FILE = os.strerror(errno.ENOTDIR), os.strerror(errno.ENOENT)
CASES = {
    # Catalogues and specs
    "unknown loss": (
        f"train {BY_ANY_LOSS} --loss hinged", ("loss", "'hinged'"), "wasserstein", "'hinge'"
    ),
    "unknown key in a spec": (
        f"train {BY_ANY_LOSS} --loss hinge:magrin=2", ("'hinge'", "'magrin'"), "margin", "'margin'"
    ),
    "option without a value": (
        f"train {BY_ANY_LOSS} --loss hinge:margin", ("'margin'", "'hinge:margin'"), "key=value"
    ),
    "wrong type in a spec": (
        f"train {BY_ANY_LOSS} --loss hinge:margin=wide", ("margin", "'hinge'", "'wide'"), "float"
    ),
    "unknown model": ("train --model dcgam", ("model", "'dcgam'"), "mlp", "'dcgan'"),
    "unknown penalty": (f"train {POINTS} --penalty r3", ("penalty", "'r3'"), "gradient-penalty"),
    "unknown task": (
        f"train {POINTS} --task generate", ("task", "'generate'"), "infogan", "'generation'"
    ),
    "unknown catalogue": ("list loses", ("catalogue", "'loses'"), "penalties", "'losses'"),
    "unknown game": ("game billinear", ("game", "'billinear'"), "dirac", "'bilinear'"),
    "unknown dynamics": (
        "game dirac --dynamics alternate", ("dynamics", "'alternate'"), "implicit", "'alternating'"
    ),
    "unknown optimizer": (
        "game dirac --optimizer adamm", ("optimizer", "'adamm'"), "sgd", "'adam'"
    ),
    # Configuration
    "wrong type in TOML": (
        "train type.toml", ("train.batch", "'many'", "type.toml"), (" 1", "1,048,576")
    ),
    "unknown key in TOML": (
        "train key.toml", ("'train.btch'", "key.toml"), "train.batch", "'train.batch'"
    ),
    "a section as a value": (
        "train section.toml", ("'train'", "section.toml"), "train.batch", "'train.seed'"
    ),
    "a number for a list": ("train list.toml", ("penalties", "3", "list.toml"), "16"),
    "not TOML": ("train broken.toml", ("'broken.toml'", "line 1"), "TOML"),
    "not text": ("train bytes.toml", ("'bytes.toml'", "0xff"), "TOML"),
    "no such TOML": ("train nowhere.toml", ("'nowhere.toml'", NO_FILE), "TOML"),
    "a setting without =": (
        f"train {POINTS} --set train.batch", ("--set", "'train.batch'"), "--set key=value"
    ),
    "a setting without a key": (
        f"train {POINTS} --set =3", ("--set", "'=3'"), "--set key=value"
    ),
    "an unknown setting": (
        f"train {POINTS} --set batch=3", ("--set", "'batch'"), "train.batch", "'train.batch'"
    ),
    "a setting out of range": (
        f"train {POINTS} --set average.decay=1", ("average.decay", "1", "--set"), (" 0", " 1")
    ),
    "no steps": (
        "train --steps 0", ("train.steps", "0", "--steps"), (" 1", "2,147,483,647")
    ),
    "a seed below 0": (
        f"train {POINTS} --seed -1", ("train.seed", "-1", "--seed"), (" 0", "2,147,483,648")
    ),
    "a seed beyond 31 bits": (
        f"train {POINTS} --seed 2147483648", ("train.seed", "2147483648", "--seed"),
        (" 0", "2,147,483,648"),
    ),
    "a period that is none": (
        f"train {POINTS} --set train.discriminator_steps=often",
        ("train.discriminator_steps", "'often'", "--set"), ("1,000,000", "'1 epoch'"),
    ),
    # Data
    "no such path": ("train --dataset ./nowhere", "'./nowhere'", (".npz", ".txt")),
    "no such name": ("train --dataset digitz", "'digitz'", ("ring8", "mnist"), "'digits'"),
    "a truncated image": ("train --dataset truncated", "truncated/b.png", ("PNG", "89,478,485")),
    "mixed sizes": (
        "train --dataset mixed", ("mixed/a.png", "16x16", "mixed/b.png", "8x8"), (),
        "--set data.size=",
    ),
    "an empty folder": ("train --dataset empty", "empty", (".png", ".webp")),
    "an .npz of the wrong shape": (
        "train --dataset shape.npz", ("shape.npz", "`images`", "(3, 4, 4, 17)"), "(N, H, W, 3)",
        "numpy.savez",
    ),
    "an .npz of images as objects": (
        "train --dataset objects.npz", ("objects.npz", "`images`", "(3,)"), "uint8",
        "numpy.savez",
    ),
    "an .npz of labels as objects": (
        "train --dataset labels.npz", ("labels.npz", "`labels`", " object"), "uint8",
        "numpy.savez",
    ),
    "a file of another kind": (
        "train --dataset file", "'file'", (".npz", ".txt"), ("archive", ".npz", "text:path=FILE")
    ),
    "a batch beyond the set": (
        f"train {POINTS.replace('--batch 20', '--batch 501')}",
        ("501", "'ring8:count=500'"), "500", "--batch",
    ),
    "a size for points": (
        f"train {POINTS} --set data.size=8", ("data.size", " 8", "ring8"), (), "data.size"
    ),
    "another split": ("train --set data.split=test", ("split", "digits", "'test'"), "train"),
    "points and convolutions": (
        "train --dataset ring8 --model dcgan", ("'dcgan'", "(2,)"),
        ("'dcgan'", "(height, width, channels)"), ("mlp", "maxout-mlp"),
    ),
    "points and augmentation": (
        f'train {POINTS} --set inputs.augment=["flip"]', ("'flip'", "(2,)"), "images",
        "inputs.augment",
    ),
    "a target without augmentation": (
        "train --set inputs.augment_target=0.6", ("inputs.augment_target", "0.6"),
        "inputs.augment_target=0", ("inputs.augment", '["flip"'),
    ),
    "a target that cannot be": (
        "train --set inputs.augment_target=1", ("inputs.augment_target", "1", "--set"),
        (" 0", " 1"),
    ),
    "path lengths across a batch": (
        "train --task generation:path_length=2", ("path_length=2", "'dcgan:spectral_norm=true'"),
        (), ("generator_norm=none", "stylegan2"),
    ),
    "a penalty across a batch": (
        "train --model dcgan:norm=batch --penalty r1", ("'r1'", "norm=batch"), (), "norm=none"
    ),
    "data to describe": ("data info ./nowhere", "'./nowhere'", (".npz", ".txt")),
    "a size to describe": (
        "data info digits --size 0", ("data.size", "0"), "4096", "--set data.size="
    ),
    "data to prepare": ("data prepare mnits", "'mnits'", "cifar10", "'mnist'"),
    # Tasks
    "labels of data without": (
        "train --dataset swiss-roll --task conditional", ("'conditional'", "'swiss-roll'"),
        "digits", ("--dataset", "--task generation"),
    ),
    "a norm by labels without": (
        "train --model dcgan:generator_norm=conditional", "generator_norm=conditional", "batch",
        "--task conditional",
    ),
    "packing of single labels": (
        "train --task conditional --set inputs.packing=2",
        ("inputs.packing", " 2 ", "discriminator=projection"), "discriminator=concatenation",
        "inputs.packing",
    ),
    "no codes": (
        "train --task infogan:categories=0,continuous=0",
        ("'infogan'", "categories=0", "continuous=0"),
    ),
    "a loss without a discriminator": (
        "train --task vae --loss hinge", ("'vae'", "'hinge'"), (), "--task"
    ),
    "an option out of bounds": (
        "train --task vae:beta=-1", ("beta", "'vae'", "'-1'"), (" 0", "1,000,000")
    ),
    # Directories
    "another configuration": (
        f"train {POINTS.replace('--batch 20', '--batch 30')} --out points",
        ("'points'", "train.batch", "20", "30"), "--out",
    ),
    "another loss": (
        f"train {BY_ANY_LOSS} --loss hinge --out points",
        ("'points'", "loss", "'non-saturating'", "'hinge'"), "--out",
    ),
    "other files": (f"train {POINTS} --out other", ("'other'", "'notes.txt'"), (), "--out"),
    "no permission": (f"train {POINTS} --out file/run", ("'file/run'", NO_FOLDER), (), "--out"),
    "no new folders there": (
        f"train {POINTS} --out /proc/run", ("'/proc/run'", NO_FILE), (), "--out"
    ),
    "a file for a run": (f"train {POINTS} --out file", ("'file'", NO_FOLDER), (), "--out"),
    "no run to resume": ("resume other", "'other'", "gan train"),
    "nothing to resume": ("resume nowhere", "'nowhere'", "gan train"),
    "no steps to resume": (
        "resume points --steps 0", ("--steps", "0"), (" 1", "2,147,483,647")
    ),
    "fewer steps than were made": (
        "resume points --steps 3", ("3", "'points'", "6"), "6", "--out"
    ),
    "fewer steps than were trained": (
        f"train {POINTS.replace('--steps 6', '--steps 3')} --out points",
        ("3", "'points'", "6"), "6", "--out",
    ),
    # Samples and metrics
    "no checkpoint": ("sample --ckpt nowhere", "'nowhere'", ("gan train", "checkpoints/STEP")),
    "no checkpoint there": (
        "evaluate --ckpt other", "'other'", ("gan train", "checkpoints/STEP")
    ),
    "an unknown format": (
        "sample --ckpt points --format gif", ("--format", "'gif'", "points"), ("png", "npz")
    ),
    "a long format": (
        f"sample --ckpt points --format {'x' * 5000}", ("--format", "'xxx", "…"), ("png", "npz")
    ),
    "no format": ("sample --ckpt points --format ,", ("--format", "','"), ("png", "npz")),
    "no place for samples": (
        "sample --ckpt points --out file/s", ("'file/s'", NO_FOLDER), (), "--out"
    ),
    "no place for a picture": (
        "data info digits --out file/x.png", ("'file/x.png'", NO_FOLDER), (), "--out"
    ),
    "an unknown metric": (
        "evaluate --ckpt points --metrics mods", ("metric", "'mods'"), "frechet", "'modes'"
    ),
    "a metric that does not fit": (
        "evaluate --ckpt points --metrics classes", ("'classes'", "'ring8:count=500'"), "modes"
    ),
    "unknown features": (
        "evaluate --ckpt points --features pixel", ("features", "'pixel'"), "inception", "'pixels'"
    ),
    "a file that is no encoder": (
        "evaluate --ckpt digits --features digits/run.json", "'digits/run.json'",
        "jax.export.export",
    ),
    "features of images for points": (
        "evaluate --ckpt points --features inception", ("'inception'", "'ring8:count=500'"),
        "pixels",
    ),
    "two kinds of features": (
        "evaluate --ckpt digits --features pixels --inception-weights w",
        ("--features", "--inception-weights"),
    ),
    "a split that there is not": (
        "evaluate --ckpt digits --split test", ("split", "digits", "'test'"), "train"
    ),
    "a plot in a folder that there is not": (
        "evaluate --ckpt points --plot nodir/p.png", "nodir/p.png", (), "--plot"
    ),
    "a comparison below a file": (
        "compare points --out points/config.json/c", "points/config.json/c", (), "--out"
    ),
    "a loss twice": (
        "train --loss hinge --loss=minimax", ("--loss", "'hinge'", "'minimax'"), "one value"
    ),
    "all values of no plan": ("train --verbose", "--verbose", "--dry-run"),
    "a setting twice": (
        "train --set train.batch=3 --set train.batch=4",
        ("--set", "'train.batch=3'", "'train.batch=4'"), "each key once",
    ),
    "a varied key twice": (
        "compare --vary train.batch=[3] --vary train.batch=[4]",
        ("--vary", "'train.batch=[3]'", "'train.batch=[4]'"), "each key once",
    ),
    "no run": ("sample --count 3", "run", "RUN"),
    "two runs": ("evaluate points --ckpt digits", ("RUN", "'points'", "--ckpt", "'digits'")),
    "a plot of another kind": (
        "evaluate --ckpt digits --plot p.jpg", ("--plot", "'p.jpg'"), ".png"
    ),
    "a metric's option out of bounds": (
        "evaluate --ckpt digits --metrics neighbours:k=0", ("k ", "metric 'neighbours'", "'0'"),
        (" 1 ", "1,000"),
    ),
    "a run and folders": (
        "evaluate points --folders moons moons --raw", ("RUN", "--raw", "--folders"), "--folders"
    ),
    "folders twice": (
        "evaluate --folders moons moons --folders ring8 ring8", ("--folders", "'ring8'"),
        "one value",
    ),
    "a size of a run": ("evaluate points --size 8", "--size", "--folders"),
    "modes of images": (
        "evaluate --ckpt digits --metrics modes", ("'modes'", "'digits'"), "memorization"
    ),
    "labels of a generator without": (
        "sample --ckpt digits --labels 1", ("--labels", "'1'"), "--task conditional", "--labels"
    ),
    "a traversal without codes": (
        "sample --ckpt digits --traverse", "--traverse", "--task conditional", "--traverse"
    ),
    "pictures of tokens": (
        "sample --ckpt tokens --format png", ("--format", "'png'", "tokens"), ("txt", "npz")
    ),
    "text of points": (
        "sample --ckpt points --format txt", ("--format", "'txt'", "points"), ("png", "npz")
    ),
    "a walk between sequences": (
        "sample --ckpt tokens --interpolate --out walk", "'gumbel:pretrain=3'",
        ("images", "points"), "--interpolate",
    ),
    "a plot of tokens": (
        "evaluate --ckpt tokens --plot p.png", ("--plot", "'p.png'", "tokens"),
        ("images", "points"), "--plot",
    ),
    "features of tokens": (
        "evaluate --ckpt tokens --metrics frechet", ("'frechet'", "'oracle:length=4"),
        ("ngrams", "oracle"),
    ),
    "a model of images for tokens": (
        "train --dataset oracle:count=100,vocabulary=9 --model dcgan", "20 tokens", "sequence",
        ("--model", "--dataset"),
    ),
    "tokens for a task of images": (
        "train --dataset oracle:count=100,vocabulary=9 --task generation",
        ("'generation'", "'oracle:count=100,vocabulary=9'"), ("gumbel", "policy-gradient"),
        "--task",
    ),
    "a text that is none": ("train --dataset bytes.txt", ("bytes.txt", "0xff"), "UTF-8"),
    "a text too short": (
        "train --dataset short.txt", ("short.txt", "5 characters"), "32 characters", "length=N"
    ),
    "labels of samples without": (
        "evaluate --ckpt digits --metrics labels", ("'labels'", "'digits'"), "memorization"
    ),
    # Comparisons and games
    "nothing to compare": ("compare", (), ("--loss SPEC", "--vary", "CONFIG.toml", "RUN")),
    "a variant twice": (f"compare {COMPARED} --loss hinge --loss hinge", ("variant", "'hinge'")),
    "a run twice": ("compare points points", ("seed", "0", "'points'")),
    "no configuration to compare": ("compare nowhere.TOML", "'nowhere.TOML'", "a TOML file"),
    "no run to compare": ("compare other", "'other'", "gan train"),
    "a bad variant among good": (
        f"compare {COMPARED} --loss hinge --loss hing", ("loss", "'hing'"), "minimax", "'hinge'"
    ),
    "two budgets": (
        f"compare {COMPARED} --loss hinge --examples 100", ("--steps", "--examples", "--seconds")
    ),
    "a budget of less than a step": (
        f"compare {COMPARED.replace('--steps 6', '--examples 19')} --loss hinge",
        ("19 examples", "20"), (" 1 ", "2,147,483,647"),
    ),
    "a figure to compare by that is none": (
        f"compare {COMPARED} --loss hinge --by frechet", ("--by", "'frechet'"), "METRIC/FIGURE"
    ),
    "a long figure to compare by": (
        f"compare {COMPARED} --loss hinge --by {'x' * 5000}", ("--by", "'xxx", "…"),
        "METRIC/FIGURE",
    ),
    "a baseline that is no variant": (
        f"compare {COMPARED} --loss hinge --baseline hing", ("baseline", "'hing'"), "hinge",
        "'hinge'",
    ),
    "what varies is no list": (
        f"compare {COMPARED} --vary loss=hinge", ("values.loss", "--vary"), ("values", "draws")
    ),
    "what varies is no key": (
        f'compare {COMPARED} --vary los=["hinge"]', ("--vary", "'los'"), "loss", "'loss'"
    ),
    "a sweep is no run": ("train sweep.toml", ("[sweep]", "sweep.toml"), (), "gan compare"),
    "a sweep without draws": (
        "compare range.toml", ("train.batch", "[sweep]", "range.toml", "draws"),
        ("values", "draws"),
    ),
    "nothing to report": ("report other", "'other'", "gan compare", "gan compare"),
    "a report of nowhere": ("report nowhere", "'nowhere'", "gan compare", "gan compare"),
    "a run is not ranked": ("report points --by modes/kl", ("--by", "'points'")),
    "a run has no baseline": ("report points --baseline a", ("--baseline", "'points'")),
    "no place for a report": ("report points --out file/r", ("'file/r'", NO_FOLDER), (), "--out"),
    "a negative learning rate": (
        "game bilinear --learning-rate -1", ("learning", "-1.0"), ("at least 0", "1e+30")
    ),
    "an endless learning rate": (
        "game bilinear --learning-rate inf", ("learning", "inf"), ("at least 0", "1e+30")
    ),
    "a game drawn as JPEG": ("game bilinear --out game.jpg", ("--out", "'game.jpg'"), ".png"),
    "weights clipped to nothing": ("game dirac --clip 0", ("clip", "0.0"), ("1e-30", "1e+30")),
    "weights clipped below 0": ("game dirac --clip -1", ("clip", "-1.0"), ("1e-30", "1e+30")),
}  # fmt: skip


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A folder with everything that the cases name."""
    folder = tmp_path_factory.mktemp("filled")
    for name in ("truncated", "mixed", "empty", "other"):
        (folder / name).mkdir()
    (folder / "other" / "notes.txt").write_text("mine")
    (folder / "file").write_text("a file")
    for name, text in {
        "type": "[train]\nbatch = 'many'",
        "key": "[train]\nbtch = 20",
        "section": "train = 20",
        "list": "penalties = 3",
        "broken": "train = = 20",
        "sweep": "[sweep.values]\nloss = ['hinge']",
        "range": "[sweep.values]\n'train.batch' = {least = 1, largest = 2}",
    }.items():
        (folder / f"{name}.toml").write_text(text)
    (folder / "bytes.toml").write_bytes(b"\xff\xfe")
    (folder / "bytes.txt").write_bytes(b"abc\xff\xfe")
    (folder / "short.txt").write_text("short")

    pixels = np.random.default_rng(0).integers(256, size=(16, 16, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    image.save(folder / "truncated" / "a.png")
    whole = (folder / "truncated" / "a.png").read_bytes()
    (folder / "truncated" / "b.png").write_bytes(whole[: len(whole) // 2])
    image.save(folder / "mixed" / "a.png")
    image.resize((8, 8)).save(folder / "mixed" / "b.png")
    images = np.zeros((3, 4, 4), np.uint8)
    np.savez(folder / "shape.npz", images=np.zeros((3, 4, 4, 17), np.uint8))
    np.savez(folder / "objects.npz", images=np.array([Payload()] * 3))
    np.savez(folder / "labels.npz", images=images, labels=np.array([Payload()] * 3))

    shutil.copytree(points_run(), folder / "points")
    shutil.copytree(digits_run(), folder / "digits")
    shutil.copytree(tokens_run(), folder / "tokens")
    return folder


@pytest.fixture
def world(filled, tmp_path, monkeypatch):
    """A copy of that folder, in which the command runs."""
    shutil.copytree(filled, tmp_path / "world")
    monkeypatch.chdir(tmp_path / "world")
    return tmp_path / "world"


class Payload:
    """Makes the file `unpickled` in the working directory when it is loaded."""

    def __reduce__(self):
        return open, ("unpickled", "w")


def assert_ends(command):
    """The command ends with status 2 and one message, that of the error which is returned."""
    result = gan(command)
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    error = result.exception
    while error is not None and not isinstance(error, GanError):
        error = error.__context__
    assert error is not None, result.output
    assert result.stderr == f"error: {error}\n"
    assert result.stderr.count("\n") == 1
    return error


def assert_refused(command, given, allowed=(), remedy=()):
    """The command is refused so; all parts of the refusal are printed."""
    error = assert_ends(command)
    assert isinstance(error, UserError)
    require_parts(error, given, allowed, remedy)
    for part in (error.given, error.allowed, error.remedy):
        assert part in str(error)


@pytest.mark.parametrize("name", CASES)
def test_refused_with_one_message_and_nothing_written(world, name):
    before = snapshot(world)
    assert_refused(*CASES[name])
    assert snapshot(world) == before


def options_of_one_value(command, path=()):
    """Each command's words, with each of its options that takes one value."""
    for name, one in getattr(command, "commands", {}).items():
        yield from options_of_one_value(one, (*path, name))
    for option in command.params:
        one = option.param_type_name == "option" and option.nargs == 1
        if path and one and not (option.multiple or option.is_flag):
            yield " ".join(path), option.opts[0]


def test_no_option_of_one_value_is_given_twice(world):
    before = snapshot(world)
    tried = dict.fromkeys(options_of_one_value(get_command(app)))
    assert {("train", "--loss"), ("data info", "--out"), ("resume", "--steps")} <= tried.keys()
    for command, option in tried:
        assert_refused(f"{command} {option} 1 {option}=two", (option, "'1'", "'two'"), "one value")
    assert snapshot(world) == before


@pytest.mark.parametrize("command", ["sample --ckpt points", "evaluate --ckpt points"])
def test_a_seed_of_no_latents_is_refused_by_its_option(world, command):
    before = snapshot(world)
    result = gan(f"{command} --seed 18446744073709551616")
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert result.stderr.startswith("Usage: ")
    for word in ("'--seed'", "2147483647"):
        assert word in result.stderr
    assert snapshot(world) == before


def test_the_payload_would_have_made_a_file(world):
    """Else the cases above could not fail."""
    pickle.loads(pickle.dumps(Payload())).close()
    assert Path("unpickled").exists()


def test_a_working_directory_that_was_removed_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tmp_path.rmdir()
    assert_refused("data info moons", ("working directory",))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission(world):
    os.mkdir("closed", mode=0o500)
    assert_refused(
        f"train {POINTS} --out closed/run", ("'closed/run'", os.strerror(errno.EACCES)), (), "--out"
    )
    assert not list(Path("closed").iterdir())


@pytest.mark.parametrize("command", ["resume points --steps 8", f"train {POINTS} --out points"])
def test_a_run_that_another_process_writes_to(world, command):
    def content():
        return {name: held for name, held in snapshot(world).items() if name != "points/.lock"}

    with Run(Path("points")).lock():
        before = content()
        assert_refused(command, ("'points'", f"process {os.getpid()}"), (), "--out")
        assert content() == before


def test_a_damaged_checkpoint_is_named_and_never_sampled(world):
    damaged = Path("points/checkpoints/6/config.json")
    damaged.write_text(damaged.read_text() + " ")
    before = snapshot(world)
    error = assert_ends("sample --ckpt points/checkpoints/6")
    assert isinstance(error, CheckpointDamagedError)
    for name in ("points/checkpoints/6", "config.json"):
        assert name in str(error)
    assert snapshot(world) == before


# Files of a run that a disk or an editor has spoilt, and who reads them.
SPOILT = {
    "config.json": (
        ["", "{", "[]", "null", "{}"],
        ["resume points", f"train {POINTS} --out points"],
    ),
    "run.json": (
        ["", "{", "[]", "{}", "null", '{"status": "new", "data": {}, "restarts": "x"}'],
        ["resume points", "compare points"],
    ),
    "metrics.jsonl": (["{\n", "[]\n", "{}\n", "null\n"], ["resume digits --steps 8"]),
    "evaluation.json": (["", "{", "[]", "{}", "null"], ["compare points"]),
    "results.json": (
        ["", "{", "[]", "{}", "null", '{"runs": [], "asked": {}}', f'{{"runs": {"[" * 999}'],
        ["report points"],
    ),
}


@pytest.mark.parametrize(
    ("name", "content"), [(name, content) for name in SPOILT for content in SPOILT[name][0]]
)
def test_a_spoilt_file_of_a_run_is_named_or_made_again(world, name, content):
    for command in SPOILT[name][1]:
        path = Path("digits" if "digits" in command else "points", name)
        path.write_text(content)
        if name == "evaluation.json" and gan(command).exit_code == 0:
            assert path.read_text() != content
        else:
            assert_refused(command, name)
