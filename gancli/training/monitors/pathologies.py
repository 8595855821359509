"""The known ways in which adversarial training fails: evidence, thresholds, sources, remedies.

Thresholds were set on runs on ring8, moons and digits; experiments/results.md has the rates of
detection and of false alarms on other data. Only the gradient norm of 100 is published, as a rule
of thumb.
"""

import numpy as np

from gancli.config import Config
from gancli.training.monitors.diagnosis import (
    CLOSE,
    PATHOLOGIES,
    History,
    Pathology,
    Remedy,
    remedies,
)

# Samples get better if one of the newest distances is lower by this share than all before.
_BETTER = 0.15
_LATELY = 3
# Nats between the classes of samples and those of the data if half of the classes are missing.
_HALF_OF_THE_CLASSES = np.log(2)
# A gradient norm that no healthy run has come near, whatever it was before.
_EXPLODED = 10_000


_RELATIVISTIC = Remedy(
    {"loss": "relativistic", "penalties": ["r1", "r2"]},
    "R3GAN's loss with R1 and R2, which converges locally",
)
_AUGMENTED = Remedy(
    {"inputs.augment": ["flip", "translation", "color"], "inputs.augment_target": 0.6},
    "adaptive augmentation",
)


def _r1(config: Config) -> Remedy:
    """R1 beside the penalties that a run has; the same ones if it has R1."""
    held = list(config.penalties)
    added = [] if any(spec.partition(":")[0] == "r1" for spec in held) else ["r1"]
    return Remedy(
        {"penalties": held + added}, "a penalty on the discriminator's slope at real examples"
    )


def _with_a_slope(config: Config) -> Remedy:
    """The penalty that makes a critic Lipschitz, which the Wasserstein loss needs; else R1."""
    if config.loss.partition(":")[0] == "wasserstein" and not config.penalties:
        return Remedy(
            {"penalties": ["gradient-penalty"]}, "WGAN-GP's penalty: the critic must be Lipschitz"
        )
    return _r1(config)


def _as_fast(config: Config) -> Remedy:
    """A discriminator with at least the generator's rate; the same if one follows a schedule."""
    own, other = config.optimizer.discriminator, config.optimizer.generator
    rates = own.learning_rate, other.learning_rate
    rate = rates[0] if any(isinstance(one, str) for one in rates) else max(rates)
    return Remedy(
        {"optimizer.discriminator.learning_rate": rate},
        "a discriminator that learns as fast as the generator",
    )


def _slower(config: Config, player: str, factor: float) -> Remedy:
    """Smaller steps of a player; the same ones if they follow a schedule."""
    rate = getattr(config.optimizer, player).learning_rate
    slower = rate if isinstance(rate, str) else float(f"{factor * rate:.2g}")
    return Remedy({f"optimizer.{player}.learning_rate": slower}, f"smaller steps of the {player}")


def _against_few_examples(config: Config) -> tuple[Remedy, ...]:
    """What keeps a discriminator from knowing its examples by heart."""
    is_of_images = config.model.partition(":")[0] not in ("mlp", "maxout-mlp", "sequence")
    return remedies(config, *([_AUGMENTED] if is_of_images else []), _r1(config))


def gets_better(history: History) -> bool:
    """Whether samples have come closer to the data lately, or there are too few measurements."""
    distances = history.series("monitors/distance")
    before, lately = distances[:-_LATELY], distances[-_LATELY:]
    return not len(before) or bool(lately.min() < (1 - _BETTER) * before.min())


def _median(values: np.ndarray) -> float:
    """The median of those that are there; nan without any."""
    there = values[~np.isnan(values)]
    return float(np.median(there)) if len(there) else np.nan


def _is_far(history: History) -> bool:
    return history.newest("monitors/distance") > CLOSE


@PATHOLOGIES.register("mode-collapse", reference="arXiv:1610.09585, arXiv:1706.08224")
def mode_collapse(config: Config) -> Pathology:
    """Samples are much more alike than the data."""

    def evidence(history: History) -> str | None:
        diversity, spacing = (
            history.newest(f"monitors/{name}") for name in ("diversity", "spacing")
        )
        if gets_better(history):
            return None
        found = history.newest("monitors/modes/found")
        near = history.newest("monitors/modes/near")
        if diversity < 0.5:
            return f"samples are {diversity:.2f} as far apart as real examples (below 0.5)"
        if spacing < 0.2:
            return (
                f"the nearest other sample is {spacing:.2f} as far as among real ones (below 0.2)"
            )
        if found <= 0.5 and near > 0.1:
            return f"{found:.0%} of the known modes have a sample, {near:.0%} of samples are at one"
        classes = history.newest("evaluation/classes/kl")
        if classes > _HALF_OF_THE_CLASSES:
            return (
                f"the classes of samples are {classes:.2f} nats from the data's (above "
                f"{_HALF_OF_THE_CLASSES:.2f}, as if half of them were missing)"
            )
        return None

    return Pathology(
        "The generator makes few different examples.",
        evidence,
        2,
        remedies(
            config,
            Remedy({"train.generator_steps": 1}, "one generator update in a step"),
            Remedy({"inputs.packing": 2}, "the discriminator sees pairs of examples"),
            _r1(config),
            _RELATIVISTIC,
        ),
    )


@PATHOLOGIES.register("discriminator-wins", reference="arXiv:1701.04862")
def discriminator_wins(config: Config) -> Pathology:
    """The discriminator tells every sample from real examples, and the samples get no better."""

    def evidence(history: History) -> str | None:
        auc = history.newest("discriminator/auc")
        norms = history.series("generator/gradient_norm")
        if not (auc > 0.98 and _is_far(history)) or gets_better(history):
            return None
        said = f"AUC of its logits {auc:.3f} (above 0.98)"
        median = _median(norms)
        if norms[-1] < 0.01 * median:
            said += f"; the generator's gradient is {norms[-1] / median:.1e} of its median"
        return said

    return Pathology(
        "The discriminator has won: its gradient no longer tells the generator where to go.",
        evidence,
        2,
        remedies(
            config,
            _r1(config),
            _slower(config, "discriminator", 0.25),
            Remedy({"loss": "non-saturating"}, "a loss whose gradient does not vanish"),
        ),
    )


@PATHOLOGIES.register("discriminator-lags", reference="arXiv:1701.07875, section 4")
def discriminator_lags(config: Config) -> Pathology:
    """The discriminator does not tell samples from data although they are far from it."""

    def evidence(history: History) -> str | None:
        auc = history.newest("discriminator/auc")
        if not (auc < 0.55 and _is_far(history)) or gets_better(history):
            return None
        return (
            f"AUC of its logits {auc:.3f} (below 0.55), although samples are "
            f"{history.newest('monitors/distance'):.2f} from the data (above {CLOSE})"
        )

    return Pathology(
        "The discriminator does not keep up with the generator, which learns nothing from it.",
        evidence,
        2,
        remedies(
            config,
            _as_fast(config),
            Remedy({"train.discriminator_steps": 5}, "more discriminator updates in a step"),
            _slower(config, "generator", 0.25),
        ),
    )


@PATHOLOGIES.register("oscillation", reference="arXiv:1801.04406, arXiv:1906.04848")
def oscillation(config: Config) -> Pathology:
    """What the generator makes of a latent moves on and on, and comes no closer to the data."""

    def evidence(history: History) -> str | None:
        moves = history.series("monitors/restlessness", 3)
        if len(moves) < 3 or not _median(moves) > 0.3 or gets_better(history):
            return None
        return (
            f"raw and averaged weights make samples {_median(moves):.2f} of the data's "
            "spread apart (above 0.3)"
        )

    return Pathology(
        "The players go round in circles instead of converging.",
        evidence,
        2,
        remedies(
            config,
            _r1(config),
            Remedy(
                {"optimizer.generator.beta1": 0.0, "optimizer.discriminator.beta1": 0.0},
                "no momentum",
            ),
            _slower(config, "generator", 0.25),
            _RELATIVISTIC,
        ),
    )


@PATHOLOGIES.register("exploding-gradients", reference="soumith/ganhacks, section 10")
def exploding_gradients(config: Config) -> Pathology:
    """A player's gradient has grown far beyond what it was, or beyond every healthy one."""

    def evidence(history: History) -> str | None:
        for player in ("discriminator", "generator"):
            norm = history.newest(f"{player}/gradient_norm")
            median = _median(history.series(f"{player}/gradient_norm"))
            if norm > _EXPLODED:
                return f"gradient norm of the {player} {norm:.3g} (above {_EXPLODED:,})"
            if norm > 100 and norm > 10 * median:
                return (
                    f"gradient norm of the {player} {norm:.3g} (above 100, and above 10 "
                    f"times its median {median:.3g})"
                )
        return None

    return Pathology(
        "Gradients explode.",
        evidence,
        1,
        remedies(
            config,
            _with_a_slope(config),
            _slower(config, "generator", 0.25),
            Remedy(
                {"optimizer.generator.clip_norm": 1.0, "optimizer.discriminator.clip_norm": 1.0},
                "bounded gradients",
            ),
        ),
        on_every_line=True,
    )


@PATHOLOGIES.register("discriminator-overfitting", reference="arXiv:2006.06676, section 3")
def discriminator_overfitting(config: Config) -> Pathology:
    """The discriminator knows the training examples by heart."""

    def evidence(history: History) -> str | None:
        seen, other = (history.newest(f"monitors/auc/{kind}") for kind in ("train", "held_out"))
        rates = history.series("monitors/overfitting", 3)
        if len(rates) < 3 or not _median(rates) > 0.5 or not seen - other > 0.15:
            return None
        return (
            f"it scores held-out examples {_median(rates):.0%} of the way from training "
            f"examples to samples (above 50%; AUC {seen:.2f} and {other:.2f})"
        )

    return Pathology(
        "The discriminator overfits: it scores training examples higher than unseen real ones.",
        evidence,
        2,
        _against_few_examples(config),
    )


@PATHOLOGIES.register("memorization", reference="arXiv:2004.05675, arXiv:2301.13188, section 5.1")
def memorization(config: Config) -> Pathology:
    """Samples are nearer to training examples than unseen real examples are."""

    def evidence(history: History) -> str | None:
        copying = _median(history.series("monitors/copying", 3))
        nearness = _median(history.series("monitors/nearness", 3))
        if not (copying < -3 and nearness < 0.5):
            return None
        return (
            f"samples are {nearness:.2f} as far from training examples as held-out examples are "
            f"(below 0.5; C_T {copying:.1f}, below -3)"
        )

    return Pathology(
        "The generator copies training examples.",
        evidence,
        2,
        _against_few_examples(config),
    )
