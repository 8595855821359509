"""What of the machine's cores and memory this process may use."""

import os
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path


def core_count() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine_memory() -> int:
    """The bytes of the machine's memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def memory_limit(root: Path = Path("/"), environment: Mapping[str, str] = os.environ) -> int:
    """The bytes of memory that this process may use: the least of what limits it.

    That is the machine's memory, what its control groups allow (memory.max of version 2,
    memory.limit_in_bytes of version 1), what Slurm gave the job on this node, and ulimit -v.

    Args:
        root: the file system's.
        environment: in which Slurm names what it gave.
    """
    found = [machine_memory()]
    found += _of_groups(root)
    megabytes = environment.get("SLURM_MEM_PER_NODE", "")
    if megabytes.isdecimal():
        found.append(int(megabytes) * 2**20)
    for unit, number in (("CPU", "CPUS_ON_NODE"), ("GPU", "GPUS_ON_NODE")):
        each, count = (environment.get(f"SLURM_{x}", "") for x in (f"MEM_PER_{unit}", number))
        if each.isdecimal() and count.isdecimal():
            found.append(int(each) * int(count) * 2**20)
    if (address_space := resource.getrlimit(resource.RLIMIT_AS)[0]) != resource.RLIM_INFINITY:
        found.append(address_space)
    return min(limit for limit in found if limit > 0)  # Slurm writes 0 for all that there is.


def _of_groups(root: Path) -> Iterator[int]:
    """The limits of this process's control groups and of those that hold them."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return  # A system without control groups.
    for line in lines:
        _, kinds, own = line.split(":", 2)
        if not kinds:
            top, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in kinds.split(","):
            top, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        group = top / own.lstrip("/")
        # In a container the path may be the host's, and the group that counts is the top.
        for folder in (group, *group.parents):
            if folder.is_relative_to(top) and (text := _text(folder / name)).isdecimal():
                yield int(text)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
