"""Compiled programs on disk."""

import os
import subprocess
import sys

import pytest

COMPILE = """
import jax, jax.numpy as jnp
from gancli.system import compilation_cache
compilation_cache._LEAST_SECONDS = 0.0
compilation_cache.keep_compiled()
print(float(jax.jit(lambda x: jnp.sin(x) @ jnp.cos(x))(jnp.ones((3, 3)))[0, 0]))
"""


def compile_with(folder):
    return subprocess.run(
        [sys.executable, "-c", COMPILE],
        env={key: value for key, value in os.environ.items() if not key.startswith("JAX_")}
        | {"GAN_CACHE": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )


def sizes_in(folder):
    return {path: path.stat().st_size for path in (folder / "compiled").glob("*-cache")}


@pytest.mark.parametrize("damage", ["cut", "empty"])
def test_a_program_cut_short_is_replaced_without_a_word(tmp_path, damage):
    first = compile_with(tmp_path)
    entries = sizes_in(tmp_path)
    assert entries
    for path, size in entries.items():
        os.truncate(path, size // 2 if damage == "cut" else 0)
    second = compile_with(tmp_path)
    assert second.stdout == first.stdout
    assert "Error reading" not in second.stderr
    assert sizes_in(tmp_path) == pytest.approx(entries, rel=0.05)
