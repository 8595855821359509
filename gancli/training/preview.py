"""The preview of a run: examples from fixed latents or sources, which show its progress."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gancli.adversarial.dynamics import TrainState, Weights
from gancli.config import Config
from gancli.data.dataset import Dataset, fixed_order
from gancli.data.transform import from_stored, to_stored
from gancli.evaluation.draw_samples import reference_data
from gancli.system.placement import on_one_device
from gancli.tasks import Task, Translator


class Preview(NamedTuple):
    """`draw(state)` returns examples on the host in stored format; `labels` names each."""

    draw: Callable[[TrainState], np.ndarray]
    labels: list[str]


def sampled(task: Task, state: TrainState) -> Weights:
    """The weights that samples are drawn with, on one device; all processes gather divided ones."""
    player = state.players[task.sampler.player]
    return on_one_device(player.average or player.weights)


def build_preview(task: Task, config: Config, dataset: Dataset) -> Preview:
    """Fixes the latents or sources of a run's preview.

    Returns:
        The preview. Beside what is made of an image stand the image, in its own colours, and what
        it should have become, where that is known; where there are two data sets, the way back
        follows.
    """
    sampler, count = task.sampler, config.sample.count
    if isinstance(sampler, Translator):
        return _translations(task, count, dataset)
    indices = np.arange(count)
    latents = jax.jit(sampler.latents)(
        jax.random.key(config.train.seed), indices, sampler.labels(indices)
    )
    latents = np.asarray(latents)
    generate = jax.jit(sampler.generate)

    def draw(state: TrainState) -> np.ndarray:
        return to_stored(np.asarray(generate(sampled(task, state), latents)), task.bits)

    return Preview(draw, sampler.names(indices))


def _translations(task: Task, count: int, dataset: Dataset) -> Preview:
    """See `build_preview`; grey images are repeated to the largest number of channels."""
    assert isinstance(task.sampler, Translator)
    ways = [(task.sampler, dataset)]
    if task.back and dataset.target:
        ways.append((task.back, dataset.target))
    names: list[str] = []
    for translator, _ in ways:
        names += ["plain", "made", "real"] if translator.restores else ["source", "made"]
    groups = min(max(1, count // len(names)), *(len(own.examples) for _, own in ways))
    rows = [np.sort(fixed_order(len(own.examples))[:groups]) for _, own in ways]
    given = [from_stored(own.examples[some]) for (_, own), some in zip(ways, rows, strict=True)]
    wanted_of = reference_data(dataset) if task.sampler.restores else dataset
    wanted = from_stored(wanted_of.examples[rows[0]])

    @jax.jit
    def make(weights: Weights, given: Sequence[jax.Array], wanted: jax.Array) -> jax.Array:
        columns = []
        for (translator, _), examples in zip(ways, given, strict=True):
            source = translator.source(examples)
            shown = translator.plain(source) if translator.restores else source
            columns += [shown, translator.translate(weights, source)]
            columns += [wanted] if translator.restores else []
        widest = max(column.shape[-1] for column in columns)
        alike = [jnp.broadcast_to(c, (*c.shape[:-1], widest)) for c in columns]
        return jnp.stack(alike, axis=1).reshape(-1, *alike[0].shape[1:])

    def draw(state: TrainState) -> np.ndarray:
        return to_stored(np.asarray(make(sampled(task, state), given, wanted)))

    return Preview(draw, names * groups)
