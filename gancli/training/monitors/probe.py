"""Measurements of a state between steps, from which pathologies are recognized."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gancli.adversarial.dynamics import TrainState, Turn, Weights, loss_at
from gancli.adversarial.keys import Stream
from gancli.config import Config
from gancli.data.dataset import Dataset, fixed_order
from gancli.data.transform import from_stored
from gancli.evaluation.draw_samples import reference_data
from gancli.tasks import Task, Translator
from gancli.training.monitors.monitor import as_figures
from gancli.training.monitors.motion import projection

# Examples of each kind that are compared in pairs, at most.
_COMPARED = 256
# Larger images are compared at this side, in pixels.
_SIDE = 32
# Held-out and training examples whose logits are compared.
_MOST_HELD_OUT = 512
# Training examples among which the nearest one of a sample is sought, at most.
_SOUGHT = 1024
# Samples closer than this share of the distance of near real examples are the same.
_SAME = 0.1
_POWER_ITERATIONS = 8


class Inputs(NamedTuple):
    """What states are measured by.

    `truth` are real examples (n, values), `origins` the latents or sources of samples in batches,
    and `real` a batch of training, empty where slopes are not measured. Where examples are held
    out, `batches` are of `train` and `held_out`, `seen` training examples (m, values), and
    `unseen_apart` the distances of held-out examples to the nearest of these; else empty or None.
    """

    truth: np.ndarray
    origins: Any
    real: Mapping[str, Any]
    batches: Mapping[str, Any]
    seen: jax.Array | None
    unseen_apart: jax.Array | None


class Measured(NamedTuple):
    """The figures of a state, and the projections of its players' parameters."""

    figures: dict[str, jax.Array]
    projections: dict[str, jax.Array]


class Probe:
    """The measurements of a run's states.

    Args:
        measure: returns the figures of a state by name, and the projections of its players'
            parameters, given the `inputs`; a pure function.
        inputs: returns what states are measured by; called once, at the first measurement.
    """

    def __init__(
        self,
        measure: Callable[[TrainState, Inputs], Measured],
        inputs: Callable[[], Inputs],
    ):
        self.measure, self.inputs = measure, functools.cache(inputs)
        self._compiled = jax.jit(measure)

    def __call__(self, state: TrainState) -> tuple[dict[str, float], dict[str, list[float]]]:
        """The figures of a state that are finite, to six significant digits, and projections."""
        found = jax.device_get(self._compiled(state, self.inputs()))
        return as_figures(found.figures), jax.tree.map(np.ndarray.tolist, found.projections)


def build_probe(
    task: Task, config: Config, dataset: Dataset, held_out: Dataset | None = None
) -> Probe:
    """Fixes the latents and examples by which a run's states are measured.

    Args:
        task: task of the run.
        config: configuration of the run.
        dataset: data set of the run.
        held_out: examples that the run does not see; None where there are none.

    Returns:
        The probe, with these figures:

        - `diversity`: mean distance between two samples, in that of two real examples;
        - `spacing`: median distance of a sample to the nearest other one, likewise;
        - `support`: the number of pairs of samples by that of equal ones, which estimates how many
          different samples there are (arXiv:1706.08224);
        - `distance`: the energy distance 2E‖x-y‖ - E‖x-x'‖ - E‖y-y'‖ of samples and real
          examples, in 2E‖x-y‖: 0 for equal distributions (arXiv:1704.02291);
        - `restlessness`: mean distance between what the raw and the averaged weights make of a
          latent, in the mean distance of two real examples;
        - `modes/found` and `modes/near`, where the modes are known: the share of them with a
          sample within three deviations, and the share of such samples;
        - `overfitting`: (E D(train) - E D(held out)) / (E D(train) - E D(fake)), r_v of
          arXiv:2006.06676, and `auc/held_out`: the AUC of held-out examples against samples;
        - `slope`: E‖∇D‖ at interpolates of real examples and samples, 1 where the gradient penalty
          of arXiv:1704.00028 is at its target; of single examples from noise;
        - `copying`: C_T of arXiv:2004.05675, the z of Mann and Whitney's U for distances to the
          nearest training example, of samples against held-out examples, and `nearness`: the
          median of the former in that of the latter;
        - `PLAYER/largest_singular_value` of its kernels, by power iteration, and `PLAYER/drift`:
          ‖w - averaged w‖ / ‖w‖.
    """
    sampler, batch = task.sampler, task.examples_per_update
    shown = reference_data(dataset)
    modes = shown.modes

    def flat(source: Dataset, count: int) -> jax.Array:
        return _flat(jnp.asarray(_some(source, count)["examples"]), shown)

    def inputs() -> Inputs:
        batches: dict[str, Any] = {}
        seen = unseen_apart = None
        if held_out is not None and dataset.target is None:
            count = max(1, min(_MOST_HELD_OUT, len(held_out.examples)) // batch) * batch
            batches["train"] = _some(dataset, count, batch)
            batches["held_out"] = _some(held_out, count, batch)
            seen = flat(dataset, _SOUGHT)
            unseen_apart = _distances(flat(held_out, _COMPARED), seen).min(axis=1)
        of_noise = not (isinstance(sampler, Translator) or dataset.spec.vocabulary)
        real = _some(dataset, batch) if of_noise and config.inputs.packing == 1 else {}
        truth = np.asarray(flat(shown, _COMPARED))
        origins = _origins(task, config, dataset)
        return Inputs(truth, origins, real, batches, seen, unseen_apart)

    def generate(weights: Weights, origins: Any) -> jax.Array:
        if isinstance(sampler, Translator):
            return sampler.translate(weights, origins)
        return sampler.generate(weights, origins)

    def measure(state: TrainState, given: Inputs) -> Measured:
        truth, origins = jnp.asarray(given.truth), given.origins
        player = state.players[sampler.player]

        def samples_of(weights: Weights) -> jax.Array:
            made = jax.lax.map(lambda some: _flat(generate(weights, some), shown), origins)
            return made.reshape(-1, made.shape[-1])

        samples = samples_of(player.weights)
        fake, among_real, across = (
            _distances(samples, samples), _distances(truth, truth), _distances(samples, truth)
        )  # fmt: skip
        spread, scale = _mean_of_pairs(fake), _mean_of_pairs(among_real)
        near = jnp.median(_nearest(among_real))
        figures = {
            "diversity": spread / scale,
            "spacing": jnp.median(_nearest(fake)) / near,
            "support": _support(fake, _SAME * near),
            "distance": (2 * across.mean() - spread - scale) / (2 * across.mean()),
        }
        if player.average is not None:
            averaged = samples_of(player.average)
            figures["restlessness"] = jnp.linalg.norm(samples - averaged, axis=1).mean() / scale
        if modes is not None:
            apart = _distances(samples, jnp.asarray(modes.centres, jnp.float32))
            hits = apart.min(axis=1) <= 3 * modes.deviation
            hit = jnp.zeros(len(modes.centres), bool).at[apart.argmin(axis=1)].max(hits)
            figures |= {
                "modes/found": hit.mean(dtype=jnp.float32),
                "modes/near": hits.mean(dtype=jnp.float32),
            }
        if "discriminator" in state.players:
            if given.batches:
                figures |= _generalization(task, config, state, given.batches)
            if given.real:
                generated = generate(player.weights, origins[0])
                figures |= _slope(task, config, state, given.real, generated)
        if given.seen is not None and given.unseen_apart is not None:
            apart = _distances(samples, given.seen).min(axis=1)
            figures |= _memorization(apart, given.unseen_apart)
        for name, each in state.players.items():
            figures[f"{name}/largest_singular_value"] = _largest_singular_value(each.params)
            if each.average is not None:
                moved = jax.tree.map(jnp.subtract, each.params, each.average.params)
                figures[f"{name}/drift"] = _norm(moved) / _norm(each.params)
        projections = {name: projection(each.params) for name, each in state.players.items()}
        return Measured(figures, projections)

    return Probe(measure, inputs)


def _discriminator_metrics(
    task: Task, config: Config, state: TrainState, batch: Any
) -> dict[str, jax.Array]:
    """The metrics of the discriminator's loss on a batch; it is not updated."""
    seed = jax.random.fold_in(jax.random.key(config.train.seed), int(Stream.PROBE))
    turn = Turn(batch, seed, state.step)
    return loss_at(task.game, "discriminator", state.players, turn)[1].metrics


def _slope(
    task: Task, config: Config, state: TrainState, real: Any, generated: jax.Array
) -> dict[str, jax.Array]:
    """The mean norm of the logit's gradient between real examples and samples."""
    count = min(len(real["examples"]), len(generated))
    shares = jnp.linspace(0, 1, count).reshape(-1, *[1] * (generated.ndim - 1))
    batch = jax.tree.map(lambda column: column[:count], real)
    between = shares * batch["examples"] + (1 - shares) * generated[:count]

    def total(examples: jax.Array) -> jax.Array:
        metrics = _discriminator_metrics(task, config, state, batch | {"examples": examples})
        return count * metrics["logit/real"] if "logit/real" in metrics else jnp.float32(0)

    slopes = jax.grad(total)(between).reshape(count, -1)
    return {"slope": jnp.linalg.norm(slopes, axis=1).mean()}


def _generalization(
    task: Task, config: Config, state: TrainState, batches: Mapping[str, Any]
) -> dict[str, jax.Array]:
    """How the discriminator's logits of examples that it saw differ from those of others."""

    def logits(batch: Any) -> dict[str, jax.Array]:
        found = _discriminator_metrics(task, config, state, batch)
        kept = ("logit/real", "logit/fake", "auc")
        return {name: found[name] for name in kept if name in found}

    found = {
        kind: jax.tree.map(jnp.mean, jax.lax.map(logits, own)) for kind, own in batches.items()
    }
    if not found["train"]:
        return {}
    seen, other = found["train"], found["held_out"]
    return {
        "overfitting": (seen["logit/real"] - other["logit/real"])
        / (seen["logit/real"] - seen["logit/fake"]),
        "auc/train": seen["auc"],
        "auc/held_out": other["auc"],
    }


def _some(dataset: Dataset, count: int, batch: int = 0) -> dict[str, np.ndarray]:
    """Some examples as networks see them, with their labels; in batches of this size."""
    order = fixed_order(len(dataset.examples))
    rows = np.resize(order, count) if batch else order[:count]
    columns = {"examples": np.asarray(dataset.examples[np.sort(rows)])}
    columns["examples"] = np.asarray(from_stored(columns["examples"]))
    if dataset.labels is not None:
        columns["labels"] = np.asarray(dataset.labels[np.sort(rows)])
    if batch:
        return {name: own.reshape(-1, batch, *own.shape[1:]) for name, own in columns.items()}
    return columns


def _origins(task: Task, config: Config, dataset: Dataset) -> Any:
    """The fixed latents or sources, in batches that are no larger than those of training."""
    sampler, batch = task.sampler, min(_COMPARED, task.examples_per_update)
    count = _COMPARED // batch * batch
    if isinstance(sampler, Translator):
        examples = jnp.asarray(_some(dataset, min(count, len(dataset.examples)))["examples"])
        origins = np.asarray(sampler.source(examples))
        batch = min(batch, len(origins))
        origins = origins[: len(origins) // batch * batch]
    else:
        indices = np.arange(count)
        key = jax.random.fold_in(jax.random.key(config.train.seed), int(Stream.PROBE))
        origins = np.asarray(jax.jit(sampler.latents)(key, indices, sampler.labels(indices)))
    return origins.reshape(-1, batch, *origins.shape[1:])


def _flat(examples: jax.Array, dataset: Dataset) -> jax.Array:
    """Examples as vectors (n, values): images of at most 32 pixels a side, tokens one-hot."""
    if dataset.spec.vocabulary:
        examples = jax.nn.one_hot(examples, dataset.spec.vocabulary)
    if dataset.spec.kind == "image":
        count, height, width, channels = examples.shape
        shape = (count, min(height, _SIDE), min(width, _SIDE), channels)
        examples = jax.image.resize(examples, shape, "linear")
    return examples.reshape(len(examples), -1)


def _distances(a: jax.Array, b: jax.Array) -> jax.Array:
    """Euclidean distances (n, m)."""
    squared = (a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2 * a @ b.T
    return jnp.sqrt(jnp.maximum(squared, 0))


def _mean_of_pairs(distances: jax.Array) -> jax.Array:
    """The mean over pairs of two different examples."""
    count = len(distances)
    return (distances.sum() - jnp.trace(distances)) / (count * (count - 1))


def _nearest(distances: jax.Array) -> jax.Array:
    """The distance of each example to the nearest other one (n,)."""
    itself = jnp.eye(len(distances), dtype=bool)
    return jnp.where(itself, jnp.inf, distances).min(axis=1)


def _support(distances: jax.Array, same: jax.Array) -> jax.Array:
    """The birthday estimate of the number of different examples; infinite if all n are."""
    count = len(distances)
    alike = (distances < same) & ~jnp.eye(count, dtype=bool)
    return count * (count - 1) / alike.sum(dtype=jnp.float32)


def _memorization(samples: jax.Array, unseen: jax.Array) -> dict[str, jax.Array]:
    """How distances to the nearest training example (n,) differ from those of unseen ones (m,)."""
    count, others = len(samples), len(unseen)
    pairs, sign = count * others, jnp.sign(samples[:, None] - unseen[None])
    deviation = np.sqrt(pairs * (count + others + 1) / 12)
    return {
        "copying": 0.5 * sign.sum(dtype=jnp.float32) / deviation,
        "nearness": jnp.median(samples) / jnp.median(unseen),
    }


def _norm(params: Any) -> jax.Array:
    """The Euclidean norm of all values together."""
    return jnp.sqrt(sum((leaf * leaf).sum() for leaf in jax.tree.leaves(params)))


def _largest_singular_value(params: Any) -> jax.Array:
    """The largest singular value among the kernels, as matrices (inputs, outputs)."""

    def of(kernel: jax.Array) -> jax.Array:
        matrix = kernel.reshape(-1, kernel.shape[-1])

        def again(_: int, vector: jax.Array) -> jax.Array:
            image = (matrix @ vector) @ matrix
            return image / (jnp.linalg.norm(image) + 1e-12)

        vector = jnp.ones(matrix.shape[1]) / np.sqrt(matrix.shape[1])
        return jnp.linalg.norm(matrix @ jax.lax.fori_loop(0, _POWER_ITERATIONS, again, vector))

    kernels = [leaf for leaf in jax.tree.leaves(params) if leaf.ndim >= 2]
    return jnp.stack([of(kernel) for kernel in kernels]).max() if kernels else jnp.float32(0)
