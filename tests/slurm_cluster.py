"""A Slurm of two nodes on this machine, with daemons of its own, and what a job needs to see."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")

_CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
AuthInfo=socket={folder}/munge/socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=0,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
KillWait=5
SlurmdTimeout=6
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=4 Weight=9
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=4 Weight=1
PartitionName=first Nodes=n1 Default=YES
PartitionName=second Nodes=n1,n2
"""

# A slow disk in the first start of a job called `slow`, of an array in its first task: the run
# outlasts what is done to it, without work for the processor.
_SLOW = """
import os, time
if os.environ.get("SLURM_JOB_NAME") == "slow" and "SLURM_RESTART_COUNT" not in os.environ:
    if os.environ.get("SLURM_ARRAY_TASK_ID", "1") == "1":
        fsync = os.fsync
        def slow(descriptor):
            time.sleep(0.2)
            fsync(descriptor)
        os.fsync = slow
"""


def missing() -> str:
    """Why there can be no Slurm here; empty if there can."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    if found := [name for name in NEEDED if not shutil.which(name, path=path)]:
        return f"{found[0]} is not installed (apt-get install slurm-wlm munge)"
    return "" if os.geteuid() == 0 else "slurmd must run as root"


@contextmanager
def cluster() -> Iterator[dict[str, str]]:
    """Starts the daemons; yields the environment in which its commands and gan are called."""
    folder = Path(tempfile.mkdtemp(prefix="gan-slurm-"))
    for name in ("munge", "state", "python"):
        (folder / name).mkdir(mode=0o700)
    (folder / "munge/key").write_bytes(os.urandom(64))
    (folder / "munge/key").chmod(0o600)
    (folder / "python/sitecustomize.py").write_text(_SLOW)
    conf = folder / "slurm.conf"
    host = socket.gethostname().partition(".")[0]
    conf.write_text(_CONF.format(host=host, folder=folder, ports=_free_ports(3)))
    environment = os.environ | {
        "SLURM_CONF": str(conf),
        "PATH": f"{os.environ['PATH']}:/usr/sbin",
        "PYTHONPATH": f"{folder / 'python'}:{ROOT}",
    }
    names = {name: f"{folder}/munge/{name}" for name in ("socket", "key", "pid", "log", "seed")}
    options = [
        f"--{'socket' if name == 'socket' else f'{name}-file'}={path}"
        for name, path in names.items()
    ]
    commands = [
        ["munged", "--foreground", "--force", *options],
        ["slurmctld", "-D"],
        *(["slurmd", "-D", "-N", node] for node in ("n1", "n2")),
    ]
    daemons = []
    try:
        for command in commands:
            with (folder / f"{command[0]}-{command[-1]}.log".replace("/", "_")[-80:]).open(
                "w"
            ) as log:
                daemons.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
            if command[0] == "munged":
                until(Path(names["socket"]).exists)
        until(lambda: "idle" in said(environment, "sinfo", "-h", "-p", "second", "-o", "%T"))
        yield environment | {"NODE_2": str(daemons[-1].pid)}
    finally:
        said(environment, "scancel", "--user", "root")
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        shutil.rmtree(folder, ignore_errors=True)


def said(environment: dict[str, str], *command: str) -> str:
    """What a command prints."""
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    return done.stdout


def gan(environment: dict[str, str], *words: str) -> tuple[int, str]:
    """The status of `gan`, and all that it says."""
    command = [sys.executable, "-m", "gancli", *(part for word in words for part in word.split())]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    return done.returncode, done.stdout + done.stderr


def until(ready, seconds: float = 150.0) -> None:
    """Waits for something."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, ready
        time.sleep(0.5)


def _free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports
