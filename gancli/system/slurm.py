"""Slurm's own commands; they are tried again where its controller does not answer."""

import re
import secrets
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gancli.errors import UserError, cut, printable

# States that `squeue --states=all` also names for some minutes after a job has ended. A job that
# was preempted, or is completing, may come back: it waits.
ENDED = frozenset(
    """COMPLETED CANCELLED FAILED TIMEOUT OUT_OF_MEMORY
    NODE_FAIL BOOT_FAIL DEADLINE REVOKED""".split()  # noqa: SIM905 - a list would be nine lines
)
RUNNING = frozenset(("RUNNING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT"))

# Of what a controller that is busy or restarting makes the commands say.
_TRANSIENT = re.compile(
    "socket timed out|unable to contact|connection (refused|reset|timed out)|zero bytes"
    "|temporarily unavailable|communication connection failure",
    re.IGNORECASE,
)
_TRIES = 4
_SECONDS_BETWEEN = 2.0
_SECONDS_OF_A_TRY = 60.0
_JOB_ID = re.compile(r"\d+")


class NoAnswerError(UserError):
    """Slurm's controller did not answer, so nothing is known of the jobs."""


class Queue(NamedTuple):
    """What Slurm says of jobs.

    `states` holds a state, such as PENDING, for each job that Slurm still knows, by JOB or
    JOB_TASK; `unknown` is the reason why nothing is known, empty if Slurm has answered.
    """

    states: Mapping[str, str]
    unknown: str = ""


def send(script: Path, *options: str) -> str:
    """Sends a script with `sbatch`, once: an unanswered request may have been heard.

    Args:
        script: the script.
        *options: options of sbatch, which win over those in the script.

    Returns:
        The job's id.

    Raises:
        NoAnswerError: if the controller does not answer.
        UserError: if sbatch refuses the script.
    """
    mark = f"gan-{secrets.token_hex(8)}"
    command = ("sbatch", "--parsable", f"--comment={mark}", *options, str(script))
    for left in reversed(range(_TRIES)):
        try:
            return _id_in(_once(*command))
        except NoAnswerError:
            if not left:
                raise
            time.sleep(_SECONDS_BETWEEN)
            for line in _ask("squeue", "--me", "--noheader", "--format=%F|%k").splitlines():
                job, _, comment = line.strip().partition("|")
                if comment == mark:
                    return job
    raise AssertionError  # pragma: no cover - the last try returns or raises


def queue(jobs: Sequence[str]) -> Queue:
    """The states of jobs, of which a task of an array is called JOB_TASK.

    Args:
        jobs: ids; none asks nothing.
    """
    if not jobs:
        return Queue({})
    arrays = sorted({job.partition("_")[0] for job in jobs}, key=int)
    command = ("squeue", "--array", "--noheader", "--states=all", "--format=%i|%T")
    try:
        told = _ask(*command, f"--jobs={','.join(arrays)}")
    except NoAnswerError as error:
        return Queue({}, error.given)
    except UserError as error:
        # Of one job alone that it has forgotten, squeue says so; of several it leaves them out.
        forgotten = "invalid job id" in error.given.lower()
        return Queue({}, "" if forgotten else error.given)
    pairs = (line.strip().partition("|") for line in told.splitlines())
    return Queue({job: state for job, _, state in pairs if job in jobs})


def accounted(job: str) -> str:
    """How a job ended by Slurm's accounting, such as TIMEOUT; empty where it keeps none."""
    try:
        told = _once(
            "sacct", "--noheader", "--parsable2", "--allocations", "-o", "State", "-j", job
        )
    except UserError:
        return ""  # Most small clusters have no accounting; the run's own files say more.
    return told.strip().splitlines()[-1].partition(" ")[0] if told.strip() else ""


def _ask(*command: str) -> str:
    """What a command prints; it is tried again where the controller does not answer."""
    for left in reversed(range(_TRIES)):
        try:
            return _once(*command)
        except NoAnswerError:
            if not left:
                raise
            time.sleep(_SECONDS_BETWEEN)
    raise AssertionError  # pragma: no cover - the last try returns or raises


def _once(*command: str) -> str:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=_SECONDS_OF_A_TRY,
        )
    except FileNotFoundError:
        raise UserError(
            f"there is no {command[0]} on PATH",
            "a machine that sends jobs to Slurm",
            "Log in to one; gan submit --dry-run prints the script anywhere",
        ) from None
    except subprocess.TimeoutExpired:
        raise NoAnswerError(
            f"{command[0]} did not end within {_SECONDS_OF_A_TRY:.0f} s", "", "Try again later"
        ) from None
    if done.returncode == 0:
        return done.stdout
    lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
    said = f"{command[0]}: {cut(printable(lines[-1]))}"
    if any(_TRANSIENT.search(line) for line in lines):
        raise NoAnswerError(said, "", "Try again later")
    raise UserError(said, "options and jobs that this cluster knows")


def _id_in(told: str) -> str:
    """The id that `sbatch --parsable` prints, without the cluster's name after it."""
    job = told.strip().splitlines()[-1].partition(";")[0] if told.strip() else ""
    if not _JOB_ID.fullmatch(job):
        raise UserError(f"sbatch printed {cut(told)!r}", "the id of a job")
    return job
