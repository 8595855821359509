"""Sampling from a trained generator, which needs only its checkpoint."""

import csv
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gancli.adversarial.dynamics import Weights
from gancli.config import Config, from_json
from gancli.data.configured import located
from gancli.data.dataset import DataRequest, DataSpec
from gancli.data.formats.folder import image_sizes, read_image, refusal
from gancli.data.formats.listing import MOST_NAMED
from gancli.data.transform import fit_pixels, from_stored, to_stored
from gancli.errors import UserError, shown, unknown_name
from gancli.files import read_json, read_text, sha256
from gancli.runs.checkpoints import (
    CHECKSUMS,
    CheckpointDamagedError,
    find_checkpoints,
    require_sound,
)
from gancli.runs.directory import DataIdentity
from gancli.runs.state_files import read_arrays
from gancli.runs.versions import read_versions
from gancli.system.progress import reported
from gancli.tasks import Sampler, Task, Translator
from gancli.tasks.program import weights_like

# Every example is generated in a block of this size, at a fixed position in it, so that it does
# not depend on the number of examples.
_BLOCK = 256
# On CPU it is generated in parts of this size: the system takes as long to hand over memory for
# a whole block as its computation takes.
_PART = 32

_MOST_TRAVERSED = 20

# Most values of a translated image: a network holds about a thousand times as many.
_MOST_VALUES = 2**22

_QUOTED = """Write a name with a comma in double quotes: --labels '"red, round",blue'"""

Labels = Sequence[int] | np.ndarray


class Generator(NamedTuple):
    """A trained generator and where it came from.

    `sha256` is that of its checkpoint's checksums; a run in training may remove the checkpoint.
    """

    task: Task
    weights: Weights
    config: Config
    data: DataIdentity
    checkpoint: Path
    step: int
    averaged: bool
    skipped: tuple[str, ...]
    sha256: str

    @property
    def spec(self) -> DataSpec:
        """The description of its examples."""
        return self.data.spec

    def provenance(self) -> dict[str, Any]:
        """The provenance of results of this generator, as a JSON object."""
        return {
            "checkpoint": str(self.checkpoint),
            "checkpoint_sha256": self.sha256,
            "step": self.step,
            "weights": "ema" if self.averaged else "raw",
            "training_seed": self.config.train.seed,
            "task": self.config.task,
            "loss": self.config.loss,
            "model": self.config.model,
            "precision": self.config.train.precision,
            "data": self.data.as_json(),
        }


class Traversal(NamedTuple):
    """The values of a code as text, and examples (rows, values, *shape), as in `sample`."""

    values: tuple[str, ...]
    examples: np.ndarray


def load_generator(path: Path, raw: bool = False, dataset: str | None = None) -> Generator:
    """Restores a trained generator.

    Args:
        path: a run directory, or the folder of one checkpoint.
        raw: whether to use the raw weights instead of their moving average.
        dataset: where its data are now; None for where they were.

    Returns:
        The generator of that checkpoint, or of the run's newest sound one.

    Raises:
        UserError: if there is no checkpoint.
        CheckpointDamagedError: if none is sound.
    """
    skipped: list[str] = []
    for checkpoint in find_checkpoints(path):
        try:
            found = _load(checkpoint, raw, tuple(skipped))
            return found._replace(config=located(found.config, path, dataset))
        except CheckpointDamagedError as error:
            skipped.append(str(error))
    raise CheckpointDamagedError(" ".join(skipped))


def sample(
    generator: Generator, seed: int, count: int, labels: Labels = ()
) -> Iterator[np.ndarray]:
    """Generates examples block by block; example i depends only on (seed, i) and its label.

    Args:
        generator: the generator.
        seed: random seed of the latents.
        count: number of examples.
        labels: labels to cycle through; empty for all labels.

    Returns:
        Blocks of examples, images as uint8 (n, height, width, channels), points as float32, tokens
        as int32.

    Raises:
        UserError: if the count is not positive, a label is unknown, or the generator is an
            image-to-image model.
    """
    if count < 1:
        raise UserError(f"count was {shown(count)}", "a whole number of examples, 1 or more")
    classes = sampler_of(generator.task).classes
    for label in labels:
        if not classes:
            raise _without_labels("labels", label)
        if label not in range(len(classes)):
            raise UserError(
                f"label {shown(label)} with a generator of {len(classes)} labels",
                f"whole numbers from 0 to {len(classes) - 1}",
            )
    return sample_weights(generator.task, generator.weights, seed, count, labels)


def sample_weights(
    task: Task, weights: Weights, seed: int, count: int, labels: Labels = ()
) -> Iterator[np.ndarray]:
    """Like `sample`, with weights that need not come from a checkpoint.

    Args:
        task: task of the weights.
        weights: weights of the player that samples.
        seed: random seed of the latents.
        count: number of examples.
        labels: as in `sample`.

    Yields:
        Blocks of examples, as in `sample`.
    """
    sampler, key = sampler_of(task), jax.random.key(seed)

    @jax.jit
    def make(weights: Weights, indices: jax.Array, labels: jax.Array) -> jax.Array:
        def part(given: tuple[jax.Array, jax.Array]) -> jax.Array:
            return sampler.generate(weights, sampler.latents(key, *given))

        if jax.default_backend() != "cpu":
            return part((indices, labels))
        made = jax.lax.map(part, (indices.reshape(-1, _PART), labels.reshape(-1, _PART)))
        return jax.lax.collapse(made, 0, 2)

    for start in reported("generating samples", range(0, count, _BLOCK)):
        indices = np.arange(start, start + _BLOCK)
        block = np.asarray(make(weights, indices, sampler.labels(indices, labels)))
        yield to_stored(block[: count - start])


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
        size = "{}x{}".format(*made.shape[:2])
        yield fit_pixels(read_image(path), DataRequest(size)), made


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
        raise _without_labels("--labels", text)
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
            error = unknown_name("label in --labels:", name, classes[:_MOST_TRAVERSED])
            if any("," in known for known in classes):
                error = UserError(error.given, error.allowed, _QUOTED)
            raise error
    if not names:
        raise UserError(f"--labels {shown(text)} names none", ", ".join(classes[:_MOST_TRAVERSED]))
    return tuple(numbers[name] for name in names)


def _without_labels(name: str, given: object) -> UserError:
    return UserError(
        f"{name} {shown(given)} with a generator that takes no labels",
        "a generator that was trained with --task conditional or infogan",
        f"Leave out {name}",
    )


def _load(checkpoint: Path, raw: bool, skipped: tuple[str, ...]) -> Generator:
    """Restores the generator of one checkpoint."""
    # Verified before anything is read, because the documents decide what is built.
    require_sound(checkpoint)
    checksum = sha256(checkpoint / CHECKSUMS)
    read_versions(checkpoint)
    config_path = checkpoint / "config.json"
    config = from_json(read_text(config_path), str(config_path))
    data = DataIdentity.from_json(read_json(checkpoint / "data.json"))
    task, average, like = weights_like(config, data.spec)
    averaged = average and not raw
    held = {"average": like._asdict()} if averaged else like._asdict()
    player = task.sampler.player
    tree = {"step": jax.ShapeDtypeStruct((), jnp.int32), "players": {player: held}}
    read = read_arrays(checkpoint, tree)
    found = read["players"][player]
    weights = Weights(**(found["average"] if averaged else found))
    step = int(read["step"])
    return Generator(task, weights, config, data, checkpoint, step, averaged, skipped, checksum)
