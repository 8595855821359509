"""Input that cannot be used: status 2, one clear message, no traceback, and nothing written."""

import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_runs import COMPARED, POINTS, digits_run, gan, points_run, snapshot, tokens_run

from gancli.runs.directory import Run

# What is done in the folder that `world` fills, and words of the message: what was given,
# what is allowed, what to do. A new case is one line.
CASES = {
    # Catalogues and specs
    "unknown loss": (f"train {POINTS} --loss hinged", "'hinged'", "wasserstein", "mean 'hinge'?"),
    "unknown key in a spec": (
        f"train {POINTS} --loss hinge:magrin=2", "'magrin'", "mean 'margin'?"
    ),
    "option without a value": (f"train {POINTS} --loss hinge:margin", "'margin'", "key=value"),
    "wrong type in a spec": (
        f"train {POINTS} --loss hinge:margin=wide", "margin", "'wide'", "float"
    ),
    "unknown model": (f"train {POINTS} --model dcgam", "unknown model 'dcgam'", "mean 'dcgan'?"),
    "unknown penalty": (f"train {POINTS} --penalty r3", "unknown penalty 'r3'", "gradient-penalty"),
    "unknown task": (f"train {POINTS} --task generate", "'generate'", "mean 'generation'?"),
    "unknown catalogue": ("list loses", "'loses'", "penalties", "mean 'losses'?"),
    "unknown game": ("game billinear", "unknown game 'billinear'", "dirac", "mean 'bilinear'?"),
    "unknown dynamics": ("game dirac --dynamics alternate", "'alternate'", "mean 'alternating'?"),
    "unknown optimizer": ("game dirac --optimizer adamm", "'adamm'", "mean 'adam'?"),
    # Configuration
    "wrong type in TOML": (
        "train type.toml", "train.batch was 'many' in type.toml", "whole number"
    ),
    "unknown key in TOML": ("train key.toml", "train.btch", "key.toml", "mean 'train.batch'?"),
    "a section as a value": ("train section.toml", "'train'", "section.toml", "train.batch"),
    "text for a list": ("train list.toml", "penalties was 'r1' in list.toml", "a list of text"),
    "not TOML": ("train broken.toml", "'broken.toml' is not TOML", "line 1"),
    "not text": ("train bytes.toml", "'bytes.toml' is not TOML"),
    "no such TOML": ("train nowhere.toml", "'nowhere.toml'", "No such file"),
    "a setting without =": (f"train {POINTS} --set train.batch", "'train.batch'", "key=value"),
    "a setting without a key": (f"train {POINTS} --set =3", "'=3'", "key=value"),
    "an unknown setting": (f"train {POINTS} --set batch=3", "'batch'", "mean 'train.batch'?"),
    "a setting out of range": (f"train {POINTS} --set average.decay=1", "average.decay", "below 1"),
    "no steps": (f"train {POINTS} --steps 0", "train.steps was 0", "at least 1"),
    "a seed below 0": (f"train {POINTS} --seed -1", "train.seed was -1", "at least 0"),
    "a seed beyond 31 bits": (f"train {POINTS} --seed 2147483648", "train.seed", "2147483648"),
    "a period that is none": (
        f"train {POINTS} --set train.discriminator_steps=often", "discriminator_steps", "'1 epoch'"
    ),
    # Data
    "no such path": ("train --dataset ./nowhere", "'./nowhere' does not exist", "Check the path"),
    "no such name": ("train --dataset digitz", "'digitz'", "ring8", "'digits'"),
    "a truncated image": ("train --dataset truncated", "truncated/b.png", "complete PNG", "Repair"),
    "mixed sizes": ("train --dataset mixed", "mixed/a.png", "mixed/b.png", "--set data.size="),
    "an empty folder": ("train --dataset empty", "empty has no images", ".png", "Check the path"),
    "an .npz of the wrong shape": ("train --dataset shape.npz", "(3, 4, 4, 5)", "(N, H, W, 3)"),
    "an .npz of images as objects": (
        "train --dataset objects.npz", "objects.npz", "never unpickled"
    ),
    "an .npz of labels as objects": ("train --dataset labels.npz", "`labels`", "never unpickled"),
    "a file of another kind": ("train --dataset file", "'file'", ".npz"),
    "a batch beyond the set": (
        f"train {POINTS} --batch 501", "501", "holds 500", "smaller --batch"
    ),
    "a size for points": (f"train {POINTS} --set data.size=8", "data.size was 8", "Leave out"),
    "another split": ("train --set data.split=test", "'test'", "train"),
    "points and convolutions": ("train --dataset ring8 --model dcgan", "(2,)", "'dcgan'", "mlp"),
    "points and augmentation": (f'train {POINTS} --set inputs.augment=["flip"]', "flip", "images"),
    "a target without augmentation": (
        "train --set inputs.augment_target=0.6", "augment_target was 0.6", "Set inputs.augment"
    ),
    "a target that cannot be": (
        "train --set inputs.augment_target=1", "inputs.augment_target was 1", "below 1"
    ),
    "path lengths across a batch": (
        "train --task generation:path_length=2", "path_length=2", "generator_norm=none"
    ),
    "a penalty across a batch": (
        "train --model dcgan:norm=batch --penalty r1", "'r1'", "batch normalization", "norm=none"
    ),
    "data to describe": ("data info ./nowhere", "'./nowhere' does not exist", "Check the path"),
    "a size to describe": ("data info digits --size 0", "data.size was 0", "1 to 4096"),
    "data to prepare": ("data prepare mnits", "'mnits'", "'mnist'"),
    # Tasks
    "labels of data without": (
        "train --dataset swiss-roll --task conditional", "no labels", "digits"
    ),
    "a norm by labels without": (
        "train --model dcgan:generator_norm=conditional", "no label", "--task conditional"
    ),
    "packing of single labels": (
        "train --task conditional --set inputs.packing=2", "packing was 2", "concatenation"
    ),
    "no codes": ("train --task infogan:categories=0,continuous=0", "at least one code"),
    "a loss without a discriminator": ("train --task vae --loss hinge", "'vae'", "'hinge'"),
    "an option out of bounds": ("train --task vae:beta=-1", "beta", "0 to"),
    # Directories
    "another configuration": (f"train {POINTS} --batch 30 --out points", "train.batch: 20", "30"),
    "another loss": (
        f"train {POINTS} --loss hinge --out points", "loss: 'non-saturating'", "--out"
    ),
    "other files": (f"train {POINTS} --out other", "'other'", "notes.txt", "Choose another --out"),
    "no permission": (f"train {POINTS} --out file/run", "cannot write 'file/run'", "another --out"),
    "no new folders there": (
        f"train {POINTS} --out /proc/run", "cannot write '/proc/run'", "--out"
    ),
    "a file for a run": (f"train {POINTS} --out file", "cannot write 'file'", "another --out"),
    "no run to resume": ("resume other", "'other' is not a run", "gan train", "Check the path"),
    "nothing to resume": ("resume nowhere", "'nowhere' is not a run", "gan train"),
    "no steps to resume": ("resume points --steps 0", "--steps was 0", "at least 1"),
    "fewer steps than were made": ("resume points --steps 3", "3", "6"),
    "fewer steps than were trained": (f"train {POINTS} --steps 3 --out points", "3", "6"),
    # Samples and metrics
    "no checkpoint": ("sample --ckpt nowhere", "'nowhere' does not exist", "gan train"),
    "no checkpoint there": ("evaluate --ckpt other", "'other' holds no checkpoint", "gan train"),
    "an unknown format": ("sample --ckpt points --format gif", "'gif'", "png", "npz"),
    "a long format": (f"sample --ckpt points --format {'x' * 5000}", "--format 'xxx", "…", "png"),
    "no format": ("sample --ckpt points --format ,", "','", "png", "npz"),
    "no place for samples": ("sample --ckpt points --out file/s", "cannot write 'file/s'", "--out"),
    "no place for a picture": ("data info digits --out file/x.png", "cannot write 'file/x.png'"),
    "an unknown metric": ("evaluate --ckpt points --metrics mods", "'mods'", "mean 'modes'?"),
    "a metric that does not fit": (
        "evaluate --ckpt points --metrics classes", "'classes'", "modes"
    ),
    "unknown features": ("evaluate --ckpt points --features pixel", "'pixel'", "mean 'pixels'?"),
    "a file that is no encoder": (
        "evaluate --ckpt digits --features digits/run.json", "is not an encoder", "jax.export"
    ),
    "features of images for points": (
        "evaluate --ckpt points --features inception", "'inception'", "pixels"
    ),
    "two kinds of features": (
        "evaluate --ckpt digits --features pixels --inception-weights w", "--features", "one of"
    ),
    "a split that there is not": (
        "evaluate --ckpt digits --split test", "'test'", "train."
    ),
    "a plot of another kind": ("evaluate --ckpt digits --plot p.jpg", "p.jpg", ".png"),
    "a metric's option out of bounds": (
        "evaluate --ckpt digits --metrics neighbours:k=0", "k of metric", "1 to 1,000"
    ),
    "modes of images": ("evaluate --ckpt digits --metrics modes", "'modes'", "memorization"),
    "a seed of no latents": ("sample --ckpt points --seed 18446744073709551616", "seed"),
    "a seed to evaluate": ("evaluate --ckpt points --seed 18446744073709551616", "seed"),
    "labels of a generator without": (
        "sample --ckpt digits --labels 1", "takes no labels", "--task conditional"
    ),
    "a traversal without codes": ("sample --ckpt digits --traverse", "no images of labels"),
    "pictures of tokens": ("sample --ckpt tokens --format png", "'png' of tokens", "txt, npz"),
    "text of points": ("sample --ckpt points --format txt", "'txt' of points", "png, npz"),
    "a walk between sequences": (
        "sample --ckpt tokens --interpolate --out walk", "between two sequences", "--interpolate"
    ),
    "a plot of tokens": ("evaluate --ckpt tokens --plot p.png", "'p.png' of tokens", "--plot"),
    "features of tokens": (
        "evaluate --ckpt tokens --metrics frechet", "'frechet' does not fit", "ngrams, oracle"
    ),
    "a model of images for tokens": (
        "train --dataset oracle:count=100,vocabulary=9 --model dcgan", "sequences of 20 tokens",
        "model sequence"
    ),
    "tokens for a task of images": (
        "train --dataset oracle:count=100,vocabulary=9 --task generation", "holds tokens", "gumbel"
    ),
    "a text that is none": ("train --dataset bytes.txt", "bytes.txt is no text in UTF-8"),
    "a text too short": ("train --dataset short.txt", "short.txt has 5 characters", "length=N"),
    "labels of samples without": ("evaluate --ckpt digits --metrics labels", "without labels"),
    # Comparisons and games
    "nothing to compare": ("compare", "nothing to compare", "--loss SPEC"),
    "a variant twice": (f"compare {COMPARED} --loss hinge --loss hinge", "'hinge'", "twice"),
    "a run twice": ("compare points points", "points", "twice"),
    "no run to compare": ("compare other", "'other' is not a run", "gan train"),
    "a bad variant among good": (f"compare {COMPARED} --loss hinge --loss hing", "mean 'hinge'?"),
    "two budgets": (
        f"compare {COMPARED} --loss hinge --examples 100", "--steps", "--examples", "one of them"
    ),
    "a budget of less than a step": (
        f"compare {COMPARED.replace('--steps 6', '--examples 19')} --loss hinge",
        "a budget of 19 examples, of which a step takes 20", "from 1",
    ),
    "a figure to compare by that is none": (
        f"compare {COMPARED} --loss hinge --by frechet", "--by 'frechet'", "METRIC/FIGURE"
    ),
    "a long figure to compare by": (
        f"compare {COMPARED} --loss hinge --by {'x' * 5000}", "--by 'xxx", "…", "METRIC/FIGURE"
    ),
    "a baseline that is no variant": (
        f"compare {COMPARED} --loss hinge --baseline hing", "baseline 'hing'", "mean 'hinge'?"
    ),
    "what varies is no list": (
        f"compare {COMPARED} --vary loss=hinge", "values.loss in --vary", "lists"
    ),
    "what varies is no key": (
        f'compare {COMPARED} --vary los=["hinge"]', "unknown key in --vary: 'los'", "mean 'loss'?"
    ),
    "a sweep is no run": ("train sweep.toml", "[sweep] in sweep.toml", "gan compare"),
    "a sweep without draws": ("compare range.toml", "train.batch in [sweep]", "draws is not set"),
    "nothing to report": ("report other", "'other' holds no results", "gan compare", "or a run"),
    "a report of nowhere": ("report nowhere", "'nowhere' holds no results", "gan compare"),
    "a run is not ranked": (
        "report points --by modes/kl", "--by with 'points', which is one run", "a comparison"
    ),
    "a run has no baseline": ("report points --baseline a", "--baseline with 'points'"),
    "no place for a report": ("report points --out file/r", "cannot write 'file/r'", "--out"),
    "no learning rate": ("game bilinear --learning-rate 0", "learning", "0"),
    "an endless learning rate": ("game bilinear --learning-rate inf", "learning", "inf"),
    "weights clipped to nothing": ("game dirac --clip 0", "clip", "0"),
    "weights clipped below 0": ("game dirac --clip -1", "clip", "-1"),
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
        "list": "penalties = 'r1'",
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
    np.savez(folder / "shape.npz", images=np.zeros((3, 4, 4, 5), np.uint8))
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


def assert_refused(command, words, status=2):
    """The command ends with the status and one message that holds the words."""
    result = gan(command)
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == status
    assert "Traceback" not in result.output
    assert result.stderr.startswith(("error: ", "Usage: "))
    if result.stderr.startswith("error: "):
        assert result.stderr.count("\n") == 1
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize("name", CASES)
def test_refused_with_one_message_and_nothing_written(world, name):
    command, *words = CASES[name]
    before = snapshot(world)
    assert_refused(command, words)
    assert snapshot(world) == before


def test_the_payload_would_have_made_a_file(world):
    """Else the cases above could not fail."""
    pickle.loads(pickle.dumps(Payload())).close()
    assert Path("unpickled").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission(world):
    os.mkdir("closed", mode=0o500)
    assert_refused(f"train {POINTS} --out closed/run", ["cannot write 'closed/run'", "--out"])
    assert not list(Path("closed").iterdir())


@pytest.mark.parametrize("command", ["resume points --steps 8", f"train {POINTS} --out points"])
def test_a_run_that_another_process_writes_to(world, command):
    def content():
        return {name: held for name, held in snapshot(world).items() if name != "points/.lock"}

    with Run(Path("points")).lock():
        before = content()
        assert_refused(command, ["another process is writing", "'points'", "one process at a time"])
        assert content() == before


def test_a_damaged_checkpoint_is_named_and_never_sampled(world):
    damaged = Path("points/checkpoints/6/config.json")
    damaged.write_text(damaged.read_text() + " ")
    before = snapshot(world)
    assert_refused("sample --ckpt points/checkpoints/6", ["config.json was changed", "damaged"])
    assert snapshot(world) == before


# Files of a run that a disk or an editor has spoilt, and who reads them.
SPOILT = {
    "config.json": (
        ["", "{", "[]", "null", "{}"],
        ["resume points", f"train {POINTS} --out points"],
    ),
    "run.json": (["", "{", "[]", "{}", "null"], ["resume points", "compare points"]),
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
            assert_refused(command, [name])
