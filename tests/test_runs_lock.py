"""One writer a run."""

import errno
import fcntl
import json
import os
import socket
import subprocess
import sys

import pytest
from refusals import refused

from gancli.runs.lock import locked

HOLD = (
    "import sys, time; from pathlib import Path; from gancli.runs.lock import locked\n"
    "with locked(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)"
)


@pytest.fixture
def without_flock(monkeypatch):
    def refuse(file, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)


def test_one_process_writes_at_a_time_and_death_releases(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with (
            refused(f"'{tmp_path}'", f"host {socket.gethostname()}", f"process {holder.pid}"),
            locked(tmp_path),
        ):
            pytest.fail("two processes hold it")
    finally:
        holder.kill()
        holder.wait()
    with locked(tmp_path):
        pass


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").write_text("mine")
    (tmp_path / ".lock").symlink_to(tmp_path / "elsewhere")
    with refused(f"'{tmp_path}'", os.strerror(errno.ELOOP), remedy="--out"), locked(tmp_path):
        pass
    assert (tmp_path / "elsewhere").read_text() == "mine"


def test_without_locks_a_file_excludes_others_and_goes_with_the_block(tmp_path, without_flock):
    with locked(tmp_path):
        with refused(f"'{tmp_path}'", f"process {os.getpid()}"), locked(tmp_path):
            pytest.fail("two hold it")
        assert (tmp_path / ".lock.held").is_file()
    assert not (tmp_path / ".lock.held").exists()


def test_without_locks_a_dead_holder_of_this_host_is_succeeded(tmp_path, without_flock):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    held = {"host": socket.gethostname(), "process": dead.pid}
    (tmp_path / ".lock.held").write_text(json.dumps(held))
    with locked(tmp_path):
        pass


@pytest.mark.parametrize("held", ['{"host": "elsewhere", "process": 1}', "", "[", '{"process": 0}'])
def test_without_locks_another_holder_is_explained(tmp_path, without_flock, held):
    (tmp_path / ".lock.held").write_text(held)
    with refused(f"'{tmp_path}'", remedy=str(tmp_path / ".lock.held")), locked(tmp_path):
        pass
    assert (tmp_path / ".lock.held").read_text() == held
