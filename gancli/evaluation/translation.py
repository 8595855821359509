"""Translation of images by a trained image-to-image model."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from gancli.adversarial.dynamics import Weights
from gancli.data.dataset import DataRequest
from gancli.data.formats.folder import image_sizes, read_image, refusal
from gancli.data.formats.listing import MOST_NAMED
from gancli.data.transform import fit_pixels, from_stored, to_stored
from gancli.errors import UserError, shown
from gancli.evaluation.generator import Generator
from gancli.system.progress import reported
from gancli.tasks import Translator

# Images that are translated at once.
_BLOCK = 256
# Most values of a translated image: a network holds about a thousand times as many.
_MOST_VALUES = 2**22


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
