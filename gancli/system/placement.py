"""Where the arrays of a run lie when several devices compute it.

Each batch is divided among the devices. The state is held whole by each of them or, if
`train.shard_state` asks for that, divided, too: parameters are then gathered where a loss needs
them, and each device updates its own part (arXiv:1910.02054, arXiv:2304.11277).
"""

from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gancli.errors import UserError
from gancli.system import processes

AXIS = "batch"

# Arrays of fewer values are held whole: to gather one costs more than it saves.
LEAST_DIVIDED = 4096


class Placement(NamedTuple):
    """The devices of a run, and whether they divide its state among them."""

    mesh: Mesh
    shard_state: bool = False

    @property
    def whole(self) -> NamedSharding:
        """Every device holds the whole array."""
        return NamedSharding(self.mesh, PartitionSpec())

    @property
    def divided(self) -> NamedSharding:
        """Every device holds its part of the first axis."""
        return NamedSharding(self.mesh, PartitionSpec(AXIS))

    def of_state(self, tree: Any) -> Any:
        """Where each array of a state lies, in the same tree.

        Divided are arrays of at least 4,096 values, along the largest axis that the number of
        devices divides; of equal axes, along the first.
        """
        return jax.tree.map(self._of_array, tree)

    def _of_array(self, array: Any) -> NamedSharding:
        sizes = [size if size % self.mesh.size == 0 else 0 for size in array.shape]
        if not self.shard_state or array.size < LEAST_DIVIDED or not any(sizes):
            return self.whole
        before = sizes.index(max(sizes))
        return NamedSharding(self.mesh, PartitionSpec(*[None] * before, AXIS))


def placement_for(examples: int, shard_state: bool = False) -> Placement | None:
    """The devices among which a batch is divided.

    Args:
        examples: number of examples that are computed at a time.
        shard_state: whether the state is divided, too.

    Returns:
        All devices or, in a single process, as many as divide these evenly; None for a single
        device.

    Raises:
        UserError: if the devices of several processes do not divide the batch evenly.
    """
    devices = jax.devices()
    if processes.are_several() and examples % len(devices):
        raise UserError(
            f"{examples} examples are computed at a time (train.microbatch, or train.batch times "
            f"inputs.packing), and the processes have {len(devices)} devices",
            f"multiples of {len(devices)}",
            "Choose another --batch or train.microbatch",
        )
    count = max(n for n in range(1, len(devices) + 1) if examples % n == 0)
    if count == 1:
        return None
    return Placement(Mesh(np.array(devices[:count]), (AXIS,)), shard_state)


def on_one_device(tree: Any) -> Any:
    """The arrays as held by one device of this process, which gathers those that are divided.

    In a job of several processes all of them call it for divided arrays.
    """
    return jax.tree.map(lambda array: _gathered(array).addressable_data(0), tree)


def _gathered(array: jax.Array) -> jax.Array:
    if array.is_fully_replicated or not isinstance(array.sharding, NamedSharding):
        return array
    return jax.device_put(array, NamedSharding(array.sharding.mesh, PartitionSpec()))
