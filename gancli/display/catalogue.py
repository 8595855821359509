"""Printing of a catalogue."""

from typing import Literal, get_args, get_origin

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gancli.registry import Option, Registry


def show_catalogue(name: str, registry: Registry, console: Console) -> None:
    """Prints every entry: name, summary, options with their defaults, reference."""
    console.print(Text(name, style="bold"))
    table = Table.grid(padding=(0, 2, 0, 2))
    table.add_column(no_wrap=True, style="cyan")
    for entry in registry:
        text = Text(entry.summary)
        if entry.options:
            text.append("\n" + ", ".join(map(_text, entry.options)), style="italic")
        if entry.reference:
            text.append("\n" + entry.reference, style="dim")
        table.add_row(entry.name, text)
    console.print(table)
    console.print()


def _text(option: Option) -> str:
    """An option as written in a spec, with its default and its allowed values."""
    default = option.default
    if get_origin(option.kind) is Literal:
        others = (str(one) for one in get_args(option.kind) if one != default)
        return f"{option.name}={' | '.join([str(default), *others])}"
    text = f"{option.name}={str(default).lower() if isinstance(default, bool) else default}"
    if option.bounds is None:
        return text
    least, largest = option.bounds
    alternative = f" or {option.alternative.kind}" if option.alternative else ""
    return f"{text} ({least:,.10g} to {largest:,.10g}){alternative}"
