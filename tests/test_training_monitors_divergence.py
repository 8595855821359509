"""What counts as divergence."""

import jax.numpy as jnp
import numpy as np
import pytest

from gancli.adversarial.dynamics import Player, TrainState, Weights
from gancli.config import Config
from gancli.config.layers import with_values
from gancli.training.monitors.divergence import OF_PARTS, find_in_metrics, find_in_state, lowered

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
    ("values", "named", "value", "steps"),
    [
        ({"at2_1": np.nan}, ("discriminator", "logit/real"), ("nan",), (48, 48)),
        ({"at0_2": np.inf}, ("generator", "loss"), ("inf",), (46, 46)),
        (
            {"at1_0": -np.inf, "at4_2": np.nan},
            *(("discriminator", "loss"), ("-inf",), (47, 50)),
        ),
        (
            {"at3_0": -2e6},
            *(("discriminator", "loss"), ("-2e+06", "divergence.loss_limit=1e+06"), (49, 49)),
        ),
    ],
)
def test_the_first_value_is_named_with_its_player_and_steps(values, named, value, steps):
    found = find_in_metrics(NAMES, rows(**values), 50, 1e6)
    assert (found.player, found.quantity) == named
    assert (found.first, found.last) == steps
    assert found.value.startswith(value[0])
    assert all(fact in found.value for fact in value)
    assert all(fact in str(found) for fact in (*named, found.value, *map(str, steps)))


def state(**parts):
    fine = {"kernel": jnp.ones((2, 2))}
    own = {"params": fine, "stats": {}, "opt_state": (jnp.int32(1), fine)}
    player = Player(**{**own, "average": Weights(fine, {}), **parts})
    return TrainState(
        jnp.int32(7), {"discriminator": Player(**own, average=None), "critic": player}
    )


def test_a_finite_state_has_no_finding():
    assert find_in_state(state()) is None


@pytest.mark.parametrize("part", ["params", "stats", "opt_state", "average"])
@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_every_part_of_a_state_is_looked_at(part, value):
    tree = {"kernel": jnp.ones((2, 2)).at[1, 0].set(value)}
    tree = Weights(tree, {}) if part == "average" else tree
    found = find_in_state(state(**{part: tree}))
    assert (found.player, found.first, found.last) == ("critic", 7, 7)
    assert found.quantity == OF_PARTS[part]
    assert all(fact in str(found) for fact in ("critic", found.quantity, found.value, "7"))


def test_every_part_of_a_state_has_a_name_of_its_own():
    assert OF_PARTS.keys() == set(Player._fields)
    assert len(set(OF_PARTS.values())) == len(OF_PARTS)


def test_both_learning_rates_are_lowered_numbers_and_schedules_alike():
    falling = "linear:initial=0.4,final=0.2,steps=9"
    config = with_values(Config(), {"optimizer.generator.learning_rate": falling})
    assert lowered(config) == {
        "optimizer.generator.learning_rate": "linear:initial=0.2,final=0.1,steps=9",
        "optimizer.discriminator.learning_rate": 1e-4,
    }
