import errno
import io
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from refusals import refused

from gancli.data import DataRequest, DataSpec, load

IMAGES = np.random.default_rng(0).integers(256, size=(7, 6, 5, 3), dtype=np.uint8)
LABELS = [0, 1, 2, 2, 1, 0, 2]


@pytest.fixture(autouse=True)
def prepared(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "prepared"))
    return tmp_path / "prepared"


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def image_feature(height=6, width=5, channels=3, kind="uint8"):
    dimensions = ["-1" if side is None else str(side) for side in (height, width, channels)]
    return {
        "pythonClassName": "tensorflow_datasets.core.features.image_feature.Image",
        "image": {"dtype": kind, "shape": {"dimensions": dimensions}},
    }


LABEL_FEATURE = {
    "pythonClassName": "tensorflow_datasets.core.features.class_label_feature.ClassLabel",
    "classLabel": {"numClasses": "3"},
}


def write(
    root,
    features,
    records,
    name="mnist",
    version="3.0.1",
    supervised=("image", "label"),
    splits=("train",),
):
    """Writes a prepared set in TensorFlow Datasets' own layout, without TensorFlow."""
    from array_record.python.array_record_module import ArrayRecordWriter
    from tensorflow_datasets.proto import tf_example_pb2

    folder = root / name / version
    folder.mkdir(parents=True)
    described = {
        "pythonClassName": "tensorflow_datasets.core.features.features_dict.FeaturesDict",
        "featuresDict": {"features": features},
    }
    (folder / "features.json").write_text(json.dumps(described))
    information = {
        "name": name.partition("/")[0],
        "version": version,
        "fileFormat": "array_record",
        "splits": [
            {
                "name": split,
                "numBytes": "1",
                "shardLengths": [str(len(records))],
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
            }
            for split in splits
        ],
    }
    if supervised:
        items = [{"featureKey": key} for key in supervised]
        information["supervisedKeys"] = {"tuple": {"items": items}}
    (folder / "dataset_info.json").write_text(json.dumps(information))
    short = name.partition("/")[0]
    for split in splits:
        writer = ArrayRecordWriter(
            str(folder / f"{short}-{split}.array_record-00000-of-00001"), "group_size:1"
        )
        for record in records:
            example = tf_example_pb2.Example()
            for key, value in record.items():
                feature = example.features.feature[key]
                if isinstance(value, bytes):
                    feature.bytes_list.value.append(value)
                else:
                    feature.int64_list.value.append(value)
            writer.write(example.SerializeToString())
        writer.close()
    return folder


def labelled(root, images=IMAGES, labels=LABELS, **options):
    records = [
        {"image": png(image), "label": label} for image, label in zip(images, labels, strict=True)
    ]
    feature = image_feature(**options.pop("feature", {}))
    return write(root, {"image": feature, "label": LABEL_FEATURE}, records, **options)


def test_a_prepared_set_is_read(prepared):
    labelled(prepared)
    dataset = load("mnist")
    assert dataset.spec == DataSpec("mnist", "image", (6, 5, 3), ("0", "1", "2"))
    np.testing.assert_array_equal(dataset.examples, IMAGES)
    assert isinstance(dataset.examples, np.memmap)
    assert dataset.labels is not None
    assert dataset.labels.tolist() == LABELS


def test_classes_are_the_labels_that_occur(prepared):
    labelled(prepared, labels=[2, 0, 2, 2, 0, 2, 0])
    dataset = load("mnist")
    assert dataset.spec.classes == ("0", "2")
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [1, 0, 1, 1, 0, 1, 0]


def test_classes_of_another_split_have_the_numbers_of_training(prepared):
    """Labels 0, 1, 2 of `train` stay what they are where `test` has no 1."""
    folder = labelled(prepared, splits=("train", "test"))
    other = labelled(prepared, IMAGES[:2], [2, 0], name="other", splits=("test",))
    (records,) = other.glob("*.array_record*")
    records.replace(folder / "mnist-test.array_record-00000-of-00001")
    path = folder / "dataset_info.json"
    lengths, two = '"shardLengths": ["7"]', '"shardLengths": ["2"]'
    path.write_text(two.join(path.read_text().rsplit(lengths, 1)))
    test = load("mnist", DataRequest(split="test"))
    assert test.spec.classes == load("mnist").spec.classes == ("0", "1", "2")
    assert test.labels is not None
    assert test.labels.tolist() == [2, 0]


def test_a_label_that_training_has_not_is_refused(prepared):
    folder = labelled(prepared, labels=[0, 1, 0, 1, 0, 1, 0], splits=("train", "test"))
    other = labelled(prepared, labels=[0, 1, 2, 0, 0, 0, 0], name="other", splits=("test",))
    (records,) = other.glob("*.array_record*")
    records.replace(folder / "mnist-test.array_record-00000-of-00001")
    with refused("example 2", "'mnist'", "label 2", allowed="0, 1"):
        load("mnist", DataRequest(split="test"))


def test_the_cached_array_is_used_without_the_library(prepared):
    labelled(prepared)
    program = (
        "import sys; from gancli.data import load\n"
        "dataset = load('mnist')\n"
        "print(dataset.fingerprint, 'tensorflow_datasets' in sys.modules,"
        " 'tensorflow' in sys.modules, 'jax' in sys.modules)"
    )
    command = [sys.executable, "-c", program]
    first, second = (
        subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        for _ in range(2)
    )
    assert first[0] == second[0] == load("mnist").fingerprint
    assert first[1:] == ["True", "False", "False"]
    assert second[1:] == ["False", "False", "False"]


def test_splits_are_written_as_the_library_writes_them(prepared):
    labelled(prepared)
    assert len(load("mnist", DataRequest(split="train[:3]")).examples) == 3
    for split in ("validation", "train[", "train[:x]"):
        with refused("split", "mnist", repr(split), allowed="train"):
            load("mnist", DataRequest(split=split))
    with refused("'train[:0]'", "'mnist'", "empty"):
        load("mnist", DataRequest(split="train[:0]"))


def test_images_are_resized_on_request(prepared):
    labelled(prepared)
    assert load("mnist", DataRequest(size=8)).examples.shape == (7, 8, 8, 3)
    assert load("mnist", DataRequest(size="4x8")).examples.shape == (7, 4, 8, 3)
    assert load("mnist").examples.shape == (7, 6, 5, 3)


def test_the_newest_version_is_read_unless_one_is_named(prepared):
    labelled(prepared, version="3.0.1")
    labelled(prepared, images=IMAGES[:2], labels=[0, 1], version="3.0.10")
    assert len(load("mnist").examples) == 2
    assert len(load("mnist:3.0.1").examples) == 7


def test_a_configuration_is_found_by_name(prepared):
    labelled(prepared, name="emnist/letters")
    assert len(load("emnist/letters").examples) == 7
    assert len(load("emnist").examples) == 7
    with refused("'emnist/digits'", remedy="gan data prepare emnist/digits"):
        load("emnist/digits")
    labelled(prepared, name="emnist/byclass")
    with refused("'emnist'", allowed="emnist/byclass, emnist/letters"):
        load("emnist")


def test_images_of_undeclared_size_need_one(prepared):
    images = [IMAGES[0], IMAGES[1][:4], IMAGES[2]]
    labelled(prepared, images=images, labels=[0, 1, 2], feature={"height": None, "width": None})
    with refused("'mnist'", "example 1", "4x5", "6x5", remedy="--set data.size=64") as caught:
        load("mnist")
    assert re.search(r"example 1\b\D*4x5|4x5\D*example 1\b", caught.value.given)
    assert load("mnist", DataRequest(size=4)).examples.shape == (3, 4, 4, 3)


def test_a_set_without_labels_has_none(prepared):
    records = [{"image": png(image[..., 0])} for image in IMAGES]
    write(prepared, {"image": image_feature(channels=1)}, records, supervised=None)
    dataset = load("mnist")
    assert dataset.labels is None
    assert dataset.spec.classes == ()
    np.testing.assert_array_equal(dataset.examples, IMAGES[..., :1])


def test_the_supervised_image_is_chosen_of_several(prepared):
    pictures = {"image": image_feature(), "mask": image_feature(channels=1)}
    records = [{"image": png(one), "mask": png(one[..., 0]), "label": 0} for one in IMAGES]
    write(prepared, pictures | {"label": LABEL_FEATURE}, records)
    np.testing.assert_array_equal(load("mnist").examples, IMAGES)


@pytest.mark.parametrize(
    ("features", "given", "allowed"),
    [
        ({"label": LABEL_FEATURE}, ("0 images", "label (ClassLabel)"), ()),
        ({"left": image_feature(), "right": image_feature()}, ("2 images", "left (Image)"), ()),
        ({"image": image_feature(kind="float32", channels=1)}, ("float32",), ("8", "16 bits")),
    ],
)
def test_sets_without_one_image_are_refused(prepared, features, given, allowed):
    write(prepared, features, [{"label": 0}], supervised=None)
    with refused("'mnist'", *given, allowed=allowed):
        load("mnist")


def test_unknown_labels_are_refused(prepared):
    labelled(prepared, labels=[0, -1, 0, 0, 0, 0, 0])
    with refused("example 1", "'mnist'", "label -1", allowed="0"):
        load("mnist")


@pytest.mark.parametrize(
    ("harm", "given"),
    [
        (lambda path: path.unlink(), os.strerror(errno.ENOENT)),
        (lambda path: path.write_bytes(b""), ""),
        (lambda path: path.write_bytes(b"hello"), ""),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), ""),
        (lambda path: path.write_bytes(bytes(path.stat().st_size)), ""),
    ],
    ids=["missing", "empty", "not records", "cut short", "zeros"],
)
def test_damaged_records_are_refused_with_the_command_that_mends_them(prepared, harm, given):
    folder = labelled(prepared)
    (records,) = folder.glob("*.array_record*")
    harm(records)
    mended = {"allowed": "array_record", "remedy": (str(folder), "gan data prepare mnist")}
    with refused("'mnist'", str(folder), given, **mended):
        load("mnist")


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json"])
@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_damaged_descriptions_are_refused_with_the_command_that_mends_them(prepared, name, content):
    folder = labelled(prepared)
    (folder / name).write_text(content)
    with refused("'mnist'", str(folder), remedy=(str(folder), "gan data prepare mnist")):
        load("mnist")


def test_a_set_of_another_format_is_refused(prepared):
    folder = labelled(prepared)
    path = folder / "dataset_info.json"
    path.write_text(path.read_text().replace("array_record", "tfrecord"))
    with refused("'mnist'", str(folder), allowed="array_record", remedy="gan data prepare mnist"):
        load("mnist")


def test_fewer_records_than_are_described_are_refused(prepared):
    folder = labelled(prepared)
    path = folder / "dataset_info.json"
    path.write_text(path.read_text().replace('["7"]', '["8"]'))
    with refused("'mnist'", str(folder), allowed="array_record", remedy="gan data prepare mnist"):
        load("mnist")


def test_a_damaged_image_is_refused(prepared):
    records = [{"image": png(IMAGES[0])[:40], "label": 0}]
    write(prepared, {"image": image_feature(), "label": LABEL_FEATURE}, records)
    with refused("example 0", "'mnist'", allowed="PNG"):
        load("mnist")


def test_a_known_set_that_is_not_prepared_names_the_command(prepared):
    command = "gan data prepare cifar10"
    with refused("'cifar10'", str(prepared), allowed="TensorFlow Datasets", remedy=command):
        load("cifar10")


def test_a_half_finished_preparation_does_not_read_as_prepared(prepared):
    folder = labelled(prepared)
    folder.rename(folder.with_name("incomplete.P4F7AX_3.0.1"))
    command = "gan data prepare mnist"
    with refused("'mnist'", str(prepared), allowed="TensorFlow Datasets", remedy=command):
        load("mnist")


def test_names_of_labels_are_read_and_escaped(prepared):
    folder = labelled(prepared)
    (folder / "label.labels.txt").write_text("ant\n  bee\x1b[31m\n\ncat\n")
    assert load("mnist").spec.classes == ("ant", "bee\\x1b[31m", "cat")


@pytest.mark.parametrize(
    ("record", "allowed"),
    [
        ({"label": 0}, "array_record"),
        ({"image": 5, "label": 0}, "array_record"),
        ({"image": b"no image", "label": 0}, "PNG"),
        ({"image": png(IMAGES[0]), "label": b"ant"}, "array_record"),
        ({"image": png(IMAGES[0])}, "array_record"),
    ],
)
def test_records_of_other_kinds_are_refused(prepared, record, allowed):
    write(prepared, {"image": image_feature(), "label": LABEL_FEATURE}, [record])
    with refused("'mnist'", allowed=allowed):
        load("mnist")
