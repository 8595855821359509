"""Examples from a checkpoint: each depends on seed and index alone, and says where it is from."""

import errno
import hashlib
import json
import os
import resource
import shutil

import numpy as np
import pytest
from PIL import Image
from refusals import refused
from tiny_runs import (
    STEPS,
    coded_run,
    digits_run,
    gan,
    labelled_run,
    points_run,
    restoring_run,
    succeed,
    tokens_run,
    two_ways_run,
)

from gancli.errors import UserError
from gancli.evaluation.generator import load_generator, sampler_of
from gancli.evaluation.latents import Draw
from gancli.evaluation.sampling import label_numbers, sample
from gancli.evaluation.variation import interpolate, names_between, traverse
from gancli.files import sha256
from gancli.runs.checkpoints import CheckpointDamagedError

RUNS = {
    "points": points_run, "digits": digits_run, "labelled": labelled_run, "tokens": tokens_run,
}  # fmt: skip


@pytest.fixture(scope="module", params=RUNS)
def generator(request):
    return load_generator(RUNS[request.param]())


def examples(generator, seed, count):
    return np.concatenate(list(sample(generator, Draw(seed), count)))


def test_examples_look_like_the_data(generator):
    made = examples(generator, 0, 5)
    assert made.shape == (5, *generator.spec.shape)
    types = {"image": np.uint8, "points": np.float32, "tokens": np.int32}
    assert made.dtype == types[generator.spec.kind]
    assert np.isfinite(made).all()


@pytest.fixture(scope="module")
def many(generator):
    return examples(generator, 3, 520)


# Blocks hold 256 examples: within one, at its edges, and across several.
@pytest.mark.parametrize("count", [1, 5, 255, 256, 257, 512])
def test_an_example_does_not_depend_on_how_many_there_are(generator, many, count):
    np.testing.assert_array_equal(examples(generator, 3, count), many[:count])


def test_another_seed_or_index_gives_another_example(generator, many):
    assert (many[0] != many[1]).any()
    assert (many[:2] != examples(generator, 4, 2)).any()


def test_labels_are_asked_for_by_name_or_number():
    generator = load_generator(labelled_run())
    assert label_numbers(generator, "3, 1,3") == (3, 1, 3)
    named = generator._replace(
        task=generator.task._replace(
            sampler=generator.task.sampler._replace(classes=("7", "boot", "0"))
        )
    )
    assert label_numbers(named, "boot,0,7") == (1, 2, 0)
    with refused("--labels", "'1'", allowed=("7", "boot", "0")):
        label_numbers(named, "1")  # It could be the boot, or a 1 that does not occur.
    quoted = named._replace(
        task=named.task._replace(
            sampler=named.task.sampler._replace(classes=("red, round", "red", 'a 5" disc'))
        )
    )
    assert label_numbers(quoted, 'red, "red, round",a 5" disc, 2') == (1, 0, 2, 2)
    with refused("'round'", remedy="'\"red, round\",blue'"):
        label_numbers(quoted, "red, round")
    with refused("--labels", "'shoe'", allowed=("7", "boot", "0")):
        label_numbers(named, "shoe")
    with refused("--labels", "' ,'", allowed=("7", "boot", "0")):
        label_numbers(named, " ,")
    with refused("--labels", "'1'", allowed="--task conditional", remedy="--labels"):
        label_numbers(load_generator(digits_run()), "1")
    with refused("label 10", "10 labels", allowed="0 to 9"):
        sample(generator, Draw(labels=[3, 10]), 1)


def test_labels_come_over_and_over_and_do_not_change_the_noise():
    generator = load_generator(labelled_run())
    in_turn = examples(generator, 0, 20)
    asked = np.concatenate(list(sample(generator, Draw(labels=(4, 2)), 20)))
    # Example 4 has label 4 in turn and as asked for, example 12 label 2 in turn and 4 as asked.
    np.testing.assert_array_equal(asked[4], in_turn[4])
    assert (asked[12] != in_turn[12]).any()


@pytest.mark.slow
def test_a_traversal_changes_one_code_and_nothing_else():
    generator = load_generator(coded_run())
    varied = traverse(generator, Draw(), rows=2, columns=5)
    assert {name: (shown.shape, values) for name, (values, shown) in varied.items()} == {
        "label": ((2, 3, 8, 8, 1), ("0", "1", "2")),
        "code-1": ((2, 5, 8, 8, 1), ("-2", "-1", "0", "1", "2")),
    }
    own = examples(generator, 0, 2)
    # Example 0 has code 0 in turn, and example 1 code 1.
    np.testing.assert_array_equal(varied["label"].examples[0, 0], own[0])
    np.testing.assert_array_equal(varied["label"].examples[1, 1], own[1])
    for _, shown in varied.values():
        assert all((shown[0, 0] != other).any() for other in shown[0, 1:])


def test_a_walk_is_named_by_the_labels_of_its_ends():
    sampler = sampler_of(load_generator(labelled_run()).task)
    assert names_between(sampler, Draw(), 3) == ["0 to 3", "1 to 4", "2 to 5"]
    assert names_between(sampler, Draw(labels=(6, 2)), 4) == ["6", "2", "6", "2"]


def test_a_walk_goes_from_sample_to_sample_and_back(generator):
    """Pair i goes from example i to example i + 3 in frames 0..4, and back in 5..9."""
    if generator.spec.kind == "tokens":
        with refused("'gumbel", "tokens", allowed=("images", "points"), remedy="--interpolate"):
            interpolate(generator, Draw(), 3, 7)
        return
    tolerance = 1 if generator.spec.kind == "image" else 1e-5
    ends = examples(generator, 7, 6).astype(np.float64)
    walk = interpolate(generator, Draw(7), pairs=3, frames=5)
    assert walk.shape == (10, 3, *generator.spec.shape)
    assert walk.dtype == (np.uint8 if generator.spec.kind == "image" else np.float32)
    for frame, end in [(0, ends[:3]), (4, ends[3:]), (5, ends[3:]), (9, ends[:3])]:
        np.testing.assert_allclose(walk[frame], end, atol=tolerance)
    np.testing.assert_array_equal(walk[1:4], walk[8:5:-1])
    assert (walk[2] != walk[0]).any()
    assert (walk[2] != walk[4]).any()


def test_the_newest_checkpoint_and_averaged_weights_are_used(generator):
    assert generator.step == STEPS
    assert generator.checkpoint.name == str(STEPS)
    assert generator.averaged
    assert generator.skipped == ()


def test_raw_weights_are_others(generator):
    raw = load_generator(generator.checkpoint, raw=True)
    assert not raw.averaged
    assert raw.provenance()["weights"] == "raw"
    assert (examples(raw, 0, 256) != examples(generator, 0, 256)).any()


def test_provenance_names_all_that_decides_the_examples():
    found = load_generator(points_run()).provenance()
    path = points_run() / "checkpoints" / str(STEPS)
    assert found["checkpoint"] == str(path)
    digest = hashlib.sha256((path / "checksums.json").read_bytes()).hexdigest()
    assert found["checkpoint_sha256"] == digest
    assert (found["step"], found["weights"], found["training_seed"]) == (STEPS, "ema", 0)
    assert (found["loss"], found["model"]) == ("non-saturating", "mlp:width=16,depth=2")
    data = json.loads((path / "data.json").read_text())
    assert json.loads(json.dumps(found["data"], allow_nan=False)) == data
    assert (data["name"], data["shape"]) == ("ring8:count=500", [2])


def test_a_checkpoint_that_training_removes_meanwhile_was_enough(tmp_path, generator):
    """What was drawn or measured of it would be lost."""
    gone = shutil.copytree(generator.checkpoint, tmp_path / "6")
    kept = load_generator(gone)
    shutil.rmtree(gone)
    same = {"checkpoint": str(generator.checkpoint)}
    assert kept.provenance() | same == generator.provenance()


def test_a_lone_checkpoint_is_enough(tmp_path, generator):
    lone = shutil.copytree(generator.checkpoint, tmp_path / "lone")
    np.testing.assert_array_equal(examples(load_generator(lone), 0, 4), examples(generator, 0, 4))


def test_an_earlier_checkpoint_gives_its_own_examples():
    start = load_generator(points_run() / "checkpoints" / "0")
    assert start.step == 0
    end = load_generator(points_run())
    assert (examples(start, 0, 4) != examples(end, 0, 4)).any()


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path):
    run = shutil.copytree(points_run(), tmp_path / "run")
    (run / "checkpoints" / str(STEPS) / "data.json").write_text("{}")
    generator = load_generator(run)
    assert generator.step == 0
    assert len(generator.skipped) == 1
    assert f"checkpoints/{STEPS}'" in generator.skipped[0]
    assert "data.json" in generator.skipped[0]
    (run / "checkpoints" / "0" / "config.json").unlink()
    with pytest.raises(CheckpointDamagedError) as caught:
        load_generator(run)
    last, first = str(caught.value).index("data.json"), str(caught.value).index("config.json")
    assert f"checkpoints/{STEPS}'" in str(caught.value)[:last]
    assert "checkpoints/0'" in str(caught.value)[last:first]


def rewrite(checkpoint, name, **values):
    """Changes values of a document and makes the checksums fit it."""
    path = checkpoint / name
    path.write_text(json.dumps(json.loads(path.read_text()) | values, indent=2) + "\n")
    sums = json.loads((checkpoint / "checksums.json").read_text())
    sums[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    (checkpoint / "checksums.json").write_text(json.dumps(sums, indent=2) + "\n")


# Who changes a document can make the checksums fit: nothing of such sizes is ever made.
ABSURD = {
    "a wide network": ("config.json", {"model": "mlp:width=1000000000,depth=2"}),
    "a network wider than it was": ("config.json", {"model": "mlp:width=16384,depth=2"}),
    "a deep network": ("config.json", {"model": "mlp:width=16,depth=1000000"}),
    "long latents": ("config.json", {"task": "generation:latent=1000000000000"}),
    "latents longer than they were": ("config.json", {"task": "generation:latent=65536"}),
    "another task": ("config.json", {"task": "colorization"}),
    "large images": ("data.json", {"kind": "image", "shape": [65536, 65536, 1000000]}),
    "images of 281 TB": ("data.json", {"kind": "image", "shape": [65536, 65536, 65536]}),
    "points with 65536 sides": ("data.json", {"shape": [65536]}),
    "another kind": ("data.json", {"kind": "sound"}),
}


@pytest.mark.parametrize("name", ABSURD)
def test_absurd_documents_are_refused_before_anything_is_made(tmp_path, name):
    document, values = ABSURD[name]
    lone = shutil.copytree(points_run() / "checkpoints" / str(STEPS), tmp_path / "lone")
    rewrite(lone, document, **values)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError):
        load_generator(lone)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500 * 1024  # In KiB.


def test_every_file_is_hashed_once(monkeypatch):
    hashed = []

    def count(path):
        hashed.append(path.name)
        return sha256(path)

    monkeypatch.setattr("gancli.runs.checkpoints.sha256", count)
    checkpoint = load_generator(points_run()).checkpoint
    files = [path.name for path in checkpoint.rglob("*") if path.is_file()]
    assert sorted([*hashed, "checksums.json"]) == sorted(files)


@pytest.mark.parametrize("name", ["nowhere", "empty", "run"])
def test_nothing_untrained_is_ever_sampled(tmp_path, name):
    (tmp_path / "empty").mkdir()
    run = shutil.copytree(points_run(), tmp_path / "run")
    shutil.rmtree(run / "checkpoints")
    with refused(repr(str(tmp_path / name)), allowed=("gan train", "checkpoints/STEP")):
        load_generator(tmp_path / name)


# Images of images


@pytest.fixture
def pictures(tmp_path):
    """Grey pictures of three sizes, one of them in a folder."""
    folder = tmp_path / "pictures"
    (folder / "inner").mkdir(parents=True)
    for name, (height, width) in {"inner/a.png": (8, 8), "inner/b.png": (5, 9)}.items():
        image = np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)
        Image.fromarray(image).save(folder / name)
    return folder


def test_a_folder_of_images_of_any_size_is_translated(tmp_path, pictures):
    out = tmp_path / "out"
    succeed("sample --ckpt", str(restoring_run()), f"--source {pictures} --out {out}")
    sizes = {}
    for name in "ab":
        with Image.open(out / "images" / "inner" / f"{name}.png") as image:
            sizes[name] = image.size
    assert sizes == {"a": (16, 16), "b": (18, 10)}
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["images"] == ["inner/a.png", "inner/b.png"]
    assert manifest["step"] == STEPS
    assert (out / "grid.png").is_file()


@pytest.mark.slow
def test_both_ways_are_other_images(tmp_path, pictures):
    run = str(two_ways_run())
    for way, out in (("", tmp_path / "there"), (" --back", tmp_path / "back")):
        succeed("sample --ckpt", run, f"--source {pictures} --out {out}{way}")
    there, back = (
        np.asarray(Image.open(tmp_path / name / "images" / "inner" / "a.png"))
        for name in ("there", "back")
    )
    assert there.shape == back.shape == (8, 8)
    assert (there != back).any()


@pytest.mark.parametrize(
    ("run", "options", "words"),
    [
        (restoring_run, "", ("--source FOLDER", "--labels", "--interpolate", "--traverse")),
        (restoring_run, "--source {} --labels 1", ("--source '{}'", "--labels")),
        (restoring_run, "--source {} --truncation 0", ("--source '{}'", "--truncation")),
        (restoring_run, "--source {} --back", ("--back", "--task cyclegan")),
        (restoring_run, "--back", ("--back", "--source FOLDER")),
        (digits_run, "--source {}", ("--source '{}'", "'generation")),
        (restoring_run, "--source {}/none", ("{}/none", os.strerror(errno.ENOENT))),
    ],
)
def test_what_does_not_fit_a_source_is_refused(tmp_path, pictures, run, options, words):
    out = tmp_path / "out"
    result = gan(f"sample --ckpt {run()} --out {out}", options.format(pictures))
    assert result.exit_code == 2
    for word in words:
        assert word.format(pictures) in " ".join(result.output.split())


def test_an_image_that_would_become_too_large_is_refused(tmp_path):
    folder = tmp_path / "large"
    folder.mkdir()
    Image.new("L", (20, 11)).save(folder / "a.png")
    Image.new("L", (2000, 1100)).save(folder / "b.png")
    Image.new("L", (1100, 2000)).save(folder / "c.png")

    def said():
        result = gan(f"sample --ckpt {restoring_run()} --source {folder} --out {tmp_path / 'out'}")
        assert result.exit_code == 2
        assert not (tmp_path / "out").exists()
        return " ".join(result.output.split())

    facts = ("b.png", "2200x4000", "c.png", "4000x2200", "4,194,304")
    assert not {fact for fact in facts if fact not in said()}
    (folder / "d.png").write_bytes(b"no image")
    (folder / "e.png").write_bytes(b"")
    assert not {fact for fact in ("d.png", "e.png", "0 bytes") if fact not in said()}
