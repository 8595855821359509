"""What is done to the discriminator's inputs: instance noise, augmentation, packing."""

from collections.abc import Callable, Sequence
from typing import Annotated

import jax
import jax.numpy as jnp

from gancli.errors import UserError
from gancli.registry import Bounds, Registry, shown

Augmentation = Callable[[jax.Array, jax.Array], jax.Array]

AUGMENTATIONS = Registry("augmentation")
MOST_AUGMENTATIONS = 16

Share = Annotated[float, Bounds(0, 1)]


@AUGMENTATIONS.register("color", reference="arXiv:2006.10738")
def color(strength: Annotated[float, Bounds(0, 10)] = 1.0) -> Augmentation:
    """Random brightness, saturation and contrast of each image.

    Args:
        strength: scale of the published ranges (brightness ±0.5, saturation 0 to 2,
            contrast 0.5 to 1.5, on images in [-1, 1]).

    Returns:
        (images (batch, height, width, channels), key) -> images of that shape.
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
        ratio: the largest shift as a share of the side.

    Returns:
        (images (batch, height, width, channels), key) -> images of that shape.
    """

    def apply(images: jax.Array, key: jax.Array) -> jax.Array:
        for axis in (1, 2):
            side = images.shape[axis]
            reach = max(1, round(side * ratio))
            key, draw = jax.random.split(key)
            shift = jax.random.randint(draw, (images.shape[0], 1), -reach, reach + 1)
            position = jnp.arange(side) + shift
            inside = (position >= 0) & (position < side)
            # A one-hot product instead of a gather: its gradient is a matrix product too.
            moved = jax.nn.one_hot(position, side, dtype=images.dtype) * inside[..., None]
            equation = "bph,bhwc->bpwc" if axis == 1 else "bpw,bhwc->bhpc"
            images = jnp.einsum(equation, moved, images)
        return images

    return apply


@AUGMENTATIONS.register("cutout", reference="arXiv:2006.10738")
def cutout(ratio: Share = 0.5) -> Augmentation:
    """A random square of each image is set to zero.

    Args:
        ratio: the square's side as a share of the image's.

    Returns:
        (images (batch, height, width, channels), key) -> images of that shape.
    """

    def apply(images: jax.Array, key: jax.Array) -> jax.Array:
        covered = []
        for axis in (1, 2):
            side = images.shape[axis]
            key, draw = jax.random.split(key)
            centre = jax.random.uniform(draw, (images.shape[0], 1)) * side
            covered.append(jnp.abs(jnp.arange(side) + 0.5 - centre) < side * ratio / 2)
        hole = covered[0][:, :, None, None] & covered[1][:, None, :, None]
        return jnp.where(hole, 0, images)

    return apply


@AUGMENTATIONS.register("flip", reference="arXiv:2002.04724")
def flip() -> Augmentation:
    """A random half of the images is mirrored left to right.

    Returns:
        (images (batch, height, width, channels), key) -> images of that shape.
    """

    def apply(images: jax.Array, key: jax.Array) -> jax.Array:
        mirrored = jax.random.bernoulli(key, 0.5, (images.shape[0], 1, 1, 1))
        return jnp.where(mirrored, images[:, :, ::-1], images)

    return apply


def build_augmentations(specs: Sequence[str]) -> Augmentation:
    """Builds augmentations that are applied one after another.

    Args:
        specs: such as `cutout:ratio=0.25`, in their order.

    Returns:
        All of them as one, which refuses examples that are not images.

    Raises:
        UserError: if a spec does not fit the catalogue, or there are too many of them.
    """
    if len(specs) > MOST_AUGMENTATIONS:
        raise UserError(
            f"{len(specs):,} augmentations were given, {shown(specs)}",
            f"at most {MOST_AUGMENTATIONS}",
        )
    composed = compose(tuple(AUGMENTATIONS.build(spec) for spec in specs))

    def apply(examples: jax.Array, key: jax.Array) -> jax.Array:
        if specs and examples.ndim != 4:
            kind = "points" if examples.ndim == 2 else "tokens"
            raise UserError(
                f"augmentation {shown(list(specs))} of {kind} {examples.shape[1:]}",
                "augmentation of images",
                "Leave out inputs.augment, and the penalty consistency",
            )
        return composed(examples, key)

    return apply


def compose(augmentations: tuple[Augmentation, ...]) -> Augmentation:
    """Applies augmentations one after another, each with a key of its own."""

    def apply(examples: jax.Array, key: jax.Array) -> jax.Array:
        for index, augmentation in enumerate(augmentations):
            examples = augmentation(examples, jax.random.fold_in(key, index))
        return examples

    return apply


def instance_noise(
    examples: jax.Array, key: jax.Array, step: jax.Array, deviation: float, decay_steps: int
) -> jax.Array:
    """Adds Gaussian noise that decays linearly to nothing.

    x + σ max(0, 1 - step / decay_steps) ε, or with constant σ if decay_steps is 0.

    Args:
        examples: (batch, ...) inputs of the discriminator.
        key: a JAX random key.
        step: the training step.
        deviation: σ at step 0, in units of the examples.
        decay_steps: the step at which the noise has gone; 0 for never.

    Returns:
        The noisy examples, of the same shape (arXiv:1610.04490).
    """
    left = jnp.maximum(0.0, 1.0 - step / decay_steps) if decay_steps else 1.0
    return examples + deviation * left * jax.random.normal(key, examples.shape)


def pack(examples: jax.Array, packing: int) -> jax.Array:
    """Joins groups of `packing` examples along their last axis (PacGAN, arXiv:1712.04086).

    Args:
        examples: (batch * packing, ..., channels).
        packing: how many examples the discriminator sees at once.

    Returns:
        (batch, ..., channels * packing).
    """
    if packing == 1:
        return examples
    groups = jnp.split(examples, packing)
    return jnp.concatenate(groups, axis=-1)
