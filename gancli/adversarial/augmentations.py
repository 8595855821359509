"""Modifications of the discriminator's inputs: instance noise, augmentation, packing."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates
from jax.typing import ArrayLike

from gancli.errors import UserError, shown
from gancli.registry import Bounds, Registry

# (images (batch, height, width, channels), key) -> images of that shape.
Augmentation = Callable[[jax.Array, jax.Array], jax.Array]

AUGMENTATIONS = Registry("augmentation")
MOST_AUGMENTATIONS = 16
# Those of images whose channels are colours.
OF_COLOURS = ("color", "saturation")

Share = Annotated[float, Bounds(0, 1)]
Deviation = Annotated[float, Bounds(0, 4)]

# Discriminator updates over which the adaptive probability measures overfitting.
_ADAPTATION_INTERVAL = 4


@AUGMENTATIONS.register("color", reference="arXiv:2006.10738")
def color(strength: Annotated[float, Bounds(0, 10)] = 1.0) -> Augmentation:
    """Random brightness, saturation and contrast of each image.

    Args:
        strength: scale of the published ranges (brightness ±0.5, saturation 0 to 2,
            contrast 0.5 to 1.5, on images in [-1, 1]).
    """

    def apply(images: jax.Array, key: jax.Array) -> jax.Array:
        draws = jax.random.uniform(key, (3, images.shape[0], 1, 1, 1)) - 0.5
        brightness, saturation, contrast = draws * strength
        images = images + brightness
        grey = images.mean(axis=3, keepdims=True)
        images = grey + (images - grey) * (1 + 2 * saturation)
        mean = images.mean(axis=(1, 2, 3), keepdims=True)
        return mean + (images - mean) * (1 + contrast)

    return apply


@AUGMENTATIONS.register("translation", reference="arXiv:2006.10738")
def translation(ratio: Share = 0.125) -> Augmentation:
    """Random shift of each image, zero-padded.

    Args:
        ratio: the largest shift as a share of the side, rounded to whole pixels.
    """

    def apply(images: jax.Array, key: jax.Array) -> jax.Array:
        for axis in (1, 2):
            side = images.shape[axis]
            reach = int(side * ratio + 0.5)
            key, draw = jax.random.split(key)
            shift = jax.random.randint(draw, (images.shape[0], 1), -reach, reach + 1)
            position = jnp.arange(side)[jnp.newaxis] + shift
            inside = (position >= 0) & (position < side)
            # A one-hot product instead of a gather: its gradient is a matrix product too.
            moved = jax.nn.one_hot(position, side, dtype=images.dtype) * inside[..., None].astype(
                images.dtype
            )
            equation = "bph,bhwc->bpwc" if axis == 1 else "bpw,bhwc->bhpc"
            images = jnp.einsum(equation, moved, images)
        return images

    return apply


@AUGMENTATIONS.register("cutout", reference="arXiv:2006.10738")
def cutout(ratio: Share = 0.5) -> Augmentation:
    """Sets a random rectangle of each image, with the image's aspect ratio, to zero.

    Args:
        ratio: sides of the rectangle as a share of the image's.
    """

    def apply(images: jax.Array, key: jax.Array) -> jax.Array:
        covered = []
        for axis in (1, 2):
            side = images.shape[axis]
            key, draw = jax.random.split(key)
            centre = jax.random.uniform(draw, (images.shape[0], 1)) * side
            places = jnp.arange(side, dtype=jnp.float32)[jnp.newaxis] + 0.5
            covered.append(jnp.abs(places - centre) < side * ratio / 2)
        hole = covered[0][:, :, None, None] & covered[1][:, None, :, None]
        return jnp.where(hole, 0, images)

    return apply


@AUGMENTATIONS.register("flip", also="hflip", reference="arXiv:2002.04724")
def flip() -> Augmentation:
    """Mirrors a random half of the images left to right."""

    def apply(images: jax.Array, key: jax.Array) -> jax.Array:
        mirrored = jax.random.bernoulli(key, 0.5, (images.shape[0], 1, 1, 1))
        return jnp.where(mirrored, images[:, :, ::-1], images)

    return apply


@AUGMENTATIONS.register("rotation", reference="arXiv:2006.06676, appendix B")
def rotation() -> Augmentation:
    """Rotates each image by a random multiple of 90 degrees.

    Returns:
        (images (batch, side, side, channels), key) -> images of that shape.

    Raises:
        UserError: when it is applied to images that are not square.
    """

    def apply(images: jax.Array, key: jax.Array) -> jax.Array:
        batch, height, width, _ = images.shape
        if height != width:
            raise UserError(
                f"augmentation 'rotation' of images of {height}x{width} pixels",
                "square images",
                "Set data.size, or leave rotation out of inputs.augment",
            )
        turns = jax.random.randint(key, (batch, 1, 1, 1), 0, 4)
        turned = [jnp.rot90(images, times, axes=(1, 2)) for times in range(4)]
        return jnp.select([turns == times for times in range(4)], turned)

    return apply


@AUGMENTATIONS.register("scaling", reference="arXiv:2006.06676, appendix B")
def scaling(deviation: Deviation = 0.2) -> Augmentation:
    """Scales each image about its centre by the same random factor along both axes.

    The factor is 2^(σ n), n standard normal; linear interpolation, zeros beyond the edges.

    Args:
        deviation: σ.
    """

    def apply(images: jax.Array, key: jax.Array) -> jax.Array:
        scale = 2 ** (deviation * jax.random.normal(key, (images.shape[0], 1)))
        for axis, equation in ((1, "bph,bhwc->bpwc"), (2, "bpw,bhwc->bhpc")):
            side = images.shape[axis]
            centre, pixels = (side - 1) / 2, jnp.arange(side, dtype=jnp.float32)[jnp.newaxis]
            # The source of each pixel, and its interpolation weight for every pixel of the image.
            origin = centre + (pixels - centre) / scale
            share = jax.nn.relu(1 - jnp.abs(origin[..., None] - pixels[jnp.newaxis]))
            images = jnp.einsum(equation, share, images)
        return images

    return apply


@AUGMENTATIONS.register("affine", reference="arXiv:2006.06676, appendix B")
def affine(
    degrees: Annotated[float, Bounds(0, 180)] = 20.0,
    stretch: Annotated[float, Bounds(0, 4)] = 0.25,
    shear: Annotated[float, Bounds(0, 4)] = 0.2,
    shift: Share = 0.09,
) -> Augmentation:
    """Rotates, stretches along each axis, shears and shifts each image at random.

    The pixel at p, relative to the centre, is taken from R(φ) S p + t. φ is uniform in ±degrees.
    S has 2^u on its diagonal, u uniform in ±stretch for each axis, and a shear uniform in ±shear
    off it. t is uniform in ±shift of the side. Linear interpolation; an image's edge pixels are
    repeated beyond its edges.

    Args:
        degrees: the largest rotation.
        stretch: the binary logarithm of the largest stretch.
        shear: the largest shear.
        shift: the largest shift as a share of the side.
    """

    def apply(images: jax.Array, key: jax.Array) -> jax.Array:
        height, width = images.shape[1:3]
        rows, columns = jnp.meshgrid(
            *(jnp.arange(side, dtype=jnp.float32) - (side - 1) / 2 for side in (height, width)),
            indexing="ij",
        )

        def of_one(image: jax.Array, draws: jax.Array) -> jax.Array:
            angle = jnp.deg2rad(degrees) * draws[0]
            x = 2 ** (stretch * draws[1]) * columns + shear * draws[2] * rows
            y = 2 ** (stretch * draws[3]) * rows
            turned = (
                jnp.sin(angle) * x + jnp.cos(angle) * y,
                jnp.cos(angle) * x - jnp.sin(angle) * y,
            )
            places = [
                own + (side - 1) / 2 + shift * side * moved
                for own, side, moved in zip(turned, (height, width), draws[4:], strict=True)
            ]
            look = partial(map_coordinates, coordinates=places, order=1, mode="nearest")
            return jax.vmap(look, in_axes=-1, out_axes=-1)(image)

        draws = jax.random.uniform(key, (images.shape[0], 6), minval=-1.0)
        return jax.vmap(of_one)(images, draws)

    return apply


@AUGMENTATIONS.register("brightness", reference="arXiv:2006.06676, appendix B")
def brightness(deviation: Deviation = 0.2) -> Augmentation:
    """Random brightness of each image: x + σ n, n standard normal.

    Args:
        deviation: σ, for images in [-1, 1].
    """
    return lambda images, key: images + deviation * _normal_by_image(images, key)


@AUGMENTATIONS.register("contrast", reference="arXiv:2006.06676, appendix B")
def contrast(deviation: Deviation = 0.5) -> Augmentation:
    """Random contrast of each image about mid-grey: 2^(σ n) x, n standard normal.

    Args:
        deviation: σ.
    """
    return lambda images, key: images * 2 ** (deviation * _normal_by_image(images, key))


@AUGMENTATIONS.register("saturation", reference="arXiv:2006.06676, appendix B")
def saturation(deviation: Deviation = 1.0) -> Augmentation:
    """Random saturation of each image; images of one channel are unchanged.

    m + 2^(σ n) (x - m), m the mean of a pixel's channels, n standard normal.

    Args:
        deviation: σ.
    """

    def apply(images: jax.Array, key: jax.Array) -> jax.Array:
        grey = images.mean(axis=3, keepdims=True)
        return grey + (images - grey) * 2 ** (deviation * _normal_by_image(images, key))

    return apply


def _normal_by_image(images: jax.Array, key: jax.Array) -> jax.Array:
    """One standard normal number for each image."""
    return jax.random.normal(key, (images.shape[0], 1, 1, 1))


def build_augmentations(specs: Sequence[str]) -> Callable[..., jax.Array]:
    """Builds a sequence of augmentations, each with its own key.

    Args:
        specs: specs such as `cutout:ratio=0.25`, in order of application.

    Returns:
        (images, key, probability) -> images of that shape: each augmentation is applied to each
        image with the given scalar probability, or to all images if there is none. It refuses
        examples that are not images.

    Raises:
        UserError: if a spec does not fit the catalogue, or there are too many of them.
    """
    if len(specs) > MOST_AUGMENTATIONS:
        raise UserError(
            f"{len(specs):,} augmentations, {shown(specs)}", f"at most {MOST_AUGMENTATIONS}"
        )
    augmentations = [AUGMENTATIONS.build(spec) for spec in specs]

    def apply(
        examples: jax.Array, key: jax.Array, probability: ArrayLike | None = None
    ) -> jax.Array:
        if specs and examples.ndim != 4:
            kind = "points" if examples.ndim == 2 else "tokens"
            raise UserError(
                f"augmentation {shown(list(specs))} of {kind} {examples.shape[1:]}",
                "augmentation of images",
                "Leave out inputs.augment, and the penalty consistency",
            )
        for index, augmentation in enumerate(augmentations):
            own = jax.random.fold_in(key, index)
            if probability is None:
                examples = augmentation(examples, own)
            else:
                coin, own = jax.random.split(own)
                chosen = jax.random.bernoulli(coin, probability, (examples.shape[0], 1, 1, 1))
                examples = jnp.where(chosen, augmentation(examples, own), examples)
        return examples

    return apply


def start_of_adaptation() -> dict[str, jax.Array]:
    """Initial state of `adapted`: p, the sum of signs since p last moved, and its update count."""
    return {name: jnp.zeros(()) for name in ("p", "signs", "updates")}


def adapted(
    carried: Mapping[str, jax.Array],
    margins: jax.Array,
    examples: int,
    target: ArrayLike,
    images: int,
) -> dict[str, jax.Array]:
    """Adapts the augmentation probability p to the discriminator's overfitting (ADA).

    r = E sign D(x) over the real examples of 4 discriminator updates is 0 if the discriminator
    cannot tell them from generated ones, and 1 if it recognises all of them. p then rises if r is
    above the target, and falls otherwise. Its change is the number of real examples since the
    last change, divided by `images`; p stays in [0, 1].

    Args:
        carried: the result of the previous update.
        margins: (batch,) logits of real examples minus the decision threshold.
        examples: number of real examples per update.
        target: target value of r.
        images: number of images in which p can go from 0 to 1.

    Returns:
        p and the state that adapts it, scalars by name (arXiv:2006.06676, section 3).
    """
    signs = carried["signs"] + jnp.sign(margins).mean()
    updates = carried["updates"] + 1
    due = updates >= _ADAPTATION_INTERVAL
    change = jnp.sign(signs / updates - target) * updates * examples / images
    return {
        "p": jnp.where(due, jnp.clip(carried["p"] + change, 0, 1), carried["p"]),
        "signs": jnp.where(due, 0.0, signs),
        "updates": jnp.where(due, 0.0, updates),
    }


def instance_noise(examples: jax.Array, key: jax.Array, deviation: ArrayLike) -> jax.Array:
    """Adds Gaussian noise.

    x + σ ε.

    Args:
        examples: (batch, ...) inputs of the discriminator.
        key: a JAX random key.
        deviation: σ, in units of the examples.

    Returns:
        The noisy examples, of the same shape (arXiv:1610.04490).
    """
    return examples + deviation * jax.random.normal(key, examples.shape)


def pack(examples: jax.Array, packing: int) -> jax.Array:
    """Joins groups of `packing` examples along their last axis (PacGAN, arXiv:1712.04086).

    Args:
        examples: (batch * packing, ..., channels).
        packing: number of examples that the discriminator sees at once.

    Returns:
        (batch, ..., channels * packing).
    """
    if packing == 1:
        return examples
    groups = jnp.split(examples, packing)
    return jnp.concatenate(groups, axis=-1)
