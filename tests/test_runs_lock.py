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

from gancli.runs.lock import NOTE, locked

HOLD = (
    "import sys, time; from pathlib import Path; from gancli.runs.lock import locked\n"
    "with locked(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)"
)


@pytest.fixture
def without_flock(monkeypatch):
    def refuse(file, operation):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

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


def test_the_holder_is_told_while_it_holds(tmp_path):
    with locked(tmp_path):
        with refused(f"'{tmp_path}'", f"process {os.getpid()}", remedy="Wait"), locked(tmp_path):
            pytest.fail("two hold it")
        assert json.loads((tmp_path / NOTE).read_text())["process"] == os.getpid()
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize("note", ['{"host": "elsewhere", "process": 1}', "", "[1]", "["])
def test_a_holder_that_cannot_be_looked_at_may_be_gone(tmp_path, note):
    with locked(tmp_path):
        (tmp_path / NOTE).write_text(note)
        with refused(f"'{tmp_path}'", remedy=str(tmp_path / ".lock")), locked(tmp_path):
            pytest.fail("two hold it")


@pytest.mark.parametrize("name", [".lock", NOTE])
def test_a_link_is_not_followed(tmp_path, name):
    (tmp_path / "elsewhere").write_text("mine")
    (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    if name == ".lock":
        with refused(f"'{tmp_path}'", os.strerror(errno.ELOOP), remedy="--out"), locked(tmp_path):
            pytest.fail("it holds a link")
    else:
        with locked(tmp_path):
            pass
    assert (tmp_path / "elsewhere").read_text() == "mine"


def test_a_note_that_cannot_be_written_releases(tmp_path):
    (tmp_path / NOTE).mkdir()
    with refused(f"'{tmp_path / NOTE}'", remedy="--out"), locked(tmp_path):
        pytest.fail("nobody could be told of it")
    (tmp_path / NOTE).rmdir()
    with locked(tmp_path):
        pass


@pytest.mark.filterwarnings("ignore:flock not supported")
def test_without_locks_a_file_excludes_others_and_goes_with_the_block(tmp_path, without_flock):
    with locked(tmp_path), refused(f"'{tmp_path}'", f"process {os.getpid()}"), locked(tmp_path):
        pytest.fail("two hold it")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore:flock not supported")
def test_without_locks_a_dead_holder_of_this_host_is_succeeded(tmp_path, without_flock):
    without = f"import fcntl, os\ndef refuse(*_): raise OSError({errno.ENOSYS}, '')\n"
    holder = subprocess.Popen(
        [sys.executable, "-c", f"{without}fcntl.flock = refuse\n{HOLD}", str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    with holder.stdout:
        assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.wait()
    with locked(tmp_path):
        pass
