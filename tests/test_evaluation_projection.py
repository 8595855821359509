"""Projection: latents of a generator whose inverse is known, and of runs."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from refusals import refused
from tiny_runs import (
    digits_run,
    gan,
    labelled_run,
    points_run,
    restoring_run,
    succeed,
    tokens_run,
)

from gancli.data import load
from gancli.data.dataset import DataRequest
from gancli.evaluation.generator import load_generator
from gancli.evaluation.projection import project, require_projection
from gancli.features import FEATURES
from gancli.tasks import Sampler
from gancli.tasks.latents import LatentSpace

_SIDE = 4
# The code of a label moves the image apart from those of other labels.
_OF_LABEL = np.float32([[-0.6], [0.0], [0.6]])


def linear(distribution="normal", continuous=0):
    """A generator of 4x4 images from two values of noise, a label of three and maybe a code."""
    rng = np.random.default_rng(0)
    moves = 0.1 * rng.normal(size=(2 + continuous, _SIDE**2)).astype(np.float32)

    def codes(key, label):
        of_code = jax.random.uniform(key, (continuous,), minval=-1.0)
        return jnp.concatenate([jax.nn.one_hot(label, 3), of_code])

    def generate(weights, latents):
        varied = jnp.concatenate([latents[:, :2], latents[:, 5:]], axis=1)
        image = latents[:, 2:5] @ jnp.asarray(_OF_LABEL) + varied @ jnp.asarray(moves)
        return image.reshape(-1, _SIDE, _SIDE, 1)

    space = LatentSpace(2, distribution, codes)
    sampler = Sampler(
        "generator", space.draw, generate, space, None, ("a", "b", "c"), continuous, False
    )
    generator = load_generator(labelled_run())
    return generator._replace(task=generator.task._replace(sampler=sampler))


def images_of(generator, latents):
    made = generator.task.sampler.generate(None, jnp.asarray(latents, jnp.float32))
    return np.asarray(jnp.round(127.5 * made + 127.5).clip(0, 255), np.uint8)


def test_the_latent_and_label_of_an_image_are_found():
    generator = linear(continuous=1)
    latents = np.float32([[0.3, -0.8, 0, 0, 1, 0.5], [-1.2, 0.4, 1, 0, 0, -0.2]])
    targets = images_of(generator, latents)
    found = project(generator, targets, starts=2, steps=200)
    assert found.found.kind == "latents"
    np.testing.assert_allclose(found.found.values, latents, atol=0.1)  # Pixels are whole numbers.
    np.testing.assert_array_equal(found.found.values[:, 2:5], latents[:, 2:5])
    assert (found.after < 0.1 * found.before).all()
    assert np.abs(found.images.astype(int) - targets).max() <= 1
    again = project(generator, targets, starts=2, steps=200)
    np.testing.assert_array_equal(found.found.values, again.found.values)


def test_a_given_label_is_kept_and_noise_stays_within_its_bounds():
    generator = linear("uniform")
    targets = images_of(generator, [[3.0, 0.2, 0, 1, 0]])
    found = project(generator, targets, labels=(1,), starts=1, steps=100)
    assert found.found.values[0, 0] == 1.0
    np.testing.assert_array_equal(found.found.values[0, 2:], [0, 1, 0])
    other = project(generator, targets, labels=(0,), starts=1, steps=100)
    np.testing.assert_array_equal(other.found.values[0, 2:], [1, 0, 0])
    assert other.after[0] > found.after[0]


def test_features_count_besides_pixels_and_need_a_gradient(tmp_path):
    generator, data = linear(), load("digits")
    targets = images_of(generator, [[0.3, -0.8, 0, 0, 1]])
    exported = jax.export.export(jax.jit(lambda images: images.mean((2, 3))))
    shape = jax.export.symbolic_shape("n,4,4,1")
    spec = data.spec._replace(shape=(4, 4, 1))

    def encoder(name, order):
        held = exported(jax.ShapeDtypeStruct(shape, jnp.float32)).serialize(vjp_order=order)
        (tmp_path / name).write_bytes(held)
        own = data._replace(spec=spec)
        return FEATURES.build(f"encoder:path={tmp_path / name}", own, DataRequest())

    found = project(generator, targets, encoder("with.bin", 1), starts=1, steps=100)
    alone = project(generator, targets, starts=1, steps=100)
    assert found.before[0] != alone.before[0]
    assert found.after[0] < 0.1 * found.before[0]
    with refused("'encoder'", "gradient", allowed=("pixels", "vjp_order=1")):
        require_projection(generator, encoder("without.bin", 0))


@pytest.mark.parametrize("run", [points_run, tokens_run, restoring_run])
def test_only_images_from_noise_are_projected(run):
    generator = load_generator(run())
    with refused("projection", generator.config.task, allowed="images from noise"):
        require_projection(generator)


def test_what_is_projected_is_sampled_again(tmp_path):
    """Images of other sizes and colours are fitted, as data are."""
    Image.new("RGB", (20, 12), (200, 30, 90)).save(tmp_path / "a.png")
    Image.new("L", (8, 8), 70).save(tmp_path / "b.png")
    out, again = tmp_path / "out", tmp_path / "again"
    result = succeed(
        f"project {tmp_path}/a.png {tmp_path}/b.png --ckpt {digits_run()} --features pixels "
        f"--steps 3 --starts 2 --out {out}"
    )
    lines = result.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines[:2]] == [f"{tmp_path}/{n}.png" for n in "ab"]
    assert lines[2:] == [
        str(out / name) for name in ("projection.png", "projection.npz", "manifest.json")
    ]
    succeed(f"sample {digits_run()} --latents {out}/projection.npz --format npz --out {again}")
    with np.load(out / "projection.npz") as found, np.load(again / "samples.npz") as sampled:
        for name in ("arr_0", "latents"):
            np.testing.assert_array_equal(found[name], sampled[name])
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["files"] == ["projection.npz", "projection.png"]
    distances = [(row["distance"], row["distance_before"]) for row in manifest["images"]]
    assert all(after <= before * 1.001 for after, before in distances)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("{}/none.png --ckpt {run}", ("none.png",)),
        ("{}/a.png --ckpt {run} --labels 3", ("--labels", "'3'")),
        ("{}/a.png --ckpt {run} --features none", ("'none'", "classifier")),
        ("{}/a.png --ckpt {run} --out {}", ("a.png", "--out")),
        ("--ckpt {run}", ("IMAGE",)),
    ],
)
def test_what_cannot_be_projected_is_refused(tmp_path, options, words):
    Image.new("L", (8, 8), 70).save(tmp_path / "a.png")
    before = sorted(tmp_path.iterdir())
    result = gan(
        "project", options.replace("{}", str(tmp_path)).replace("{run}", str(digits_run()))
    )
    assert result.exit_code == 2
    for word in words:
        assert word in result.output
    assert sorted(tmp_path.iterdir()) == before
