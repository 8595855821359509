"""A folder of samples, which holds what its manifest says and nothing else.

It is written beside its place and moved there once it is complete.
"""

import contextlib
import json
import os
import secrets
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import filterfalse
from pathlib import Path
from typing import Any

import numpy as np

from gancli.errors import UserError, printable, shown
from gancli.evaluation.generator import Generator
from gancli.files import MANIFEST, as_json, cannot_write, is_disposable, read_manifest
from gancli.runs.versions import versions


@contextlib.contextmanager
def filled(folder: Path) -> Iterator[Path]:
    """Gives a place to write to, whose files become those of a folder once all are written.

    Args:
        folder: a new or an empty one, or one of earlier samples, which are then replaced.

    Yields:
        The place, where a manifest must be written.

    Raises:
        UserError: if the folder holds anything else, or the file system refuses.
    """
    try:
        _require_own(folder)
        new = not folder.exists()
        beside = folder / f".samples.{secrets.token_hex(4)}.partial"
        before, after = beside / "before", beside / "after"
        try:
            for place in (before, after):
                place.mkdir(parents=True)
            yield after
            _require_own(folder)
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


def require_free(folder: Path) -> None:
    """Refuses a folder that `filled` would refuse, before anything is computed for it.

    Raises:
        UserError: if it holds anything but earlier samples, or cannot be read.
    """
    try:
        _require_own(folder)
    except OSError as error:
        raise cannot_write(folder, error) from None


def _remove(folder: Path) -> None:
    """Removes a folder, also if a request to stop comes meanwhile."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except BaseException:  # It comes once.
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _require_own(folder: Path) -> None:
    """Refuses a folder that holds anything but samples that were written there before."""
    manifest = read_manifest(folder) or {}
    listed = manifest.get("files")
    files = {MANIFEST, *map(str, listed)} if isinstance(listed, list) else set()
    known = files | {str(parent) for name in files for parent in Path(name).parents}
    for place, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = filterfalse(is_disposable, folders)
        for name in filterfalse(is_disposable, (*folders, *names)):
            path = Path(place, name).relative_to(folder)
            if printable(str(path)) not in known:
                raise UserError(
                    f"{shown(str(folder))} holds {shown(str(path))}, which is of no earlier "
                    "samples",
                    "a new or an empty folder, or one that gan sample has filled",
                    "Choose another --out",
                )


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def write_manifest(folder: Path, generator: Generator, files: Iterable[str], **values: Any) -> None:
    """Says where the files of a folder come from, and which they are, maybe millions."""
    manifest = {
        **generator.provenance(),
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


def write_npz(path: Path, columns: Mapping[str, Iterable[np.ndarray]], count: int) -> None:
    """Writes the bytes that `np.savez` writes, of arrays that come in blocks.

    Args:
        path: the file.
        columns: blocks (n, *shape) of each array by its name.
        count: the number of rows of each array.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for name, blocks in columns.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                for number, block in enumerate(blocks):
                    if not number:
                        header = {
                            "descr": np.lib.format.dtype_to_descr(block.dtype),
                            "fortran_order": False,
                            "shape": (count, *block.shape[1:]),
                        }
                        np.lib.format.write_array_header_1_0(file, header)
                    file.write(np.ascontiguousarray(block).data)
