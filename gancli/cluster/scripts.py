"""The text of a batch script: short enough to read, and complete enough to send again by hand."""

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gancli.errors import UserError, shown

# The folder of scripts and logs in a run or comparison, and in it the list of the runs of an array.
FOLDER = "slurm"
RUNS = "runs.txt"

_VALUE = re.compile(r"[\w.:,/=@%+-]+")

_HEAD = """\
#!/bin/bash
# {what}
# To send it again by hand, with options of sbatch before its name:
#   sbatch {path}
#
{directives}

set -u
[ -n "${{SLURM_JOB_ID:-}}" ] || {{ echo "not inside a Slurm job; send it: sbatch $0" >&2; exit 2; }}
cd {here} || exit 2

# The environment is the one that it was sent from. Where the site wants it made here:
#   module load cuda
gan=({python} -m gancli)
command=({command})
results={results}
"""

_TASK = """
# A task of the array carries out the run in its line of the list.
list={runs}
run=$(sed -n "${{SLURM_ARRAY_TASK_ID:?this script is sent with --array}}p" "$list")
[ -n "$run" ] || {{ echo "no line $SLURM_ARRAY_TASK_ID in $list" >&2; exit 2; }}
command+=(--only "$run")
results+=/$run
"""

_BODY = """
# A task is called by its array's id and its number: the plain id may be that of all tasks.
id=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}
id=${id:-$SLURM_JOB_ID}
say() { echo "job $id, $(date '+%F %T'): $*"; }
began=$(date +%s)
say "start $((${SLURM_RESTART_COUNT:-0} + 1)) on $(hostname): gan ${command[*]}"

# Slurm sends SIGUSR1 120 seconds before the time limit (up to 60 seconds earlier) to this shell
# alone, which passes it on. gan starts with the signal ignored, because it would kill a process
# that has not set its handler yet, and gets it every second, so that one after that is heard. The
# first wait ends when gan does or when a trap has run; signal 0 only asks whether gan is there.
signal=0
trap 'signal=USR1' USR1
(trap '' USR1 && exec "${gan[@]}" "${command[@]}") &
child=$!

# SIGTERM is scancel, preemption or somebody's requeue: gan saves then, too, but whether the job
# comes back is for Slurm and whoever sent it, not for this script.
ended=no
trap 'ended=yes; kill -TERM "$child" 2> /dev/null' TERM

wait "$child"
while kill -s "$signal" "$child" 2> /dev/null; do sleep 1; done
wait "$child"
status=$?

# A restart that has saved nothing would be followed by others that do not, either.
saved() {
    find "$results" -newermt "@$began" '(' -path '*/checkpoints/*' -o -name 'evaluation*.json' ')' |
        grep -q .
}
if [ "$status" -ne 75 ] || [ "$ended" = yes ]; then
    exit "$status"
elif [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ] && ! saved; then
    say "interrupted before anything new was saved; not requeued: it needs a longer --time"
else
    say "interrupted, everything is saved; requeueing"
    scontrol requeue "$id" ||
        say "it cannot do so from here: run 'scontrol requeue $id' elsewhere, or send it again"
fi
exit "$status"
"""


class Resources(NamedTuple):
    """What a job asks Slurm for; what is empty or None is left to the cluster."""

    name: str = "gan"
    time: str = ""
    partition: str = ""
    mem: str = ""
    cpus_per_task: int | None = None
    gpus: str = ""
    account: str = ""


def check_resources(resources: Resources) -> None:
    """Refuses values that would not stand in one line of a script as one word.

    Raises:
        UserError: naming the option.
    """
    for option, value in resources._asdict().items():
        if isinstance(value, str) and value and not _VALUE.fullmatch(value):
            raise UserError(
                f"--{option.replace('_', '-')} {shown(value)}",
                "one word of letters, digits and . : , / = @ % + -",
            )


def script(
    folder: Path, stem: str, command: Sequence[str], resources: Resources, array: str = ""
) -> str:
    """The text of a script.

    Args:
        folder: where it and its logs will be; absolute.
        stem: name of the script without its suffix, and of its logs.
        command: the command of gan that it carries out.
        resources: what it asks for.
        array: tasks of an array, for example `1-6%2`; empty for a single job.
    """
    if found := sorted(set('\n"\\') & set(str(folder))):
        raise UserError(
            f"{shown(str(folder))} has {found[0]!r} in it",
            "a path that can stand between quotes in a script",
            "Choose another --out",
        )
    # In the name of a log, Slurm replaces what follows a single %.
    log = f"{str(folder).replace('%', '%%')}/{stem}-{'%A_%a' if array else '%j'}.log"
    directives = [
        f"--job-name={resources.name}",
        "--nodes=1",
        "--ntasks=1",
        resources.cpus_per_task and f"--cpus-per-task={resources.cpus_per_task}",
        resources.mem and f"--mem={resources.mem}",
        resources.gpus and f"--gres=gpu:{resources.gpus}",
        resources.time and f"--time={resources.time}",
        resources.partition and f"--partition={resources.partition}",
        resources.account and f"--account={resources.account}",
        array and f"--array={array}",
        f'--output="{log}"',
        "--open-mode=append",
        "--requeue",
        "--signal=B:USR1@120",
    ]
    what = "One run of a comparison a task, for as many jobs' time as it needs."
    text = _HEAD.format(
        what=what if array else f"gan {command[0]}, for as many jobs' time as it needs.",
        path=shlex.quote(str(folder / f"{stem}.sbatch")),
        directives="\n".join(f"#SBATCH {one}" for one in directives if one),
        here=shlex.quote(str(Path.cwd())),
        python=shlex.quote(sys.executable),
        command=shlex.join(command),
        results=shlex.quote(str(folder.parent)),
    )
    task = _TASK.format(runs=shlex.quote(str(folder / RUNS))) if array else ""
    return text + task + _BODY
