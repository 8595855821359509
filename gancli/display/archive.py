"""NumPy archives of arrays that come in blocks."""

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np


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
