"""Named factories and the `name:key=value,key=value` specs that call them.

A factory's parameters without a default are its context, passed by the code that builds;
those with a default are its options, set by the user in a spec. Registering a function is
all it takes: the command line, `gan list`, comparisons and the property tests iterate the
registries.
"""

import inspect
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, TypeVar

from gancli.errors import UserError, unknown_name

Factory = TypeVar("Factory", bound=Callable[..., Any])


class Spec(NamedTuple):
    """A parsed spec: the factory's name and the options that the user set."""

    name: str
    options: Mapping[str, str]


class Option(NamedTuple):
    """One option of a factory: its name, type and default."""

    name: str
    kind: Any
    default: Any


class Entry(NamedTuple):
    """One registered factory and what is said of it."""

    name: str
    factory: Callable[..., Any]
    summary: str
    reference: str
    recipe: Mapping[str, Any]
    options: tuple[Option, ...]


def parse_spec(text: str) -> Spec:
    """Splits `name:key=value,key=value` into its name and options.

    Args:
        text: the spec as written by the user.

    Returns:
        The name and its options, values still text.

    Raises:
        UserError: if an option is not of the form key=value, or is given twice.
    """
    name, _, rest = text.strip().partition(":")
    options: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in rest.split(","))):
        key, equals, value = part.partition("=")
        key = key.strip()
        if not equals or not key or not value.strip():
            raise UserError(f"{part!r} in {text!r} is not an option", "name:key=value,key=value")
        if key in options:
            raise UserError(f"{key!r} is given twice in {text!r}", "each key once")
        options[key] = value.strip()
    return Spec(name.strip(), options)


class Registry:
    """Factories by name, each with a one-line summary, a reference and typed options.

    Args:
        kind: what the factories make, in the singular, as error messages name it.
        common: options that every entry accepts beside its own, and that the code that
            builds takes off the spec with `split_common`.
    """

    def __init__(self, kind: str, common: tuple[Option, ...] = ()):
        self.kind = kind
        self.common = common
        self._entries: dict[str, Entry] = {}

    def register(
        self, name: str, *, reference: str, recipe: Mapping[str, Any] | None = None
    ) -> Callable[[Factory], Factory]:
        """Adds a factory under a name; its docstring's first line becomes its summary.

        Args:
            name: the name used in specs: lower-case words joined by hyphens.
            reference: where it was published.
            recipe: configuration values, by dotted key, that the publication trains with
                and that apply where the user named none.

        Returns:
            A decorator that returns the factory unchanged.

        Raises:
            ValueError: if the name is malformed or taken, or the factory has no docstring.
        """
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) or name in self._entries:
            raise ValueError(f"{self.kind} name {name!r} is malformed or taken")

        def decorate(factory: Factory) -> Factory:
            documentation = inspect.getdoc(factory)
            if not documentation:
                raise ValueError(f"{self.kind} {name!r} has no docstring to list")
            hints = typing.get_type_hints(factory)
            options = tuple(
                Option(parameter.name, hints.get(parameter.name, str), parameter.default)
                for parameter in inspect.signature(factory).parameters.values()
                if parameter.default is not inspect.Parameter.empty
            )
            summary = documentation.splitlines()[0].rstrip(".")
            self._entries[name] = Entry(
                name, factory, summary, reference, dict(recipe or {}), options + self.common
            )
            return factory

        return decorate

    def unregister(self, name: str) -> None:
        """Removes an entry, so that a test can register one for its own duration."""
        del self._entries[name]

    def __iter__(self) -> Iterator[Entry]:
        return iter(sorted(self._entries.values()))

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def names(self) -> list[str]:
        """Every registered name, sorted."""
        return sorted(self._entries)

    def entry(self, spec: str) -> Entry:
        """The entry that a spec names.

        Raises:
            UserError: if no entry has that name.
        """
        name = parse_spec(spec).name
        if name not in self._entries:
            raise unknown_name(self.kind, name, self._entries)
        return self._entries[name]

    def options(self, spec: str) -> dict[str, Any]:
        """Every option of a spec, converted to its type, defaults filled in.

        Args:
            spec: `name:key=value,key=value`.

        Returns:
            All options of the entry by name, the common ones among them.

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
                    raise UserError(f"unknown {what}: {key!r}", "none, it takes no options")
                raise unknown_name(what, key, known)
            values[key] = convert(text, known[key].kind, f"{key} of {self.kind} {entry.name!r}")
        return values

    def build(self, spec: str, *context: Any) -> Any:
        """Calls the factory that a spec names.

        Args:
            spec: `name:key=value,key=value`.
            *context: the factory's parameters that have no default.

        Returns:
            What the factory makes.

        Raises:
            UserError: if the spec does not fit the catalogue.
        """
        options = self.options(spec)
        for option in self.common:
            del options[option.name]
        return self.entry(spec).factory(*context, **options)


def convert(text: str, kind: Any, what: str) -> Any:
    """Converts an option's text to the type its factory declares.

    Args:
        text: the value as written.
        kind: `int`, `float`, `bool`, `str`, a `Literal`, or a union of these with None.
        what: the option, as the error names it.

    Returns:
        The converted value.

    Raises:
        UserError: if the text is not of that type.
    """
    alternatives = typing.get_args(kind)
    if typing.get_origin(kind) is Literal:
        if text in alternatives:
            return text
        raise unknown_name(f"value for {what}:", text, alternatives)
    if type(None) in alternatives:
        if text.lower() == "none":
            return None
        kind = next(one for one in alternatives if one is not type(None))
        return convert(text, kind, what)
    if kind is bool:
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise UserError(f"{what} was {text!r}", "true or false")
    try:
        value = kind(text)
    except ValueError:
        raise UserError(f"{what} was {text!r}", f"a value of type {kind.__name__}") from None
    if kind is float and not abs(value) < float("inf"):
        raise UserError(f"{what} was {text!r}", "a finite number")
    return value
