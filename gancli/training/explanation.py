"""What the losses of a run mean, worked out from the definition of its loss."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from gancli.adversarial.losses import LOSSES, Loss
from gancli.config import Config
from gancli.errors import UserError

# The logits among which the discriminator's best are sought: many losses have none at a finite one.
_LOGITS = np.linspace(-5, 5, 101, dtype=np.float32)


class Place(NamedTuple):
    """The losses of both players in a situation."""

    situation: str
    discriminator: float
    generator: float


class Explanation(NamedTuple):
    """The losses in typical situations, those of the run, and what to read from them.

    `compares` says that only differences of logits enter the discriminator's loss.
    """

    loss: str
    places: tuple[Place, ...]
    here: Place | None
    compares: bool
    reading: str

    def as_json(self) -> dict[str, Any]:
        """The explanation as a JSON object."""
        places = [place._asdict() for place in self.places]
        return self._asdict() | {"places": places, "here": self.here and self.here._asdict()}


def explain(config: Config, newest: Mapping[str, float]) -> Explanation:
    """Explains the losses of a run.

    Args:
        config: configuration of the run.
        newest: its newest line of metrics.

    Returns:
        The explanation. Its situations are: logits that tell nothing apart, at the level that the
        discriminator's loss prefers; the logits from -5 to 5 at which it is least; and these
        exchanged.

    Raises:
        UserError: if the run has no adversarial loss.
    """
    if not config.loss:
        raise UserError(
            f"task {config.task!r} has no adversarial loss to explain",
            "a run that trains against a discriminator",
            "Leave out --explain",
        )
    loss = LOSSES.build(config.loss)
    even = _best(_LOGITS, _LOGITS, loss)
    real, fake = _best(np.repeat(_LOGITS, len(_LOGITS)), np.tile(_LOGITS, len(_LOGITS)), loss)
    places = (
        _place("logits tell nothing apart", loss, *even),
        _place("the discriminator wins", loss, real, fake),
        _place("the generator wins", loss, fake, real),
    )
    compares = bool(np.isclose(_losses(loss, 1, 0)[0], _losses(loss, 4, 3)[0]))
    penalties = sum(
        value for name, value in newest.items() if name.startswith("discriminator/penalty/")
    )
    here = None
    if "discriminator/loss" in newest and "generator/loss" in newest:
        here = Place(
            f"this run at step {newest['step']}",
            newest["discriminator/loss"] - penalties,
            newest["generator/loss"],
        )
    return Explanation(config.loss, places, here, compares, _reading(places, here, compares))


def _reading(places: tuple[Place, ...], here: Place | None, compares: bool) -> str:
    """What the discriminator's loss of a run says, between the values of two situations."""
    if here is None:
        return "The run has no line of metrics yet."
    even, won = places[0].discriminator, places[1].discriminator
    share = (even - here.discriminator) / (even - won)
    said = (
        f"The discriminator's loss, without penalties, is {abs(share):.0%} of the way from "
        f"telling nothing apart to {'winning' if share >= 0 else 'losing'}."
    )
    if compares:
        said += (
            " This loss compares logits, so that their level, and with it the generator's loss, "
            "may drift and mean nothing; only differences count."
        )
    return said


def _best(real: np.ndarray, fake: np.ndarray, loss: Loss) -> tuple[float, float]:
    """Which logits the discriminator's loss prefers; the middle ones of several."""
    values = np.asarray(loss.discriminator(jnp.asarray(real), jnp.asarray(fake)))
    least = values <= values.min() + 1e-6
    return float(np.median(real[least])), float(np.median(fake[least]))


def _losses(loss: Loss, real: float, fake: float) -> tuple[float, float]:
    logits = jnp.full(2, real, jnp.float32), jnp.full(2, fake, jnp.float32)
    return float(loss.discriminator(*logits).mean()), float(loss.generator(*logits).mean())


def _place(situation: str, loss: Loss, real: float, fake: float) -> Place:
    return Place(situation, *_losses(loss, real, fake))
