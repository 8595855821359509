"""The latents that examples are generated from: drawn by seed, truncated, or given in a file."""

import io
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gancli.adversarial.dynamics import Weights
from gancli.errors import UserError, excerpt, shown
from gancli.evaluation.generator import Generator, sampler_of
from gancli.files import may_expand, open_regular
from gancli.tasks import Sampler

Labels = Sequence[int] | np.ndarray
Noise = Literal["constant", "random", "none"]

# Latents whose mean w is the centre of truncation, for each label; their seed is 0.
_MEAN_OF = 4096
# Beyond it a truncated normal distribution is the normal one in float32.
_LARGEST_THRESHOLD = 5.0
_MOST_BYTES = 1 << 32


# Latents as a generator takes them, or the w that its mapping network makes of them.
Kind = Literal["latents", "styles"]


class Given(NamedTuple):
    """Latents that are given, (n, values) float32."""

    kind: Kind
    values: np.ndarray


class Draw(NamedTuple):
    """Which latents examples are generated from.

    Example i depends only on (seed, i) and its label; `labels` cycle, and are all if empty. With
    `truncation`, latents are drawn nearer to the mean: in w, w̄ + ψ (w - w̄), if the generator has
    styles (arXiv:1812.04948), else by a normal distribution that is truncated at ±ψ
    (arXiv:1809.11096). `given` latents replace those of seed and labels. `noise` is that of a
    generator with styles; None for its default.
    """

    seed: int = 0
    labels: Labels = ()
    truncation: float | None = None
    given: Given | None = None
    noise: Noise | None = None

    @property
    def has_labels(self) -> bool:
        """Whether the labels of its latents are known."""
        return self.given is None or self.given.kind == "latents"


class Origin(NamedTuple):
    """What some examples are generated from: latents (n, values), and w (n, size) if it is set."""

    latents: jax.Array
    styles: jax.Array | None = None

    @property
    def given(self) -> Given:
        """What gives the same examples back."""
        if self.styles is not None:
            return Given("styles", np.asarray(self.styles))
        return Given("latents", np.asarray(self.latents))


def kind_of(sampler: Sampler, draw: Draw) -> Kind:
    """The kind of latents that gives examples back."""
    if draw.given is not None:
        return draw.given.kind
    truncated = sampler.styles is not None and draw.truncation is not None
    return "styles" if truncated else "latents"


def check_draw(generator: Generator, draw: Draw) -> None:
    """Refuses latents that a generator does not have.

    Raises:
        UserError: if a label is unknown, the truncation is out of range or does not fit, or the
            noise of a generator without styles is chosen.
    """
    sampler = sampler_of(generator.task)
    for label in draw.labels:
        if not sampler.classes:
            raise without_labels("labels", label)
        if label not in range(len(sampler.classes)):
            raise UserError(
                f"label {shown(label)} with a generator of {len(sampler.classes)} labels",
                f"whole numbers from 0 to {len(sampler.classes) - 1}",
            )
    if draw.noise is not None and sampler.styles is None:
        raise UserError(
            f"noise {shown(draw.noise)} with model {shown(generator.config.model)}",
            "a generator with noise in its layers, of model stylegan2",
            "Leave out --noise",
        )
    if draw.truncation is not None:
        _check_truncation(generator, sampler, draw.truncation)


def _check_truncation(generator: Generator, sampler: Sampler, truncation: float) -> None:
    what = f"truncation {shown(truncation)}"
    if sampler.styles is not None:
        if not 0 <= truncation <= 1:
            raise UserError(
                f"{what} of the styles of model {shown(generator.config.model)}", "0 to 1"
            )
        return
    if sampler.space is None or sampler.space.distribution != "normal":
        raise UserError(
            f"{what} with task {shown(generator.config.task)}, whose latents have no normal "
            "distribution",
            "a generator of images or points with latents of distribution=normal",
            "Leave out --truncation",
        )
    if not 0 < truncation <= _LARGEST_THRESHOLD:
        raise UserError(
            what,
            f"the largest value of a latent, above 0 and up to {_LARGEST_THRESHOLD:g} standard "
            "deviations",
        )


def origins(sampler: Sampler, weights: Weights, draw: Draw) -> Callable[[np.ndarray], Origin]:
    """The function from indices of examples (n,) to what they are generated from.

    Args:
        sampler: the sampler of a task.
        weights: weights of its player.
        draw: the latents, which fit the sampler (see `check_draw`).

    Returns:
        The function; beyond the number of given latents it repeats the last one.
    """
    key, latents_of = jax.random.key(draw.seed), jax.jit(sampler.latents)

    def drawn(indices: np.ndarray) -> jax.Array:
        return latents_of(key, indices, sampler.labels(indices, draw.labels))

    if (given := draw.given) is not None:

        def of_given(indices: np.ndarray) -> Origin:
            values = jnp.asarray(given.values[np.minimum(indices, len(given.values) - 1)])
            if given.kind == "latents":
                return Origin(values)
            return Origin(drawn(indices), values)

        return of_given
    placed = truncation(sampler, weights, draw)
    return lambda indices: placed(drawn(indices), sampler.labels(indices, draw.labels))


def styled(sampler: Sampler, weights: Weights, origin: Origin) -> Origin:
    """Latents with their w, if the generator has styles."""
    if sampler.styles is None or origin.styles is not None:
        return origin
    of = jax.jit(sampler.styles.of)
    return origin._replace(styles=of(weights.params, weights.stats, origin.latents))


def truncation(
    sampler: Sampler, weights: Weights, draw: Draw
) -> Callable[[jax.Array, np.ndarray], Origin]:
    """The function from latents (n, values) and labels (n,) to their truncated origins."""
    psi, space, styles = draw.truncation, sampler.space, sampler.styles
    if psi is None:
        return lambda latents, labels: Origin(latents)
    if styles is None:
        assert space is not None
        truncate = jax.jit(space.truncate)
        return lambda latents, labels: Origin(truncate(latents, psi))
    means, of = mean_styles(sampler, weights, draw.labels), jax.jit(styles.of)

    def truncated(latents: jax.Array, labels: np.ndarray) -> Origin:
        mean = means[labels]
        own = of(weights.params, weights.stats, latents)
        return Origin(latents, mean + np.float32(psi) * (own - mean))

    return truncated


def mean_styles(sampler: Sampler, weights: Weights, labels: Labels = ()) -> jax.Array:
    """The mean w of each label, over 4,096 latents.

    Args:
        sampler: one of a generator with styles.
        weights: weights of its player.
        labels: labels that are needed; empty for all.

    Returns:
        (labels, size), zeros for labels that are not needed; (1, size) without labels.
    """
    styles = sampler.styles
    assert styles is not None
    indices = np.arange(_MEAN_OF)

    @jax.jit
    def mean(weights: Weights, label: jax.Array) -> jax.Array:
        latents = sampler.latents(jax.random.key(0), indices, jnp.full(_MEAN_OF, label))
        return styles.of(weights.params, weights.stats, latents).mean(axis=0)

    count = max(1, len(sampler.classes))
    means = np.zeros((count, styles.size), np.float32)
    for label in sorted(set(labels)) or range(count):
        means[label] = mean(weights, label)
    return jnp.asarray(means)


def labels_of(sampler: Sampler, draw: Draw, indices: np.ndarray) -> np.ndarray:
    """The labels of the examples with these indices, (n,) int32; see `Draw.has_labels`."""
    if draw.given is None:
        return sampler.labels(indices, draw.labels)
    assert sampler.space is not None
    first = sampler.space.noise
    codes = draw.given.values[indices, first : first + len(sampler.classes)]
    return codes.argmax(axis=1).astype(np.int32)


def names_of_labels(sampler: Sampler, draw: Draw, indices: np.ndarray) -> list[str]:
    """The names of the labels of these examples; empty if there are no labels."""
    if not sampler.classes or not draw.has_labels:
        return []
    return [sampler.classes[label] for label in labels_of(sampler, draw, indices)]


def latent_blocks(
    sampler: Sampler, weights: Weights, draw: Draw, count: int, block: int
) -> Iterator[np.ndarray]:
    """Yields what gives examples back, `block` examples at a time, (n, values) float32."""
    origin = origins(sampler, weights, draw)
    for start in range(0, count, block):
        yield origin(np.arange(start, start + block)).given.values[: count - start]


def read_latents(generator: Generator, path: Path) -> Given:
    """Reads latents for a generator from a file.

    Args:
        generator: the generator.
        path: an .npz with an array `latents` or `styles`, as `gan sample` and `gan project` write
            it; or an .npy of latents.

    Returns:
        The latents.

    Raises:
        UserError: if the file cannot be read, or its latents do not fit the generator.
    """
    sampler, name = sampler_of(generator.task), shown(str(path))
    if sampler.space is None:
        raise UserError(
            f"--latents {name} with task {shown(generator.config.task)}, whose latents are keys",
            "a generator of images or points",
            "Leave out --latents",
        )
    one = np.zeros(1, np.int32)
    widths: dict[Kind, int] = {}
    widths["latents"] = jax.eval_shape(sampler.latents, jax.random.key(0), one, one).shape[1]
    if sampler.styles is not None:
        widths["styles"] = sampler.styles.size
    allowed = "an .npz with " + " or ".join(
        f"`{kind}` of shape (n, {width})" for kind, width in widths.items()
    )
    allowed += ", or an .npy of the first kind, finite numbers"
    try:
        with open_regular(path) as file:
            kind, values = _array(file, widths)
    except Exception as error:
        # zipfile, zlib and NumPy's header parser raise nearly anything for damaged bytes.
        raise UserError(f"--latents {name}: {excerpt(error)}", allowed) from None
    shape = values.shape
    if len(shape) != 2 or shape[0] < 1 or shape[1] != widths[kind] or values.dtype.kind != "f":
        raise UserError(
            f"--latents {name} holds `{kind}` of shape {shape} and type {values.dtype}", allowed
        )
    values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise UserError(f"--latents {name} holds numbers that are not finite", allowed)
    return Given(kind, values)


def _array(file: io.BufferedReader, kinds: Mapping[Kind, int]) -> tuple[Kind, np.ndarray]:
    """The array of latents in a file, and its kind."""
    if not zipfile.is_zipfile(file):
        file.seek(0)
        return "latents", np.load(io.BytesIO(file.read(_MOST_BYTES)), allow_pickle=False)
    with zipfile.ZipFile(file) as archive:
        kind: Kind | None = next((one for one in kinds if f"{one}.npy" in archive.namelist()), None)
        if kind is None:
            raise ValueError(f"it holds {', '.join(archive.namelist()[:10]) or '0 arrays'}")
        info = archive.getinfo(f"{kind}.npy")
        if not may_expand(info.compress_size, info.file_size):
            raise ValueError(f"`{kind}` declares {info.file_size:,} bytes")
        return kind, np.load(io.BytesIO(archive.read(info)), allow_pickle=False)


def without_labels(name: str, given: object) -> UserError:
    """The error for labels where there are none."""
    return UserError(
        f"{name} {shown(given)} with a generator that takes no labels",
        "a generator that was trained with --task conditional or infogan",
        f"Leave out {name}",
    )
