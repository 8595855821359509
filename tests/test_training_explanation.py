"""What losses mean: literal values from each loss's definition."""

import math

import pytest
from refusals import refused

from gancli.adversarial.losses import LOSSES
from gancli.config import Config
from gancli.training.explanation import explain

LN2 = math.log(2)
# Both losses where logits tell nothing apart.
EVEN = {
    "minimax": (2 * LN2, -LN2),
    "non-saturating": (2 * LN2, LN2),
    "least-squares": (1 / 4, 1 / 8),
    "hinge": (2, 0),
    "wasserstein": (0, 0),
    "relativistic": (LN2, LN2),
    "relativistic-average": (2 * LN2, 2 * LN2),
    "f-divergence": (0, 0),
}


@pytest.mark.parametrize("loss", LOSSES.names())
def test_every_loss_is_explained(loss):
    even, won, lost = explain(Config(loss=loss), {}).places
    assert (even.discriminator, even.generator) == pytest.approx(EVEN[loss], abs=1e-3)
    assert won.discriminator < even.discriminator < lost.discriminator
    assert won.generator > even.generator > lost.generator or loss in ("minimax", "f-divergence")


def test_a_run_stands_between_them():
    line = {
        "step": 40,
        "discriminator/loss": LN2 + 3.0,
        "discriminator/penalty/r1": 3.0,
        "generator/loss": 2.0,
    }
    found = explain(Config(loss="non-saturating"), line)
    assert found.here == ("this run at step 40", pytest.approx(LN2), 2.0)
    assert "50%" in found.reading
    assert not found.compares


def test_losses_that_compare_have_no_level():
    known = {name for name in LOSSES.names() if explain(Config(loss=name), {}).compares}
    assert known == {"wasserstein", "relativistic", "relativistic-average"}


def test_a_task_without_a_discriminator_is_refused():
    with refused("maximum-likelihood"):
        explain(Config(task="maximum-likelihood", loss=""), {})
