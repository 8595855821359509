"""Named factories and the `name:key=value,key=value` specs that call them.

A factory's parameters without a default are its context, which the calling code passes. Those
with a default are its options, which the user sets in a spec. An annotation such as
`Annotated[int, Bounds(1, 64)]` declares the range of a number, and may allow a spec in
parentheses instead; both are checked only here. Registering a function is all it takes: the
command line, `gan list`, comparisons and the property tests iterate the registries.
"""

import importlib
import inspect
import pkgutil
import re
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from gancli.errors import UserError, shown, unknown_name

Factory = TypeVar("Factory", bound=Callable[..., Any])

_QUOTED = ("\\", ",", "(", ")")
LONGEST_SPEC = 1024  # characters: as much as the longest path that all systems have


class Bounds(NamedTuple):
    """The smallest and largest allowed value of a number, in an option's annotation."""

    least: float
    largest: float


# Bounds of an option that declares none: the range of the device's integers and floats.
_BOUNDS_OF_TYPE = {int: Bounds(-(2**31), 2**31 - 1), float: Bounds(-1e30, 1e30)}


class Spec(NamedTuple):
    """A parsed spec: the factory's name and the options that the user set.

    Options are text as the user wrote it, or values that need no conversion.
    """

    name: str
    options: Mapping[str, Any]

    @property
    def text(self) -> str:
        """The spec as it is written; its options are text."""
        options = ",".join(f"{key}={_written(value)}" for key, value in self.options.items())
        return f"{self.name}:{options}" if options else self.name


class Alternative(NamedTuple):
    """An option's annotation that allows a spec in parentheses instead of a number.

    `read(text, what, check)` parses the spec: `what` is the option's name in errors, and
    `check(number)` raises an error for a number that the option does not allow.
    """

    kind: str
    read: Callable[[str, str, Callable[[float], object]], Spec]


class Option(NamedTuple):
    """One option of a factory: its name, type, default, and annotated bounds and alternative."""

    name: str
    kind: Any
    default: Any
    bounds: Bounds | None = None
    alternative: Alternative | None = None


class Entry(NamedTuple):
    """One registered factory and its description."""

    name: str
    factory: Callable[..., Any]
    summary: str
    reference: str
    recipe: Mapping[str, Any]
    options: tuple[Option, ...]


def parse_spec(text: str | Spec) -> Spec:
    """Splits `name:key=value,key=value` into its name and options.

    A value that is a spec itself stands in parentheses, as the whole text may; elsewhere a comma,
    a parenthesis or a backslash of a value stands after a backslash, see `quoted`.

    Args:
        text: the spec as the user wrote it; a parsed spec is returned unchanged.

    Returns:
        The name and its options, values still text.

    Raises:
        UserError: if an option is not of the form key=value, or is given twice, a parenthesis
            has no partner, or the text is longer than a spec may be.
    """
    if isinstance(text, Spec):
        return text
    if len(text) > LONGEST_SPEC:
        raise UserError(
            f"{shown(text)} has {len(text):,} characters", f"at most {LONGEST_SPEC:,} of them"
        )
    whole = text.strip()
    if whole.startswith("(") and whole.endswith(")"):
        whole = whole[1:-1]
    name, _, rest = whole.partition(":")
    options: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in _parts(rest, text))):
        key, equals, value = part.partition("=")
        key = key.strip()
        if not equals or not key or not value.strip():
            raise UserError(
                f"{shown(part)} in {shown(text)} is not an option", "name:key=value,key=value"
            )
        if key in options:
            raise UserError(f"{shown(key)} is given twice in {shown(text)}", "each key once")
        options[key] = value.strip()
    return Spec(name.strip(), options)


def quoted(value: str) -> str:
    """A text as the value of an option in a spec."""
    return re.sub(r"[\\,()]", r"\\\g<0>", value)


def _written(value: Any) -> str:
    """An option's value in a spec; one that is a spec itself is in parentheses already."""
    text = str(value)
    return text if text.startswith("(") and text.endswith(")") else quoted(text)


def _parts(rest: str, text: str) -> list[str]:
    """Splits the options of a spec at the commas that are outside of parentheses."""
    parts, depth, marks = [""], 0, iter(rest)
    for mark in marks:
        if mark == "\\":
            after = next(marks, "")
            parts[-1] += after if after in _QUOTED and not depth else mark + after
            continue
        depth += (mark == "(") - (mark == ")")
        if depth < 0:
            break
        if mark == "," and not depth:
            parts.append("")
        else:
            parts[-1] += mark
    if depth:
        raise UserError(
            f"a parenthesis in {shown(text)} has no partner", "name:key=(name:key=value),key=value"
        )
    return parts


def import_all(package: str, path: Iterable[str]) -> None:
    """Imports every module of a package, so that each registers its factories.

    Args:
        package: its `__name__`.
        path: its `__path__`.
    """
    for module in pkgutil.iter_modules(path):
        importlib.import_module(f"{package}.{module.name}")


class Registry:
    """Factories by name, each with a one-line summary, a reference and typed options.

    Args:
        kind: singular noun for what the factories make, used in error messages.
        common: options that every entry accepts besides its own; the calling code removes them
            from the spec with `split_common`.
    """

    def __init__(self, kind: str, common: tuple[Option, ...] = ()):
        self.kind = kind
        self.common = common
        self._entries: dict[str, Entry] = {}
        self._also: dict[str, str] = {}

    def register(
        self, name: str, *, reference: str, recipe: Mapping[str, Any] | None = None, also: str = ""
    ) -> Callable[[Factory], Factory]:
        """Adds a factory under a name; its docstring's first line becomes its summary.

        Args:
            name: the name used in specs: lower-case words joined by hyphens.
            reference: where it was published.
            recipe: configuration values of the publication by dotted key, which apply
                wherever the user set none.
            also: what else it is called, which an error for that name suggests; words.

        Raises:
            ValueError: if the name is malformed or taken, the factory has no docstring, or a
                default is out of bounds.
        """
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) or name in self._entries:
            raise ValueError(f"{self.kind} name {name!r} is malformed or taken")
        self._also |= dict.fromkeys(also.split(), name)

        def decorate(factory: Factory) -> Factory:
            documentation = inspect.getdoc(factory)
            if not documentation:
                raise ValueError(f"{self.kind} {name!r} has no docstring to list")
            hints = typing.get_type_hints(factory, include_extras=True)
            options = tuple(
                _option(parameter.name, hints.get(parameter.name, str), parameter.default)
                for parameter in inspect.signature(factory).parameters.values()
                if parameter.default is not inspect.Parameter.empty
            )
            for option in options:
                bounds = option.bounds
                if bounds and not bounds.least <= option.default <= bounds.largest:
                    raise ValueError(f"the default of {option.name} is outside of its bounds")
            summary = documentation.splitlines()[0].rstrip(".")
            self._entries[name] = Entry(
                name, factory, summary, reference, dict(recipe or {}), options + self.common
            )
            return factory

        return decorate

    def __iter__(self) -> Iterator[Entry]:
        return iter(sorted(self._entries.values()))

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def names(self) -> list[str]:
        """Every registered name, sorted."""
        return sorted(self._entries)

    def entry(self, spec: str | Spec) -> Entry:
        """The entry that a spec names.

        Raises:
            UserError: if no entry has that name.
        """
        name = parse_spec(spec).name
        if name not in self._entries:
            raise unknown_name(self.kind, name, self._entries, self._also)
        return self._entries[name]

    def options(self, spec: str | Spec) -> dict[str, Any]:
        """Every option of a spec, converted to its type, with defaults filled in.

        Returns:
            All options of the entry by name, including the common ones.

        Raises:
            UserError: if the name or a key is unknown or a value has the wrong type.
        """
        entry, given = self.entry(spec), parse_spec(spec).options
        known = {option.name: option for option in entry.options}
        values = {option.name: option.default for option in entry.options}
        for key, text in given.items():
            if key not in known:
                what = f"option of {self.kind} {entry.name!r}"
                if not known:
                    raise UserError(f"unknown {what}: {shown(key)}", "none, it takes no options")
                raise unknown_name(what, key, known)
            what = f"{key} of {self.kind} {entry.name!r}"
            values[key] = convert(text, known[key], what) if isinstance(text, str) else text
        return values

    def build(self, spec: str | Spec, *context: Any) -> Any:
        """Calls the factory that a spec names.

        Args:
            spec: `name:key=value,key=value`.
            *context: the factory's parameters that have no default.

        Raises:
            UserError: if the spec does not fit the catalogue.
        """
        options = self.options(spec)
        for option in self.common:
            del options[option.name]
        return self.entry(spec).factory(*context, **options)


def convert(text: str, option: Option, what: str) -> Any:
    """Converts an option's text to the type its factory declares.

    Args:
        text: the value as written.
        option: the option, of type `int`, `float`, `bool`, `str` or a `Literal`, or one of these
            or None; its alternative parses a text in parentheses.
        what: the option's name in errors.

    Raises:
        UserError: if the text is not of that type, or the value is out of bounds.
    """
    kind = option.kind
    alternatives = typing.get_args(kind)
    if typing.get_origin(kind) is Literal:
        if text in alternatives:
            return text
        raise unknown_name(f"value for {what}:", text, alternatives)
    if type(None) in alternatives:
        if text.lower() == "none":
            return None
        kind = next(one for one in alternatives if one is not type(None))
        return convert(text, option._replace(kind=kind), what)
    if kind is bool:
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise UserError(f"{what} was {shown(text)}", "true or false")
    if kind is str:
        return text
    return _number(text, option._replace(kind=kind), what)


def _number(text: str, option: Option, what: str) -> Any:
    """Converts the text of a number, or parses the spec that replaces it in parentheses."""
    kind = option.kind
    if option.alternative and text.startswith("("):
        number = option._replace(alternative=None)
        return option.alternative.read(text, what, lambda end: convert(str(end), number, what))
    least, largest = option.bounds or _BOUNDS_OF_TYPE[kind]
    allowed = f"a value of type {kind.__name__} from {least:,} to {largest:,}"
    if option.alternative:
        allowed += f", or {option.alternative.kind} in parentheses"
    try:
        value = kind(text)
    except ValueError:
        raise UserError(f"{what} was {shown(text)}", allowed) from None
    if not least <= value <= largest:  # Also refuses NaN, which compares false.
        raise UserError(f"{what} was {shown(text)}", allowed)
    return value


def _option(name: str, hint: Any, default: Any) -> Option:
    """An option from its annotation, which may carry bounds and an alternative."""
    if typing.get_origin(hint) is not Annotated:
        return Option(name, hint, default)
    kind, *extras = typing.get_args(hint)

    def declared(what: type) -> Any:
        return next((extra for extra in extras if isinstance(extra, what)), None)

    return Option(name, kind, default, declared(Bounds), declared(Alternative))
