"""Small files: written whole or not at all, and read up to a bound."""

import contextlib
import errno
import hashlib
import io
import json
import math
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

from gancli.errors import UserError, printable, shown

# Far more than any document that a run writes.
MOST_BYTES = 64 * 2**20
# What a folder of samples is known by; it may name ten million files.
MANIFEST = "manifest.json"
_MOST_MANIFEST_BYTES = 1 << 29
_RUN = {"config.json", "run.json"}
_SUFFIX = ".partial"
# Of macOS, Windows, KDE, Synology and Jupyter; macOS also writes `._NAME` beside a file.
_OF_FILE_MANAGERS = {
    ".DS_Store", "__MACOSX", "Thumbs.db", "desktop.ini", ".directory", "@eaDir",
    ".ipynb_checkpoints",
}  # fmt: skip
_LARGEST_EXPANSION = 200
ALWAYS_ALLOWED_BYTES = 1 << 28
_SURROGATE = re.compile("[\ud800-\udfff]")
_OTHER_KINDS = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary name next to `path`, which is moved to `path` once it is complete.

    Args:
        path: the final path; an existing file stays until the new one is complete.

    Yields:
        The path to write to. Its name is unique and recognised by `is_partial`; its suffix does
        not tell the file's format.

    Raises:
        UserError: if the file system refuses.
    """
    # Without the name of the file, which may be as long as a name can be.
    beside = path.with_name(f".{secrets.token_hex(8)}{_SUFFIX}")
    try:
        yield beside
        beside.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from None
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def is_partial(name: str) -> bool:
    """Whether `replacing` made this name; without a living writer, its writer was killed."""
    return name.startswith(".") and name.endswith(_SUFFIX)


def is_of_file_manager(name: str) -> bool:
    """Whether a name is of what programs that show folders and archives leave in them."""
    return name in _OF_FILE_MANAGERS or name.startswith("._")


def is_disposable(name: str) -> bool:
    """Whether nobody misses what has this name: a killed writer or a file manager left it."""
    return is_partial(name) or is_of_file_manager(name)


def write_text(path: Path, text: str) -> None:
    """Replaces a file atomically and durably: readers see the old text or the new one.

    Raises:
        UserError: if the file system refuses.
    """
    with replacing(path) as beside, beside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        sync(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from None


def require_writable(path: Path, option: str) -> None:
    """Refuses a file that could not be written, before anything is computed for it.

    Args:
        path: the file, which may be there.
        option: by which the user chose it.

    Raises:
        UserError: if its folder is missing, or the file system refuses.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        beside = path.with_name(f".{secrets.token_hex(4)}{_SUFFIX}")
        beside.touch(exist_ok=False)
        beside.unlink()
    except OSError as error:
        raise cannot_write(path, error, option) from None


def write_own(folder: Path, texts: Mapping[str, str], manifest: str) -> tuple[Path, ...]:
    """Writes texts into a folder, where they replace only what an earlier call wrote.

    Args:
        folder: the folder, which is made where it is missing.
        texts: the texts by the names of their files.
        manifest: name of the file in it that lists the SHA-256 of what was written.

    Returns:
        The paths of the texts.

    Raises:
        UserError: if a file of such a name is there that was not written so, or was changed since,
            or the file system refuses; then nothing is written.
    """
    new = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        known = _listed(folder / manifest)
        for name in texts:
            path = folder / name
            if os.path.lexists(path) and sha256(path) not in {*known.get(name, ()), new[name]}:
                raise already_there(path)
    except OSError as error:
        raise cannot_write(folder, error) from None
    # First both, so that what is there is known at every moment.
    both = {name: [*known.get(name, ()), held] for name, held in new.items()}
    write_json(folder / manifest, {"written": known | both})
    for name, text in texts.items():
        write_text(folder / name, text)
    write_json(folder / manifest, {"written": known | {name: [new[name]] for name in new}})
    return tuple(folder / name for name in texts)


def _listed(manifest: Path) -> dict[str, list[str]]:
    """What a manifest of `write_own` lists; nothing where there is none."""
    if not os.path.lexists(manifest):
        return {}
    try:
        held = load_json(manifest, MOST_BYTES)["written"]
        return {str(name): [str(one) for one in known] for name, known in held.items()}
    except (AttributeError, KeyError, TypeError, ValueError):
        raise already_there(manifest) from None


def already_there(path: Path, option: str = "--out") -> UserError:
    """The error for a file that would have to be replaced, and was not written by gan."""
    return UserError(
        f"{shown(str(path))} is there already, and is not as gan wrote it",
        "a place where nothing is, or what this command has written before",
        f"Choose another {option}, or move the file away",
    )


def write_json(path: Path, value: Any) -> None:
    """Replaces a file atomically with a value as indented JSON."""
    write_text(path, as_json(value))


def as_json(value: Any) -> str:
    """A value as indented JSON, the format of every document of a run.

    Bytes of a file's name that are no UTF-8 are written as escapes.

    Raises:
        ValueError: if a number in it is not finite.
    """
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)
    return _SURROGATE.sub(lambda found: f"\\\\u{ord(found[0]):04x}", text) + "\n"


def open_regular(path: Path) -> io.BufferedReader:
    """Opens a regular, non-empty file: reading a pipe could block, and a device never ends.

    Args:
        path: the file; symbolic links are followed.

    Returns:
        The file, for reading.

    Raises:
        OSError: if it cannot be opened, is not a regular file, or is empty.
    """
    # Checked before it is opened, because opening alone makes some devices act, and again after,
    # because another file may have taken its name. Without O_NONBLOCK a pipe would block here.
    _require_regular(os.stat(path), path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _require_regular(os.fstat(descriptor), path)
        return open(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """Reads a whole file of bounded size.

    Args:
        path: the file.
        most: the largest allowed size in bytes.

    Returns:
        Its bytes.

    Raises:
        OSError: if it cannot be opened, is not a regular file, or is empty or larger.
    """
    with open_regular(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most:,} bytes", str(path))
    return content


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """Reads a text that gan wrote.

    Raises:
        UserError: if it is missing, empty, larger than `most` bytes, not a file or not UTF-8.
    """
    try:
        return read_bytes(path, most).decode("utf-8")
    except OSError as error:
        raise _cannot_read(path, error.strerror or str(error)) from None
    except UnicodeDecodeError as error:
        raise _cannot_read(path, f"byte {error.start} is not UTF-8") from None


def read_json(path: Path) -> Any:
    """Reads a JSON file that gan wrote.

    Raises:
        UserError: if it is missing, empty, larger than 64 MiB, or is not such JSON.
    """
    try:
        return parse_json(read_text(path))
    except ValueError as error:
        raise _cannot_read(path, str(error)) from None


def load_json(path: Path, most: int) -> Any:
    """Reads a JSON file that another program may have written.

    Raises:
        OSError: if it cannot be opened, is not a regular file, or is empty or larger.
        ValueError: if it is not JSON.
    """
    return parse_json(read_bytes(path, most).decode("utf-8"))


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """What a folder of samples says of itself, None for any other folder."""
    try:
        held = load_json(folder / MANIFEST, _MOST_MANIFEST_BYTES)
    except (OSError, ValueError):
        return None
    return held if isinstance(held, dict) and "checkpoint_sha256" in held else None


def seen_from_above(path: Path, run: Path) -> Iterator[Path]:
    """What a relative path leads to from each directory above a run, the nearest first."""
    if not path.is_absolute():
        above = (parent / path for parent in Path(os.path.abspath(run)).parents)
        yield from (place for place in above if place.exists())


def is_output(folder: Path, names: Set[str]) -> bool:
    """Whether a folder is a run or holds samples of one, so that its images are no data.

    Returns:
        Whether gan made it.
    """
    return names >= _RUN or (MANIFEST in names and read_manifest(folder) is not None)


def parse_json(text: str) -> Any:
    """Parses a JSON text with finite numbers and printable strings only.

    Raises:
        ValueError: if the text is anything else, or is nested too deeply.
    """
    try:
        value = json.loads(text, parse_constant=_finite, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if "\\u" in text:  # A lone surrogate is not text and cannot be printed.
        json.dumps(value, ensure_ascii=False).encode()
    return value


def may_expand(size: int, declared: int) -> bool:
    """Whether a file's declared decompressed size is acceptable.

    Args:
        size: size of the file in bytes.
        declared: decompressed size in bytes that the file declares.

    Returns:
        Whether the declared size is at most 256 MiB, or at most 200 times the file's.
    """
    return declared <= max(ALWAYS_ALLOWED_BYTES, _LARGEST_EXPANSION * size)


def dangling(path: Path) -> UserError:
    """The error for a link that leads nowhere."""
    return UserError(
        f"{path} is a link to {os.readlink(path)}, which is not there",
        "a link to something that is there",
        "Bring back what it leads to, or remove it",
    )


def cache_root() -> Path:
    """The folder of everything that can be computed, decoded or compiled again.

    Returns:
        GAN_CACHE if it is set, else `gan` in XDG_CACHE_HOME, else ~/.cache/gan.

    Raises:
        UserError: if none is set, and the user has no home folder.
    """
    if chosen := os.environ.get("GAN_CACHE"):
        return Path(os.path.expanduser(chosen))
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if home.startswith("~"):  # As in a container, for a user that it does not know.
        raise UserError(
            "there is no home folder, which would hold the cache",
            "a user with a home folder, or the environment variable GAN_CACHE",
            "Set GAN_CACHE to a folder",
        )
    return Path(home) / "gan"


def require_utf8(path: Path) -> None:
    """Refuses a path with bytes that are no UTF-8, where a library takes no others.

    Raises:
        UserError: naming it.
    """
    if _SURROGATE.search(str(path.absolute())):
        raise UserError(
            f"{printable(str(path.absolute()))} has bytes in its name that are not UTF-8",
            "a run whose path is UTF-8",
            "Rename it",
        )


def cannot_write(path: Path, error: OSError, option: str = "--out") -> UserError:
    """The error for a place that cannot be written, naming it and the reason."""
    return UserError(
        f"cannot write {str(path)!r}: {error.strerror or error}",
        "a place with write permission and free space",
        f"Choose another {option}, or make room and run the same command again",
    )


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal (FIPS 180-4)."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Flushes a file, or the entries of a folder, to disk.

    Raises:
        OSError: if the file system refuses.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems store names durably and do not implement fsync of a folder.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP) or not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite number")
    return number


def _cannot_read(path: Path, reason: str) -> UserError:
    return UserError(f"cannot read {str(path)!r}: {reason}", "a file that gan wrote")


def _require_regular(status: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _OTHER_KINDS.get(stat.S_IFMT(status.st_mode), "device")
        raise OSError(errno.EINVAL, f"it is a {kind}, not a regular file", str(path))
    if status.st_size == 0:
        # Many kernel files report this size, and reading them can block for ever.
        raise OSError(errno.EINVAL, "it has 0 bytes", str(path))
