"""Which configurations can be trained as one program, and the numbers in which they differ."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from gancli.adversarial.losses import LOSSES
from gancli.adversarial.penalties import PENALTIES
from gancli.config import Config
from gancli.registry import Registry, Spec

# Optimizer settings that code uses only in arithmetic, never in Python conditions.
_OF_OPTIMIZERS = ("learning_rate", "beta1", "beta2", "epsilon")
# Placeholder for a number that may differ.
_ANY = "a number"


class Numbers(NamedTuple):
    """The differing numbers: their places, and their values (configurations, places)."""

    places: tuple[tuple[str, ...], ...]
    table: np.ndarray


def likeness(config: Config) -> str:
    """A key that configurations share if their runs can be trained together.

    Returns:
        The configuration as text, without its seed and the numbers that may differ: learning
        rates, betas and epsilon of the optimizers, float options of loss and penalties.
        Schedules stay.
    """
    held = config.model_dump(mode="json")
    held["train"]["seed"] = _ANY
    for role in held["optimizer"].values():
        role.update({name: _ANY for name in _OF_OPTIMIZERS if isinstance(role[name], float)})
    held["loss"], held["penalties"] = (
        _alike(LOSSES, held["loss"]) if held["loss"] else "",
        [_alike(PENALTIES, spec) for spec in held["penalties"]],
    )
    return json.dumps(held, sort_keys=True)


def differing(configs: Sequence[Config]) -> Numbers:
    """The numbers in which configurations of one likeness differ.

    Args:
        configs: the configurations, at least one.
    """
    every = [_numbers(config) for config in configs]
    places = tuple(place for place in every[0] if len({numbers[place] for numbers in every}) > 1)
    table = [[numbers[place] for place in places] for numbers in every]
    return Numbers(places, np.asarray(table, np.float32).reshape(len(configs), len(places)))


def with_numbers(
    config: Config, places: Sequence[tuple[str, ...]], values: Sequence[jax.Array]
) -> Config:
    """A configuration with other numbers, which may be traced values.

    Args:
        config: any of the configurations that differ.
        places: the places of the numbers.
        values: the numbers, one for each place.

    Returns:
        The configuration, unvalidated and only for building its program.
    """
    for (section, *path), value in zip(places, values, strict=True):
        if section == "optimizer":
            role, name = path
            own = getattr(config.optimizer, role).model_copy(update={name: value})
            update: dict[str, Any] = {"optimizer": config.optimizer.model_copy(update={role: own})}
        elif section == "loss":
            update = {"loss": _with_option(LOSSES, config.loss, path[0], value)}
        else:
            index = int(path[0])
            specs: list[str | Spec] = list(config.penalties)
            specs[index] = _with_option(PENALTIES, specs[index], path[1], value)
            update = {"penalties": tuple(specs)}
        config = config.model_copy(update=update)
    return config


def _numbers(config: Config) -> dict[tuple[str, ...], float]:
    """The numbers that may differ, by their places."""
    found = {
        ("optimizer", role, name): value
        for role in ("generator", "discriminator")
        for name in _OF_OPTIMIZERS
        if isinstance(value := getattr(getattr(config.optimizer, role), name), float)
    }
    if config.loss:
        found |= {("loss", name): value for name, value in _floats(LOSSES, config.loss).items()}
    for index, spec in enumerate(config.penalties):
        own = _floats(PENALTIES, spec)
        found |= {("penalties", str(index), name): value for name, value in own.items()}
    return found


def _floats(registry: Registry, spec: str) -> dict[str, float]:
    """The float options of a spec, except zeros and schedules."""
    kinds = {option.name: option.kind for option in registry.entry(spec).options}
    return {
        name: value
        for name, value in registry.options(spec).items()
        if kinds[name] is float and value and not isinstance(value, Spec)
    }


def _alike(registry: Registry, spec: str) -> list[Any]:
    """A spec without its floats; zeros stay, because a zero may disable a term."""
    options = registry.options(spec) | dict.fromkeys(_floats(registry, spec), _ANY)
    return [registry.entry(spec).name, sorted((k, str(v)) for k, v in options.items())]


def _with_option(registry: Registry, spec: str | Spec, name: str, value: Any) -> Spec:
    return Spec(registry.entry(spec).name, registry.options(spec) | {name: value})
