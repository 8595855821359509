"""Preparing image sets of TensorFlow Datasets, which needs TensorFlow, once."""

import contextlib
import hashlib
import importlib
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gancli.data import cache
from gancli.data.formats import tfds
from gancli.errors import UserError, excerpt

# TensorFlow Datasets writes here, beside where the set will be, and renames what is complete.
INCOMPLETE = re.compile(r"incomplete\.[A-Z0-9]{6}_\d+\.\d+\.\d+", re.ASCII)


def prepare(name: str, source: Path | None = None) -> Path:
    """Prepares a set for reading, in the array_record format.

    Args:
        name: `name`, `name/config`, either with `:version`.
        source: a folder with the set's official files, so that nothing need be downloaded;
            they are recognised by name or by checksum. Every file is checked against the
            checksum that TensorFlow Datasets has registered for it.

    Returns:
        The folder of the prepared set, which exists only once it is complete.

    Raises:
        UserError: if the name is unknown, TensorFlow is not installed, a file is missing or
            has the wrong checksum, or the disk is full.
    """
    reference = tfds.parse(name)
    if reference is None or reference.name not in tfds.names():
        raise tfds.unknown(name)
    place = cache.prepared_root() / reference.name / (reference.config or "")
    if (done := tfds.newest(place, reference.version)) is not None:
        return done
    if source is not None and not source.is_dir():
        raise UserError(f"{source} is not a folder", "a folder with the set's official files")
    _remove_stale(cache.prepared_root() / reference.name)
    _require_tensorflow()
    builder = _builder(name)
    with (
        tempfile.TemporaryDirectory() as temporary,
        _preparing(name, builder, source, Path(temporary, "manual")) as manual,
    ):
        import tensorflow_datasets

        # Extracted files are named after the original, which two sets may share (both MNISTs):
        # each set has its own folder.
        downloads = Path(temporary, "downloads") if source else cache.prepared_root() / "downloads"
        builder.download_and_prepare(
            file_format="array_record",
            download_dir=downloads / reference.name,
            download_config=tensorflow_datasets.download.DownloadConfig(manual_dir=manual),
        )
    return Path(builder.data_dir)


def _remove_stale(place: Path) -> None:
    """Removes what preparations of a set that were killed left, a day after their last write.

    One that is running, perhaps in another process, has written to a file since.
    """
    for left in [*place.glob("incomplete.*"), *place.glob("*/incomplete.*")]:
        if not INCOMPLETE.fullmatch(left.name) or left.is_symlink() or not left.is_dir():
            continue
        with contextlib.suppress(FileNotFoundError):
            newest = max(path.lstat().st_mtime for path in (left, *left.rglob("*")))
            if time.time() - newest > cache.STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)


def _require_tensorflow() -> None:
    try:
        importlib.import_module("tensorflow")
    except ImportError as error:
        raise UserError(
            f"preparing a TensorFlow Datasets set needs TensorFlow ({error}); reading one does not",
            "an environment with the extra `tfds`",
            "Run: pip install tensorflow-cpu",
        ) from error


def _builder(name: str) -> Any:
    import tensorflow_datasets

    try:
        return tensorflow_datasets.builder(name, data_dir=cache.prepared_root())
    except Exception as error:
        # Configurations and versions are checked by each builder in its own way.
        raise UserError(
            f"TensorFlow Datasets has no {name!r} ({excerpt(error)})",
            "`name`, `name/config` or `name:version` as in its catalogue",
        ) from error


@contextlib.contextmanager
def _preparing(name: str, builder: Any, source: Path | None, manual: Path) -> Iterator[Path | None]:
    """Gives the folder to prepare from; says what kept a set from being prepared."""
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

    try:
        if source is None:
            yield None
        else:
            _refuse_downloads(builder, source)
            yield _arrange(source, manual, builder)
    except UserError:
        raise
    except NonMatchingChecksumError as error:
        what = " ".join(str(error).partition("To debug")[0].split())
        raise UserError(
            f"a file of {name!r} is not the official one: {what.replace(str(manual), str(source))}",
            "files whose SHA-256 is the registered one",
            "Fetch that file again",
        ) from error
    except Exception as error:
        # Each builder downloads, extracts and parses in its own way and raises its own errors.
        instructions = " ".join((builder.MANUAL_DOWNLOAD_INSTRUCTIONS or "").split())
        raise UserError(
            f"the data set {name!r} could not be prepared ({excerpt(error)})",
            "a network connection, or a folder with the official files, and a disk with room "
            f"for them in {cache.prepared_root()}",
            f"Run: gan data prepare {name} --from DIR. {instructions}",
        ) from error


def _registered(builder: Any) -> dict[str, Any]:
    """The checksums that are registered for a set's files, by file name."""
    known = builder.url_infos or {}
    return {info.filename: info for info in known.values() if info.filename}


def _arrange(source: Path, folder: Path, builder: Any) -> Path:
    """Links the files of a folder into another, under the names they are looked for by.

    A file under its official name is taken as it is, so that a wrong checksum is noticed;
    one under another name is recognised by its size and checksum.
    """
    folder.mkdir(parents=True)
    present = sorted(source.iterdir())
    for path in present:
        (folder / path.name).symlink_to(path.absolute())
    registered = _registered(builder)
    missing = {name: info for name, info in registered.items() if not (folder / name).exists()}
    sizes = {int(info.size) for info in missing.values()}
    for path in present:
        if path.is_file() and path.stat().st_size in sizes:
            digest = _checksum(path)
            for name, info in missing.items():
                if info.checksum == digest and not (folder / name).exists():
                    (folder / name).symlink_to(path.absolute())
    return folder


def _refuse_downloads(builder: Any, source: Path) -> None:
    """Makes a file that is not in the folder an error at once, not after minutes of retries."""
    make_manager = builder._make_download_manager

    def refuse(resource: Any) -> None:
        file = Path(resource.url).name
        raise UserError(
            f"{source} has no file {file!r} of {builder.name!r}",
            f"a folder with every official file; this one comes from {resource.url}",
            "Put it there, or leave out the folder to download everything",
        )

    def offline(**arguments: Any) -> Any:
        manager = make_manager(**arguments)
        manager._download = refuse
        return manager

    builder._make_download_manager = offline


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
