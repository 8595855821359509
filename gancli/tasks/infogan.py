"""InfoGAN: noise and codes to examples; the meaning of the codes is learned."""

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
    """Noise and codes to examples from which the codes can be predicted again (InfoGAN).

    The categorical code is uniform over the categories; continuous codes are uniform in [-1, 1].
    The discriminator's last layer also predicts them, and both players minimise
    λ (-log q(category | x)) + λc Σ (c - q(x))²/2. This bounds the mutual information of codes and
    examples, with a Gaussian of deviation 1 for continuous codes. No label is used.

    With `agreement`, a third player predicts the codes instead of the discriminator. It is a
    network like the discriminator, with batch normalization where the model supports it, and sees
    views of the images: rotated, shifted, with a part cut out. It also maximises μ I(r(x), r(x')),
    the mutual information of its predicted categories for two views of a real image, and the same
    of a finer prediction. Codes then represent what views of an image share and what
    distinguishes images (arXiv:1807.06653; with a generator arXiv:1910.01112).

    Args:
        config: the run's configuration.
        data: description of the examples.
        latent: dimensions of the noise.
        distribution: distribution of the noise: standard normal, or uniform in [-1, 1].
        categories: number of values of the categorical code; 0 for none.
        continuous: number of continuous codes.
        weight: λ.
        continuous_weight: λc.
        agreement: μ; needs images and a categorical code; 0 for none.
        spare: number of values of the finer prediction; 0 for none.
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
        jax.eval_shape(view, of_image, jax.random.key(0))  # Fails at once on a misfit.

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
