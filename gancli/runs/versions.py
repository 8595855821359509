"""Versions of the packages that decide a run's bytes: in a checkpoint, and installed."""

import importlib.metadata
import platform
from collections.abc import Mapping
from pathlib import Path

from gancli import __version__
from gancli.errors import UserError, shown
from gancli.files import read_json

NAME = "versions.json"

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def versions() -> dict[str, str]:
    """The installed versions of the packages that decide a run's bytes."""
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {"gan": __version__, "python": platform.python_version(), **found}


def read_versions(checkpoint: Path) -> dict[str, str]:
    """Reads the versions that wrote a checkpoint.

    Args:
        checkpoint: the folder of one step, with verified files.

    Raises:
        UserError: if its version of gan is not compatible with this one; compatible versions have
            the same first two numbers.
    """
    path = checkpoint / NAME
    # The first versions of gan did not write this file.
    held = read_json(path) if path.exists() else {}
    require_compatible(held, f"checkpoint {str(checkpoint)!r}")
    return held


def require_compatible(held: Mapping[str, str], what: str) -> None:
    """Refuses weights that an incompatible version wrote.

    Args:
        held: the versions that wrote them.
        what: their file or folder.

    Raises:
        UserError: if the first two numbers of the version of gan differ.
    """
    wrote, now = held.get("gan", "0.1"), versions()["gan"]
    if wrote.split(".")[:2] != now.split(".")[:2]:
        raise UserError(
            f"{what} was written by gan {shown(wrote)}, but this is gan {now}, in which the same "
            "configuration may mean other networks",
            f"gan {'.'.join(now.split('.')[:2])}.x",
            "Use the version that wrote it, or start a new run",
        )


def other_versions(held: Mapping[str, str]) -> list[str]:
    """The packages that have another version now, one readable line each."""
    return [
        f"{name} {held.get(name, 'none')} then, {now} now"
        for name, now in versions().items()
        if held.get(name) != now
    ]
