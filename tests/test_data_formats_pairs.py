"""Pairs of images: matched by their names, or two side by side."""

import numpy as np
import pytest
from PIL import Image
from refusals import refused

from gancli.data import DataRequest
from gancli.data.catalogue import load_pairs, load_two
from gancli.data.formats.pairs import two_sets_in


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_CACHE", str(tmp_path / "cache"))


def save(path, level, size=(4, 4), mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, level).save(path)


def pairs(name, target="", turned=False, **request):
    """The grey level of each source and of its partner."""
    dataset = load_pairs(str(name), str(target or ""), DataRequest(**request), turned)
    assert dataset.target is not None
    return list(zip(*(own.examples[:, 0, 0, 0].tolist() for own in (dataset, dataset.target))))  # noqa: B905


def test_two_folders_are_matched_by_name_whatever_the_suffix(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    # Sorted by their whole names, a.q.tif comes before a.tif, but a.png before a.q.png.
    for name, level in (("d/a", 1), ("d/a.q", 2), ("b/c", 3)):
        save(first / f"{name}.png", level)
        save(second / f"{name}.tif", level + 100)
    assert sorted(pairs(first, second)) == [(1, 101), (2, 102), (3, 103)]


def test_what_has_no_partner_is_named(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for name in ("a", "b"):
        save(first / f"{name}.png", 1)
    for name in ("b", "c"):
        save(second / f"{name}.png", 2)
    with refused(f"a has no partner in {second}", f"c has no partner in {first}"):
        pairs(first, second)


def test_two_images_of_one_name_are_refused(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    save(first / "a.png", 1)
    save(first / "a.bmp", 2)
    save(second / "a.png", 3)
    with refused("a.bmp", "a.png", remedy="Rename"):
        pairs(first, second)


def test_a_folder_of_two_sets_is_both_and_has_their_splits(tmp_path):
    for place, level in (("trainA/x", 1), ("trainB/x", 2), ("testA/y", 3), ("testB/y", 4)):
        save(tmp_path / "both" / f"{place}.png", level)
    folder = tmp_path / "both"
    assert two_sets_in(folder) == (folder / "trainA", folder / "trainB")
    assert pairs(folder) == [(1, 2)]
    assert pairs(folder, split="test") == [(3, 4)]
    assert pairs(folder, turned=True) == [(2, 1)]
    unpaired = load_two(str(folder), "", DataRequest())
    assert unpaired is not None
    assert unpaired.target is not None
    assert (unpaired.examples.max(), unpaired.target.examples.max()) == (1, 2)
    assert load_two(str(folder / "trainA"), "", DataRequest()) is None


def test_pictures_side_by_side_are_halved_before_they_are_fitted(tmp_path):
    for name, left in (("train/a", 10), ("train/b", 20), ("val/c", 30)):
        both = np.full((6, 8), left, np.uint8)
        both[:, 4:] = left + 100
        path = tmp_path / "beside" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(both).save(path)
    folder = tmp_path / "beside"
    assert pairs(folder) == [(10, 110), (20, 120)]
    assert pairs(folder, split="test") == [(30, 130)]
    assert pairs(folder, turned=True) == [(110, 10), (120, 20)]
    dataset = load_pairs(str(folder), "", DataRequest(size=2), turned=False)
    assert dataset.spec.shape == (2, 2, 1)
    assert np.unique(dataset.examples).tolist() == [10, 20]  # Nothing of the other half.
    save(folder / "train" / "odd.png", 5, size=(7, 6))
    with refused("odd.png", "6x7"):
        pairs(folder)


def test_other_sets_are_paired_by_their_order(tmp_path):
    for name in ("first", "second"):
        level = 1 if name == "first" else 50
        levels = np.arange(level, level + 3, dtype=np.uint8)[:, None, None]
        np.savez(tmp_path / f"{name}.npz", images=np.broadcast_to(levels, (3, 4, 4)))
    np.savez(tmp_path / "fewer.npz", images=np.zeros((2, 4, 4), np.uint8))
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"
    assert pairs(first, second) == [(1, 50), (2, 51), (3, 52)]
    with refused("first.npz", "3", "fewer.npz", "2"):
        pairs(first, tmp_path / "fewer.npz")
    with refused("first.npz", allowed="--target"):
        pairs(first)


def test_damaged_files_are_not_skipped_where_there_are_pairs(tmp_path):
    save(tmp_path / "trainA/x.png", 1)
    save(tmp_path / "trainB/x.png", 2)
    with refused("data.skip_damaged"):
        pairs(tmp_path, skip_damaged=True)
