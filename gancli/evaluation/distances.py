"""Distances between two sets of features: Fréchet, kernel and sliced Wasserstein.

Pure functions of arrays, independent of the source of the features. Only on Inception's features
is a distance called FID or KID.
"""

import math
from typing import NamedTuple

import numpy as np

from gancli.errors import UserError
from gancli.evaluation.moments import Moments, as_feature_pair, as_features

# Elements of a block of a matrix of pairs: 16 MiB for any number of examples.
_BLOCK_ELEMENTS = 1 << 21
# Subsets that a Fréchet distance is extrapolated from.
_SIZES = 15


# Fréchet


def frechet_distance(real: Moments, generated: Moments) -> float:
    """The Fréchet distance between the Gaussians of two sets of features.

    ‖μ₁ − μ₂‖² + Tr A + Tr B − 2 Tr (A^½ B A^½)^½, with the unbiased covariances A and B: the
    square of a metric, as the literature reports it.

    The trace uses the symmetric form, whose eigenvalues are real and not negative even for
    singular covariances. The square root of the asymmetric product A B would have imaginary parts,
    and fails if A B is singular, as it is with fewer examples than dimensions. The square roots of
    those eigenvalues are the singular values of Fᵀ G for any F Fᵀ = A and G Gᵀ = B, and are
    computed as such: the root of an eigenvalue of 0 with a rounding error of 1e-16 would add 1e-8
    for every missing dimension.

    The estimate is biased upwards by about c / n in the number of examples, with a c that depends
    on the generator, so only figures of equal numbers are comparable.

    Args:
        real: moments of real features, of at least 2 examples.
        generated: moments of generated features, of at least 2 examples.

    Returns:
        The distance, at least 0.

    Raises:
        UserError: if there are fewer than 2 examples.

    Source:
        arXiv:1706.08500, equation 6; Dowson and Landau, 1982.
    """
    left, right = real.covariance, generated.covariance
    product = _factor(left, real.examples).T @ _factor(right, generated.examples)
    common = np.linalg.svd(product, compute_uv=False).sum() if product.size else 0.0
    apart = real.mean - generated.mean
    distance = apart @ apart + np.trace(left) + np.trace(right) - 2 * common
    return max(0.0, float(distance))


def frechet_distance_at_infinity(real: Moments, generated: np.ndarray) -> float:
    """The Fréchet distance extrapolated to infinitely many generated examples.

    Fits a straight line in 1/n to the distances of random subsets of n generated examples, with 15
    evenly spaced n from a tenth of them to all, and returns its value at 1/n = 0. This removes
    the bias from the number of generated examples up to 1/n²; the bias from the real examples
    remains. The result may be below 0.

    Args:
        real: moments of real features.
        generated: (n, d) features.

    Raises:
        UserError: if there are too few examples to extrapolate from.

    Source:
        arXiv:1911.07023, section 4.
    """
    features = as_features(generated, "generated", least=2)
    count, dimensions = features.shape
    first = count // 10
    # Covariances of fewer examples than dimensions are singular, and the bias is not linear.
    least = max(2, dimensions + 1)
    if first < least:
        raise UserError(
            f"an extrapolation over sizes from {first} to {count} examples",
            f"sizes from {least} on, above the number of dimensions of the features",
            "Generate more examples",
        )
    draw = np.random.Generator(np.random.PCG64(0))
    sizes = np.linspace(first, count, _SIZES).round().astype(int)
    distances = [
        frechet_distance(real, Moments.of([features[draw.permutation(count)[:size]]]))
        for size in sizes
    ]
    _, intercept = np.polyfit(1 / sizes, distances, 1)
    return float(intercept)


def _factor(covariance: np.ndarray, examples: int) -> np.ndarray:
    """F, (d, rank), with F Fᵀ the covariance; variances at the level of rounding count as 0.

    Where there are few examples for the dimensions, a Cholesky factor with pivots ends at the
    rank, after d·rank² operations instead of some 10 d³.
    """
    if 2 * examples < len(covariance):
        from scipy.linalg.lapack import dpstrf  # pyright: ignore[reportAttributeAccessIssue]

        lower, pivots, rank, _ = dpstrf(covariance, lower=1)
        factor = np.empty((len(covariance), rank))
        factor[pivots - 1] = np.tril(lower[:, :rank])
        return factor
    values, vectors = np.linalg.eigh(covariance)
    kept = values > len(values) * np.finfo(np.float64).eps * values[-1]
    return vectors[:, kept] * np.sqrt(values[kept])


# Kernel


class KernelDistance(NamedTuple):
    """Unbiased estimates of a squared maximum mean discrepancy and of its variance.

    `variance` is the variance of the estimate over samples of these sizes; nan with fewer than 4
    examples on a side. As unbiased estimates, both may be below 0.
    """

    distance: float
    variance: float

    @property
    def standard_error(self) -> float:
        """The square root of the variance; 0 if the estimate of the variance is below 0."""
        return math.nan if math.isnan(self.variance) else math.sqrt(max(0.0, self.variance))


def kernel_distance(real: np.ndarray, generated: np.ndarray) -> KernelDistance:
    """The unbiased estimate of MMD² with the polynomial kernel k(x, y) = (x·y / d + 1)³.

    mean of k(x, x') over pairs x ≠ x' + the same of y − 2 mean of k(x, y), over all examples.
    The variance of this estimate T of θ is E T² − θ². T² is unbiased for E T², and the mean
    product of two estimates that share no example is unbiased for θ².

    Args:
        real: (n, d) features x, at least 2.
        generated: (m, d) features y, at least 2.

    Returns:
        The distance, whose mean is 0 for equal distributions, and its variance.

    Raises:
        UserError: if there are fewer than 2 examples.

    Source:
        arXiv:1801.01401, section 4 (KID); arXiv:1906.02104 (unbiased variances).
    """
    real, generated = as_feature_pair(real, generated, least=2)
    n, m = len(real), len(generated)
    # Subtracting any f from the kernel, k(x, y) - f(x) - f(y), cancels in both estimates. The
    # remainder is small, so that differences of its squares keep their precision.
    centre = (real.sum(axis=0) + generated.sum(axis=0)) / (n + m)
    xx = _kernel_sums(real, real, centre, same=True)
    yy = _kernel_sums(generated, generated, centre, same=True)
    xy = _kernel_sums(real, generated, centre, same=False)
    a, b, c = xx.total / (n * (n - 1)), yy.total / (m * (m - 1)), xy.total / (n * m)
    distance = a + b - 2 * c
    if min(n, m) < 4:
        return KernelDistance(distance, math.nan)
    # Means over distinct examples: four of one side in a², two of each in c², three and one in ac.
    aa = _disjoint_pairs(xx, n)
    bb = _disjoint_pairs(yy, m)
    cc = xy.total**2 - xy.rows @ xy.rows - xy.columns @ xy.columns + xy.squares
    cc /= n * (n - 1) * m * (m - 1)
    ac = (xx.total * xy.total - 2 * (xx.rows @ xy.rows)) / (n * (n - 1) * (n - 2) * m)
    bc = (yy.total * xy.total - 2 * (yy.rows @ xy.columns)) / (m * (m - 1) * (m - 2) * n)
    squared = aa + bb + 4 * cc + 2 * a * b - 4 * ac - 4 * bc
    return KernelDistance(distance, float(distance**2 - squared))


def kernel_distance_of_subsets(
    real: np.ndarray,
    generated: np.ndarray,
    subsets: int,
    size: int,
    seed: int = 0,
) -> tuple[float, float]:
    """The kernel distance as it is usually reported: over random subsets of both sides.

    The mean is unbiased like `kernel_distance`, but noisier. The deviation (divided by `subsets`,
    not by one less, as published) is that between overlapping subsets of `size`. It describes
    subsets, and is not a standard error of the mean.

    Args:
        real: (n, d) features.
        generated: (m, d) features.
        subsets: number of subsets, at least 1.
        size: examples per subset, drawn without replacement; at least 2, at most n and m.
        seed: random seed of the subsets.

    Returns:
        Mean and standard deviation over the subsets.

    Raises:
        UserError: if there are fewer than 2 examples.

    Source:
        arXiv:1801.01401, section 4.
    """
    real, generated = as_feature_pair(real, generated, least=2)
    draw = np.random.Generator(np.random.PCG64(seed))
    distances = []
    for _ in range(subsets):
        rows = draw.choice(len(real), size, replace=False)
        columns = draw.choice(len(generated), size, replace=False)
        distances.append(kernel_distance(real[rows], generated[columns]).distance)
    return float(np.mean(distances)), float(np.std(distances))


class _KernelSums(NamedTuple):
    """Sums of a matrix of kernel values, without its diagonal if both sides are the same."""

    rows: np.ndarray
    columns: np.ndarray
    total: float
    squares: float


def _kernel_sums(x: np.ndarray, y: np.ndarray, centre: np.ndarray, same: bool) -> _KernelSums:
    """Sums of k(x, y) − k(x, c) − k(c, y) + k(c, c), by blocks of rows."""
    rows, columns, squares = np.zeros(len(x)), np.zeros(len(y)), 0.0
    scale = 1 / x.shape[1]
    to_centre = _kernel(y @ centre * scale)
    middle = _kernel(centre @ centre * scale)
    height = max(1, _BLOCK_ELEMENTS // len(y))
    for start in range(0, len(x), height):
        block = x[start : start + height]
        kernel = _kernel(block @ y.T * scale)
        kernel -= _kernel(block @ centre * scale)[:, None] - middle
        kernel -= to_centre
        if same:
            own = np.arange(len(block))
            kernel[own, start + own] = 0
        rows[start : start + height] = kernel.sum(axis=1)
        columns += kernel.sum(axis=0)
        squares += float(np.vdot(kernel, kernel))
    return _KernelSums(rows, columns, float(rows.sum()), squares)


def _kernel(products: np.ndarray) -> np.ndarray:
    """(t + 1)³, where t is an inner product over the number of dimensions."""
    base = products + 1
    return base * base * base


def _disjoint_pairs(sums: _KernelSums, count: int) -> float:
    """The mean of k(x₁, x₂) k(x₃, x₄) over four distinct examples."""
    total = sums.total**2 - 4 * (sums.rows @ sums.rows) + 2 * sums.squares
    return float(total) / (count * (count - 1) * (count - 2) * (count - 3))


# Sliced Wasserstein


def sliced_wasserstein_distance(
    real: np.ndarray,
    generated: np.ndarray,
    order: int = 2,
    projections: int = 256,
) -> float:
    """The sliced Wasserstein distance of order p: (mean over directions of W_p^p)^(1/p).

    Features are projected on random directions of the unit sphere. On a line, W_p^p is the mean
    p-th power of the difference of the two quantile functions, which is exact for any numbers of
    examples. With order 1 this is the figure of arXiv:1710.10196 on these features.
    The relative error from the choice of directions is below 1 / √projections.

    Args:
        real: (n, d) features.
        generated: (m, d) features.
        order: p, 1 or 2.
        projections: number of directions, at least 1.

    Returns:
        The distance, in units of the features.

    Source:
        Rabin, Peyré, Delon and Bernot, 2011, "Wasserstein barycenter and its application to
        texture mixing"; arXiv:1710.10196, section 5.
    """
    real, generated = as_feature_pair(real, generated)
    draw = np.random.Generator(np.random.PCG64(0))
    n, m = len(real), len(generated)
    # Quantile functions step at i/n and j/m, which are whole numbers in units of 1/(n m).
    steps = np.union1d(np.arange(n + 1) * m, np.arange(m + 1) * n)
    starts, widths = steps[:-1], np.diff(steps) / (n * m)
    total = 0.0
    for _ in range(projections):
        direction = draw.standard_normal(real.shape[1])
        direction /= np.linalg.norm(direction)
        left, right = np.sort(real @ direction), np.sort(generated @ direction)
        apart = np.abs(left[starts // m] - right[starts // n])
        total += float(widths @ (apart if order == 1 else apart * apart))
    mean = total / projections
    return mean if order == 1 else math.sqrt(mean)
