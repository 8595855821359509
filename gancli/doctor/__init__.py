"""What a machine, a job and an installation offer, and what is wrong with them."""

from gancli.doctor.finding import Finding, Machine, Severity
from gancli.doctor.installation import devices, drivers, settings, versions
from gancli.doctor.job import allocation, coordinator, processes, slurm_step
from gancli.doctor.limits import cores, memory
from gancli.doctor.storage import cache, disk, locks, prepared

__all__ = ["Finding", "Machine", "Severity", "examine"]

_CHECKS = (
    versions, settings, devices, drivers, allocation, slurm_step, processes, coordinator, cores,
    memory, cache, disk, locks, prepared,
)  # fmt: skip


def examine(machine: Machine | None = None) -> list[Finding]:
    """Makes every check.

    Args:
        machine: what is looked at; this one by default.

    Returns:
        What was found, the most harmful first.
    """
    looked_at = Machine() if machine is None else machine
    found = [one for check in _CHECKS for one in check(looked_at)]
    return sorted(found, key=lambda one: list(Severity).index(one.severity))
