"""Sampling from a trained generator."""

import csv
from collections.abc import Iterator

import jax
import numpy as np

from gancli.adversarial.dynamics import Weights
from gancli.data.transform import to_stored
from gancli.errors import UserError, shown, unknown_name
from gancli.evaluation.generator import Generator, sampler_of
from gancli.evaluation.latents import Draw, Noise, Origin, check_draw, origins, without_labels
from gancli.system.progress import reported
from gancli.tasks import Sampler, Task

# Every example is generated in a block of this size, at a fixed position in it, so that it does
# not depend on the number of examples.
BLOCK = 256
# On CPU it is generated in parts of this size: the system takes as long to hand over memory for
# a whole block as its computation takes.
_PART = 32

_MOST_NAMED = 20

_QUOTED = """Write a name with a comma in double quotes: --labels '"red, round",blue'"""


def sample(generator: Generator, draw: Draw, count: int) -> Iterator[np.ndarray]:
    """Generates examples block by block; example i depends only on its latent.

    Args:
        generator: the generator.
        draw: the latents.
        count: number of examples, at most that of given latents.

    Returns:
        Blocks of examples, images as uint8 (n, height, width, channels), points as float32, tokens
        as int32.

    Raises:
        UserError: if the count is not positive, the latents do not fit the generator, or it is an
            image-to-image model.
    """
    if count < 1:
        raise UserError(f"count was {shown(count)}", "a whole number of examples, 1 or more")
    check_draw(generator, draw)
    return sample_weights(generator.task, generator.weights, draw, count)


def sample_weights(task: Task, weights: Weights, draw: Draw, count: int) -> Iterator[np.ndarray]:
    """Like `sample`, with weights that need not come from a checkpoint.

    Args:
        task: task of the weights.
        weights: weights of the player that samples.
        draw: the latents, which fit the task.
        count: number of examples.

    Yields:
        Blocks of examples, as in `sample`.
    """
    sampler = sampler_of(task)
    origin = origins(sampler, weights, draw)

    # Latents come from outside, so that given ones are the input of the same program.
    @jax.jit
    def make(weights: Weights, origin: Origin) -> jax.Array:
        def part(origin: Origin) -> jax.Array:
            return generate(sampler, weights, origin, draw.noise)

        if jax.default_backend() != "cpu":
            return part(origin)
        parts = jax.tree.map(lambda values: values.reshape(-1, _PART, values.shape[1]), origin)
        return jax.lax.collapse(jax.lax.map(part, parts), 0, 2)

    for start in reported("generating samples", range(0, count, BLOCK)):
        block = np.asarray(make(weights, origin(np.arange(start, start + BLOCK))))
        yield to_stored(block[: count - start])


<<<<<<< HEAD
def generate(
    sampler: Sampler, weights: Weights, origin: Origin, noise: Noise | None = None
) -> jax.Array:
    """Examples (n, *shape) of latents, images in [-1, 1]; with `noise` if it is not None."""
    if sampler.styles is None:
        return sampler.generate(weights, origin.latents)
    return sampler.generate(weights, origin.latents, styles=origin.styles, noise=noise)
=======
def translate(
    translator: Translator, weights: Weights, examples: np.ndarray, plain: bool = False
) -> Iterator[np.ndarray]:
    """Translates the sources of some examples of the data, block by block.

    Args:
        translator: the translator.
        weights: weights of its player.
        examples: (n, height, width, channels) uint8, as in the data set.
        plain: whether to return the untranslated sources, as a baseline.

    Yields:
        Blocks of images, (n, height, width, channels) uint8.
    """

    @jax.jit
    def make(weights: Weights, examples: jax.Array) -> jax.Array:
        sources = translator.source(from_stored(examples))
        return translator.plain(sources) if plain else translator.translate(weights, sources)

    for start in reported("translating images", range(0, len(examples), _BLOCK)):
        yield to_stored(np.asarray(make(weights, examples[start : start + _BLOCK])))


def translated_images(
    generator: Generator, folder: Path, files: Sequence[Path], back: bool = False
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """What becomes of the images in a folder, each of its own size.

    Args:
        generator: of images of images.
        folder: their folder.
        files: the images in it.
        back: whether to go from the second of two data sets to the first.

    Yields:
        Of each file the image in its own colours, in the size of what is made of it, and that,
        both (height, width, channels) uint8, grey or RGB.

    Raises:
        UserError: if the generator makes examples from noise, or an image cannot be read or is
            too large.
    """
    task = generator.task.turned() if back else generator.task
    translator = task.sampler
    if not isinstance(translator, Translator):
        raise UserError(
            f"--source {shown(str(folder))} with a generator of task "
            f"{shown(generator.config.task)}, which makes examples from noise",
            "an image-to-image model",
            "Leave out --source",
        )

    @jax.jit
    def make(weights: Weights, sources: jax.Array) -> jax.Array:
        return translator.translate(weights, sources)

    sizes = image_sizes(files)
    becoming = {
        size: jax.eval_shape(
            make,
            generator.weights,
            jax.ShapeDtypeStruct((1, *size, translator.channels), jnp.float32),
        )
        for size in set(sizes)
    }
    large = [
        UserError(
            f"{shown(str(path))} would become {made.shape[1]}x{made.shape[2]} pixels",
            f"images that become at most {_MOST_VALUES:,} values",
        )
        for path, size in zip(files, sizes, strict=True)
        if (made := becoming[size]).size > _MOST_VALUES
    ]
    if large:
        raise refusal(large[:MOST_NAMED], "Make them smaller, or cut them into parts")
    for path in reported("translating images", files):
        sources = from_stored(read_image(path, translator.channels)[np.newaxis])
        made = to_stored(np.asarray(make(generator.weights, sources)))[0]
        yield fit_pixels(read_image(path), DataRequest("{}x{}".format(*made.shape[:2]))), made


def sampler_of(task: Task) -> Sampler:
    """The sampler of a task that generates examples from noise.

    Raises:
        UserError: for an image-to-image task.
    """
    if isinstance(task.sampler, Translator):
        raise UserError(
            "the generator is an image-to-image model",
            "--source FOLDER with the input images, without --labels, --interpolate or --traverse",
        )
    return task.sampler


def interpolate(
    generator: Generator, seed: int, pairs: int, frames: int, labels: Labels = ()
) -> np.ndarray:
    """Interpolates between latents and back, for a looping animation.

    Args:
        generator: the generator.
        seed: random seed of the latents; pair i goes from example i to example i + pairs.
        pairs: number of pairs.
        frames: number of frames in one direction.
        labels: as in `sample`.

    Returns:
        Examples (2 * frames, pairs, *shape), as in `sample`.

    Raises:
        UserError: if the latents of the task cannot be interpolated.
    """
    sampler = sampler_of(generator.task)
    of_two = require_between(generator)
    indices = np.arange(2 * pairs)
    ends = sampler.latents(jax.random.key(seed), indices, sampler.labels(indices, labels))
    shares = jnp.linspace(0.0, 1.0, frames)
    between = jax.vmap(jax.vmap(of_two, (0, 0, None)), (None, None, 0))
    latents = between(ends[:pairs], ends[pairs:], shares)
    make = jax.jit(sampler.generate)
    there = np.stack([to_stored(np.asarray(make(generator.weights, row))) for row in latents])
    return np.concatenate([there, there[::-1]])


def names_between(sampler: Sampler, pairs: int, labels: Labels = ()) -> list[str]:
    """The labels of each pair of `interpolate`, "0 to 8" if they differ; empty without labels."""
    names = sampler.names(np.arange(2 * pairs), labels)
    ends = zip(names[:pairs], names[pairs:], strict=True)
    return [start if start == end else f"{start} to {end}" for start, end in ends]


def require_between(
    generator: Generator,
) -> Callable[[jax.Array, jax.Array, jax.Array], jax.Array]:
    """The interpolation of a generator's latents.

    Raises:
        UserError: if they cannot be interpolated.
    """
    between = sampler_of(generator.task).interpolate
    if between is None:
        raise UserError(
            f"interpolation with task {shown(generator.config.task)}, whose sequences of tokens "
            "cannot be interpolated",
            "images or points",
            "Leave out --interpolate",
        )
    return between


def traverse(
    generator: Generator, seed: int, rows: int, columns: int, labels: Labels = ()
) -> dict[str, Traversal]:
    """Shows the effect of each code: examples that differ only in this code.

    Args:
        generator: the generator.
        seed: random seed of the latents; all examples of row i have the noise of example i.
        rows: number of examples to vary.
        columns: number of values of a continuous code, from -2 to 2; training uses -1 to 1.
        labels: labels to show, and to cycle through for codes; empty for the first 20.

    Returns:
        The examples by the name of a code.
    """
    sampler = sampler_of(generator.task)
    key, make = jax.random.key(seed), jax.jit(sampler.generate)
    row = np.arange(rows)

    def latents(own: np.ndarray) -> jax.Array:
        return sampler.latents(key, row, own)

    varied: dict[str, list[tuple[str, jax.Array]]] = {}
    if sampler.classes:
        shown_labels = dict.fromkeys(labels) or range(len(sampler.classes))
        first = itertools.islice(shown_labels, _MOST_TRAVERSED)
        varied["label"] = [
            (sampler.classes[label], latents(np.full(rows, label))) for label in first
        ]
    start = latents(sampler.labels(row, labels))
    for index in range(-sampler.continuous, 0):
        values = np.linspace(-2.0, 2.0, columns)
        varied[f"code-{index + sampler.continuous + 1}"] = [
            (f"{value:.2g}", start.at[:, index].set(value)) for value in values.tolist()
        ]

    def made(column: jax.Array) -> np.ndarray:
        return to_stored(np.asarray(make(generator.weights, column)))

    return {
        name: Traversal(
            tuple(value for value, _ in own), np.stack([made(column) for _, column in own], axis=1)
        )
        for name, own in varied.items()
    }
>>>>>>> 1bb2a9d (The page on exports, their tests, and the converter's packages in the lock file)


def label_numbers(generator: Generator, text: str) -> tuple[int, ...]:
    """Parses a list of labels separated by commas.

    Args:
        generator: whose labels they are.
        text: their names, a name with a comma in double quotes; or, where no label is named by
            digits, their numbers from 0 on.

    Returns:
        The numbers of the labels, in the order of the list.

    Raises:
        UserError: if the generator takes no labels, or the list is empty or has an unknown label.
    """
    sampler = generator.task.sampler
    classes = sampler.classes if isinstance(sampler, Sampler) else ()
    if not classes:
        raise without_labels("--labels", text)
    numbers = {name: number for number, name in enumerate(classes)}
    if not any(name.lstrip("-").isdecimal() for name in classes):
        numbers |= {str(number): number for number in range(len(classes))}
    try:
        rows = list(csv.reader(text.splitlines(), skipinitialspace=True))
    except csv.Error as error:
        raise UserError(f"--labels {shown(text)}: {error}", "names separated by commas") from None
    names = [part.strip() for row in rows for part in row if part.strip()]
    for name in names:
        if name not in numbers:
            error = unknown_name("label in --labels:", name, classes[:_MOST_NAMED])
            if any("," in known for known in classes):
                error = UserError(error.given, error.allowed, _QUOTED)
            raise error
    if not names:
        raise UserError(f"--labels {shown(text)} names none", ", ".join(classes[:_MOST_NAMED]))
    return tuple(numbers[name] for name in names)
<<<<<<< HEAD
=======


def _without_labels(name: str, given: object) -> UserError:
    return UserError(
        f"{name} {shown(given)} with a generator that takes no labels",
        "a generator that was trained with --task conditional or infogan",
        f"Leave out {name}",
    )


def _load(checkpoint: Path, raw: bool, skipped: tuple[str, ...], player: str | None) -> Generator:
    """Restores the generator of one checkpoint."""
    # Verified before anything is read, because the documents decide what is built.
    require_sound(checkpoint)
    checksum = sha256(checkpoint / CHECKSUMS)
    read_versions(checkpoint)
    config = from_json(read_text(checkpoint / "config.json"), str(checkpoint / "config.json"))
    data = DataIdentity.from_json(read_json(checkpoint / "data.json"))
    task, average, like = weights_like(config, data.spec, player)
    averaged = average and not raw
    held = {"average": like._asdict()} if averaged else like._asdict()
    player = player or task.sampler.player
    tree = {"step": jax.ShapeDtypeStruct((), jnp.int32), "players": {player: held}}
    read = read_arrays(checkpoint, tree)
    found, step = read["players"][player], int(read["step"])
    weights = Weights(**(found["average"] if averaged else found))
    return Generator(task, weights, config, data, checkpoint, step, averaged, skipped, checksum)
>>>>>>> 1bb2a9d (The page on exports, their tests, and the converter's packages in the lock file)
