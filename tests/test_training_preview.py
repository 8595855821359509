"""What a run shows of its states."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
from test_tasks import config

from gancli.data.dataset import Dataset, DataSpec, towards
from gancli.tasks.task import Translator
from gancli.training.preview import build_preview


def translator(channels, made):
    """What makes black images of sources of so many channels; plain, they are grey."""
    return Translator(
        "generator",
        channels,
        lambda examples: examples,
        lambda weights, sources: jnp.full((*sources.shape[:3], made), -1.0),
        lambda sources: jnp.broadcast_to(
            sources.mean(axis=-1, keepdims=True), (*sources.shape[:3], made)
        ),
        False,
    )


def images(name, *colour):
    examples = np.broadcast_to(np.uint8(colour), (2, 4, 4, len(colour)))
    return Dataset(DataSpec(name, "image", examples.shape[1:]), examples, None, name)


def test_sources_are_shown_in_their_own_colours():
    data = towards(images("colour", 200, 10, 60), images("grey", 90))
    task = SimpleNamespace(sampler=translator(3, 1), back=translator(1, 3))
    preview = build_preview(task, config("image"), data)  # pyright: ignore[reportArgumentType]
    state = SimpleNamespace(players={"generator": SimpleNamespace(average=None, weights=None)})
    shown = preview.draw(state)  # pyright: ignore[reportArgumentType]
    assert preview.labels[:4] == ["source", "made", "source", "made"]
    expected = [[200, 10, 60], [0, 0, 0], [90, 90, 90], [0, 0, 0]]
    assert shown[:4, 0, 0].tolist() == expected
