"""How runs and their jobs stand: by the runs' own files first, and by Slurm second."""

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from gancli.cluster.scripts import FOLDER, RUNS
from gancli.cluster.submission import GATHER, log_of, read_record
from gancli.errors import UserError, cut, printable
from gancli.files import MOST_BYTES, load_json, read_text
from gancli.runs.lock import NOTE
from gancli.system import slurm

# States in which something is still to come.
OPEN = ("queued", "starting", "running", "requeued", "unknown")

# A run updates its status at least so often, but in a long evaluation or compilation.
_SECONDS_OF_SILENCE = 120.0
_TAIL_BYTES = 4096
# What a job that is no run leaves in the directory.
_PRODUCTS = {GATHER: "results.json", "evaluate": "evaluation.json"}


class Row(NamedTuple):
    """A run or a job.

    `rate` is steps a second and `left` seconds, both None unless it is running; `job` is that of
    Slurm; `note` says why it has failed, diverged or stopped.
    """

    name: str
    state: str
    step: int = 0
    steps: int = 0
    rate: float | None = None
    left: float | None = None
    job: str = ""
    note: str = ""


class Standing(NamedTuple):
    """All runs and jobs of a directory; `unknown` is the reason why Slurm says nothing of them."""

    rows: tuple[Row, ...]
    unknown: str = ""


def standing_of(folder: Path) -> Standing:
    """How a run, or all runs of a comparison, and the jobs that were sent for them stand.

    Raises:
        UserError: if the directory is neither, or the record of jobs is damaged.
    """
    folder = folder.absolute()
    record, runs = read_record(folder), _runs_in(folder)
    if not runs and not record.jobs:
        raise UserError(
            f"{str(folder)!r} holds neither runs nor jobs",
            "a directory of gan train, gan compare or gan submit",
            "Check the path",
        )
    jobs = {name: record.jobs.get(name, "") or _holder(path).get("job", "") for name, path in runs}
    others = {name: job for name, job in record.jobs.items() if name not in jobs}
    queue = slurm.queue([job for job in (*jobs.values(), *others.values()) if job])
    rows = [_run_row(folder, name, path, jobs[name], queue) for name, path in runs]
    rows += [_job_row(folder, name, job, queue) for name, job in others.items()]
    shown = folder.name
    return Standing(
        tuple(r._replace(name=shown) if r.name == "train" else r for r in rows), queue.unknown
    )


def reason_of(folder: Path, name: str) -> str:
    """Why a run of a comparison has no result: what it or the last line of its log says."""
    folder = folder.absolute()
    job = read_record(folder).jobs.get(name, "")
    status = _read(folder / name / "run.json")
    said = str(status.get("status", "not begun"))
    if said == "failed":
        return cut(printable(str(status.get("reason", said))))
    line = _last_line(folder, name, job)
    return f"{said}; the log ends with {line!r}" if line else said


def _runs_in(folder: Path) -> list[tuple[str, Path]]:
    """The runs of a directory, by their names in the record of jobs."""
    record = read_record(folder)
    if (folder / "run.json").is_file() or "train" in record.jobs:
        return [("train", folder)]
    names: dict[str, None] = {}
    if (folder / FOLDER / RUNS).is_file():
        names |= dict.fromkeys(read_text(folder / FOLDER / RUNS).splitlines())
    found = sorted(folder.glob("*/seed-*/run.json"), key=lambda path: (path.parts[-3], _seed(path)))
    names |= dict.fromkeys(path.parent.relative_to(folder).as_posix() for path in found)
    return [(name, folder / name) for name in names]


def _seed(path: Path) -> int:
    number = path.parent.name.removeprefix("seed-")
    return int(number) if number.isdecimal() else 0


def _run_row(folder: Path, name: str, path: Path, job: str, queue: slurm.Queue) -> Row:
    status = _read(path / "run.json")
    state = _state(status, path, job, queue)
    config = _read(path / "config.json")
    steps, step = _whole(config.get("train", {}), "steps"), _whole(status, "step")
    rate = _rate(status.get("goodput")) if state == "running" else None
    left = (steps - step) / rate if rate else None
    note = _note(folder, name, status, state, job)
    return Row(name, state, step, steps, rate, left, job, note)


def _state(status: Mapping[str, Any], path: Path, job: str, queue: slurm.Queue) -> str:
    """The state of a run; what its files say outweighs what Slurm says."""
    told, queued = status.get("status"), queue.states.get(job, "")
    if told in ("finished", "diverged"):
        return told
    begun = "running" if told == "running" else "starting"
    alive = _is_alive(path) if told in ("new", "running") else False
    waits = queued and queued not in slurm.ENDED | slurm.RUNNING
    if queued in slurm.RUNNING or (alive and not waits):
        return begun
    if told == "failed" and queued in ("", "COMPLETING", *slurm.ENDED):
        return told
    if waits:
        return "requeued" if told else "queued"
    if (job and queue.unknown) or (alive is None and not job):
        return "unknown"
    return "stopped" if told else "failed" if job else "waiting"


def _is_alive(path: Path) -> bool | None:
    """Whether a process trains a run, by the note with its lock; None where that is not known.

    The lock itself is not tried: a process that starts at that moment would find it taken.
    """
    holder = _holder(path)
    if not holder:
        return False
    if holder.get("host") == socket.gethostname() and isinstance(holder.get("process"), int):
        try:
            os.kill(holder["process"], 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True
    with suppress(OSError):
        if time.time() - (path / "run.json").stat().st_mtime < _SECONDS_OF_SILENCE:
            return True
    return None


def _job_row(folder: Path, name: str, job: str, queue: slurm.Queue) -> Row:
    """The row of a job that is no run."""
    queued, product = queue.states.get(job, ""), folder / _PRODUCTS.get(name, "")
    if queued in slurm.RUNNING:
        return Row(name, "running", job=job)
    if queued and queued not in slurm.ENDED:
        return Row(name, "queued", job=job)
    script = folder / FOLDER / f"{name}.sbatch"
    with suppress(OSError):
        if name in _PRODUCTS and product.stat().st_mtime >= script.stat().st_mtime:
            return Row(name, "finished", job=job)
    if queue.unknown:
        return Row(name, "unknown", job=job)
    return Row(name, "failed", job=job, note=_end_of(folder, name, job))


def _note(folder: Path, name: str, status: Mapping[str, Any], state: str, job: str) -> str:
    """Why a run has come to no result."""
    reason = printable(str(status.get("reason", "")))
    match state:
        case "diverged":
            return reason
        case "failed":
            return "; ".join(filter(None, (reason, _end_of(folder, name, job))))
        case "stopped" if status.get("status") == "interrupted":
            path = folder if name == "train" else folder / name
            return f"everything is saved; go on with: gan resume {path}"
        case "stopped":
            said = "its process ended without a word"
            return "; ".join(filter(None, (said, _end_of(folder, name, job))))
    return ""


def _end_of(folder: Path, name: str, job: str) -> str:
    """How a job ended: by Slurm's accounting, and by the last line of its log."""
    if not job:
        return ""
    state, line = slurm.accounted(job), _last_line(folder, name, job)
    parts = [f"Slurm says {state}" if state else "", f"the log ends with {line!r}" if line else ""]
    return "; ".join(filter(None, parts))


def _last_line(folder: Path, name: str, job: str) -> str:
    """The last line of a job's log; empty where it has none."""
    if not job:
        return ""
    try:
        with log_of(folder, name, job).open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
            lines = file.read(_TAIL_BYTES).decode("utf-8", "replace").strip().splitlines()
    except OSError:
        return ""  # A job that Slurm has not started has none.
    return cut(printable(lines[-1])) if lines else ""


def _holder(path: Path) -> dict[str, Any]:
    """The note of the process that holds the lock of a run."""
    return _read(path / NOTE)


def _read(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none."""
    try:
        held = load_json(path, MOST_BYTES)
    except (OSError, ValueError):
        return {}
    return held if isinstance(held, dict) else {}


def _whole(held: Any, name: str) -> int:
    value = held.get(name) if isinstance(held, dict) else None
    return value if isinstance(value, int) else 0


def _rate(goodput: Any) -> float | None:
    """Steps a second, over all the time of a run but that of starting and compiling."""
    try:
        phases = goodput["seconds"]
        seconds = sum(phases.values()) - phases["start"] - phases["compile"]
        return goodput["steps"] / seconds if goodput["steps"] and seconds > 0 else None
    except (AttributeError, KeyError, TypeError):
        return None
