"""Programs that XLA has compiled, kept on disk for the processes that follow."""

import importlib
import zlib
from contextlib import suppress
from pathlib import Path

import jax
from jax.experimental.compilation_cache.compilation_cache import reset_cache

# Programs that are compiled sooner are not worth a file.
_LEAST_SECONDS = 0.3


def keep_compiled(folder: Path) -> None:
    """Keeps compiled programs in a folder, and takes damaged ones out of it.

    JAX writes an entry in place and never over one that is there, so one that was cut short
    by the death of its process or a full disk would be compiled in vain at every start.

    Args:
        folder: made when the first program is kept; one that JAX was told of, as by
            JAX_COMPILATION_CACHE_DIR, comes before it.
    """
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _LEAST_SECONDS)
    chosen = jax.config.values["jax_compilation_cache_dir"]
    if not chosen:
        jax.config.update("jax_compilation_cache_dir", str(folder))
        reset_cache()  # What was compiled before has settled that there is none.
    _remove_damaged(Path(chosen or folder))


def _remove_damaged(folder: Path) -> None:
    """Removes the entries that cannot be decompressed, of those written since this was last done.

    The time of modification of an empty file tells when that was.
    """
    checked = folder / "checked"
    with suppress(OSError):  # Others may remove an entry, too; the folder may be another's.
        last = checked.stat().st_mtime_ns if checked.exists() else 0
        entries = [path for path in folder.glob("*-cache") if path.stat().st_mtime_ns >= last]
        if entries:
            checked.touch()
        for path in entries:
            if not _is_whole(path.read_bytes()):
                path.unlink()


def _is_whole(compressed: bytes) -> bool:
    """Whether an entry can be decompressed, by zlib or, where JAX finds it, by Zstandard."""
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
