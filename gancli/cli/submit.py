"""`gan submit`."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from gancli.cli.application import app, err, out

_COMMANDS = ("train", "compare", "evaluate")
# Options that the scripts add, or that belong to no job.
_OWN = {"dry_run": "--dry-run", "only": "--only", "gather": "--gather"}


@app.command()
def submit(
    command: Annotated[
        list[str],
        typer.Argument(
            metavar="-- train|compare|evaluate ARGS...",
            show_default=False,
            help="Command of gan to carry out in a job, with its arguments.",
        ),
    ],
    name: Annotated[str, typer.Option(help="Name of the job.")] = "gan",
    time: Annotated[str, typer.Option(help="Time limit of a job, such as 12:00:00.")] = "",
    partition: Annotated[str, typer.Option(help="Partition of the cluster.")] = "",
    mem: Annotated[str, typer.Option(help="Memory of a node, such as 16G.")] = "",
    cpus_per_task: Annotated[int | None, typer.Option(min=1, help="Cores.")] = None,
    gpus: Annotated[str, typer.Option(help="GPUs, such as 1 or a100:1.")] = "",
    account: Annotated[str, typer.Option(help="Account to charge.")] = "",
    array_parallelism: Annotated[
        int | None, typer.Option(min=1, help="compare: maximum number of simultaneous runs.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the scripts and send nothing.")
    ] = False,
) -> None:
    """Send a command to Slurm, where it goes on over as many jobs as it needs."""
    from gancli.cluster.scripts import Resources, check_resources
    from gancli.cluster.submission import submit as send

    resources = Resources(name, time, partition, mem, cpus_per_task, gpus, account)
    check_resources(resources)
    folder = _folder_of(command, array_parallelism)
    runs = _validated(command)
    scripts = _scripts(folder.absolute(), command, resources, len(runs), array_parallelism)
    if dry_run:
        out.print("\n".join(scripts.values()), soft_wrap=True)
        return
    wanted = [run for run, done in runs.items() if not done]
    record, queued = send(folder.absolute(), scripts, list(runs), wanted)
    if queued:
        jobs = ", ".join(f"{one} (job {record.jobs[one]})" for one in queued)
        out.print(f"nothing was sent, because these are queued already: {jobs}")
    else:
        for one, job in record.jobs.items():
            if one in wanted or one in scripts:
                out.print(f"{one}  job {job}")
    out.print(f"gan status {folder}")


def _folder_of(command: Sequence[str], array_parallelism: int | None) -> Path:
    """The directory of the run or comparison that a command is about."""
    from gancli.cli.application import one_of
    from gancli.errors import UserError, unknown_name

    if command[0] not in _COMMANDS:
        raise unknown_name("command for gan submit:", command[0], _COMMANDS)
    given = _parsed(command)
    if found := [option for key, option in _OWN.items() if given.get(key)]:
        raise UserError(
            f"{found[0]} after the name of the command",
            "the options with which it does its work",
            "gan submit --dry-run prints the script" if found[0] == "--dry-run" else "",
        )
    if array_parallelism and command[0] != "compare":
        raise UserError(f"--array-parallelism {array_parallelism} of a single job", "gan compare")
    if given.get("seconds"):
        raise UserError(
            f"--seconds {given['seconds']:g} of runs on different nodes, which have paces of "
            "their own",
            "--steps or --examples",
        )
    if command[0] == "evaluate":
        run = one_of(*(given[key] and Path(given[key]) for key in ("run", "ckpt")))
        return run.parent.parent if run.absolute().parent.name == "checkpoints" else run
    if given["out_"] is None:
        raise UserError(
            "--out is missing, and a job that is started again finds its run by it",
            "--out DIR, on a disk that every node sees",
        )
    return Path(given["out_"])


def _parsed(command: Sequence[str]) -> dict[str, Any]:
    """The values of a command's parameters by their names in its function."""
    group: Any = typer.main.get_command(app)
    own = group.commands[command[0]]
    return own.make_context(f"gan {command[0]}", [*command[1:]]).params


def _validated(command: Sequence[str]) -> dict[str, bool]:
    """Has the command check its arguments as it does itself, in a process of its own.

    Returns:
        For a comparison, its runs, and whether each has its result.
    """
    options = ["--dry-run", *(["--json"] if command[0] == "compare" else [])]
    process = [sys.executable, "-m", "gancli", *command, *options]
    done = subprocess.run(process, capture_output=True, text=True, check=False)
    if done.stderr.strip():
        err.print(done.stderr.rstrip())
    if done.returncode:
        raise typer.Exit(done.returncode)
    return json.loads(done.stdout)["runs"] if command[0] == "compare" else {}


def _scripts(
    folder: Path, command: Sequence[str], resources: Any, runs: int, at_once: int | None
) -> dict[str, str]:
    """The texts of the scripts by their stems."""
    from gancli.cluster.scripts import FOLDER, script
    from gancli.cluster.submission import ARRAY, GATHER
    from gancli.errors import UserError

    own = folder / FOLDER
    if command[0] != "compare":
        return {command[0]: script(own, command[0], command, resources)}
    if not runs:
        raise UserError("a comparison without a run to train", "runs to train", "gan compare")
    array = f"1-{runs}" + (f"%{at_once}" if at_once else "")
    gathering = resources._replace(name=f"{resources.name}-gather")
    return {
        ARRAY: script(own, ARRAY, command, resources, array),
        GATHER: script(own, GATHER, [*command, "--gather"], gathering),
    }
