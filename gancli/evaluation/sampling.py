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
        Blocks of examples, images as uint8 or uint16 (n, height, width, channels), points as
        float32, tokens as int32.

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
        yield to_stored(block[: count - start], task.bits)


def generate(
    sampler: Sampler, weights: Weights, origin: Origin, noise: Noise | None = None
) -> jax.Array:
    """Examples (n, *shape) of latents, images in [-1, 1]; with `noise` if it is not None."""
    if sampler.styles is None:
        return sampler.generate(weights, origin.latents)
    return sampler.generate(weights, origin.latents, styles=origin.styles, noise=noise)


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
