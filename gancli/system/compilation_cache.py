"""Programs that XLA has compiled, kept on disk for the processes that follow."""

import contextlib
import importlib
import os
import warnings
import zlib
from pathlib import Path
from typing import Any

import jax

# As JAX words it, and names its files.
_WARNING = "Error reading persistent compilation cache entry"
_ENTRIES = "*-cache"
# Programs that are compiled sooner are not worth a file.
_LEAST_SECONDS = 0.3


def keep_compiled(folder: Path) -> None:
    """Keeps compiled programs in a folder, and takes damaged ones out of it.

    JAX writes an entry in place and never over one that is there, so one that was cut short
    by the death of its process or a full disk would be warned of and compiled in vain at
    every start. Here it is removed when it is found, and written again.

    Args:
        folder: made when the first program is kept; one that JAX_COMPILATION_CACHE_DIR names
            comes before it.
    """
    folder = Path(os.environ.get("JAX_COMPILATION_CACHE_DIR") or folder)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _LEAST_SECONDS)
    show = warnings.showwarning

    def heal(message: Any, *arguments: Any, **named: Any) -> None:
        if _WARNING not in str(message) or not remove_damaged(folder):
            show(message, *arguments, **named)

    warnings.showwarning = heal


def remove_damaged(folder: Path) -> list[str]:
    """Removes the entries that cannot be decompressed.

    Args:
        folder: of compiled programs.

    Returns:
        The names of those that were removed.
    """
    removed = []
    for path in sorted(folder.glob(_ENTRIES)):
        with contextlib.suppress(OSError):  # Another process may have removed it, too.
            if not _is_whole(path.read_bytes()):
                os.unlink(path)
                removed.append(path.name)
    return removed


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
