"""Similarity of restored images to their originals."""

from collections.abc import Callable, Iterator

import numpy as np

from gancli.data.dataset import fixed_order
from gancli.evaluation.evidence import Evaluated
from gancli.evaluation.intervals import Interval
from gancli.evaluation.metric import METRICS, Figures, Metric

_BLOCK = 512
_MOST_FOR_MEAN = 1000

# Window of structural similarity in pixels, and the constants that stabilize its quotients.
_WINDOW_DEVIATION, _WINDOW_RADIUS = 1.5, 5
_LUMINANCE_CONSTANT, _CONTRAST_CONSTANT = (0.01 * 255) ** 2, (0.03 * 255) ** 2

# Weights of red, green and blue in Cb and Cr (ITU-R BT.601).
_CHROMA = np.array(
    [[-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32
).T  # fmt: skip


@METRICS.register("restoration", reference="doi:10.1109/TIP.2003.819861 (SSIM)")
def restoration() -> Metric:
    """Similarity of restored images to the originals, by pixel and in structure.

    Returns:
        The metric, with the figures `psnr` (the mean over the images of 10 log10(255² / mean
        squared error), in dB), `ssim` (structural similarity, 1 for equal images) and, for colour
        images, `chroma_error` (the mean distance of Cb and Cr, in levels of 0 to 255).
        `FIGURE_plain` is the same figure of the untranslated sources, and `chroma_error_mean` that
        of the training data's mean colour.
    """

    def measure(evaluated: Evaluated) -> Figures:
        assert evaluated.pairs is not None
        assert evaluated.pairs.real is not None
        made, plain, real = evaluated.generated, evaluated.pairs.plain, evaluated.pairs.real
        figures: Figures = {}
        for suffix, images in {"": made, "_plain": plain}.items():
            figures[f"psnr{suffix}"] = _mean(evaluated, peak_signal_to_noise, images, real)
            figures[f"ssim{suffix}"] = _mean(evaluated, structural_similarity, images, real)
            if real.shape[-1] == 3:
                figures[f"chroma_error{suffix}"] = _mean(evaluated, chroma_error, images, real)
        if real.shape[-1] == 3:
            examples = evaluated.data.examples
            rows = np.sort(fixed_order(len(examples))[:_MOST_FOR_MEAN])
            colour = examples[rows].mean(axis=(0, 1, 2))
            everywhere = np.broadcast_to(colour, real.shape)
            figures["chroma_error_mean"] = _mean(evaluated, chroma_error, everywhere, real)
        return figures

    return Metric(
        lambda subject: subject.restores,
        measure,
        {"psnr": "higher", "ssim": "higher", "chroma_error": "lower"},
    )


def peak_signal_to_noise(images: np.ndarray, real: np.ndarray) -> np.ndarray:
    """10 log10(255² / mean squared error) of each image.

    Args:
        images: (n, height, width, channels), levels of 0 to 255.
        real: the same.

    Returns:
        (n,) in dB; equal images get the figure of one value that is off by one level.
    """
    errors = (images.astype(np.float64) - real) ** 2
    mean = errors.reshape(len(errors), -1).mean(axis=1)
    return 10 * np.log10(255**2 / np.maximum(mean, 1 / errors[0].size))


def structural_similarity(images: np.ndarray, real: np.ndarray) -> np.ndarray:
    """The mean structural similarity of each image.

    (2 μx μy + C1)(2 σxy + C2) / ((μx² + μy² + C1)(σx² + σy² + C2)) in a Gaussian window of 11
    pixels and deviation 1.5, for each channel at each pixel where the window fits.

    Args:
        images: (n, height, width, channels), levels of 0 to 255; mirrored at the edges if a side
            is shorter than the window.
        real: the same.

    Returns:
        (n,) at most 1.
    """
    from scipy.ndimage import gaussian_filter

    def windowed(values: np.ndarray) -> np.ndarray:
        found = gaussian_filter(
            values, _WINDOW_DEVIATION, axes=(1, 2), radius=_WINDOW_RADIUS, mode="reflect"
        )
        fits = [side > 2 * _WINDOW_RADIUS for side in values.shape[1:3]]
        rows, columns = (slice(_WINDOW_RADIUS, -_WINDOW_RADIUS) if f else slice(None) for f in fits)
        return found[:, rows, columns]

    x, y = images.astype(np.float64), real.astype(np.float64)
    mean_x, mean_y = windowed(x), windowed(y)
    variances = windowed(x * x) - mean_x**2 + windowed(y * y) - mean_y**2
    covariance = windowed(x * y) - mean_x * mean_y
    similarity = (2 * mean_x * mean_y + _LUMINANCE_CONSTANT) * (2 * covariance + _CONTRAST_CONSTANT)
    similarity /= (mean_x**2 + mean_y**2 + _LUMINANCE_CONSTANT) * (variances + _CONTRAST_CONSTANT)
    return similarity.reshape(len(similarity), -1).mean(axis=1)


def chroma_error(images: np.ndarray, real: np.ndarray) -> np.ndarray:
    """The mean distance √(ΔCb² + ΔCr²) over the pixels of each image.

    Args:
        images: (n, height, width, 3), levels of 0 to 255.
        real: the same.

    Returns:
        (n,) in levels.
    """
    difference = (images.astype(np.float32) - real) @ _CHROMA
    return np.sqrt((difference**2).sum(axis=-1)).reshape(len(difference), -1).mean(axis=1)


def _mean(
    evaluated: Evaluated,
    of_images: Callable[[np.ndarray, np.ndarray], np.ndarray],
    images: np.ndarray,
    real: np.ndarray,
) -> float | Interval:
    """The mean over all images, with its interval if intervals are wanted."""

    def blocks() -> Iterator[np.ndarray]:
        for start in range(0, len(real), _BLOCK):
            rows = slice(start, start + _BLOCK)
            yield of_images(images[rows], real[rows])

    return evaluated.figure(np.mean, np.concatenate(list(blocks())))
