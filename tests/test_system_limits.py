"""The memory that a process may use."""

import os

import pytest

from gancli.system.limits import memory_limit

MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
GROUPS = {
    "none": ({}, MACHINE),
    "version 2, of the job above": (
        {
            "proc/self/cgroup": "0::/slurm/job_7/step_0\n",
            "sys/fs/cgroup/slurm/job_7/memory.max": "3000000\n",
            "sys/fs/cgroup/slurm/job_7/step_0/memory.max": "max\n",
        },
        3_000_000,
    ),
    "version 2, in a container": (
        {"proc/self/cgroup": "0::/../host/path\n", "sys/fs/cgroup/memory.max": "4000000\n"},
        4_000_000,
    ),
    "version 1": (
        {
            "proc/self/cgroup": "7:cpu,memory:/docker/abc\n3:pids:/docker/abc\n",
            "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "2000000\n",
        },
        2_000_000,
    ),
}
SLURM = [
    ({"SLURM_MEM_PER_NODE": "2"}, 2 * 2**20),
    ({"SLURM_MEM_PER_NODE": "0"}, MACHINE),
    ({"SLURM_MEM_PER_GPU": "5", "SLURM_GPUS_ON_NODE": "2"}, 10 * 2**20),
    ({"SLURM_MEM_PER_CPU": "3", "SLURM_CPUS_ON_NODE": "2"}, 6 * 2**20),
]


@pytest.mark.parametrize("name", GROUPS)
def test_a_control_group_limits_memory(name, tmp_path):
    files, expected = GROUPS[name]
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert memory_limit(tmp_path, {}) == expected


@pytest.mark.parametrize(("environment", "expected"), SLURM)
def test_slurm_limits_memory(environment, expected, tmp_path):
    assert memory_limit(tmp_path, environment) == expected
