"""Checks of what a job may use of its machine: processors and memory."""

import os
from collections.abc import Iterator

from gancli.doctor.finding import Finding, Machine, note, warning
from gancli.system.limits import core_count, machine_memory, memory_limit

# Less is not enough to compile the larger networks.
_LEAST_MEMORY = 2 * 2**30


def cores(machine: Machine) -> Iterator[Finding]:
    """Fewer cores than the machine has."""
    own, every = core_count(), os.cpu_count() or 1
    yield note("cores", f"{own} of {every}")
    if own == 1 < every and "SLURM_JOB_ID" in machine.environment:
        yield warning(
            "cores", f"the job may use one of {every} cores", "sbatch --cpus-per-task=4 …"
        )


def memory(machine: Machine) -> Iterator[Finding]:
    """Less memory than the machine has, and too little."""
    own = memory_limit(machine.root, machine.environment)
    every = machine_memory()
    said = f"{own / 2**30:.1f} GiB"
    if own < every:
        said += f" of the machine's {every / 2**30:.1f}, by the control group, Slurm or ulimit -v"
    if own < _LEAST_MEMORY:
        job = "SLURM_JOB_ID" in machine.environment
        mended = "sbatch --mem=8G …" if job else "raise the limit of the container or ulimit -v"
        yield warning("memory", f"{said}, and larger networks need more to compile", mended)
    else:
        yield note("memory", said)
