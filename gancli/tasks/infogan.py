"""Noise and codes to examples, of which the codes can be read again: what they mean is learned."""

from collections.abc import Mapping
from typing import Annotated

import jax
import jax.numpy as jnp

from gancli.adversarial.augmentations import build_augmentations
from gancli.config import Config
from gancli.data.dataset import DataSpec
from gancli.errors import UserError
from gancli.registry import Bounds
from gancli.tasks.adversarial import Condition, adversarial_task, cross_entropy
from gancli.tasks.latents import Distribution, Latent
from gancli.tasks.opponent import require_unpacked
from gancli.tasks.reading import Reader, reader_of
from gancli.tasks.task import TASKS, Task

_Weight = Annotated[float, Bounds(0, 1e6)]


@TASKS.register("infogan", reference="arXiv:1606.03657")
def infogan(
    config: Config,
    data: DataSpec,
    latent: Latent = 62,
    distribution: Distribution = "normal",
    categories: Annotated[int, Bounds(0, 1000)] = 10,
    continuous: Annotated[int, Bounds(0, 100)] = 2,
    weight: _Weight = 1.0,
    continuous_weight: _Weight = 0.1,
    agreement: _Weight = 0.0,
    spare: Annotated[int, Bounds(0, 1000)] = 50,
    views: str = "affine+cutout:ratio=0.3",
) -> Task:
    """Noise and codes to examples, from which the codes can be read again (InfoGAN).

    A categorical code, uniform over the categories, and continuous ones, uniform in [-1, 1]. The
    discriminator's last layer also guesses them, and both players lower
    λ (-log q(category | x)) + λc Σ (c - q(x))²/2, a bound on the mutual information of codes and
    examples: a Gaussian of deviation 1 stands for the continuous ones. No label is used.

    With `agreement`, a third player guesses them in the discriminator's place: a network like it,
    with batch normalization where the model has that, which sees views of the images, turned,
    shifted, with a part cut out. It also raises μ I(r(x), r(x')), the mutual information of the
    categories that it reads from two views of a real image, and of a finer reading of them: codes
    come to stand for what views of an image have in common and what tells images apart
    (arXiv:1807.06653; beside a generator arXiv:1910.01112).

    Args:
        config: the run's configuration.
        data: what the examples look like.
        latent: dimensions of the noise.
        distribution: of the noise: standard normal, or uniform in [-1, 1].
        categories: values of the categorical code; 0 for none.
        continuous: how many continuous codes.
        weight: λ.
        continuous_weight: λc.
        agreement: μ, of images and a categorical code; 0 for none.
        spare: values of the finer reading; 0 for none.
        views: names of the augmentations that make a view of an image, joined by `+`.

    Returns:
        The task, with the players `discriminator` and `generator`, and with agreement `reader`.

    Raises:
        UserError: if there are no codes, or the parts do not fit each other.
    """
    count = categories + continuous
    if count == 0:
        raise UserError("task 'infogan' with categories=0 and continuous=0", "at least one code")
    require_unpacked(config, "task 'infogan'")

    def draw(key: jax.Array, number: int, batch: Mapping[str, jax.Array]) -> jax.Array:
        of_categories, of_continuous = jax.random.split(key)
        labels = jax.random.randint(of_categories, (number,), 0, max(1, categories))
        return jax.vmap(of_label)(jax.random.split(of_continuous, number), labels)

    def of_label(key: jax.Array, label: jax.Array) -> jax.Array:
        own = jax.random.uniform(key, (continuous,), minval=-1.0)
        return jnp.concatenate([jax.nn.one_hot(label, categories), own])

    def code_losses(read: jax.Array, codes: jax.Array) -> dict[str, jax.Array]:
        named = {}
        if categories:
            own = cross_entropy(read[:, :categories], codes[:, :categories])
            named["code_loss/category"] = weight * own
        if continuous:
            errors = 0.5 * (read[:, categories:count] - codes[:, categories:]) ** 2
            named["code_loss/continuous"] = continuous_weight * errors.sum(axis=1).mean()
        return named

    reader = None
    if agreement:
        if categories < 2:
            raise UserError(
                f"task 'infogan' with agreement={agreement:g} and categories={categories}",
                "at least 2 categories, or agreement=0",
            )
        view = build_augmentations(views.split("+"))
        network = reader_of(config, data, count + spare, norm="batch")
        reader = Reader(network, view, code_losses, categories, spare, agreement)
        of_image = jax.ShapeDtypeStruct((2, *data.shape), jnp.float32)
        jax.eval_shape(view, of_image, jax.random.key(0))  # A misfit shows at once.

    condition = Condition(
        codes=count,
        draw=draw,
        of_label=of_label,
        outputs=1 if reader else 1 + count,
        logits=lambda outputs, codes: outputs if reader else outputs[:, 0],
        terms=lambda player, real, fake, codes: {} if reader else code_losses(fake[:, 1:], codes),
        reader=reader,
        classes=tuple(map(str, range(categories))),
        continuous=continuous,
        learned=True,
    )
    return adversarial_task(config, data, latent, distribution, condition)
