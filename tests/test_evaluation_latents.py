"""Latents: given back bit for bit, truncated in z and in w, and files that hold none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from refusals import refused
from scipy.stats import norm, truncnorm
from test_tasks import config
from tiny_runs import coded_run, digits_run, gan, labelled_run, points_run, succeed, tokens_run

from gancli.data.dataset import DataSpec
from gancli.evaluation.generator import load_generator
from gancli.evaluation.latents import Draw, Given, check_draw, mean_styles, origins, read_latents
from gancli.evaluation.sampling import sample_weights
from gancli.tasks.latents import LatentSpace
from gancli.tasks.program import build_task

SPEC = DataSpec("x", "image", (8, 8, 1), ("zero", "one"))
STYLED = {"model": "stylegan2:width=2,style=3,mapping=2", "loss": "minimax"}


@pytest.fixture(scope="module")
def styled():
    """A conditional StyleGAN2 generator that was not trained: its task and weights."""
    task = build_task(config("image", task="conditional:latent=4", **STYLED), SPEC)
    return task, task.initialize(jax.random.key(0))["generator"]


@pytest.mark.parametrize(
    "run",
    [
        labelled_run,
        pytest.param(points_run, marks=pytest.mark.slow),
        pytest.param(coded_run, marks=pytest.mark.slow),
    ],
)
def test_given_latents_are_the_same_examples_bit_for_bit(tmp_path, run):
    first, again = tmp_path / "first", tmp_path / "again"
    succeed(f"sample {run()} --count 40 --seed 5 --format npz --truncation 0.7 --out {first}")
    succeed(f"sample {run()} --format npz --latents {first}/samples.npz --out {again}")
    with np.load(first / "samples.npz") as held, np.load(again / "samples.npz") as given:
        assert held.files == given.files
        for name in held.files:
            np.testing.assert_array_equal(held[name], given[name])
        assert held["latents"].dtype == np.float32
        np.save(tmp_path / "few.npy", held["latents"][:3].astype(np.float64))
        few = read_latents(load_generator(run()), tmp_path / "few.npy")
        np.testing.assert_array_equal(few.values, held["latents"][:3])
        assert np.abs(held["latents"][:, :2]).max() <= 0.7


@pytest.mark.parametrize("threshold", [0.3, 1.0, 5.0])
def test_truncated_noise_has_the_truncated_normal_distribution(threshold):
    """By the quantiles of SciPy: the same share of both distributions lies below."""
    z = np.linspace(-3, 3, 13, dtype=np.float32)[:, None]
    latents = np.concatenate([z, np.full_like(z, 7)], axis=1)
    made = LatentSpace(1, "normal").truncate(jnp.asarray(latents), threshold)
    expected = truncnorm.ppf(norm.cdf(z.astype(np.float64)), -threshold, threshold)
    np.testing.assert_allclose(made[:, :1], expected, atol=2e-4)
    assert (made[:, 1] == 7).all()  # A code.


@pytest.mark.slow
def test_styles_are_truncated_towards_the_mean_of_their_label(styled):
    task, weights = styled
    sampler, indices = task.sampler, np.arange(6)
    means = np.asarray(mean_styles(sampler, weights))
    latents = sampler.latents(jax.random.key(0), np.arange(4096), np.ones(4096, np.int32))
    own = sampler.styles.of(weights.params, weights.stats, latents)
    np.testing.assert_allclose(means[1], np.asarray(own, np.float64).mean(axis=0), atol=1e-5)

    def styles(psi):
        return np.asarray(origins(sampler, weights, Draw(3, truncation=psi))(indices).styles)

    np.testing.assert_allclose(styles(0.0), means[indices % 2], atol=1e-6)
    half = 0.5 * (styles(0.0) + styles(1.0))
    np.testing.assert_allclose(styles(0.5), half, atol=1e-6)
    images = [next(sample_weights(task, weights, Draw(3, truncation=psi), 4)) for psi in (None, 1)]
    assert np.abs(images[0].astype(int) - images[1]).max() <= 1
    given = Given("styles", styles(0.5))
    made = [
        next(sample_weights(task, weights, draw, 4))
        for draw in (Draw(3, truncation=0.5), Draw(3, given=given))
    ]
    np.testing.assert_array_equal(*made)


def test_what_does_not_fit_the_latents_is_refused():
    digits, tokens = load_generator(digits_run()), load_generator(tokens_run())
    with refused("truncation 6.0", allowed="5"):
        check_draw(digits, Draw(truncation=6.0))
    with refused("truncation 0.5", "'gumbel:pretrain=3'", allowed="normal", remedy="--truncation"):
        check_draw(tokens, Draw(truncation=0.5))
    with refused("'none'", "'dcgan:width=4'", allowed="stylegan2", remedy="--noise"):
        check_draw(digits, Draw(noise="none"))


FILES = {
    "nothing.npz": (None, "No such file"),
    "others.npz": ({"arr_0": np.zeros((2, 64), np.float32)}, "arr_0"),
    "narrow.npz": ({"latents": np.zeros((2, 63), np.float32)}, "(2, 63)"),
    "whole.npz": ({"latents": np.zeros((2, 64), np.int32)}, "int32"),
    "none.npz": ({"latents": np.zeros((0, 64), np.float32)}, "(0, 64)"),
    "infinite.npz": ({"latents": np.full((2, 64), np.inf, np.float32)}, "finite"),
    "styles.npz": ({"styles": np.zeros((2, 64), np.float32)}, "styles"),
    "objects.npy": (np.array([None]), "Object arrays"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_without_latents_of_the_generator_is_refused(tmp_path, name):
    held, said = FILES[name]
    if isinstance(held, dict):
        np.savez(tmp_path / name, **held)
    elif held is not None:
        np.save(tmp_path / name, held)
    with refused("--latents", name, said, allowed=("`latents`", "(n, 64)")):
        read_latents(load_generator(digits_run()), tmp_path / name)


@pytest.mark.parametrize("option", ["--seed 1", "--count 3", "--truncation 0.5", "--traverse"])
def test_given_latents_go_with_no_choice_of_others(tmp_path, option):
    np.save(tmp_path / "z.npy", np.zeros((2, 14), np.float32))
    result = gan(f"sample {labelled_run()} --latents {tmp_path}/z.npy --out {tmp_path}/out", option)
    assert result.exit_code == 2
    assert option.split()[0] in result.output
    assert not (tmp_path / "out").exists()
