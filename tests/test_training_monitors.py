"""Every monitor: silent while nothing is wrong."""

import jax.numpy as jnp
import numpy as np
import pytest

from gancli.adversarial.dynamics import Player, TrainState
from gancli.config import Config
from gancli.training.monitors import MONITORS, Window


@pytest.mark.parametrize("name", MONITORS.names())
def test_every_monitor_is_silent_on_a_sound_window(name):
    monitor = MONITORS.build(name, Config(loss="hinge"))
    names = ("discriminator/loss", "generator/loss")
    rows = np.linspace(0.4, 0.6, 20, dtype=np.float32).reshape(10, 2)
    player = Player({"kernel": jnp.ones((2, 2))}, {}, (), None)
    state = TrainState(jnp.int32(10), {"discriminator": player, "generator": player})
    assert monitor(Window(names, rows, 10)) is None
    assert monitor(Window(names, rows, 10, state)) is None
    assert monitor(Window(names, rows[:0], 10)) is None
