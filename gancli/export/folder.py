"""A folder that a command fills: complete or unchanged, and never over anything else.

It is written beside its place in it and moved there once it is complete, so that it holds what its
manifest says and nothing else.
"""

import contextlib
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import filterfalse
from pathlib import Path
from typing import Any

from gancli.errors import UserError, printable, shown
from gancli.files import MANIFEST, as_json, cannot_write, is_disposable, read_manifest
from gancli.runs.versions import versions

# Manifests did not name their command while there was only this one.
_FIRST = "gan sample"


@contextlib.contextmanager
def filled(folder: Path, command: str) -> Iterator[Path]:
    """Gives a place to write to, whose files become those of a folder once all are written.

    Args:
        folder: a new or an empty one, or one that the command has filled, which is then replaced.
        command: such as `gan sample`.

    Yields:
        The place, where a manifest must be written.

    Raises:
        UserError: if the folder holds anything else, or the file system refuses.
    """
    try:
        _require_own(folder, command)
        new = not folder.exists()
        beside = folder / f".samples.{secrets.token_hex(4)}.partial"
        before, after = beside / "before", beside / "after"
        try:
            for place in (before, after):
                place.mkdir(parents=True)
            yield after
            _require_own(folder, command)
            # At every moment the manifest there names all that is there.
            for path in list(folder.iterdir()):
                if path.name not in (beside.name, MANIFEST):
                    path.replace(before / path.name)
            (after / MANIFEST).replace(folder / MANIFEST)
            for path in list(after.iterdir()):
                path.replace(folder / path.name)
        finally:
            try:
                _remove(beside)
            finally:
                if new:
                    with contextlib.suppress(OSError):  # It holds what was written.
                        folder.rmdir()
    except OSError as error:
        raise cannot_write(folder, error) from None


def require_free(folder: Path, command: str) -> None:
    """Refuses a folder that `filled` would refuse, before anything is computed for it.

    Raises:
        UserError: if it holds anything but what the command has written, or cannot be read.
    """
    try:
        _require_own(folder, command)
    except OSError as error:
        raise cannot_write(folder, error) from None


def _remove(folder: Path) -> None:
    """Removes a folder, also if a request to stop comes meanwhile."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except BaseException:  # It comes once.
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _require_own(folder: Path, command: str) -> None:
    """Refuses a folder that holds anything but what the command has written there before."""
    manifest = read_manifest(folder) or {}
    listed = manifest.get("files") if manifest.get("command", _FIRST) == command else None
    files = {MANIFEST, *map(str, listed)} if isinstance(listed, list) else set()
    known = files | {str(parent) for name in files for parent in Path(name).parents}
    for place, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = filterfalse(is_disposable, folders)
        for name in filterfalse(is_disposable, (*folders, *names)):
            path = Path(place, name).relative_to(folder)
            if printable(str(path)) not in known:
                raise UserError(
                    f"{shown(str(folder))} holds {shown(str(path))}, which {command} has not "
                    "written",
                    f"a new or an empty folder, or one that {command} has filled",
                    "Choose another --out",
                )


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def write_manifest(
    folder: Path, provenance: Mapping[str, Any], files: Iterable[str], **values: Any
) -> None:
    """Says where the files of a folder come from, and which they are, maybe millions.

    Args:
        folder: the folder.
        provenance: that of the generator.
        files: the paths of the files in it.
        values: further facts by name, such as the `command`.
    """
    manifest = {
        **provenance,
        **values,
        "files": [],
        "versions": versions(),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    before, key, after = as_json(manifest).partition('"files": [')
    with (folder / MANIFEST).open("w", encoding="utf-8") as file:
        file.write(before + key)
        for number, name in enumerate(files):
            file.write(",\n    " if number else "\n    ")
            file.write(json.dumps(name, ensure_ascii=False))
        file.write("\n  " + after)
