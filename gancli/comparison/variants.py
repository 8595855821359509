"""The variants of a comparison: configurations from files, losses, and varied values."""

from collections.abc import Mapping, Sequence
from typing import Any

from gancli.comparison.runs import Variant, variant_name
from gancli.config import Layer, Sweep

# Of a folder; a longer name is replaced by the number of the combination.
_LONGEST_NAME = 100


def swept(base: Variant, sweep: Sweep, source: str) -> list[Variant]:
    """Builds a variant for each combination of a sweep, named by its values.

    Args:
        base: the common configuration; its name comes first.
        sweep: the values that vary.
        source: source of the values, as messages name it.
    """
    # A single value does not distinguish variants.
    telling = [key for key, held in sweep.values.items() if not isinstance(held, tuple) or held[1:]]
    found = []
    for number, values in enumerate(sweep.assignments()):
        parts = [base.name, *(labelled(key, values[key], telling) for key in telling)]
        name = "-".join(filter(None, parts)) or "default"
        if len(name) > _LONGEST_NAME:
            name = f"{base.name[: _LONGEST_NAME - 10]}-{number:04d}".strip("-")
        # Tuples are lists again, as in TOML.
        listed = {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}
        layers = (*base.layers, Layer(source, listed))
        found.append(Variant(name, layers))
    return found


def labelled(key: str, value: Any, keys: Mapping[str, Any] | Sequence[str]) -> str:
    """A value as part of a name: text stands alone, a number follows its key.

    Args:
        key: dotted key.
        value: value of the key.
        keys: all varied keys; the name uses the shortest end of the key that is unique among them.
    """
    if isinstance(value, tuple):
        return "+".join(map(variant_name, value)) or f"no-{key.rpartition('.')[2]}"
    if isinstance(value, str):
        return variant_name(value)
    end, rest = key.rpartition(".")[2], key.rpartition(".")[0]
    while rest and sum(other == end or other.endswith(f".{end}") for other in keys) > 1:
        rest, _, last = rest.rpartition(".")
        end = f"{last}.{end}"
    number = str(value).lower() if isinstance(value, bool) else f"{value:.4g}"
    return variant_name(f"{end}-{number}")
