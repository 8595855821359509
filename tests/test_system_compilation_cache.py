"""Compiled programs on disk."""

import os
import subprocess
import sys

import pytest

COMPILE = """
import sys
from pathlib import Path
import jax, jax.numpy as jnp
from gancli.system import compilation_cache
compilation_cache._LEAST_SECONDS = 0.0
compilation_cache.keep_compiled(Path(sys.argv[1]))
print(float(jax.jit(lambda x: jnp.sin(x) @ jnp.cos(x))(jnp.ones((3, 3)))[0, 0]))
"""


def compile_with(folder):
    return subprocess.run(
        [sys.executable, "-c", COMPILE, str(folder)],
        env={key: value for key, value in os.environ.items() if not key.startswith("JAX_")},
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.mark.parametrize("damage", ["cut", "empty"])
def test_a_program_cut_short_is_replaced_without_a_word(tmp_path, damage):
    first = compile_with(tmp_path)
    entries = {path: path.stat().st_size for path in tmp_path.glob("*-cache")}
    assert entries
    for path, size in entries.items():
        os.truncate(path, size // 2 if damage == "cut" else 0)
    second = compile_with(tmp_path)
    assert second.stdout == first.stdout
    assert "Error reading" not in second.stderr
    assert {path: path.stat().st_size for path in tmp_path.glob("*-cache")} == pytest.approx(
        entries, rel=0.05
    )
