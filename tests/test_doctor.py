"""What is wrong with an installation, a job and a machine: provoked, found, and mended."""

import errno
import fcntl
import json
import os
import socket
import subprocess
import sys

import pytest
from tiny_runs import succeed

from gancli.doctor import Machine, Severity, examine

FAULT, WARNING = Severity.FAULT, Severity.WARNING
STEP = {
    "SLURM_JOB_ID": "7",
    "SLURM_NTASKS": "2",
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_STEP_NODELIST": "localhost",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "1",
}
EXPLICIT = {
    "JAX_COORDINATOR_ADDRESS": "localhost:1",
    "JAX_NUM_PROCESSES": "2",
    "JAX_PROCESS_ID": "1",
}
# Environments, and the severity, a part of the finding and of the remedy.
JOBS = [
    ({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4"}, FAULT, "job 7 has 4 tasks", "srun"),
    (STEP | {"SLURM_NTASKS": "4"}, FAULT, "SLURM_NTASKS is 4", "srun --ntasks=4"),
    (
        {name: STEP[name] for name in STEP if name != "SLURM_LOCALID"},
        FAULT,
        "SLURM_LOCALID",
        "srun",
    ),
    (STEP | {"SLURM_GPUS_ON_NODE": "4"}, WARNING, "4 GPUs", "--ntasks-per-node=4"),
    ({"JAX_NUM_PROCESSES": "2"}, FAULT, "JAX_COORDINATOR_ADDRESS", "JAX_COORDINATOR_ADDRESS="),
    (EXPLICIT | {"JAX_NUM_PROCESSES": ""}, FAULT, "JAX_NUM_PROCESSES", "JAX_NUM_PROCESSES="),
    (EXPLICIT | {"JAX_PROCESS_ID": "2"}, FAULT, "JAX_PROCESS_ID was 2", "JAX_PROCESS_ID="),
    (STEP | EXPLICIT | {"JAX_NUM_PROCESSES": "3"}, FAULT, "is 3", "JAX_NUM_PROCESSES=2"),
    (EXPLICIT | {"JAX_COORDINATOR_ADDRESS": "node1"}, FAULT, "'node1'", "HOST:PORT"),
    ({"JAX_DISABLE_JIT": "1"}, FAULT, "JAX_DISABLE_JIT", "unset JAX_DISABLE_JIT"),
    ({"JAX_DEBUG_NANS": "True"}, WARNING, "JAX_DEBUG_NANS", "unset JAX_DEBUG_NANS"),
]
SMI = "| NVIDIA-SMI 560.35.03    Driver Version: 560.35.03    CUDA Version: 12.6 |"


def found(machine):
    """The findings that are no notes."""
    return [one for one in examine(machine) if one.severity in (FAULT, WARNING)]


def only(machine, subject):
    """The one finding of a machine that is wrong in one way, versions of the lock aside."""
    (one,) = (one for one in found(machine) if one.subject != "versions")
    assert one.subject == subject
    return one


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch, tmp_path):
    """No cache of this user's, and all cores, of which the tests may have fewer."""
    monkeypatch.setenv("GAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("gancli.doctor.limits.core_count", os.cpu_count)


@pytest.fixture
def sound(tmp_path):
    return Machine({"PATH": "/nowhere"}, tmp_path / "root", tmp_path)


def distribution(folder, name, version):
    """Installs a package that has nothing but a version."""
    place = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def with_gpu(machine, folder):
    """A machine whose driver is that of CUDA 12.6."""
    folder.mkdir()
    (folder / "nvidia-smi").write_text(f"#!/bin/sh\necho '{SMI}'\n")
    (folder / "nvidia-smi").chmod(0o755)
    environment = {**machine.environment, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    return machine._replace(environment=environment)


def test_nothing_is_wrong_with_a_sound_machine(sound):
    assert [one for one in found(sound) if one.subject != "versions"] == []
    subjects = {one.subject for one in examine(sound)}
    assert {"devices", "cores", "memory", "cache", "disk", "data sets"} <= subjects


@pytest.mark.parametrize(("environment", "severity", "part", "remedy"), JOBS)
def test_a_job_and_its_variables(environment, severity, part, remedy, sound):
    held = [
        one for one in found(sound._replace(environment=environment)) if one.subject != "versions"
    ]
    assert [one.severity for one in held] == [severity]
    assert part in held[0].found
    assert remedy in held[0].remedy


@pytest.mark.parametrize("of_slurm", [False, True])
def test_a_port_that_is_taken(of_slurm, sound):
    with socket.socket() as taken:
        # JAX takes the port 61440 + job id mod 4096 of a Slurm job.
        taken.bind(("", 61440 + 1234 if of_slurm else 0))
        taken.listen()
        port = taken.getsockname()[1]
        environment = {
            True: STEP | {"SLURM_JOB_ID": str(4096 + 1234), "SLURM_PROCID": "0"},
            False: EXPLICIT
            | {"JAX_COORDINATOR_ADDRESS": f"localhost:{port}", "JAX_PROCESS_ID": "0"},
        }
        one = only(sound._replace(environment=environment[of_slurm]), "coordinator")
    assert one.severity is FAULT
    assert str(port) in one.found
    assert "JAX_COORDINATOR_ADDRESS=" in one.remedy


def test_a_gpu_without_cuda(sound, tmp_path):
    one = only(with_gpu(sound, tmp_path / "bin"), "GPU")
    assert one.severity is FAULT
    assert "gancli[cuda]" in one.remedy


def test_a_driver_that_is_too_old(sound, tmp_path, monkeypatch):
    distribution(tmp_path / "site", "jax-cuda13-plugin", "0.10.2")
    monkeypatch.syspath_prepend(tmp_path / "site")
    one = only(with_gpu(sound, tmp_path / "bin"), "GPU")
    assert one.severity is FAULT
    assert "560" in one.found
    assert "580" in one.found
    assert "jax[cuda12]" in one.remedy


def test_a_gpu_that_is_left_out(sound, tmp_path):
    machine = with_gpu(sound, tmp_path / "bin")
    environment = {**machine.environment, "JAX_PLATFORMS": "cpu"}
    one = only(machine._replace(environment=environment), "GPU")
    assert one.severity is WARNING
    assert "unset JAX_PLATFORMS" in one.remedy


def test_versions_outside_of_what_is_supported(sound, tmp_path, monkeypatch):
    distribution(tmp_path / "site", "optax", "0.1.0")
    monkeypatch.syspath_prepend(tmp_path / "site")
    first = found(sound)[0]
    assert (first.severity, first.subject) == (FAULT, "versions")
    assert "optax is 0.1.0" in first.found
    assert "optax>=" in first.remedy


def test_versions_other_than_the_lock(sound, tmp_path, monkeypatch):
    distribution(tmp_path / "site", "optax", "0.99.0")
    monkeypatch.syspath_prepend(tmp_path / "site")
    (one,) = (one for one in found(sound) if one.subject == "versions")
    assert one.severity is WARNING
    assert "optax 0.99.0" in one.found
    assert "requirements.lock" in one.remedy


def test_one_core_of_many_in_a_job(sound, monkeypatch):
    monkeypatch.setattr("gancli.doctor.limits.core_count", lambda: 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    one = only(sound._replace(environment={"SLURM_JOB_ID": "7"}), "cores")
    assert one.severity is WARNING
    assert "one of 8 cores" in one.found
    assert "--cpus-per-task=" in one.remedy


def test_little_memory(sound):
    (sound.root / "proc/self").mkdir(parents=True)
    (sound.root / "proc/self/cgroup").write_text("0::/job\n")
    (sound.root / "sys/fs/cgroup/job").mkdir(parents=True)
    (sound.root / "sys/fs/cgroup/job/memory.max").write_text(f"{2**30}\n")
    one = only(sound, "memory")
    assert one.severity is WARNING
    assert "1.0 GiB of the machine's" in one.found


def test_a_cache_that_cannot_be_written(sound, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("GAN_CACHE", str(tmp_path / "file" / "cache"))
    one = only(sound, "cache")
    assert one.severity is WARNING
    assert str(tmp_path / "file") in one.found
    assert "GAN_CACHE=" in one.remedy


def test_a_folder_that_cannot_be_written(sound, tmp_path):
    one = found(sound._replace(folder=tmp_path / "none"))[0]
    assert (one.severity, one.subject) == (FAULT, "disk")
    assert str(tmp_path / "none") in one.found
    assert "--out" in one.remedy


@pytest.mark.parametrize(
    ("options", "part"), [("size=20m", "0.0 GiB free"), ("size=4g,nr_inodes=20", "inodes")]
)
def test_a_disk_that_is_nearly_full(options, part, sound, tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a file system needs root")
    try:
        one = only(sound._replace(folder=place), "disk")
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
    assert one.severity is FAULT
    assert part in one.found


def test_a_file_system_without_locks(sound, monkeypatch):
    def refuse(file, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    one = only(sound, "locks")
    assert one.severity is WARNING
    assert ".lock" in one.found


def test_the_command_prints_what_is_there():
    assert "devices: " in succeed("doctor").stdout
    held = json.loads(succeed("doctor --json").stdout)
    assert all({"severity", "subject", "found", "remedy"} == one.keys() for one in held)


def test_devices_that_are_not_there_end_with_status_2():
    ended = subprocess.run(
        [sys.executable, "-m", "gancli", "doctor"], capture_output=True, text=True, check=False,
        env=os.environ | {"JAX_PLATFORMS": "rocm"},
    )  # fmt: skip
    assert ended.returncode == 2
    assert "JAX_PLATFORMS=rocm" in ended.stdout
    assert "devices" in ended.stderr
