"""Tables on a console, however narrow it is, and times in them."""

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table


def show_table(console: Console, table: Table) -> None:
    """Prints a table; where a console is too narrow its lines go on, and no cell is cut."""
    whole = Measurement.get(console, console.options.update(width=2**16), table).maximum
    if whole > console.width:
        table.width = whole
    console.print(table, crop=False, soft_wrap=True)


def in_hours(seconds: int) -> str:
    """Formats a time as h:mm:ss."""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
