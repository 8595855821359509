"""The order in which the layers of a module compute."""

from typing import Any

from flax import nnx


def paths_of_layers(template: nnx.Module) -> tuple[tuple[str, ...], ...]:
    """The layers of a module from its input to its output, each as the paths of its parts."""
    paths = {id(node): "/".join(map(str, path)) for path, node in nnx.iter_graph(template)}
    return tuple(tuple(paths[id(part)] for part in layer) for layer in _layers(template))


def _layers(module: Any) -> list[list[Any]]:
    """The layers of a module with arrays, from its input to its output, as lists of their parts.

    Those of a sequence are its elements, a normalization belonging to the layer before it. A module
    that is neither a sequence nor has a method `in_order` is one layer, such as a residual block.
    """
    if isinstance(module, nnx.Sequential):
        parts = module.layers
    elif hasattr(module, "in_order"):
        parts = module.in_order()
    else:
        return [[module]]
    found: list[list[Any]] = []
    for part in parts:
        if isinstance(part, tuple):
            found.append(list(part))
        elif not any(isinstance(node, nnx.Variable) for _, node in nnx.iter_graph(part)):
            continue
        elif found and _is_normalization(part):
            found[-1].append(part)
        else:
            found += _layers(part)
    return found


def _is_normalization(part: Any) -> bool:
    own = isinstance(part, nnx.BatchNorm | nnx.GroupNorm)
    return own or getattr(part, "is_normalization", False)
