"""The configuration of a run: frozen, strict, layered, and told where each value came from.

Layers, later ones winning: built-in defaults, defaults for the kind of data, the loss's
published recipe, a TOML file, the command line.
"""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from gancli.errors import UserError, unknown_name
from gancli.losses import LOSSES
from gancli.registry import Registry, parse_spec


class Section(BaseModel):
    """A part of the configuration: immutable, and closed to unknown keys and other types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class DataSettings(Section):
    """The data set, and how it is delivered."""

    name: Annotated[str, Field(description="a built-in name, a TFDS name or a path")] = "digits"
    size: Annotated[
        int | None, Field(ge=4, le=1024, description="side of the images in pixels")
    ] = None
    fit: Annotated[Literal["crop", "pad"], Field(description="how others become square")] = "crop"
    split: Annotated[str, Field(description="the part that is read")] = "train"
    resident_mib: Annotated[int, Field(ge=0, description="larger sets stream from disk")] = 1024


class OptimizerSettings(Section):
    """One player's optimizer."""

    name: Annotated[str, Field(description="see gan list optimizers")] = "adam"
    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.5
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    epsilon: Annotated[float, Field(gt=0)] = 1e-8
    momentum: Annotated[float, Field(ge=0, lt=1, description="of sgd")] = 0.0
    weight_decay: Annotated[float, Field(ge=0, description="of adamw")] = 0.0
    schedule: Annotated[str, Field(description="constant, linear or cosine")] = "constant"
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    decay_start: Annotated[
        int, Field(ge=0, description="the step at which the schedule begins")
    ] = 0
    decay_steps: Annotated[
        int, Field(ge=0, description="its length; 0 for the rest of the run")
    ] = 0
    clip_norm: Annotated[float | None, Field(gt=0, description="largest gradient norm")] = None
    clip_weights: Annotated[float | None, Field(gt=0, description="weights stay within ± this")] = (
        None
    )


class Optimizers(Section):
    """The optimizers of the two kinds of player (two learning rates where they differ)."""

    generator: OptimizerSettings = OptimizerSettings()
    discriminator: OptimizerSettings = OptimizerSettings()


class InputSettings(Section):
    """What is done to the discriminator's inputs."""

    augment: Annotated[tuple[str, ...], Field(description="differentiable augmentations")] = ()
    noise: Annotated[float, Field(ge=0, description="deviation of instance noise at step 0")] = 0.0
    noise_decay_steps: Annotated[int, Field(ge=0, description="until it has gone; 0 for never")] = 0
    packing: Annotated[int, Field(ge=1, le=64, description="examples judged together (PacGAN)")] = 1


class AverageSettings(Section):
    """The exponential moving average (EMA) of the generator's weights."""

    decay: Annotated[float, Field(ge=0, lt=1, description="0 for no averaging")] = 0.999
    rampup: Annotated[bool, Field(description="(1 + step) / (10 + step) while that is smaller")] = (
        True
    )


class TrainSettings(Section):
    """How long and by which rules the game is played."""

    steps: Annotated[int, Field(ge=1, description="updates of the generator's turn")] = 3000
    batch: Annotated[int, Field(ge=1, description="examples an update sees")] = 64
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    discriminator_steps: Annotated[
        int | str, Field(description="updates a step, or whole epochs")
    ] = 1
    generator_steps: Annotated[int | str, Field(description="updates a step, or whole epochs")] = 1
    dynamics: Annotated[str, Field(description="see gan list dynamics")] = "alternating"


class CheckpointSettings(Section):
    """When checkpoints are written and how many stay."""

    every: Annotated[int, Field(ge=1, description="in steps")] = 1000
    minutes: Annotated[float, Field(gt=0, description="at the latest after this long")] = 10.0
    keep: Annotated[int, Field(ge=1, description="newest ones that stay")] = 3


class SampleSettings(Section):
    """When sample grids are drawn."""

    every: Annotated[int, Field(ge=1, description="in steps")] = 250
    count: Annotated[int, Field(ge=1, le=4096, description="examples in the grid")] = 64


class LoggingSettings(Section):
    """When metrics are written and where."""

    every: Annotated[int, Field(ge=1, description="in steps")] = 50
    tensorboard: Annotated[bool, Field(description="event files beside metrics.jsonl")] = False


class DivergenceSettings(Section):
    """What happens when a value is not finite or a loss explodes."""

    policy: Annotated[
        Literal["stop", "rollback"],
        Field(description="end, or go back to the last checkpoint with a lower learning rate"),
    ] = "stop"
    loss_limit: Annotated[float, Field(gt=0, description="a loss beyond ± this has exploded")] = 1e6
    rollbacks: Annotated[int, Field(ge=1, le=100, description="how often, at most")] = 3
    factor: Annotated[
        float, Field(gt=0, lt=1, description="of the learning rates at each rollback")
    ] = 0.5


class Config(Section):
    """Everything that, with the seed, decides a run."""

    task: str = "generation"
    model: str = "dcgan"
    loss: str = "hinge"
    penalties: tuple[str, ...] = ()
    data: DataSettings = DataSettings()
    optimizer: Optimizers = Optimizers()
    inputs: InputSettings = InputSettings()
    average: AverageSettings = AverageSettings()
    train: TrainSettings = TrainSettings()
    checkpoint: CheckpointSettings = CheckpointSettings()
    sample: SampleSettings = SampleSettings()
    logging: LoggingSettings = LoggingSettings()
    divergence: DivergenceSettings = DivergenceSettings()


class Layer(NamedTuple):
    """Values by dotted key, and where they came from, as the user is told."""

    source: str
    values: Mapping[str, Any]


class Resolved(NamedTuple):
    """A configuration, and the source of each value by dotted key."""

    config: Config
    sources: Mapping[str, str]


# What may differ between a run and its continuation without making it another run.
FREE_TO_CHANGE = ("train.steps", "logging", "checkpoint", "sample.every", "divergence")

_KIND_DEFAULTS: dict[str, dict[str, Any]] = {
    "image": {"model": "dcgan", "task": "generation:latent=64"},
    "points": {"model": "mlp", "task": "generation:latent=2"},
}


def read_toml(path: Path) -> Layer:
    """Reads a configuration file.

    Args:
        path: a TOML file with the configuration's sections.

    Returns:
        Its values as a layer.

    Raises:
        UserError: if the file is missing or is not TOML.
    """
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"cannot read the configuration {str(path)!r}: {error.strerror}", "a TOML file"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{str(path)!r} is not TOML: {error}", "a TOML file") from None
    return Layer(str(path), flatten(tree))


def parse_assignment(text: str) -> tuple[str, Any]:
    """Parses `key=value` as given to `--set`: the value is TOML, or plain text.

    Raises:
        UserError: if there is no key or no equals sign.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UserError(f"--set {text!r}", "--set key=value, for example --set train.batch=32")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def resolve(layers: Iterable[Layer], kind: str, models: Registry) -> Resolved:
    """Lays the layers over the defaults and the loss's recipe.

    Args:
        layers: the user's layers, later ones winning.
        kind: the kind of data, `image` or `points`.
        models: the catalogue of models, for the options that a recipe sets.

    Returns:
        The configuration with nothing left open, and where each value came from.

    Raises:
        UserError: if a key is unknown or a value has the wrong type.
    """
    user: dict[str, tuple[Any, str]] = {}
    for layer in layers:
        _check_keys(layer)
        user |= {key: (value, layer.source) for key, value in layer.values.items()}
    merged = {
        key: (value, f"default for {kind} data") for key, value in _KIND_DEFAULTS[kind].items()
    }
    loss = str(user["loss"][0]) if "loss" in user else Config().loss
    entry = LOSSES.entry(loss)
    recipe = {key: (value, f"recipe of {entry.name}") for key, value in entry.recipe.items()}
    model_options = {key: value for key, value in recipe.items() if key.startswith("model.")}
    merged |= {key: value for key, value in recipe.items() if key not in model_options} | user
    for key, (value, source) in model_options.items():
        model, model_source = merged["model"]
        option = key.removeprefix("model.")
        offered = {one.name for one in models.entry(str(model)).options}
        if option in offered and option not in parse_spec(str(model)).options:
            joined = "," if ":" in str(model) else ":"
            text = f"{model}{joined}{option}={str(value).lower()}"
            merged["model"] = (text, f"{model_source}, {option} by {source}")
    sources = {key: source for key, (_, source) in merged.items()}
    config = _validate({key: value for key, (value, _) in merged.items()}, sources)
    return Resolved(
        _close(config), {key: sources.get(key, "default") for key in flatten_config(config)}
    )


def from_json(text: str, where: str) -> Config:
    """Reads a configuration that `to_json` wrote.

    Raises:
        UserError: if it does not fit this version, naming the key.
    """
    try:
        return Config.model_validate_json(text)
    except ValidationError as error:
        raise _readable(error, {}, where) from None


def optimizer_settings(**values: Any) -> OptimizerSettings:
    """A player's optimizer outside of a run.

    Raises:
        UserError: if a value is not allowed, naming it.
    """
    try:
        return OptimizerSettings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        allowed = _allowed(OptimizerSettings.model_fields[name])
        raise UserError(f"{name.replace('_', ' ')} was {first['input']!r}", allowed) from None


def to_json(config: Config) -> str:
    """The configuration as indented JSON, from which `from_json` restores it exactly."""
    return config.model_dump_json(indent=2) + "\n"


def differences(old: Config, new: Config) -> list[str]:
    """What makes two configurations different runs, one readable line a key."""
    before, after = flatten_config(old), flatten_config(new)
    return [
        f"{key}: {before[key]!r} there, {after[key]!r} asked for"
        for key in before
        if before[key] != after[key]
        and not any(key == free or key.startswith(f"{free}.") for free in FREE_TO_CHANGE)
    ]


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turns nested tables into values by dotted key."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def flatten_config(config: Config) -> dict[str, Any]:
    """Every value of a configuration by dotted key."""
    return flatten(config.model_dump())


def fields(section: type[BaseModel] = Config, prefix: str = "") -> dict[str, FieldInfo]:
    """Every field of the configuration by dotted key."""
    flat: dict[str, FieldInfo] = {}
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            flat |= fields(field.annotation, f"{prefix}{name}.")
        else:
            flat[prefix + name] = field
    return flat


def _check_keys(layer: Layer) -> None:
    """Refuses unknown keys, a section given as a value among them."""
    known = fields()
    for key in layer.values:
        if key not in known:
            inside = [name for name in known if name.startswith(f"{key}.")]
            error = unknown_name(f"key in {layer.source}:", key, inside or known)
            raise error


def _validate(flat: Mapping[str, Any], sources: Mapping[str, str]) -> Config:
    """Builds the configuration from dotted keys, or says which key is wrong and why."""
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        node = tree
        *parents, leaf = key.split(".")
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = tuple(value) if isinstance(value, list) else value
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise _readable(error, sources, "the configuration") from None


def _readable(error: ValidationError, sources: Mapping[str, str], where: str) -> UserError:
    """A validation error as one sentence about its first finding."""
    first = error.errors()[0]
    known = fields()
    parts = [str(part) for part in first["loc"]]
    # A union's location ends with the member that failed; the key ends before it.
    key = next((k for n in range(len(parts), 0, -1) if (k := ".".join(parts[:n])) in known), "")
    if not key:
        return UserError(f"{'.'.join(parts) or 'content'} in {where}: {first['msg']}")
    given = f"{key} was {first['input']!r} in {sources.get(key, where)}"
    return UserError(given, _allowed(known[key]))


def _allowed(field: FieldInfo) -> str:
    """What a field accepts, in words."""
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    kinds = [field.annotation, *get_args(field.annotation)]
    names = [words[kind] for kind in kinds if kind in words]
    if not names:
        names = [repr(one) for one in get_args(field.annotation) if isinstance(one, str)]
    if tuple in (getattr(field.annotation, "__origin__", None),):
        names = ["a list of text"]
    limits = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    bounds = [
        f"{text} {getattr(limit, name)}"
        for limit in field.metadata
        for name, text in limits.items()
        if hasattr(limit, name)
    ]
    return " or ".join(names) + (", " + ", ".join(bounds) if bounds else "")


def _close(config: Config) -> Config:
    """Fills in what follows from other values, so that later changes cannot move it."""

    def closed(optimizer: OptimizerSettings) -> OptimizerSettings:
        if optimizer.schedule == "constant" or optimizer.decay_steps:
            return optimizer
        left = max(1, config.train.steps - optimizer.decay_start)
        return optimizer.model_copy(update={"decay_steps": left})

    optimizers = Optimizers(
        generator=closed(config.optimizer.generator),
        discriminator=closed(config.optimizer.discriminator),
    )
    return config.model_copy(update={"optimizer": optimizers})
