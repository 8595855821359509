"""Checks of a job of several processes: Slurm's allocation, and how processes find each other."""

import socket
from collections.abc import Iterator

import jax

from gancli.doctor.finding import Finding, Machine, fault, note, warning
from gancli.errors import UserError
from gancli.system.processes import explicit

# By these JAX recognizes a step, and the port is that of its job
# (jax/_src/clusters/slurm_cluster.py).
_NEEDED = (
    "SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID",
)  # fmt: skip
_PORTS, _FIRST_PORT = 2**12, 65535 - 2**12 + 1


def allocation(machine: Machine) -> Iterator[Finding]:
    """A process inside an allocation that is none of its tasks."""
    job = machine.environment.get("SLURM_JOB_ID")
    if job is None:
        return
    tasks = machine.number("SLURM_NTASKS") or 1
    yield note("Slurm", f"job {job}, {tasks} {'task' if tasks == 1 else 'tasks'}")
    if tasks > 1 and "SLURM_PROCID" not in machine.environment:
        yield fault(
            "Slurm",
            f"job {job} has {tasks} tasks, and this process is none of them: it would train alone",
            "srun gan train …",
        )


def slurm_step(machine: Machine) -> Iterator[Finding]:
    """A step from which JAX cannot make out its processes, or with fewer tasks than GPUs."""
    of_step = machine.number("SLURM_STEP_NUM_TASKS") or 1
    if of_step < 2 or machine.environment.get("JAX_COORDINATOR_ADDRESS"):
        return
    needed = (
        "SLURM_JOB_ID",
        "SLURM_STEP_NODELIST",
        "SLURM_NTASKS",
        "SLURM_PROCID",
        "SLURM_LOCALID",
    )
    if missing := [name for name in needed if name not in machine.environment]:
        yield fault(
            "Slurm", f"this step of {of_step} tasks has no {', '.join(missing)}", "srun gan train …"
        )
    of_job = machine.number("SLURM_NTASKS") or of_step
    if of_step != of_job:
        yield fault(
            "Slurm",
            f"this step has {of_step} tasks and SLURM_NTASKS is {of_job}: JAX would wait for "
            "processes that never come",
            f"srun --ntasks={of_job} gan train …",
        )
    gpus = machine.number("SLURM_GPUS_ON_NODE") or 0
    nodes = machine.number("SLURM_STEP_NUM_NODES") or 1
    if gpus * nodes > of_step:
        yield warning(
            "Slurm",
            f"{gpus} GPUs on each of {nodes} nodes, and {of_step} tasks: each uses one GPU",
            f"srun --ntasks-per-node={gpus} gan train …",
        )


def processes(machine: Machine) -> Iterator[Finding]:
    """Variables of a job of several processes that do not fit each other."""
    count = machine.number("JAX_NUM_PROCESSES")
    if not machine.environment.get("JAX_COORDINATOR_ADDRESS"):
        if count is not None and count > 1:
            yield fault(
                "processes",
                f"JAX_NUM_PROCESSES is {count} without JAX_COORDINATOR_ADDRESS: each process "
                "would train alone",
                "export JAX_COORDINATOR_ADDRESS=HOST:PORT",
            )
        return
    try:
        count, _ = explicit(machine.environment)
    except UserError as error:
        yield fault("processes", error.given, "export JAX_NUM_PROCESSES=N JAX_PROCESS_ID=I")
        return
    of_step = machine.number("SLURM_STEP_NUM_TASKS")
    if of_step is not None and of_step != count:
        yield fault(
            "processes",
            f"JAX_NUM_PROCESSES is {count}, and the Slurm step has {of_step} tasks",
            f"export JAX_NUM_PROCESSES={of_step}",
        )


def coordinator(machine: Machine) -> Iterator[Finding]:
    """An address at which the processes of a job cannot meet, or that is taken."""
    address, number = machine.environment.get("JAX_COORDINATOR_ADDRESS"), "JAX_PROCESS_ID"
    if address:
        host, _, port = address.rpartition(":")
        if not (host and port.isdecimal() and 0 < int(port) < 2**16):
            yield fault(
                "coordinator",
                f"JAX_COORDINATOR_ADDRESS is {address!r}, which is not HOST:PORT",
                "export JAX_COORDINATOR_ADDRESS=HOST:PORT",
            )
            return
        mended = f"export JAX_COORDINATOR_ADDRESS={host}:PORT, with another port"
    elif (machine.number("SLURM_STEP_NUM_TASKS") or 1) > 1:
        job = machine.number("SLURM_JOB_ID") or 0
        number, port = "SLURM_PROCID", str(job % _PORTS + _FIRST_PORT)
        mended = "export JAX_COORDINATOR_ADDRESS=HOST:PORT JAX_NUM_PROCESSES=N JAX_PROCESS_ID=I"
    else:
        return
    if machine.number(number) == 0 and not jax.distributed.is_initialized():
        try:
            with socket.socket() as tried:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                tried.bind(("", int(port)))
        except OSError as error:
            yield fault("coordinator", f"port {port} of this host: {error.strerror}", mended)
