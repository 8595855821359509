"""Restored images: figures of another implementation, by hand, and of a real run."""

import numpy as np
import pytest
from refusals import refused
from tiny_runs import restoring_run, two_ways_run

from gancli.data import Dataset, DataSpec
from gancli.data.configured import load_data
from gancli.evaluation import METRICS, Evaluated, Question, evaluate
from gancli.evaluation.evaluator import choose_metrics
from gancli.evaluation.evidence import Drawn, Pairs
from gancli.evaluation.generator import load_generator
from gancli.evaluation.restoration import (
    chroma_error,
    peak_signal_to_noise,
    structural_similarity,
)


def noisy():
    """Grey and coloured images, and the same with noise."""
    random = np.random.RandomState(0)
    for channels in (1, 3):
        real = random.randint(0, 256, (16, 20, channels)).astype(np.uint8)
        noise = random.randint(-40, 41, real.shape)
        yield real[None], np.clip(real.astype(int) + noise, 0, 255).astype(np.uint8)[None]


def test_similarity_and_noise_equal_those_of_scikit_image():
    """scikit-image 0.26: gaussian_weights, sigma=1.5, use_sample_covariance=False."""
    grey, colour = noisy()
    assert structural_similarity(*grey) == pytest.approx([0.9488842288992526], rel=1e-9)
    assert structural_similarity(*colour) == pytest.approx([0.9612692530207266], rel=1e-9)
    assert peak_signal_to_noise(*grey) == pytest.approx([20.93743893875931], rel=1e-9)
    assert peak_signal_to_noise(*colour) == pytest.approx([21.20891878991329], rel=1e-9)


def test_equal_images():
    image = np.full((1, 12, 12, 1), 9, np.uint8)
    assert structural_similarity(image, image) == pytest.approx([1])
    # As if one of 144 values were one level off: 10 log10(255² 144).
    assert peak_signal_to_noise(image, image) == pytest.approx([69.7144], abs=1e-4)


def test_images_smaller_than_the_window_are_mirrored():
    image = np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1)
    assert structural_similarity(image, image) == pytest.approx([1])
    assert structural_similarity(image, 255 - image)[0] < 0


def test_chroma_does_not_see_lightness():
    """Of red, 255 (Cb -0.168736, Cr 0.5) is √(43.03² + 127.5²) = 134.57 levels from grey."""
    red = np.zeros((1, 1, 2, 3), np.uint8)
    red[..., 0] = 255
    grey = np.full((1, 1, 2, 3), 7, np.uint8)
    assert chroma_error(red, grey) == pytest.approx([134.56], abs=0.02)
    assert chroma_error(grey, 10 * grey) == pytest.approx([0], abs=1e-4)


def test_figures_stand_beside_those_of_plain_sources_and_the_mean_colour():
    real = np.zeros((2, 4, 4, 3), np.uint8)
    real[0, ..., 0], real[1, ..., 2] = 255, 255
    plain = np.full_like(real, 100)
    data = Dataset(DataSpec("x", "image", (4, 4, 3)), real, None, "0" * 64)
    drawn = Drawn(real, pairs=Pairs(plain, real))
    figures = METRICS.build("restoration").measure(Evaluated(drawn, data))
    assert figures["chroma_error"] == pytest.approx(0, abs=1e-4)
    # Red 134.56 and blue √(127.5² + 20.74²) = 129.17 from grey; the mean of both colours is
    # half their distance, √(170.53² + 148.24²) / 2, from each.
    assert figures["chroma_error_plain"] == pytest.approx((134.56 + 129.17) / 2, abs=0.02)
    assert figures["chroma_error_mean"] == pytest.approx(112.98, abs=0.05)
    assert figures["ssim"] == pytest.approx(1)
    assert figures["psnr"] > figures["psnr_plain"]


def test_a_run_is_measured_against_its_plain_sources():
    generator = load_generator(restoring_run())
    dataset = load_data(generator.config)
    asked = ("restoration", "labels")
    found = evaluate(generator, dataset, Question(asked, 150)).report
    plain = evaluate(generator, dataset, Question(asked, 150, plain=True)).report
    assert found["samples"] == 150
    assert found["metrics"]["restoration/psnr_plain"] == plain["metrics"]["restoration/psnr"]
    assert found["metrics"]["restoration/psnr"] != plain["metrics"]["restoration/psnr"]
    assert 0 <= found["metrics"]["labels/accuracy"] <= 1
    with refused("--samples 2000", "1797", allowed="1797"):
        evaluate(generator, dataset, Question(asked, 2000))
    with refused("--back", remedy=("--back", "--task cyclegan")):
        evaluate(generator, dataset, Question(asked, 150, back=True))


@pytest.mark.slow
def test_both_ways_between_two_sets_are_measured():
    generator = load_generator(two_ways_run())
    dataset = load_data(generator.config)
    names = list(choose_metrics(dataset, task=generator.task))
    assert "labels" in names
    assert "restoration" not in names
    forward, back = (
        evaluate(generator, dataset, Question(("frechet",), 150, back=way)).report["metrics"]
        for way in (False, True)
    )
    assert forward != back
    with refused("'restoration'", repr(dataset.spec.name), allowed="labels"):
        choose_metrics(dataset, ["restoration"], task=generator.task)
