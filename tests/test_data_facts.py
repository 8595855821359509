import hashlib
import json

import numpy as np

from gancli.data import Dataset, DataSpec, Modes, describe, fingerprint

EXAMPLES = np.arange(12, dtype=np.uint8).reshape(3, 2, 2, 1)
LABELS = np.array([1, 0, 1], np.int32)


def test_fingerprint_is_the_sha256_of_shape_type_examples_and_labels():
    expected = hashlib.sha256(
        b'{"labels": true, "shape": [3, 2, 2, 1], "type": "|u1"}'
        + bytes(range(12))
        + b"\x01\0\0\0\0\0\0\0\x01\0\0\0"
    )
    assert fingerprint(EXAMPLES, LABELS) == expected.hexdigest()


def test_fingerprint_changes_with_anything_that_training_sees():
    changed = EXAMPLES.copy()
    changed[2, 1, 1, 0] = 0
    prints = {
        fingerprint(EXAMPLES, LABELS),
        fingerprint(EXAMPLES, None),
        fingerprint(EXAMPLES, LABELS[::-1] * 0),
        fingerprint(EXAMPLES.reshape(3, 4, 1, 1), LABELS),
        fingerprint(EXAMPLES.view(np.int8), LABELS),
        fingerprint(changed, LABELS),
    }
    assert len(prints) == 6


def test_fingerprint_does_not_depend_on_how_the_array_is_stored(tmp_path):
    big = np.random.default_rng(0).integers(256, size=(40, 1000, 1000, 1), dtype=np.uint8)
    np.save(tmp_path / "big.npy", big)
    mapped = np.load(tmp_path / "big.npy", mmap_mode="r")
    assert fingerprint(big, None) == fingerprint(mapped, None)
    assert fingerprint(big, None) == fingerprint(np.asfortranarray(big), None)
    points = np.linspace(0, 1, 10, dtype=np.float32).reshape(5, 2)
    assert fingerprint(points, None) == fingerprint(points.astype(">f4"), None)


def test_describe_counts_labels_and_measures_values():
    spec = DataSpec("three", "image", (2, 2, 1), ("cat", "dog", "bird"))
    facts = describe(Dataset(spec, EXAMPLES, LABELS, "abc"))
    assert facts == {
        "name": "three",
        "kind": "image",
        "shape": [2, 2, 1],
        "count": 3,
        "type": "uint8",
        "bytes": 12,
        "range": [0.0, 11.0],
        "mean": 5.5,
        "labels": {"cat": 1, "dog": 2, "bird": 0},
        "modes": 0,
        "fingerprint": "abc",
    }
    assert json.loads(json.dumps(facts)) == facts


def test_describe_reads_every_block_of_a_mapped_file(tmp_path):
    examples = np.full((40, 1000, 1000, 1), 100, np.uint8)
    examples[0, 0, 0, 0], examples[-1, -1, -1, 0] = 7, 250
    np.save(tmp_path / "big.npy", examples)
    mapped = np.load(tmp_path / "big.npy", mmap_mode="r")
    facts = describe(Dataset(DataSpec("big", "image", (1000, 1000, 1)), mapped, None, ""))
    assert facts["range"] == [7.0, 250.0]
    assert facts["labels"] == {}


def test_describe_points_with_modes():
    points = np.array([[0.5, -2.0], [1.5, 4.0]], np.float32)
    modes = Modes(np.zeros((8, 2)), 0.01)
    facts = describe(Dataset(DataSpec("ring", "points", (2,)), points, None, "", modes))
    assert facts["range"] == [-2.0, 4.0]
    assert facts["mean"] == 1.0
    assert facts["modes"] == 8
