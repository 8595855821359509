"""The table `[sweep]`: what varies among the configurations of a comparison."""

import itertools
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, ValidationError, model_validator

from gancli.config.settings import LARGEST_FLOAT, OTHER_NAMES, Section, known_keys
from gancli.errors import UserError, cut, unknown_name

MOST_VARIANTS = 1000

Value = bool | int | float | str | tuple[str, ...]
Values = Annotated[tuple[Value, ...], Field(min_length=1, max_length=MOST_VARIANTS)]


class Range(Section, frozen=True):
    """A range of numbers to draw from, uniform in the number or in its logarithm."""

    least: Annotated[float, Field(ge=-LARGEST_FLOAT, le=LARGEST_FLOAT)]
    largest: Annotated[float, Field(ge=-LARGEST_FLOAT, le=LARGEST_FLOAT)]
    scale: Literal["linear", "logarithmic"] = "linear"
    whole: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if not self.least < self.largest:
            raise ValueError("least is not less than largest")
        if self.scale == "logarithmic" and self.least <= 0:
            raise ValueError("a logarithmic range begins above 0")
        return self

    def draw(self, random: np.random.Generator) -> float | int:
        """Draws a number with four significant digits, as the variant's name shows it."""
        if self.scale == "logarithmic":
            value = math.exp(random.uniform(math.log(self.least), math.log(self.largest)))
        else:
            value = random.uniform(self.least, self.largest)
        return round(value) if self.whole else float(f"{value:.4g}")


class Sweep(Section, frozen=True):
    """Values by key: all combinations, or `draws` random ones."""

    draws: Annotated[int | None, Field(ge=1, le=MOST_VARIANTS)] = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    values: dict[str, Values | Range]

    def assignments(self) -> list[dict[str, Any]]:
        """The values of each combination; more draws do not change the first ones."""
        if self.draws is not None:
            return [self._draw(number) for number in range(self.draws)]
        lists = {key: values for key, values in self.values.items() if isinstance(values, tuple)}
        return [
            dict(zip(lists, chosen, strict=True)) for chosen in itertools.product(*lists.values())
        ]

    def _draw(self, number: int) -> dict[str, Any]:
        random = np.random.default_rng((self.seed, number))
        return {
            key: values.draw(random)
            if isinstance(values, Range)
            else values[int(random.integers(len(values)))]
            for key, values in self.values.items()
        }


def build_sweep(table: Any, source: str) -> Sweep:
    """Builds a checked sweep from a table.

    Args:
        table: `values` by key, lists or ranges, and perhaps `draws` and `seed`.
        source: its source, as messages name it.

    Raises:
        UserError: if the table holds something that is not allowed.
    """
    allowed = (
        "values = a table of lists, or of ranges {least, largest, scale, whole}, by key; draws = "
        "how many combinations to draw, for ranges; seed"
    )
    try:
        sweep = Sweep.model_validate(_as_tuples(table))
    except ValidationError as error:
        # pydantic reports a value of neither type once per type; a list or range, at its fault.
        found = error.errors()
        first = next((e for e in found if e["type"] not in ("tuple_type", "model_type")), found[0])
        place = ".".join(str(part) for part in first["loc"][:2])
        raise UserError(f"{cut(place)} in {source}: {cut(first['msg'])}", allowed) from None
    known = known_keys()
    for key, values in sweep.values.items():
        if key not in known:
            raise unknown_name(f"key in {source}:", key, known, OTHER_NAMES)
        if isinstance(values, Range) and sweep.draws is None:
            raise UserError(f"{key} in {source} is a range, and draws is not set", allowed)
    if not sweep.values:
        raise UserError(f"{source} names no values", allowed)
    counts = [len(values) for values in sweep.values.values() if isinstance(values, tuple)]
    if sweep.draws is None and math.prod(counts) > MOST_VARIANTS:
        raise UserError(
            f"{source} makes {math.prod(counts):,} combinations",
            f"at most {MOST_VARIANTS:,}",
            "Set draws to draw from them",
        )
    return sweep


def _as_tuples(value: Any) -> Any:
    """Turns lists into tuples, which strict models require."""
    if isinstance(value, Mapping):
        return {name: _as_tuples(held) for name, held in value.items()}
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value
