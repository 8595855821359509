"""Resolves layers into a configuration: defaults, published recipes, a file, the command line."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from gancli.adversarial.augmentations import AUGMENTATIONS
from gancli.adversarial.dynamics import DYNAMICS
from gancli.adversarial.losses import LOSSES
from gancli.adversarial.penalties import PENALTIES
from gancli.adversarial.schedules import SCHEDULES, read_schedule, with_length
from gancli.config.layers import Layer, flatten_config, known_values, validate, with_values
from gancli.config.settings import SCHEDULED, Config, fields
from gancli.networks import MODELS
from gancli.registry import Registry, Spec, parse_spec
from gancli.tasks import TASKS

_KIND_DEFAULTS: dict[str, dict[str, Any]] = {
    "image": {"model": "dcgan", "task": "generation:latent=64"},
    "points": {"model": "mlp", "task": "generation:latent=2"},
    "tokens": {"model": "sequence", "task": "gumbel"},
}

# The catalogue of each key that holds specs.
_CATALOGUES = {
    "task": TASKS,
    "model": MODELS,
    "loss": LOSSES,
    "penalties": PENALTIES,
    "inputs.augment": AUGMENTATIONS,
    "train.dynamics": DYNAMICS,
}


class Resolved(NamedTuple):
    """A configuration, and the source of each value by dotted key."""

    config: Config
    sources: Mapping[str, str]


def resolve(layers: Iterable[Layer], kind: str, recipes: bool = True) -> Resolved:
    """Applies the layers on top of the defaults and the recipes of the loss and the task.

    Args:
        layers: the user's layers; later ones win.
        kind: the kind of data, `image`, `points` or `tokens`.
        recipes: whether the recipe of the loss applies; that of the task always does.

    Returns:
        The complete configuration, and the source of each value.

    Raises:
        UserError: if a key is unknown, a value has the wrong type, or a schedule is invalid.
    """
    user: dict[str, tuple[Any, str]] = {}
    for layer in layers:
        user |= {key: (value, layer.source) for key, value in known_values(layer).items()}
    asked = validate(user)
    merged = {
        key: (value, f"default for {kind} data") for key, value in _KIND_DEFAULTS[kind].items()
    }
    task = TASKS.entry(user.get("task", merged["task"])[0])
    loss = user.get("loss", (task.recipe.get("loss", asked.loss), ""))[0]
    without = not recipes or loss == task.recipe.get("loss") == ""
    entries = [task] if without else [LOSSES.entry(loss), task]
    recipe = {
        key: (value, f"recipe of {entry.name}")
        for entry in entries
        for key, value in entry.recipe.items()
    }
    if "average.decay" in user:  # A half-life would override it.
        recipe.pop("average.half_life", None)
    model_options = {key: value for key, value in recipe.items() if key.startswith("model.")}
    merged |= {key: value for key, value in recipe.items() if key not in model_options} | user
    for key, (value, source) in model_options.items():
        model, model_source = merged["model"]
        option = key.removeprefix("model.")
        offered = {one.name for one in MODELS.entry(model).options}
        if option in offered and option not in parse_spec(model).options:
            text = _with_options(model, {option: str(value).lower()})
            merged["model"] = (text, f"{model_source}, {option} by {source}")
    merged |= _with_lengths(merged, validate(merged).train.steps)
    config = validate(merged)
    sources = {key: source for key, (_, source) in merged.items()}
    return Resolved(config, {key: sources.get(key, "default") for key in flatten_config(config)})


def canonical(config: Config) -> Config:
    """The configuration with its specs and schedules written in one way, so that equals compare.

    Options come in the catalogue's order and as it holds them, without those that are defaults.

    Raises:
        UserError: if a spec does not fit the catalogue.
    """
    flat, known = flatten_config(config), fields()
    for key, value in flat.items():
        if registry := _CATALOGUES.get(key):
            if isinstance(value, tuple):
                flat[key] = tuple(_canonical(registry, spec) for spec in value)
            elif value:
                flat[key] = _canonical(registry, value)
        elif SCHEDULED in known[key].metadata and isinstance(value, str):
            flat[key] = _canonical(SCHEDULES, value)
    return with_values(config, flat)


def _canonical(registry: Registry, spec: str | Spec) -> str:
    entry, values = registry.entry(spec), registry.options(spec)

    def written(value: Any) -> str:
        if isinstance(value, Spec):
            return f"({_canonical(SCHEDULES, value)})"
        return str(value).lower() if value is None or isinstance(value, bool) else str(value)

    changed = {
        option.name: written(values[option.name])
        for option in entry.options
        if values[option.name] != option.default
    }
    return Spec(entry.name, changed).text


def schedules_of(config: Config) -> Iterator[tuple[str, Spec]]:
    """The schedules of a configuration, each with the key or option that it is the value of."""
    known = fields()
    for key, value in flatten_config(config).items():
        if SCHEDULED in known[key].metadata and isinstance(value, str):
            yield key, parse_spec(value)
    for penalty in config.penalties:
        for name, value in PENALTIES.options(penalty).items():
            if isinstance(value, Spec):
                yield f"{name} of penalty {PENALTIES.entry(penalty).name}", value


def _with_lengths(
    values: Mapping[str, tuple[Any, str]], last_step: int
) -> dict[str, tuple[Any, str]]:
    """The values that are schedules, with fixed lengths, so that more steps do not change them.

    Raises:
        UserError: if a schedule or one of its numbers is not allowed, naming its key.
    """
    known, found = fields(), {}
    for key, (value, source) in values.items():
        if SCHEDULED in known[key].metadata and isinstance(value, str):
            check = partial(_check, key, source)
            spec = read_schedule(value, f"{key} in {source}", check)
            found[key] = (with_length(spec, last_step).text, source)
        elif key == "penalties":
            found[key] = ([_penalty_with_lengths(spec, last_step) for spec in value], source)
    return found


def _check(key: str, source: str, number: float) -> None:
    """Refuses a number that the key does not allow."""
    validate({key: (number, source)})


def _penalty_with_lengths(penalty: str, last_step: int) -> str:
    """The spec of a penalty with the lengths of its schedules filled in."""
    options = PENALTIES.options(penalty)
    schedules = {name: value for name, value in options.items() if isinstance(value, Spec)}
    lengths = {name: f"({with_length(spec, last_step).text})" for name, spec in schedules.items()}
    return _with_options(penalty, lengths) if lengths else penalty


def _with_options(text: str, options: Mapping[str, str]) -> str:
    """A spec with some options set."""
    spec = parse_spec(text)
    return spec._replace(options={**spec.options, **options}).text
