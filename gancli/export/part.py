"""A trained part of a task: a function of its own weights, apart from the run that trained it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gancli.adversarial.dynamics import Weights
from gancli.errors import UserError, shown
from gancli.evaluation.generator import Generator, load_generator, sampler_of
from gancli.networks.convolutions import for_platform
from gancli.runs.state_files import by_path
from gancli.tasks import Part, Sampler, Task, Translator
from gancli.tasks.program import weights_like
from gancli.tasks.task import EXAMPLES

GENERATOR, BACK = "generator", "back"
# Platforms other than the CPU compute convolutions in one way; see `for_platform`.
PLAIN = "any"


class TrainedPart:
    """A trained part, called with NumPy or JAX arrays that have a batch axis.

    It computes as the commands of gan do: from equal latents come equal bits.

    Args:
        generator: where it comes from, with the weights of its player.
        name: its name, such as `generator`.
        part: its function.
        held: its weights by path, such as `params/layer/kernel`; None for those of the generator.
    """

    def __init__(
        self,
        generator: Generator,
        name: str,
        part: Part,
        held: Mapping[str, jax.Array] | None = None,
    ):
        self.generator, self.name, self.part = generator, name, part
        if held is None:
            every = by_path(generator.weights)
            held = {path: every[path] for path in self.used_by(generator, part)}
        self.weights = dict(held)
        self._compiled = jax.jit(self.apply)

    def __call__(self, *inputs: Any) -> Any:
        """The output as a NumPy array, or a tuple of several; images in [-1, 1]."""
        return jax.device_get(self._compiled(self.weights, *inputs))

    def latents(self, count: int, seed: int = 0, labels: Sequence[int] = ()) -> np.ndarray:
        """The latents of the examples that `gan sample` draws.

        Args:
            count: number of examples.
            seed: random seed; latent i depends only on (seed, i) and its label.
            labels: class numbers to cycle through; empty for all classes.

        Returns:
            (count, latent): noise, and after it the labels or codes, if there are any.

        Raises:
            UserError: if a label is unknown, or the task generates no examples from noise.
        """
        sampler, indices = sampler_of(self.generator.task), np.arange(count)
        for label in labels:
            if label not in range(len(sampler.classes)):
                raise UserError(
                    f"label {shown(label)} with a generator of {len(sampler.classes)} labels",
                    f"whole numbers below {len(sampler.classes)}" if sampler.classes else "none",
                )
        return np.asarray(
            sampler.latents(jax.random.key(seed), indices, sampler.labels(indices, labels))
        )

    def apply(self, weights: Mapping[str, jax.Array], *inputs: jax.Array) -> Any:
        """Computes the output, or a tuple of several, from weights by path; a pure function."""
        made = self.part.apply(_filled(self.generator.weights, weights), *inputs)
        return made[0] if len(self.part.outputs) == 1 else tuple(made)

    def traced_for(self, platform: str) -> Callable[..., Any]:
        """`apply`, to be traced in the way of a platform."""

        def apply(weights: Mapping[str, jax.Array], *inputs: jax.Array) -> Any:
            with for_platform(platform):
                return self.apply(weights, *inputs)

        return apply

    def abstract_inputs(self) -> list[jax.ShapeDtypeStruct]:
        """The inputs with a free batch size and, where the part allows, free sides."""
        return _abstract_inputs(self.part, "batch, rows, columns")

    def shapes(self) -> tuple[Any, ...]:
        """The shapes and types of the outputs for one example of the described size."""
        one = [
            jax.ShapeDtypeStruct((1, *like.shape), like.dtype) for like in self.part.inputs.values()
        ]
        return jax.eval_shape(self.part.apply, self.generator.weights, *one)

    def abstract_weights(self) -> dict[str, jax.ShapeDtypeStruct]:
        """The shapes and types of the weights."""
        return {path: _abstract(leaf) for path, leaf in self.weights.items()}

    def in_float32(self) -> "TrainedPart":
        """The same part with all its products in float32."""
        config = self.generator.config
        if config.train.precision == "float32":
            return self
        exact = config.train.model_copy(update={"precision": "float32"})
        config = config.model_copy(update={"train": exact})
        generator = self.generator._replace(
            task=weights_like(config, self.generator.spec)[0], config=config
        )
        return TrainedPart(generator, self.name, parts_of(generator)[self.name], self.weights)

    def try_inputs(self, count: int) -> list[np.ndarray]:
        """Inputs to compare computations on: latents of the sampler, otherwise uniform noise."""
        if set(self.part.inputs) == {"latents"}:
            return [self.latents(count)]
        key = jax.random.key(0)
        return [
            np.asarray(jax.random.uniform(key, (count, *one.shape), one.dtype, -1))
            for one in self.part.inputs.values()
        ]

    @staticmethod
    def used_by(generator: Generator, part: Part) -> tuple[str, ...]:
        """The paths of the weights that the outputs of a part depend on, in ascending order."""
        like = jax.tree.map(_abstract, generator.weights)
        every = by_path(like)

        def apply(weights: Mapping[str, jax.Array], *inputs: jax.Array) -> tuple[jax.Array, ...]:
            with for_platform(PLAIN):
                return part.apply(_filled(like, weights), *inputs)

        exported = jax.export.export(jax.jit(apply))(every, *_abstract_inputs(part, "1, 1, 1"))
        paths = sorted(every)
        return tuple(paths[index] for index in exported.module_kept_var_idx if index < len(paths))


def load_part(path: Path, name: str = GENERATOR, raw: bool = False) -> TrainedPart:
    """Restores a trained part of a run.

    Args:
        path: a run directory, or the folder of one checkpoint.
        name: the part.
        raw: whether to use the raw weights of a generator instead of their moving average.

    Raises:
        UserError: if there is no checkpoint, or the task has no such part.
        CheckpointDamagedError: if none is sound.
    """
    generator = load_generator(path, raw)
    part = part_of(generator, name)
    if part.player != generator.task.sampler.player:
        skipped = generator.skipped
        generator = load_generator(generator.checkpoint, raw, player=part.player)
        generator = generator._replace(skipped=skipped)
    return TrainedPart(generator, name, part)


def part_of(generator: Generator, name: str) -> Part:
    """The part of a generator's task that has a name.

    Raises:
        UserError: if there is none.
    """
    parts = parts_of(generator)
    if name not in parts:
        raise UserError(
            f"part {shown(name)} of a generator of task {shown(generator.config.task)}",
            ", ".join(parts),
            "Choose another --part",
        )
    return parts[name]


def parts_of(generator: Generator) -> dict[str, Part]:
    """The parts of a generator's task by name, the generator first."""
    task, spec = generator.task, generator.spec
    sampler = task.sampler
    if isinstance(sampler, Sampler):
        parts = {GENERATOR: _sampling(task, sampler, EXAMPLES[spec.kind])}
    else:
        parts = {GENERATOR: _translating(sampler, spec.shape)}
    if task.back is not None and spec.target is not None:
        parts[BACK] = _translating(task.back, spec.target.shape)
    return parts | dict(task.parts)


def _sampling(task: Task, sampler: Sampler, made: str) -> Part:
    one = np.zeros(1, np.int32)
    latents = jax.eval_shape(sampler.latents, jax.random.key(0), one, one)
    of_one = jax.ShapeDtypeStruct(latents.shape[1:], latents.dtype)

    def generate(weights: Weights, latents: jax.Array) -> tuple[jax.Array]:
        return (sampler.generate(weights, latents),)

    return Part(sampler.player, {"latents": of_one}, (made,), generate)


def _translating(translator: Translator, shape: tuple[int, ...]) -> Part:
    def translate(weights: Weights, sources: jax.Array) -> tuple[jax.Array]:
        return (translator.translate(weights, sources),)

    multiple = translator.multiple
    sides = (-(-side // multiple) * multiple for side in shape[:2])
    source = jax.ShapeDtypeStruct((*sides, translator.channels), jnp.float32)
    return Part(translator.player, {"sources": source}, ("images",), translate, multiple)


def _abstract_inputs(part: Part, sizes: str) -> list[jax.ShapeDtypeStruct]:
    """Inputs of so many examples and, where sides are free, of so many multiples in each."""
    batch, *sides = jax.export.symbolic_shape(sizes)

    def shape_of(one: jax.ShapeDtypeStruct) -> tuple[Any, ...]:
        free = [part.multiple * side for side in sides]
        return (batch, *free, one.shape[-1]) if part.multiple else (batch, *one.shape)

    return [jax.ShapeDtypeStruct(shape_of(one), one.dtype) for one in part.inputs.values()]


def _filled(like: Weights, held: Mapping[str, jax.Array]) -> Weights:
    """Weights with these leaves; the others, on which no output depends, are zeros."""
    leaves = [
        held[path] if path in held else jnp.zeros(leaf.shape, leaf.dtype)
        for path, leaf in by_path(like).items()
    ]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _abstract(leaf: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
