"""Batches as a function of (seed, draw), so that there is no iterator state to save.

Draw n of a run is the n-th slice of an endless sequence of epochs, each with its own permutation.
Small sets live on the device, and only indices travel. Large sets are read by Grain with the
same indices, so both give the same batches.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from gancli.data.dataset import Dataset
from gancli.data.transform import from_stored
from gancli.errors import UserError

Tree = Any


@dataclasses.dataclass(frozen=True)
class BatchPlan:
    """The examples of a draw: `size` of `count`, in the order that `seed` decides.

    A second set uses another branch, so that two sets of equal size have different orders.
    """

    count: int
    size: int
    seed: int
    branch: int = 0

    @property
    def draws_per_epoch(self) -> int:
        """Number of whole draws per epoch; an epoch leaves out the remaining examples."""
        return self.count // self.size

    def indices(self, draw: int) -> np.ndarray:
        """The examples of a draw.

        Args:
            draw: 0 for the first.

        Returns:
            Indices into the data set, (size,) int32.
        """
        epoch, position = divmod(draw, self.draws_per_epoch)
        order = _permutation(self.seed, epoch + (self.branch << 62), self.count)
        return order[position * self.size : (position + 1) * self.size]


@dataclasses.dataclass(frozen=True)
class Materialize:
    """Makes a batch under jit from the resident data and the argument of a draw.

    Equal objects compute the same for any data and seed. `target` does the same for a second set.
    """

    streams: bool
    target: "Materialize | None" = None

    def __call__(self, resident: Tree, argument: Tree) -> dict[str, jax.Array]:
        """Returns `examples` as networks see them, and optionally `labels` and `target`."""
        if self.target is not None:
            own = dataclasses.replace(self, target=None)
            batch = own(resident[0], argument[0])
            return batch | {"target": self.target(resident[1], argument[1])["examples"]}
        if self.streams:
            columns = argument
        else:
            columns = jax.tree.map(lambda array: array[argument], resident)
        return columns | {"examples": from_stored(columns["examples"])}


class BatchSource(NamedTuple):
    """How batches reach the device.

    `resident` holds the data to keep on the device, still on the host. `arguments(first)` yields
    the argument of each draw from draw `first` on, and `materialize(resident, argument)` makes its
    batch.
    """

    resident: Tree
    arguments: Callable[[int], Iterator[Tree]]
    materialize: Materialize
    draws_per_epoch: int
    streams: bool


def batch_source(
    dataset: Dataset, size: int, seed: int, resident_bytes: int, paired: bool = False
) -> BatchSource:
    """Chooses how a data set's batches reach the device.

    Args:
        dataset: the data set.
        size: examples in a batch.
        seed: decides the order.
        resident_bytes: size of the largest data set to keep on the device.
        paired: whether a second set has the same order, example by example.

    Returns:
        The source; its batches do not depend on the choice.

    Raises:
        UserError: if a batch is larger than the set.
    """
    source = _source(dataset, size, seed, resident_bytes)
    if dataset.target is None:
        return source
    return _beside(source, _source(dataset.target, size, seed, resident_bytes, int(not paired)))


def _source(
    dataset: Dataset, size: int, seed: int, resident_bytes: int, branch: int = 0
) -> BatchSource:
    """The source of one data set."""
    count = len(dataset.examples)
    if size > count:
        raise UserError(
            f"an update sees {size} examples (train.batch times inputs.packing) but "
            f"{dataset.spec.name!r} holds {count}",
            f"at most {count}",
            "Choose a smaller --batch",
        )
    plan = BatchPlan(count, size, seed, branch)
    if dataset.examples.nbytes <= resident_bytes:
        return _resident(dataset, plan)
    return _streamed(dataset, plan)


def _beside(source: BatchSource, target: BatchSource) -> BatchSource:
    """Joins the batches of two sets; an epoch is an epoch of the first set."""

    def arguments(first: int) -> Iterator[Tree]:
        # Endless tuples, as zip yields them.
        return zip(source.arguments(first), target.arguments(first), strict=False)

    return BatchSource(
        (source.resident, target.resident),
        arguments,
        dataclasses.replace(source.materialize, target=target.materialize),
        source.draws_per_epoch,
        source.streams or target.streams,
    )


def _resident(dataset: Dataset, plan: BatchPlan) -> BatchSource:
    """Keeps all examples on the device; only the indices of a draw travel."""

    def arguments(first: int) -> Iterator[np.ndarray]:
        draw = first
        while True:
            yield plan.indices(draw)
            draw += 1

    return BatchSource(
        _columns(dataset), arguments, Materialize(streams=False), plan.draws_per_epoch, False
    )


def _streamed(dataset: Dataset, plan: BatchPlan) -> BatchSource:
    """Reads examples from disk by Grain, ahead of use."""
    import grain.python as grain

    columns = _columns(dataset)

    class Draws(grain.RandomAccessDataSource):
        """Whole batches by draw number, as uint8."""

        def __len__(self) -> int:
            return 2**62

        def __getitem__(self, draw: Any) -> Tree:
            indices = plan.indices(int(draw))
            # Reads in ascending order, which suits memory-mapped files, then reorders.
            ascending = np.argsort(indices)
            back = np.argsort(ascending)
            return {name: array[indices[ascending]][back] for name, array in columns.items()}

    def arguments(first: int) -> Iterator[Tree]:
        draws = grain.MapDataset.source(Draws()).slice(slice(first, None))
        options = grain.ReadOptions(num_threads=2, prefetch_buffer_size=8)
        return iter(draws.to_iter_dataset(options))

    return BatchSource({}, arguments, Materialize(streams=True), plan.draws_per_epoch, True)


def _columns(dataset: Dataset) -> dict[str, np.ndarray]:
    columns = {"examples": dataset.examples}
    return columns if dataset.labels is None else columns | {"labels": dataset.labels}


@functools.lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, count: int) -> np.ndarray:
    """The order of one epoch: NumPy's Philox counter generator keyed by (seed, epoch)."""
    generator = np.random.Generator(np.random.Philox(key=[seed, epoch]))
    return generator.permutation(count).astype(np.int32)
