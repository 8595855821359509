"""Layers of configuration values: TOML files, `--set`, and their checks."""

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_origin

from pydantic import ValidationError

from gancli.config.settings import (
    OTHER_NAMES,
    Config,
    OptimizerSettings,
    allowed,
    fields,
    known_keys,
    of_both_players,
)
from gancli.errors import UserError, cut, shown, unknown_name

# No configuration is longer; a megabyte of ordinary TOML parses within a second.
LARGEST_FILE = 2**20  # bytes


class Layer(NamedTuple):
    """Values by dotted key, and their source as messages name it."""

    source: str
    values: Mapping[str, Any]


# What may differ between a run and its continuation without making it another run.
# Of data the fingerprint decides, and of a source its checksum, not the name or path.
FREE_TO_CHANGE = (
    "train.steps", "train.shard_state", "logging", "checkpoint", "sample.every", "evaluation",
    "monitors", "divergence", "data.name", "data.target", "finetune.source",
)  # fmt: skip


def read_toml(path: Path) -> Layer:
    """Reads a configuration file: TOML, or the `config.json` of a run.

    Raises:
        UserError: if the file is missing, not a file, too long, not TOML, or has a `[sweep]`.
    """
    layer, sweep = read_sweeping_toml(path)
    if sweep is not None:
        raise UserError(
            f"[sweep] in {layer.source} makes several configurations",
            "one configuration",
            "Give the file to gan compare, or leave [sweep] out",
        )
    return layer


def read_sweeping_toml(path: Path) -> tuple[Layer, Any]:
    """Reads a configuration file that may have a table `[sweep]`.

    Returns:
        Its values as a layer, and its `[sweep]` table, unchecked; None if it has none.

    Raises:
        UserError: if the file is missing, not a file, too long or not TOML.
    """
    name = shown(str(path))
    try:
        if path.exists() and not path.is_file():
            # Reading a device may never end, and reading a pipe may block.
            raise UserError(f"the configuration {name} is not a file", "a TOML file")
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise UserError(
            f"cannot read the configuration {name}: {error.strerror}", "a TOML file"
        ) from None
    if len(content) > LARGEST_FILE:
        raise UserError(
            f"the configuration {name} is longer than {LARGEST_FILE:,} bytes",
            "a TOML file with the configuration's sections",
        )
    try:
        parse = json.loads if path.suffix == ".json" else tomllib.loads
        document = parse(content.decode("utf-8-sig"))  # Some editors begin with a mark.
        if not isinstance(document, dict):
            raise ValueError("it has no sections")
        sweep = document.pop("sweep", None)
        values = flatten(document)
    except RecursionError:
        raise UserError(f"{name} nests its values too deeply", "a TOML file") from None
    except ValueError as error:  # Not UTF-8, not TOML, or a number with thousands of digits.
        kind = "JSON" if path.suffix == ".json" else "TOML"
        raise UserError(f"{name} is not {kind}: {cut(str(error))}", f"a {kind} file") from None
    return Layer(cut(str(path)) if str(path).isprintable() else name, values), sweep


def parse_assignment(text: str) -> tuple[str, Any]:
    """Parses the `key=value` of a `--set` option: the value is TOML, or else plain text.

    Raises:
        UserError: if there is no key or no equals sign.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UserError(f"--set {shown(text)}", "--set key=value, for example --set train.batch=32")
    plain = key.strip(), value.strip()
    try:
        document = tomllib.loads(f"value = {value}")
    except (ValueError, RecursionError):
        return plain
    return (plain[0], document["value"]) if len(document) == 1 else plain


def parse_assignments(option: str, texts: Iterable[str]) -> dict[str, Any]:
    """Parses the values of an option that takes `key=value` several times.

    Raises:
        UserError: if one cannot be parsed, or two have the same key.
    """
    given: dict[str, str] = {}
    values: dict[str, Any] = {}
    for text in texts:
        key, value = parse_assignment(text)
        if key in values:
            raise UserError(
                f"{option} gives {shown(key)} twice: {shown(given[key])} and {shown(text)}",
                "each key once",
                "Leave one of them out",
            )
        given[key], values[key] = text, value
    return values


def from_json(text: str, where: str) -> Config:
    """Reads a configuration that `to_json` wrote.

    Raises:
        UserError: if it does not fit this version, naming the key.
    """
    try:
        config = Config.model_validate_json(text)
    except ValidationError as error:
        raise _readable(error, {}, where) from None
    if missing := sorted({"task", "model", "loss", "data", "train"} - config.model_fields_set):
        raise UserError(f"{where} has no {missing[0]!r}", "a configuration that gan train wrote")
    return config


def optimizer_settings(**values: Any) -> OptimizerSettings:
    """Optimizer settings of a player outside a run.

    Raises:
        UserError: if a value is not allowed, naming it.
    """
    try:
        return OptimizerSettings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        given = f"{name.replace('_', ' ')} was {shown(first['input'])}"
        raise UserError(given, allowed(OptimizerSettings.model_fields[name])) from None


def to_json(config: Config) -> str:
    """The configuration as indented JSON, from which `from_json` restores it exactly."""
    return config.model_dump_json(indent=2) + "\n"


def differences(old: Config, new: Config) -> list[str]:
    """The differences that make two configurations different runs, one line per key."""
    before, after = flatten_config(old), flatten_config(new)
    return [
        f"{key}: {shown(before[key])} there, {shown(after[key])} asked for"
        for key in before
        if before[key] != after[key]
        and not any(key == free or key.startswith(f"{free}.") for free in FREE_TO_CHANGE)
    ]


def without_seed(config: Config) -> Config:
    """The configuration with the seed 0, which all seeds of a variant share."""
    return config.model_copy(update={"train": config.train.model_copy(update={"seed": 0})})


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turns nested tables into values by dotted key; an empty table stays a table."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def flatten_config(config: Config) -> dict[str, Any]:
    """Every value of a configuration by dotted key."""
    return flatten(config.model_dump())


def known_values(layer: Layer) -> dict[str, Any]:
    """A layer's values; refuses unknown keys, a section given as a value among them."""
    known = known_keys()
    values: dict[str, Any] = {}
    for key, value in layer.values.items():
        inside = [name for name in known if name.startswith(f"{key}.")]
        if both := of_both_players(key):
            values = {name: value for name in both} | values  # What is of one player wins.
        elif key in known:
            is_list = get_origin(fields()[key].annotation) is tuple
            # A spec alone may be written without the brackets of its list.
            values[key] = [value] if is_list and isinstance(value, str) else value
        elif value != {} or not inside:  # A section may be empty.
            kind = f"key in {layer.source}:"
            raise unknown_name(kind, key, inside or known, OTHER_NAMES)
    return values


def validate(flat: Mapping[str, tuple[Any, str]]) -> Config:
    """Builds the configuration from values and their sources, or reports the first wrong value."""
    tree: dict[str, Any] = {}
    for key, (value, _) in flat.items():
        node = tree
        *parents, leaf = key.split(".")
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = tuple(value) if isinstance(value, list) else value
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        sources = {key: source for key, (_, source) in flat.items()}
        raise _readable(error, sources, "the configuration") from None


def with_values(config: Config, values: Mapping[str, Any]) -> Config:
    """The configuration with other values by dotted key; nothing else is resolved anew.

    Raises:
        UserError: if a value is not allowed, naming it.
    """
    flat = flatten_config(config) | dict(values)
    return validate({key: (value, "the run") for key, value in flat.items()})


def _readable(error: ValidationError, sources: Mapping[str, str], where: str) -> UserError:
    """A validation error as one sentence about its first finding."""
    first = error.errors()[0]
    known = fields()
    parts = [str(part) for part in first["loc"]]
    # A union's location ends with the member that failed; the key ends before it.
    key = next((k for n in range(len(parts), 0, -1) if (k := ".".join(parts[:n])) in known), "")
    if not key:
        place = shown(".".join(parts)) if parts else "content"
        return UserError(f"{place} in {where}: {cut(first['msg'])}")
    given = f"{key} was {shown(first['input'])} in {sources.get(key, where)}"
    return UserError(given, allowed(known[key]))
