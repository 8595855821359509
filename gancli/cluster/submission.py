"""Sending of jobs, and the record of what was sent: `slurm/jobs.json` in a run or comparison."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gancli.cluster.scripts import FOLDER, RUNS
from gancli.errors import UserError
from gancli.files import read_json, read_text, write_json, write_own, write_text
from gancli.runs.lock import locked
from gancli.system import slurm

JOBS = "jobs.json"
GATHER = "gather"
# The stem of the script of an array, whose tasks are the runs of a comparison.
ARRAY = "compare"

_WRITTEN = "scripts.json"
# How often the runs that ended without a result are sent again.
_MOST_AGAIN = 2


class Record(NamedTuple):
    """The jobs that were sent for a directory.

    `jobs` holds the newest job of each run of a comparison, of its gathering, or of a single
    command, as JOB or JOB_TASK; `again` says how often runs were sent again.
    """

    jobs: Mapping[str, str]
    again: int = 0


def read_record(folder: Path) -> Record:
    """The record of a directory; nothing was sent for one that has none.

    Raises:
        UserError: if it is damaged.
    """
    path = folder / FOLDER / JOBS
    if not path.exists():
        return Record({})
    held = read_json(path)
    try:
        jobs = {str(name): str(job) for name, job in held["jobs"].items()}
        if not all(job.replace("_", "").isdecimal() for job in jobs.values()):
            raise ValueError
        return Record(jobs, int(held["again"]))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UserError(
            f"{str(path)!r} is not the record of jobs",
            "a file that gan submit wrote",
            "Remove it once squeue shows no job of it",
        ) from None


def log_of(folder: Path, name: str, job: str) -> Path:
    """The log of a job in a record."""
    return folder / FOLDER / f"{ARRAY if '_' in job else name}-{job}.log"


def submit(
    folder: Path, scripts: Mapping[str, str], runs: Sequence[str] = (), wanted: Sequence[str] = ()
) -> tuple[Record, list[str]]:
    """Writes scripts and sends them, unless jobs of theirs are queued.

    Args:
        folder: the run or comparison; absolute.
        scripts: their texts by stem: a single command, or `compare` and `gather`.
        runs: the runs of a comparison, a line of the list for each.
        wanted: those of them that have no result yet.

    Returns:
        The record, and what is queued already; if anything is, nothing was sent but a gathering
        that was missing.

    Raises:
        UserError: if it is unknown what is queued, sbatch refuses, or the disk does.
    """
    own = folder / FOLDER
    with locked(own):
        record = read_record(folder)
        mine = {
            name: job
            for name, job in record.jobs.items()
            if name in scripts or (ARRAY in scripts and "_" in job)
        }
        queued = _queued(mine)
        if queued and (ARRAY not in scripts or GATHER in queued):
            return record, queued
        if not queued:
            write_own(own, {f"{stem}.sbatch": text for stem, text in scripts.items()}, _WRITTEN)
            if ARRAY not in scripts:
                (stem,) = scripts
                return _keep(folder, record, {stem: slurm.send(own / f"{stem}.sbatch")}), []
            write_text(own / RUNS, "".join(f"{run}\n" for run in runs))
            record = _send_runs(folder, record._replace(again=0), runs, wanted)
        return _send_gathering(folder, record, queued or wanted), queued


def send_again(folder: Path, missing: Sequence[str]) -> str:
    """Sends runs that have ended without a result again, if this is the job that gathers them.

    Args:
        folder: the comparison.
        missing: the runs.

    Returns:
        What was sent, in words; empty if this is no such job, or they were sent often enough.

    Raises:
        UserError: as in `submit`.
    """
    folder = folder.absolute()
    record = read_record(folder)
    if os.environ.get("SLURM_JOB_ID", "") != record.jobs.get(GATHER):
        return ""
    with locked(folder / FOLDER):
        if alive := _queued({run: record.jobs[run] for run in missing if run in record.jobs}):
            _send_gathering(folder, record, alive)
            return f"{len(alive)} of them have jobs; the results will be gathered after those"
        if record.again >= _MOST_AGAIN:
            return ""
        runs = read_text(folder / FOLDER / RUNS).splitlines()
        record = _send_runs(folder, record._replace(again=record.again + 1), runs, missing)
        _send_gathering(folder, record, missing)
        return f"they are sent again ({record.again} of {_MOST_AGAIN} times)"


def _send_runs(folder: Path, record: Record, runs: Sequence[str], wanted: Sequence[str]) -> Record:
    """Sends the tasks of an array whose lines name runs that are wanted."""
    tasks = {number: run for number, run in enumerate(runs, 1) if run in wanted}
    if not tasks:
        return record
    path = folder / FOLDER / f"{ARRAY}.sbatch"
    options = () if len(tasks) == len(runs) else (f"--array={_ranges(tasks)}{_at_once(path)}",)
    job = slurm.send(path, *options)
    return _keep(folder, record, {run: f"{job}_{number}" for number, run in tasks.items()})


def _send_gathering(folder: Path, record: Record, runs: Sequence[str]) -> Record:
    """Sends the job that gathers the results once the newest tasks of these runs have ended."""
    arrays = dict.fromkeys(record.jobs[run].partition("_")[0] for run in runs)
    # Not afterok: a run that fails must not hold up the report.
    after = (f"--dependency=afterany:{':'.join(arrays)}",) if arrays else ()
    job = slurm.send(folder / FOLDER / f"{GATHER}.sbatch", *after)
    return _keep(folder, record, {GATHER: job})


def _keep(folder: Path, record: Record, jobs: Mapping[str, str]) -> Record:
    record = record._replace(jobs={**record.jobs, **jobs})
    kept: dict[str, Any] = {"jobs": dict(record.jobs), "again": record.again}
    write_json(folder / FOLDER / JOBS, kept)
    return record


def _queued(jobs: Mapping[str, str]) -> list[str]:
    """Those of some jobs that have not ended.

    Raises:
        UserError: if Slurm does not say.
    """
    found = slurm.queue(list(jobs.values()))
    if found.unknown:
        raise UserError(
            f"it is unknown whether jobs of this directory are queued ({found.unknown})",
            "",
            "Nothing was sent; try again later",
        )
    return [
        name for name, job in jobs.items() if found.states.get(job, "COMPLETED") not in slurm.ENDED
    ]


def _ranges(numbers: Mapping[int, str]) -> str:
    """Ascending numbers as Slurm writes them, for example `1-3,5`."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ",".join("-".join(map(str, part)) for part in parts)


def _at_once(path: Path) -> str:
    """The limit on simultaneous tasks that a script sets, for example `%4`."""
    for line in read_text(path).splitlines():
        if line.startswith("#SBATCH --array="):
            return "".join(line.partition("%")[1:])
    return ""
