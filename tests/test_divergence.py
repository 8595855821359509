"""What counts as divergence."""

import jax.numpy as jnp
import numpy as np
import pytest

from gancli.config import Config
from gancli.divergence import find_in_metrics, find_in_state, lowered
from gancli.dynamics import Player, TrainState, Weights

NAMES = ("discriminator/loss", "discriminator/logit/real", "generator/loss")


def rows(**values):
    table = np.zeros((5, 3), np.float32)
    for place, value in values.items():
        row, column = map(int, place.removeprefix("at").split("_"))
        table[row, column] = value
    return table


def test_sound_metrics_have_no_finding():
    table = rows(at2_1=1e30, at3_0=-1e6)  # A logit may be large, and a loss as large as its limit.
    assert find_in_metrics(NAMES, table, 50, 1e6) is None
    assert find_in_metrics(NAMES, table[:0], 50, 1e6) is None


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"at2_1": np.nan}, "logit/real of the discriminator was nan at step 48"),
        ({"at0_2": np.inf}, "loss of the generator was inf at step 46"),
        (
            {"at1_0": -np.inf, "at4_2": np.nan},
            "loss of the discriminator was -inf at step 47 and more up to step 50",
        ),
        (
            {"at3_0": -2e6},
            "loss of the discriminator was -2e+06 (beyond divergence.loss_limit=1e+06) at step 49",
        ),
    ],
)
def test_the_first_value_is_named_with_its_player_and_steps(values, text):
    assert str(find_in_metrics(NAMES, rows(**values), 50, 1e6)) == text


def state(**parts):
    fine = {"kernel": jnp.ones((2, 2))}
    own = {"params": fine, "stats": {}, "opt_state": (jnp.int32(1), fine)}
    player = Player(**{**own, "average": Weights(fine, {}), **parts})
    return TrainState(
        jnp.int32(7), {"discriminator": Player(**own, average=None), "critic": player}
    )


def test_a_finite_state_has_no_finding():
    assert find_in_state(state()) is None


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("params", "a parameter"),
        ("stats", "a carried statistic"),
        ("opt_state", "a moment of the optimizer"),
        ("average", "an averaged weight"),
    ],
)
@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_every_part_of_a_state_is_looked_at(part, words, value):
    tree = {"kernel": jnp.ones((2, 2)).at[1, 0].set(value)}
    tree = Weights(tree, {}) if part == "average" else tree
    found = find_in_state(state(**{part: tree}))
    assert str(found) == f"{words} of the critic was not finite at step 7"


def test_each_rollback_lowers_both_learning_rates():
    config = Config()
    assert lowered(config, 0) == config
    optimizer = lowered(config, 2).optimizer
    assert optimizer.generator.learning_rate == config.optimizer.generator.learning_rate / 4
    assert optimizer.discriminator.learning_rate == config.optimizer.discriminator.learning_rate / 4
