"""The discriminator's side of a game: its inputs, loss, penalties and metrics."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from gancli.adversarial.augmentations import (
    adapted,
    build_augmentations,
    instance_noise,
    pack,
    start_of_adaptation,
)
from gancli.adversarial.dynamics import Aux, Turn
from gancli.adversarial.keys import Stream
from gancli.adversarial.losses import LOSSES, Loss
from gancli.adversarial.penalties import AppliedPenalty, Critic, build_penalty
from gancli.adversarial.schedules import value_at
from gancli.config import Config
from gancli.data.dataset import DataSpec
from gancli.errors import UserError, shown
from gancli.networks import Network, carrying

# The most logits of each kind that are compared in pairs.
_COMPARED = 512


class Pipeline(NamedTuple):
    """The processing of examples before the discriminator sees them.

    `see(examples, key, step, stats)` returns the discriminator's inputs, given its statistics.
    Besides those of the network, the statistics hold the values that are `carried`;
    `follow(stats, margins, step)` updates these from the logits (n,) of real examples minus the
    decision threshold, and returns metrics, too.
    """

    see: Callable[[jax.Array, jax.Array, jax.Array, Any], jax.Array]
    carried: Mapping[str, Any]
    follow: Callable[[Any, jax.Array, jax.Array], tuple[Any, dict[str, jax.Array]]]


class Opponent(NamedTuple):
    """The discriminator's side of a game: its loss, penalties and inputs.

    `network` is the discriminator, whose statistics include those of its input pipeline.
    """

    network: Network
    loss: Loss
    penalties: tuple[AppliedPenalty, ...]
    pipeline: Pipeline

    def see(self, examples: jax.Array, key: jax.Array, turn: Turn, stats: Any) -> jax.Array:
        """The discriminator's inputs for examples; `stats` are its statistics."""
        return self.pipeline.see(examples, key, turn.step, stats)

    def update(
        self,
        logits: tuple[jax.Array, jax.Array],
        seen: tuple[jax.Array, jax.Array],
        critic: Critic,
        moved: Any,
        turn: Turn,
    ) -> tuple[dict[str, jax.Array], Aux]:
        """The parts of a discriminator's update besides its loss.

        Args:
            logits: logits of real and of generated examples, each (n,).
            seen: the discriminator's inputs for both.
            critic: returns the logits (n,) of inputs.
            moved: its statistics after both.
            turn: the turn; penalties draw from its key.

        Returns:
            The penalties to add to its loss, by name; its statistics and metrics.
        """
        terms = penalty_terms(self.penalties, critic, *seen, turn)
        margins = logits[0] - middle(*logits, self.loss.threshold)
        moved, of_inputs = self.pipeline.follow(moved, margins, turn.step)
        return terms, Aux(moved, logit_metrics(*logits, self.loss) | terms | of_inputs)


def build_opponent(
    config: Config, discriminator: Network, data: DataSpec, held: Mapping[str, Any] | None = None
) -> Opponent:
    """Builds the discriminator's side of a configuration.

    Args:
        config: the run's configuration.
        discriminator: the discriminator's network.
        data: description of the examples that it sees.
        held: values that the task carries with its statistics.

    Raises:
        UserError: if the parts do not fit each other or the data.
    """
    loss, penalties = LOSSES.build(config.loss), fitting_penalties(config, discriminator)
    pipeline = input_pipeline(config, penalties, data)
    network = carrying(discriminator, {**pipeline.carried, **(held or {})})
    return Opponent(network, loss, penalties, pipeline)


def fitting_penalties(config: Config, discriminator: Network) -> tuple[AppliedPenalty, ...]:
    """The penalties of a configuration.

    Raises:
        UserError: if they do not fit the discriminator.
    """
    penalties = tuple(build_penalty(spec) for spec in config.penalties)
    if penalties and discriminator.normalizes_batch:
        raise UserError(
            f"penalty {shown(config.penalties[0])} with batch normalization in the discriminator "
            f"of {shown(config.model)}: it would mix the examples that the penalty must separate",
            "batch normalization without a penalty, or a penalty with another norm",
            "Leave out norm=batch, or choose norm=none",
        )
    return penalties


def require_unpacked(config: Config, what: str, allowed: str = "1") -> None:
    """Refuses packing for a discriminator that must judge single examples.

    Raises:
        UserError: naming the option that needs single examples.
    """
    if config.inputs.packing > 1:
        raise UserError(
            f"inputs.packing was {config.inputs.packing} with {what}, which judges single examples",
            allowed,
            "Leave out inputs.packing",
        )


def penalty_terms(
    penalties: Sequence[AppliedPenalty],
    critic: Critic,
    real: jax.Array,
    fake: jax.Array,
    turn: Turn,
) -> dict[str, jax.Array]:
    """Penalty terms of a discriminator's loss by name; lazy penalties apply only at their steps.

    Args:
        penalties: the penalties that apply.
        critic: returns the logits (n,) of inputs.
        real: the discriminator's inputs for real examples.
        fake: its inputs for generated examples.
        turn: the turn; penalties draw from its key.

    Returns:
        Scalars.
    """
    terms: dict[str, jax.Array] = {}
    keys = jax.random.split(turn.key(Stream.PENALTY), len(penalties))
    for applied, own_key in zip(penalties, keys, strict=True):

        def value(penalty=applied.penalty, own_key=own_key) -> jax.Array:
            return penalty(critic, real, fake, own_key, turn.step).mean()

        if applied.every > 1:
            due = turn.step % applied.every == 0
            penalty = jax.lax.cond(due, value, lambda: jnp.float32(0)) * applied.every
        else:
            penalty = value()
        # A penalty may be given twice with different options.
        name = f"penalty/{applied.name}"
        terms[name] = terms[name] + penalty if name in terms else penalty
    return terms


def input_pipeline(config: Config, penalties: Sequence[AppliedPenalty], data: DataSpec) -> Pipeline:
    """Builds the processing of examples before the discriminator sees them.

    Raises:
        UserError: if the processing or a penalty does not fit the examples.
    """
    inputs = config.inputs
    augment, adaptive = build_augmentations(inputs.augment), bool(inputs.augment_target)
    always = inputs.augment_probability == 1
    if adaptive and not inputs.augment:
        raise UserError(
            f"inputs.augment_target was {shown(inputs.augment_target)} without an augmentation to "
            "adapt",
            "inputs.augment with at least one, or inputs.augment_target=0",
            'Set inputs.augment, for example to ["flip", "translation", "color"]',
        )
    if not always and (adaptive or not inputs.augment):
        raise UserError(
            f"inputs.augment_probability was {shown(inputs.augment_probability)} with "
            f"inputs.augment={shown(list(inputs.augment))} and inputs.augment_target="
            f"{inputs.augment_target}",
            "1, or at least one augmentation and no target",
            "Leave out inputs.augment_probability",
        )

    def probability(step: jax.Array, stats: Any) -> ArrayLike | None:
        if adaptive:
            return stats["augment"]["p"]
        return None if always else value_at(inputs.augment_probability, step)

    def see(examples: jax.Array, key: jax.Array, step: jax.Array, stats: Any) -> jax.Array:
        augment_key, noise_key = jax.random.split(key)
        examples = augment(examples, augment_key, probability(step, stats))
        if inputs.noise:
            examples = instance_noise(examples, noise_key, value_at(inputs.noise, step))
        return pack(examples, inputs.packing)

    def follow(stats: Any, margins: jax.Array, step: jax.Array) -> tuple[Any, dict[str, jax.Array]]:
        if not adaptive:
            present = probability(step, stats)
            return stats, {} if present is None else {"augment/p": jnp.float32(present)}
        seen = config.train.batch * inputs.packing
        target, images = value_at(inputs.augment_target, step), inputs.augment_images
        moved = adapted(stats["augment"], margins, seen, target, images)
        return stats | {"augment": moved}, {"augment/p": moved["p"]}

    carried = {"augment": start_of_adaptation()} if adaptive else {}

    # Applied abstractly to such examples, so that a misfit fails at once.
    def apply(examples: jax.Array, key: jax.Array) -> None:
        seen = see(examples, key, jnp.int32(0), carried)
        for applied in penalties:
            applied.penalty(lambda x: x.sum(tuple(range(1, x.ndim))), seen, seen, key, jnp.int32(0))

    examples = jax.ShapeDtypeStruct((2 * inputs.packing, *data.seen_shape), jnp.float32)
    jax.eval_shape(apply, examples, jax.random.key(0))
    return Pipeline(see, carried, follow)


def middle(real_logits: jax.Array, fake_logits: jax.Array, threshold: float | None) -> jax.Array:
    """The decision threshold: the loss's, or the midpoint of the two mean logits."""
    if threshold is None:
        return 0.5 * (real_logits.mean() + fake_logits.mean())
    return jnp.float32(threshold)


def auc(real_logits: jax.Array, fake_logits: jax.Array) -> jax.Array:
    """P(D(real) > D(fake)) + ½ P(D(real) = D(fake)), the area under the ROC curve.

    0.5 where logits do not tell them apart, 1 where every real example is scored higher.

    Args:
        real_logits: (n,).
        fake_logits: (m,).

    Returns:
        A scalar.
    """
    difference = real_logits[:, None] - fake_logits[None]
    return 0.5 + 0.5 * jnp.sign(difference).mean(dtype=jnp.float32)


def logit_metrics(
    real_logits: jax.Array, fake_logits: jax.Array, loss: Loss
) -> dict[str, jax.Array]:
    """Mean logits, their AUC, and what they say of the discriminator's decisions.

    With a threshold the share of each kind on its right side, `accuracy`; for log odds also
    `overconfidence`, E σ(|logit|) less the accuracy of both kinds (arXiv:1706.04599): 0 if a
    discriminator that is 90 % sure is right in 90 % of cases.
    """
    found = {
        "logit/real": real_logits.mean(),
        "logit/fake": fake_logits.mean(),
        "auc": auc(real_logits[:_COMPARED], fake_logits[:_COMPARED]),
    }
    if loss.threshold is None:
        return found
    found["accuracy/real"] = (real_logits > loss.threshold).mean(dtype=jnp.float32)
    found["accuracy/fake"] = (fake_logits < loss.threshold).mean(dtype=jnp.float32)
    if loss.log_odds:
        sure = [jax.nn.sigmoid(jnp.abs(logits)).mean() for logits in (real_logits, fake_logits)]
        right = found["accuracy/real"] + found["accuracy/fake"]
        found["overconfidence"] = 0.5 * (sure[0] + sure[1] - right)
    return found
