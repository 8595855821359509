"""Features: literal values of placed images, exported functions, refusals, what is cached."""

import contextlib
import errno
import hashlib
import os
import re
import sys
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from refusals import refused

from gancli.data import DataRequest, Dataset, DataSpec, load
from gancli.features import inception
from gancli.features.blocks import in_blocks
from gancli.features.cached import Like, cached_arrays
from gancli.features.catalogue import FEATURES, spec_of

REQUEST = DataRequest()


def build(spec, dataset):
    return FEATURES.build(spec, dataset, REQUEST)


def images(*levels, shape=(2, 2, 1)):
    """Images of one level each."""
    examples = np.stack([np.full(shape, level, np.uint8) for level in levels])
    return Dataset(DataSpec("placed", "image", shape), examples, None, "0" * 64)


POINTS = Dataset(
    DataSpec("placed", "points", (2,)), np.float32([[0.5, -3], [7, 0]]), None, "0" * 64
)


# Pixels


def test_pixels_are_levels_over_255():
    features = build("pixels", images(0))
    assert features.dimension == 4
    assert not features.is_inception
    placed = np.uint8([[[[0], [51]], [[102], [255]]]])
    found = features.of(placed)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.float32([[0, 0.2, 0.4, 1]]))


def test_pixels_of_16_bits_are_levels_over_65535():
    examples = np.uint16([[[[0], [13107]], [[52428], [65535]]]])
    spec = DataSpec("placed", "image", (2, 2, 1), bits=16)
    features = build("pixels", Dataset(spec, examples, None, "0" * 64))
    np.testing.assert_array_equal(features.of(examples), np.float32([[0, 0.2, 0.8, 1]]))
    assert features.fingerprint != build("pixels", images(0)).fingerprint


@pytest.mark.parametrize(("channels", "bits"), [(4, 8), (1, 16)])
def test_inception_sees_grey_and_rgb_of_8_bits(channels, bits):
    spec = DataSpec("placed", "image", (2, 2, channels), bits=bits)
    with refused("inception", str(spec.shape), f"{bits} bits", allowed="8 bits"):
        build("inception", images(0)._replace(spec=spec))


def test_the_pixels_of_points_are_their_coordinates():
    features = build("pixels", POINTS)
    assert features.dimension == 2
    np.testing.assert_array_equal(features.of(POINTS.examples), POINTS.examples)


def test_no_examples_have_no_features():
    assert build("pixels", images(0)).of(np.zeros((0, 2, 2, 1), np.uint8)).shape == (0, 4)


# Blocks


def test_blocks_have_one_size_and_parts_do_not_matter():
    seen = []

    def twice(block):
        seen.append(block.copy())
        return 2 * block, -block[:, 0]

    numbers = np.arange(1, 23).reshape(11, 2)
    for parts in (numbers, [numbers[:1], numbers[1:9], numbers[9:9], numbers[9:]], iter([numbers])):
        seen.clear()
        blocks = list(in_blocks(twice, 4, parts))
        assert [block.shape for block in seen] == [(4, 2)] * 3
        np.testing.assert_array_equal(seen[2], [[17, 18], [19, 20], [21, 22], [0, 0]])
        np.testing.assert_array_equal(np.concatenate([one for one, _ in blocks]), 2 * numbers)
        np.testing.assert_array_equal(np.concatenate([one for _, one in blocks]), -numbers[:, 0])


def test_blocks_are_made_as_they_are_asked_for():
    """What is not asked for is not read: memory does not grow with the number of examples."""
    read = []

    def parts():
        for number in range(1000):
            read.append(number)
            yield np.zeros((2, 1))

    blocks = in_blocks(lambda block: block, 4, parts())
    next(blocks)
    assert len(read) == 2


# The classifier's


@pytest.fixture(scope="module")
def of_digits():
    return build("classifier", load("digits"))


def test_the_features_of_the_classifier_are_its_penultimate_layer(of_digits):
    digits = load("digits").examples[:300]
    found = of_digits.of(digits)
    assert found.shape == (300, of_digits.dimension) == (300, 64)
    assert found.min() == 0  # After a ReLU.
    assert (found.max(axis=0) > 0).mean() > 0.9
    assert not of_digits.is_inception


def test_features_do_not_depend_on_how_many_there_are(of_digits):
    digits = load("digits").examples
    whole = of_digits.of(digits[:700])
    np.testing.assert_array_equal(of_digits.of(digits[:513]), whole[:513])
    np.testing.assert_array_equal(of_digits.of([digits[:100], digits[100:300]]), whole[:300])
    np.testing.assert_allclose(of_digits.of(digits[300:310]), whole[300:310], rtol=1e-4, atol=1e-4)
    assert [len(block) for block in of_digits.blocks(digits[:700])] == [256, 256, 188]


def test_a_classifier_needs_labels():
    with refused("'placed'", " 0 ", allowed="2"):
        build("classifier", images(0, 255))


# Functions that were exported


def exported_function(path: Path, function, *shapes, dtype=jnp.uint8, **options) -> Path:
    arguments = [jax.ShapeDtypeStruct(shape, dtype) for shape in shapes]
    path.write_bytes(export.export(jax.jit(function), **options)(*arguments).serialize())
    return path


def symbolic(*rest):
    return (*export.symbolic_shape("b"), *rest)


def sums(x):
    """Of the rows, each pixel as it is given: (n, 2, 2, 1) to (n, 2)."""
    return x.astype(jnp.float32).sum(axis=(2, 3))


def test_an_exported_function_gives_what_it_gives(tmp_path):
    path = exported_function(tmp_path / "f", sums, symbolic(2, 2, 1))
    features = build(f"encoder:path={path}", images(0))
    assert (features.dimension, features.is_inception) == (2, False)
    placed = np.tile(np.uint8([[[[0], [51]], [[102], [255]]]]), (130, 1, 1, 1))
    np.testing.assert_array_equal(features.of(placed), np.tile(np.float32([51, 357]), (130, 1)))


def test_an_exported_function_sees_16_bits_as_floats_alone(tmp_path):
    examples = np.uint16([[[[0], [65535]], [[0], [0]]]])
    spec = DataSpec("placed", "image", (2, 2, 1), bits=16)
    deep = Dataset(spec, examples, None, "0" * 64)
    path = exported_function(tmp_path / "f", sums, (3, 2, 2, 1), dtype=jnp.float32)
    np.testing.assert_allclose(build(f"encoder:path={path}", deep).of(examples), [[0, -2]])
    exported_function(path, sums, (3, 2, 2, 1))
    with refused("uint8", "16 bits"):
        build(f"encoder:path={path}", deep)


def test_an_exported_function_of_floats_sees_minus_one_to_one(tmp_path):
    path = exported_function(tmp_path / "f", sums, (3, 2, 2, 1), dtype=jnp.float32)
    features = build(f"encoder:path={path}", images(0))
    assert features.block == 3
    np.testing.assert_allclose(
        features.of(images(0, 255, 0, 0).examples), [[-2, -2], [2, 2], [-2, -2], [-2, -2]]
    )


def test_other_bytes_or_images_have_another_fingerprint(tmp_path):
    def means(x):
        return x.astype(jnp.float32).mean(axis=(1, 2))

    first = exported_function(tmp_path / "f", means, symbolic(2, 2, 1))
    again = exported_function(tmp_path / "g", lambda x: means(x) + 1, symbolic(2, 2, 1))
    one, other = (build(f"encoder:path={path}", images(0)) for path in (first, again))
    assert one.fingerprint == build(f"encoder:path={first}", images(3)).fingerprint
    assert one.fingerprint != other.fingerprint


def test_the_function_of_alike_runs_is_compiled_once(tmp_path, monkeypatch):
    path = exported_function(tmp_path / "f", sums, symbolic(2, 2, 1))
    before = build(f"encoder:path={path}", images(0)).of(images(9).examples)
    monkeypatch.setattr(export, "deserialize", pytest.fail)
    after = build(f"encoder:path={path}", images(0)).of(images(9).examples)
    np.testing.assert_array_equal(before, after)


def several(x):
    return x.astype(jnp.float32).sum(axis=(2, 3)), x


FUNCTIONS = {
    "two arguments": (
        lambda x, y: sums(x) + sums(y), [(3, 2, 2, 1), (3, 2, 2, 1)],
        ("uint8[3,2,2,1], uint8[3,2,2,1]",),
    ),
    "two results": (several, [(3, 2, 2, 1)], ("(3, 2)", "(3, 2, 2, 1)")),
    "images of another shape": (sums, [(3, 4, 4, 1)], ("(3, 4, 4, 1)", "(3, 2, 2, 1)")),
    "points": (lambda x: x.astype(jnp.float32), [(3, 4)], ("uint8[3,4]",)),
    "a map of features": (
        lambda x: x.astype(jnp.float32), [(3, 2, 2, 1)], ("float32", "(3, 2, 2, 1)"),
    ),
    "features without images": (lambda x: sums(x)[:2], [(3, 2, 2, 1)], ("(2, 2)", "3 images")),
    "whole numbers": (lambda x: x[:, 0, :, 0], [(3, 2, 2, 1)], ("uint8", "(3, 2)")),
    "too large a block": (sums, [(5000, 2, 2, 1)], ("5,000", "4,096")),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_that_is_no_encoder_is_refused(tmp_path, name):
    function, shapes, given = FUNCTIONS[name]
    path = exported_function(tmp_path / "f", function, *shapes)
    with refused(repr(str(path)), *given) as caught:
        build(f"encoder:path={path}", images(0))
    assert "\n" not in str(caught.value)


def test_a_function_for_other_devices_is_refused(tmp_path):
    path = exported_function(tmp_path / "f", sums, (3, 2, 2, 1), platforms=["tpu"])
    with refused(repr(str(path)), "tpu", export.default_export_platform()):
        build(f"encoder:path={path}", images(0))


@pytest.mark.parametrize("keeps", [0.1, 0.5, 0.99])
def test_a_file_of_another_kind_or_cut_short_is_refused(tmp_path, keeps):
    path = exported_function(tmp_path / "f", sums, (3, 2, 2, 1))
    whole = path.read_bytes()
    for content in (b"no function" * 20, whole[: int(keeps * len(whole))]):
        path.write_bytes(content)
        with refused(repr(str(path)), allowed="jax.export"):
            build(f"encoder:path={path}", images(0))


@pytest.mark.parametrize(
    ("spec", "given", "allowed"),
    [
        ("encoder", ("'encoder'",), "encoder:path=FILE"),
        ("encoder:path=/nowhere/f", ("'/nowhere/f'", os.strerror(errno.ENOENT)), ()),
        ("encoder:path=/dev/null", ("'/dev/null'", "device"), ()),
    ],
)
def test_an_encoder_needs_a_file(spec, given, allowed):
    with refused(*given, allowed=allowed):
        build(spec, images(0))


def test_an_encoder_needs_images(tmp_path):
    with refused("'encoder'", "'placed'", "points", allowed="pixels"):
        build(f"encoder:path={tmp_path}", POINTS)


def test_a_function_that_makes_no_numbers_is_refused(tmp_path):
    path = exported_function(tmp_path / "f", lambda x: jnp.log(sums(x) - 1), symbolic(2, 2, 1))
    features = build(f"encoder:path={path}", images(0))
    with refused("'encoder'", "70"):
        features.of(images(*[9] * 70, 0).examples)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e30])
def test_features_beyond_what_distances_can_hold_are_refused(value):
    features = build("pixels", POINTS)
    with refused("'coordinates'", " 3 ", allowed="1e+20"):
        features.of(np.float32([[0, 0]] * 3 + [[0, value]]))


# Inception


class _Tensor:
    """As much of a torch tensor as is used."""

    def __init__(self, values):
        self.values = values

    def to(self, device):
        assert device == "cpu"
        return self

    def cpu(self):
        return self

    def numpy(self):
        return self.values


class _Inception:
    """Its features are the mean of each plane, in 2,048 columns."""

    def __init__(self, name, features_list, feature_extractor_weights_path):
        assert features_list == ["2048"]
        self.weights = feature_extractor_weights_path
        self.fc = types.SimpleNamespace(weight=_Tensor(np.eye(3, 2048, dtype=np.float32)))

    def to(self, device):
        return self

    def __call__(self, planes):
        assert planes.values.dtype == np.uint8
        assert planes.values.flags.c_contiguous
        means = planes.values.mean(axis=(2, 3), dtype=np.float32)
        return (_Tensor(np.pad(means, ((0, 0), (0, 2045)))),)


@pytest.fixture
def torch(monkeypatch, tmp_path):
    """Stands in for torch and torch-fidelity."""

    def download(url, place, hash_prefix, progress):
        Path(place).write_bytes(b"weights")

    module = types.SimpleNamespace(
        cuda=types.SimpleNamespace(is_available=lambda: False),
        hub=types.SimpleNamespace(get_dir=lambda: str(tmp_path), download_url_to_file=download),
        no_grad=contextlib.nullcontext,
        from_numpy=_Tensor,
    )
    fidelity = types.SimpleNamespace(
        FeatureExtractorInceptionV3=_Inception, URL_INCEPTION_V3="https://example.org/weights"
    )
    monkeypatch.setattr(inception, "_packages", lambda: (module, fidelity))
    # SHA-256 of "weights".
    digest = "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"
    monkeypatch.setattr(inception, "WEIGHTS_SHA256", digest)
    return module


def test_inception_sees_bytes_in_planes_and_grey_thrice(torch, tmp_path):
    (tmp_path / "w").write_bytes(b"weights")
    features = build(f"inception:weights={tmp_path / 'w'}", images(0))
    assert (features.is_inception, features.dimension) == (True, 2048)
    found = features.of(images(*[3] * 60, 200).examples)
    assert found.shape == (61, 2048)
    np.testing.assert_array_equal(found[60, :4], [200, 200, 200, 0])
    np.testing.assert_array_equal(features.inception_head, np.eye(3, 2048))
    coloured = np.zeros((1, 2, 2, 3), np.uint8) + np.uint8([10, 20, 30])
    np.testing.assert_array_equal(features.of(coloured)[0, :4], [10, 20, 30, 0])


def test_the_weights_of_inception_are_downloaded_once(torch, tmp_path, monkeypatch):
    build("inception", images(0))
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *_, **__: pytest.fail("again"))
    assert build("inception", images(0)).dimension == 2048


def test_without_a_network_the_weights_are_asked_for(torch, monkeypatch):
    def refuse(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with refused("'inception'", "no route to host", remedy="inception:weights=FILE"):
        build("inception", images(0))


def test_other_weights_are_never_opened(torch, tmp_path):
    """A figure on them would not be the FID, and their file could run any code."""
    (tmp_path / "w").write_bytes(b"others")
    found = hashlib.sha256(b"others").hexdigest()
    with refused("'inception'", str(tmp_path / "w"), found, allowed=inception.WEIGHTS_SHA256):
        build(f"inception:weights={tmp_path / 'w'}", images(0))
    with refused("'inception'", str(tmp_path / "nowhere"), os.strerror(errno.ENOENT)):
        build(f"inception:weights={tmp_path / 'nowhere'}", images(0))


def test_without_torch_fidelity_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with refused("'inception'", "torch-fidelity", remedy="pip install torch-fidelity"):
        build("inception", images(0))


# Arrays that are kept


LIKE = {"mean": Like((2,), np.float64), "rows": Like((3, 2), np.float32)}
ARRAYS = {"mean": np.float64([1, 2]), "rows": np.float32([[1, 2], [3, 4], [5, 6]])}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def kept(key="key", arrays=ARRAYS, like=LIKE):
    """What is read, and whether it was computed now."""
    computed = []

    def compute():
        computed.append(True)
        return arrays

    return cached_arrays("statistics", key, like, compute), bool(computed)


def test_arrays_are_computed_once(cache):
    first, computed = kept()
    assert computed
    again, computed = kept(arrays={})
    assert not computed
    for found in (first, again):
        assert found.keys() == ARRAYS.keys()
        for name, array in ARRAYS.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array)
    assert [path.suffix for path in (cache / "statistics").iterdir()] == [".npz"]
    assert kept("another key")[1]


@pytest.mark.parametrize("keeps", [0.0, 0.5, 0.99])
def test_a_file_that_was_cut_short_is_computed_again(cache, keeps):
    kept()
    (path,) = (cache / "statistics").iterdir()
    path.write_bytes(path.read_bytes()[: int(keeps * path.stat().st_size)])
    with pytest.warns(UserWarning, match=re.escape(str(path))):
        assert kept()[1]
    assert not kept()[1]


def test_a_flipped_byte_of_the_values_is_found(cache):
    kept()
    (path,) = (cache / "statistics").iterdir()
    content = bytearray(path.read_bytes())
    content[content.index(np.float64([1, 2]).tobytes()) + 3] ^= 1
    path.write_bytes(content)
    with pytest.warns(UserWarning, match=rf"{re.escape(str(path))}.*CRC-32"):
        assert kept()[1]


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"mean": np.float64([1, 2])}, "rows"),
        (ARRAYS | {"mean": np.float64([1, np.inf])}, r"\bmean\b.*\binf\b"),
        (ARRAYS | {"mean": np.float64([1, 2, 3])}, r"\bmean\b.*\bfloat64 \(3,\)"),
        (ARRAYS | {"rows": np.float64([[1, 2]])}, r"\brows\b.*\bfloat64 \(1, 2\)"),
        (ARRAYS | {"rows": np.float32([1, 2])}, r"\brows\b.*\bfloat32 \(2,\)"),
    ],
)
def test_arrays_of_another_kind_are_neither_believed_nor_written(cache, arrays, words):
    kept()
    (path,) = (cache / "statistics").iterdir()
    np.savez(path, **arrays)
    with pytest.warns(UserWarning, match=words):
        assert kept()[1]
    with pytest.raises(ValueError, match=words):
        kept("another", arrays)
    assert list((cache / "statistics").iterdir()) == [path]


def test_a_cache_that_cannot_be_written_is_named(cache):
    cache.write_text("a file")
    with refused(str(cache), remedy="GAN_CACHE"):
        kept()


# What the user means


def test_a_name_a_file_or_weights_mean_features(tmp_path):
    encoder = tmp_path / "encoder.bin"
    encoder.write_bytes(b"")
    assert spec_of(None) == ""
    assert spec_of("pixels") == "pixels"
    assert spec_of(str(encoder)) == f"encoder:path={encoder}"
    assert spec_of(f"encoder:path={encoder}") == f"encoder:path={encoder}"
    for unknown in ("pixel", "~nobody-there/f.bin"):  # For the registry to refuse.
        assert spec_of(unknown) == unknown
    assert spec_of(None, encoder) == f"inception:weights={encoder}"
    comma = encoder.rename(tmp_path / "a,b (1).bin")
    for spec in (spec_of(str(comma)), spec_of(None, comma)):
        assert list(FEATURES.options(spec).values()) == [str(comma)]
