"""Preparation of image sets of TensorFlow Datasets, which needs TensorFlow once."""

import contextlib
import importlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gancli.data import cache
from gancli.data.formats import tfds
from gancli.errors import UserError, excerpt

# Temporary folders of TensorFlow Datasets, which it renames when a set is complete.
INCOMPLETE = "**/incomplete.??????_*.*.*"


def prepare(name: str, source: Path | None = None) -> Path:
    """Prepares a set for reading, in the array_record format.

    Args:
        name: `name` or `name/config`, optionally with `:version`.
        source: a folder with the set's official files under their original names, so that nothing
            is downloaded. Each file is checked against the checksum that TensorFlow Datasets has
            registered.

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
    cache.remove_stale((cache.prepared_root() / reference.name).glob(INCOMPLETE))
    _require_tensorflow()
    builder = _builder(name)
    # Where one file is refused, the library's threads may still be extracting another.
    scratch = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    with scratch as temporary, _preparing(name, builder):
        import tensorflow_datasets

        if source is not None:
            _refuse_downloads(builder, source)
        # Extracted files are named after the originals, whose names two sets may share (both
        # MNISTs), so each set has its own folder.
        downloads = Path(temporary) if source else cache.prepared_root() / "downloads"
        builder.download_and_prepare(
            file_format=tfds.FORMAT,
            download_dir=downloads / reference.name,
            download_config=tensorflow_datasets.download.DownloadConfig(manual_dir=source),
        )
    return Path(builder.data_dir)


def _require_tensorflow() -> None:
    try:
        importlib.import_module("tensorflow")
    except ImportError as error:
        raise UserError(
            f"preparing a TensorFlow Datasets set needs TensorFlow, unlike reading one ({error})",
            "an environment with the extra `tfds`",
            "Run: pip install tensorflow-cpu",
        ) from error


def _builder(name: str) -> Any:
    import tensorflow_datasets

    try:
        return tensorflow_datasets.builder(name, data_dir=cache.prepared_root())
    except Exception as error:
        # Each builder checks configurations and versions in its own way.
        raise UserError(
            f"TensorFlow Datasets has no {name!r} ({excerpt(error)})",
            "`name`, `name/config` or `name:version` as in its catalogue",
        ) from error


@contextlib.contextmanager
def _preparing(name: str, builder: Any) -> Iterator[None]:
    """Turns errors of a preparation into errors for the user."""
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

    try:
        yield
    except UserError:
        raise
    except NonMatchingChecksumError as error:
        what = " ".join(str(error).partition("To debug")[0].split())
        raise UserError(
            f"a file of {name!r} is not the official one: {what}",
            "files whose SHA-256 is the registered one",
            "Download that file again",
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


def _refuse_downloads(builder: Any, source: Path) -> None:
    """Reports a file that is missing in the folder at once, not after minutes of retries."""
    make_manager = builder._make_download_manager

    def refuse(resource: Any) -> None:
        registered = (builder.url_infos or {}).get(resource.url)
        file = (registered and registered.filename) or Path(resource.url).name
        raise UserError(
            f"{source} has no file {file!r} of {builder.name!r}",
            f"a folder with every official file; this one comes from {resource.url}",
            "Add it, or leave out --from to download everything",
        )

    def offline(**arguments: Any) -> Any:
        manager = make_manager(**arguments)
        manager._download = refuse
        return manager

    builder._make_download_manager = offline
