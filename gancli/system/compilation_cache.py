"""Compiled XLA programs, kept on disk for later processes."""

import importlib
import zlib
from contextlib import suppress
from pathlib import Path

import jax
from jax.experimental.compilation_cache.compilation_cache import reset_cache

from gancli.files import cache_root

# Programs that compile faster are not worth a file.
_LEAST_SECONDS = 0.3


def keep_compiled() -> None:
    """Keeps compiled programs in the cache, and removes damaged entries from it.

    JAX writes an entry in place and never overwrites one. An entry that a killed process or a
    full disk truncated would therefore be compiled again at every start. A folder that JAX is
    already configured with, for example by JAX_COMPILATION_CACHE_DIR, takes precedence.
    """
    folder = cache_root() / "compiled"
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _LEAST_SECONDS)
    chosen = jax.config.values["jax_compilation_cache_dir"]
    if not chosen:
        jax.config.update("jax_compilation_cache_dir", str(folder))
        reset_cache()  # An earlier compilation has made JAX decide that it has no cache.
    _remove_damaged(Path(chosen or folder))


def _remove_damaged(folder: Path) -> None:
    """Removes the entries written since the last check that cannot be decompressed.

    The modification time of an empty file records the last check.
    """
    checked = folder / "checked"
    with suppress(OSError):  # Others may remove an entry too, or own the folder.
        last = checked.stat().st_mtime_ns if checked.exists() else 0
        entries = [path for path in folder.glob("*-cache") if path.stat().st_mtime_ns >= last]
        if entries:
            checked.touch()
        for path in entries:
            if not _is_whole(path.read_bytes()):
                path.unlink()


def _is_whole(compressed: bytes) -> bool:
    """Whether an entry can be decompressed: by zlib, or by Zstandard where JAX uses it."""
    try:
        zlib.decompress(compressed)
        return True
    except zlib.error:
        pass
    try:
        zstandard = importlib.import_module("zstandard")
    except ImportError:
        return False
    try:
        zstandard.ZstdDecompressor().decompress(compressed)
        return True
    except zstandard.ZstdError:
        return False
