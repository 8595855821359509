import json
import os
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from refusals import refused
from tiny_runs import digits_run, labelled_run, points_run, restoring_run, snapshot, tokens_run

import gancli
from gancli.display.export import check_formats, export_samples, export_translations, result_names
from gancli.display.sequences import lines_of
from gancli.evaluation.generator import load_generator
from gancli.evaluation.latents import Draw, latent_blocks
from gancli.evaluation.sampling import sample
from gancli.report.records import read_record
from gancli.system.interruption import StopNow

BOTH = ("png", "npz")


@pytest.fixture(scope="module")
def points():
    return load_generator(points_run())


@pytest.fixture(scope="module")
def restoring():
    return load_generator(restoring_run())


def files_in(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def listed(folder):
    """What the manifest says that there is, and itself."""
    return {*json.loads((folder / "manifest.json").read_text())["files"], "manifest.json"}


def write_images(folder, *names):
    for level, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), level, np.uint8)).save(path, "PNG")


def test_a_folder_holds_what_its_manifest_says(tmp_path):
    digits, out = load_generator(digits_run()), tmp_path / "s"
    export_samples(digits, out, Draw(), 9, BOTH)
    assert files_in(out) >= {"images/000008.png", "samples.npz"}
    (out / ".samples.0123.partial" / "after").mkdir(parents=True)  # As a killed command leaves it.
    (out / "images" / ".DS_Store").write_bytes(b"")  # As a file manager does.
    written = export_samples(digits, out, Draw(1), 2, ("png",))
    assert written == [out / name for name in ("grid.png", "images", "manifest.json")]
    assert listed(out) == files_in(out)
    assert files_in(out) == {
        "grid.png", "images/000000.png", "images/000001.png", "manifest.json",
    }  # fmt: skip
    assert sorted(path.name for path in out.iterdir()) == ["grid.png", "images", "manifest.json"]


def test_a_request_to_stop_while_it_clears_up_leaves_nothing_beside(tmp_path, monkeypatch, points):
    whole, asked = shutil.rmtree, []

    def rmtree(path, **options):
        if not asked:
            asked.append(path)
            raise StopNow
        whole(path, **options)

    monkeypatch.setattr(shutil, "rmtree", rmtree)
    with pytest.raises(StopNow):
        export_samples(points, tmp_path / "s", Draw(), 5, ("npz",))
    assert listed(tmp_path / "s") == files_in(tmp_path / "s")
    assert not list((tmp_path / "s").glob(".samples*"))


@pytest.mark.slow
def test_blocks_of_images_become_the_files_of_all_at_once(tmp_path):
    digits, out, count = load_generator(labelled_run()), tmp_path / "s", 260
    draw = Draw(3, (4, 2))
    export_samples(digits, out, draw, count, BOTH)
    images = np.concatenate(list(sample(digits, draw, count)))
    labels = np.array([4, 2] * (count // 2), np.int32)
    blocks = latent_blocks(digits.task.sampler, digits.weights, draw, count, count)
    np.savez(tmp_path / "whole.npz", arr_0=images, arr_1=labels, latents=next(blocks))
    assert (out / "samples.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()
    for index in (0, 255, 256, 259):
        with Image.open(out / "images" / f"{index:06d}.png") as image:
            assert np.array_equal(np.asarray(image), images[index, ..., 0])
    names = json.loads((out / "manifest.json").read_text())["files"]
    assert names == sorted(files_in(out) - {"manifest.json"})
    assert len(names) == count + 2


@pytest.mark.slow
def test_blocks_of_lines_become_the_file_of_all_at_once(tmp_path):
    text, count = load_generator(tokens_run()), 260
    export_samples(text, tmp_path / "s", Draw(3), count, check_formats(None, text.spec))
    tokens = np.concatenate(list(sample(text, Draw(3), count)))
    lines = (tmp_path / "s" / "samples.txt").read_text("utf-8").splitlines()
    assert lines == lines_of(tokens, text.spec.characters)
    with np.load(tmp_path / "s" / "samples.npz") as held:
        assert np.array_equal(held["arr_0"], tokens)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_count(tmp_path, points):
    peaks = []
    for count in (1_000, 101_000, 301_000):  # Of the last, a plot of all would take 2.4 MB.
        tracemalloc.start()
        export_samples(points, tmp_path / f"{count}", Draw(), count, BOTH)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < peaks[1] + 2**20
    with np.load(tmp_path / "301000" / "samples.npz") as held:
        assert held["arr_0"].shape == (301_000, 2)


def photographs(folder):
    write_images(folder, "cat.png")


def hidden(folder):
    (folder / ".git").mkdir(parents=True)


def run(folder):
    folder.mkdir()
    (folder / "config.json").write_text("{}")


def own_manifest(folder):
    folder.mkdir()
    (folder / "manifest.json").write_text('{"files": ["manifest.json"]}')


@pytest.mark.parametrize("fill", [photographs, hidden, run, own_manifest])
def test_nothing_is_written_into_a_folder_that_holds_anything_else(tmp_path, points, fill):
    fill(tmp_path / "photos")
    before = snapshot(tmp_path)
    (held,) = (path.name for path in (tmp_path / "photos").iterdir())
    with refused("photos", held, remedy="--out"):
        export_samples(points, tmp_path / "photos", Draw(), 4, BOTH)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("name", ["mine.txt", "images/mine.png", "empty/folder"])
def test_what_was_put_beside_samples_is_kept(tmp_path, points, name):
    out = tmp_path / "s"
    export_samples(points, out, Draw(), 4, BOTH)
    write_images(out, name) if name.endswith(".png") else (out / name).mkdir(parents=True)
    before = snapshot(out)
    with refused(str(out), name.partition("/")[0], remedy="--out"):
        export_samples(points, out, Draw(), 5, BOTH)
    assert snapshot(out) == before


def test_an_empty_folder_is_filled_and_what_fails_leaves_none(tmp_path, restoring, monkeypatch):
    write_images(tmp_path / "source", "a.png")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    export_translations(restoring, Path(), tmp_path / "source")
    assert files_in(tmp_path / "here") == {"grid.png", "images/a.png", "manifest.json"}
    (tmp_path / "source" / "b.png").write_bytes(b"no image")
    with refused("b.png"):
        export_translations(restoring, tmp_path / "new", tmp_path / "source")
    assert not (tmp_path / "new").exists()


def test_one_image_is_a_source(tmp_path, restoring):
    write_images(tmp_path, "a.jpg", "b.jpg")
    export_translations(restoring, tmp_path / "s", tmp_path / "a.jpg")
    assert files_in(tmp_path / "s") == {"grid.png", "images/a.png", "manifest.json"}


def test_sources_are_shown_in_their_own_colours(tmp_path, restoring):
    (tmp_path / "source").mkdir()
    Image.new("RGB", (8, 8), (200, 10, 60)).save(tmp_path / "source" / "a.png")
    export_translations(restoring, tmp_path / "s", tmp_path / "source")
    with Image.open(tmp_path / "s" / "grid.png") as grid:
        assert grid.mode == "RGB"
        assert grid.getpixel((grid.width // 4, grid.height // 3)) == (200, 10, 60)
    with Image.open(tmp_path / "s" / "images" / "a.png") as made:
        assert made.mode == "L"


@pytest.mark.parametrize(
    ("sources", "results"),
    [
        (["a.gif", "b.jpg", "k/a.PNG"], ["a.png", "b.png", "k/a.png"]),
        (["a.gif", "a.jpg", "a.png"], ["a.gif.png", "a.jpg.png", "a.png.png"]),
        (["k/a.JPG", "k/a.jpg"], ["k/a.JPG.png", "k/a.jpg.png.png"]),
        (["a.gif", "a.gif.png", "a.jpg"], ["a.gif.png", "a.gif.png.png", "a.jpg.png"]),
    ],
)
def test_every_source_has_a_result_of_its_own(sources, results):
    assert result_names([Path(source) for source in sources]) == results


def test_sources_that_differ_in_their_suffix_alone_and_names_of_any_bytes(tmp_path, restoring):
    source = tmp_path / "source"
    stray = os.fsdecode(b"caf\xe9")
    write_images(source, "a.gif", "a.png", f"{stray}/{stray}.png")
    export_translations(restoring, tmp_path / "s", source)
    manifest = json.loads((tmp_path / "s" / "manifest.json").read_text("utf-8"))
    assert manifest["images"] == ["a.gif.png", "a.png.png", "caf\\udce9/caf\\udce9.png"]
    for name in ("a.gif.png", "a.png.png", f"{stray}/{stray}.png"):
        with Image.open(tmp_path / "s" / "images" / name) as image:
            assert image.size == (8, 8)
    export_translations(restoring, tmp_path / "s", source)  # It knows its own files again.


@pytest.mark.parametrize(
    ("keep", "channels", "kind", "mode"),
    [
        ("alpha", 4, np.uint8, "RGBA"),
        ("16bit", 1, np.uint16, "I;16"),
        pytest.param("", 5, np.uint8, "RGB", marks=pytest.mark.slow),
    ],
)
def test_images_of_other_kinds_are_trained_on_and_written(tmp_path, keep, channels, kind, mode):
    images = np.random.default_rng(0).integers(np.iinfo(kind).max, size=(8, 4, 4, channels))
    np.savez(tmp_path / "set.npz", images=images.astype(kind))
    settings = {
        "data.name": str(tmp_path / "set.npz"),
        "data.keep": keep,
        "model": "mlp:width=8,depth=1",
        "train.batch": 4,
        "train.steps": 2,
        "sample.count": 4,
    }
    run = gancli.train(settings, tmp_path / "run")
    *_, (step, drawn) = run.sample_history()
    assert (step, drawn.shape, drawn.dtype) == (2, (4, 4, 4, channels), kind)
    export_samples(load_generator(run.path), tmp_path / "s", Draw(), 3, BOTH)
    with np.load(tmp_path / "s" / "samples.npz") as held:
        written = held["arr_0"]
    assert (written.shape, written.dtype) == ((3, 4, 4, channels), kind)
    with Image.open(tmp_path / "s" / "images" / "000001.png") as picture:
        assert picture.mode == mode
        shown = np.asarray(picture).reshape(4, 4, -1)
    np.testing.assert_array_equal(shown, written[1, ..., : shown.shape[-1]])
    assert read_record(run.path).missing == ()
