"""Output that nobody reads, or that cannot be written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from gancli.system.streams import refused_output, write_to_anybody
write_to_anybody()
for _ in range(3):
    print("x" * 100_000, flush=True)
print("a · b", "\\udcff", file=sys.stderr, flush=True)
held = open(sys.argv[1], "w")
assert held.fileno() > 2
held.write(refused_output() or "nothing")
"""
WORK = {"reader gone": "", "closed": ">&- 2>&-", "full": ">/dev/full"}


@pytest.mark.parametrize(("how", "redirected"), WORK.items())
def test_work_goes_on_whoever_reads_its_output(how, redirected, tmp_path):
    """And what is lost is known, where somebody waits for it."""
    read, write = os.pipe()
    os.close(read)
    command = f'"$0" -c "$1" "$2" {redirected}'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable, PROGRAM, tmp_path / "product"],
        stdout=write,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    os.close(write)
    assert done.returncode == 0
    expected = "No space left on device" if how == "full" else "nothing"
    assert (tmp_path / "product").read_text() == expected


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_what_an_encoding_has_not_is_written_as_escapes(encoding, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path / "product"],
        env=os.environ | {"PYTHONIOENCODING": encoding},
        capture_output=True,
        check=True,
    )
    middle = {"ascii": b"\\xb7", "utf-8": "·".encode()}[encoding]
    assert done.stderr == b"a " + middle + b" b \\udcff\n"


def test_a_terminal_that_says_no_width_shows_everything():
    """Pseudo-terminals say 0 columns, where a table for so many would be empty."""
    done = subprocess.run(
        [sys.executable, "-c", "from gancli.cli.application import out; out.print('figure')"],
        env=os.environ | {"COLUMNS": "0"},
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"figure\n"


def test_a_seed_draws_the_same_numbers_whatever_jax_is_set_to():
    program = """
import sys
from gancli.__main__ import main
sys.argv = ["gan", "--version"]
try:
    main()
finally:
    import jax
    print(jax.random.normal(jax.random.key(0)).dtype)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"JAX_ENABLE_X64": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split()[-1] == "float32"


def test_a_device_that_does_not_block_is_waited_for(tmp_path):
    read, write = os.pipe()
    os.set_blocking(write, False)
    started = subprocess.Popen([sys.executable, "-c", PROGRAM, tmp_path / "product"], stdout=write)
    os.close(write)
    with open(read, "rb") as stream:
        assert len(stream.read()) == 3 * 100_001
    assert started.wait() == 0


def test_a_full_disk_under_the_output_is_told(tmp_path):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "gancli", "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 2
    assert b"No space left on device" in done.stderr
