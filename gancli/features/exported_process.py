"""A process of its own that looks at an exported function: run as a program, by `exported`.

What it takes on its command line is the shape of one image as JSON; on its input, the bytes of
the file. It writes one JSON object: `dtype`, `block` and `dimension`, or why it is `refused`.
"""

import json
import os
import resource
import sys
from collections.abc import Iterator
from typing import Any

MEMORY = 1 << 33
LONGEST_REASON = 300
# A block where the function leaves the number of images open, and the most that it may fix.
BLOCK, MOST_BLOCK = 64, 4096
MOST_FEATURES = 1 << 16
DIALECTS = ("builtin", "chlo", "func", "stablehlo")
# They talk to the host or to other devices.
REFUSED = {
    f"stablehlo.{name}"
    for name in (
        "all_gather", "all_reduce", "all_to_all", "collective_broadcast", "collective_permute",
        "cross-replica-sum", "infeed", "outfeed", "partition_id", "recv", "reduce_scatter",
        "replica_id", "send",
    )
}  # fmt: skip
# These stand for operations on arrays whose sizes become known when the batch does.
CALLS = {
    "shape_assertion",
    "stablehlo.dynamic_reduce_window",
    "stablehlo.dynamic_rng_bit_generator",
    "stablehlo.dynamic_top_k",
}


def main() -> None:
    """Writes what it finds."""
    content = sys.stdin.buffer.read()
    # A reader that is refused memory aborts. That is an answer, and leaves no image of itself.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit = MEMORY + 8 * len(content)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    # Nothing is computed, and an accelerator would be taken from the process that waits.
    os.environ["JAX_PLATFORMS"] = "cpu"
    try:
        found = look(content, json.loads(sys.argv[1]))
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        found = {"refused": lines[0][:LONGEST_REASON]}
    os.write(1, json.dumps(found).encode())


def look(content: bytes, shape: list[int]) -> dict[str, Any]:
    """What an exported function takes and gives.

    Args:
        content: the file.
        shape: of one image.

    Returns:
        `dtype` of the input, `block` (how many images it is given at once) and `dimension`.

    Raises:
        Exception: of any kind, if it is no such function.
    """
    import jax
    from jax import export
    from jax.interpreters import mlir

    try:
        exported = export.deserialize(bytearray(content))
    except ImportError:
        raise
    except Exception as error:
        raise ValueError("it is not what jax.export writes") from error
    one_argument = jax.tree.structure(((0,), {}))
    if exported.in_tree != one_argument or exported.out_tree != jax.tree.structure(0):
        raise ValueError(
            "it does not take one array and give one array, but takes "
            f"{_written(exported.in_tree)} and gives {_written(exported.out_tree)}"
        )
    if exported.nr_devices != 1 or exported.ordered_effects or exported.unordered_effects:
        raise ValueError("it has effects, or is for several devices")
    with mlir.make_ir_context():
        for operation in _operations(exported.mlir_module(serialized=False).operation):
            _require_allowed(operation)
    (taken,) = exported.in_avals
    if taken.dtype not in ("uint8", "float32") or taken.ndim != 4:
        raise ValueError(f"it takes {taken.dtype} {taken.shape}")
    block = taken.shape[0] if isinstance(taken.shape[0], int) else BLOCK
    if not 1 <= block <= MOST_BLOCK:
        raise ValueError(f"it takes {block:,} images at once, and at most {MOST_BLOCK:,} may be")
    images = jax.ShapeDtypeStruct((block, *shape), taken.dtype)
    given = jax.eval_shape(exported.call, images)
    # What would be compiled is put together here for once: this, too, can fail in many ways.
    jax.jit(exported.call).trace(images).lower(lowering_platforms=exported.platforms)
    whole = given.ndim == 2 and given.shape[0] == block and 1 <= given.shape[1] <= MOST_FEATURES
    if not whole or not jax.numpy.issubdtype(given.dtype, jax.numpy.floating):
        raise ValueError(f"it makes {given.dtype} {given.shape} of {block} images")
    return {"dtype": str(taken.dtype), "block": block, "dimension": given.shape[1]}


def _written(tree: Any) -> str:
    """A structure of arguments or results, with a star for each array."""
    return str(tree).removeprefix("PyTreeDef(").removesuffix(")")


def _operations(operation: Any) -> Iterator[Any]:
    """An operation and all within it."""
    waiting = [operation]
    while waiting:
        current = waiting.pop()
        yield current
        for region in current.regions:
            for block in region.blocks:
                waiting += [inner.operation for inner in block.operations]


def _require_allowed(operation: Any) -> None:
    """Refuses what is more than an operation on arrays.

    Raises:
        ValueError: naming it.
    """
    name = operation.name
    if name.partition(".")[0] not in DIALECTS or name in REFUSED:
        raise ValueError(f"it holds the operation {name}, which is not allowed")
    if name == "stablehlo.custom_call":
        target = operation.attributes["call_target_name"].value
        if target not in CALLS:
            raise ValueError(f"it calls {target!r}, a function outside of it")


if __name__ == "__main__":
    main()
