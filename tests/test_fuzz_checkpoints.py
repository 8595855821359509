"""Thousands of spoilt runs and checkpoints: each is used, or refused with one message.

The inputs are made and tried in processes of their own, so that their memory can be measured
and a crash or an endless loop is seen for what it is.
"""

import copy
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import traceback
from pathlib import Path

import numpy as np
from budget import peak_mib
from faults import few_or_many

PROCESSES = 2
SECONDS_AN_INPUT = 60
# For each input, beyond what the process takes after the first ones: TensorStore (0.1.86) never
# frees the 14 KB of JSON by which it describes an array to Orbax.
MOST_GROWTH = 900 * 2**10

DOCUMENTS = ["config.json", "data.json", "resume.json", "versions.json", "checksums.json"]
OF_RUN = ["config.json", "run.json", "metrics.jsonl", "samples/00000006.npy"]
ABSURD = [
    *(None, True, False, 0, 1, -1, 2**31, 10**12, 10**30, 1.5, -0.0, 1e308),
    *("", "x" * 10_000, "\0", "\x1b[2J", "../../../etc/passwd", "é", "\ud800"),
    *("mlp", "dcgan", "resnet", "mlp:width=1000000000", "mlp:width=16,depth=100", "hinge", "adamw"),
    *("generation:latent=100000000000", "float64", "bfloat16", "object", "image", "points"),
    *([], {}, [[]], [0], [2**62], [65536] * 3, [65536] * 40, {"a": {}}, ["float32", [10**9]]),
]


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def places(value, path=()):
    """The path of every value in a JSON value."""
    yield path
    if isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(one, (*path, key))


def with_change(value, generator):
    """A JSON value with one value in it replaced, removed, moved or renamed."""
    value = copy.deepcopy(value)
    every = list(places(value))[1:]
    if not every:
        return ABSURD[generator.integers(len(ABSURD))]
    *path, key = every[generator.integers(len(every))]
    parent = functools.reduce(lambda inner, step: inner[step], path, value)
    match generator.integers(10):
        case 0:
            del parent[key]
        case 1 if isinstance(parent, dict):
            parent[f"{key}x"] = parent.pop(key)
        case 2:
            *path, other = every[generator.integers(len(every))]
            parent[key] = copy.deepcopy(
                functools.reduce(lambda inner, step: inner[step], path, value)[other]
            )
        case 3:
            parent[key] = nested(int(generator.choice([50, 900])))
        case 4 if isinstance(parent[key], int):
            parent[key] += int(generator.choice([-1, 1, 10, 10**6]))
        case 5 if isinstance(parent[key], list):
            parent[key] = parent[key] * int(generator.choice([2, 1000]))
        case _:
            parent[key] = ABSURD[generator.integers(len(ABSURD))]
    return value


def mutated(content, generator):
    """Bytes that are damaged, or JSON that says something else."""
    choice = generator.integers(12)
    at = int(generator.integers(len(content) + 1))
    if choice < 6:
        try:
            document = json.loads(content)
            for _ in range(generator.integers(1, 3)):
                document = with_change(document, generator)
            # With two blanks and a new line, as every document is written.
            text = json.dumps(document, indent=2, ensure_ascii=bool(generator.integers(2)))
            return text.encode("utf-8", "surrogatepass") + b"\n"
        except (ValueError, RecursionError):
            pass
    if choice in (6, 7) and at < len(content):
        return content[:at] + bytes([content[at] ^ generator.integers(1, 256)]) + content[at + 1 :]
    if choice == 8:
        return content[:at]
    if choice == 9:
        length = int(generator.choice([1, 8, 1000, 10**5]))
        return content[:at] + generator.bytes(length) + content[at:]
    inserted = [b"NaN", b"-Infinity", b"1e999", b"\xff\xfe", b"[" * 10**5, b"9" * 5000, b"\0" * 99]
    return content[:at] + inserted[generator.integers(len(inserted))] + content[at:]


def replaced(path, generator):
    """Puts something in the place of a file that is none."""
    path.unlink()
    match generator.integers(4):
        case 0:
            path.symlink_to(generator.choice(["/etc/passwd", "/dev/zero", ".", path.name]))
        case 1:
            os.mkfifo(path)
        case 2:
            path.mkdir()
        case _:
            pass


def spoil(run, generator):
    """Spoils a file or two, as disks and people do; returns what was touched."""
    checkpoint = run / "checkpoints" / "6"
    of_state = sorted(path for path in (checkpoint / "state").rglob("*") if path.is_file())
    touched = set()
    for _ in range(generator.integers(1, 3)):
        match generator.integers(10):
            case 0 | 1 | 2:
                path = run / str(generator.choice(OF_RUN))
            case 3 | 4 | 5:
                path = of_state[generator.integers(len(of_state))]
            case _:
                path = checkpoint / str(generator.choice(DOCUMENTS))
        if not path.is_file() or path.is_symlink():
            continue
        touched.add(path)
        if generator.random() < 0.06:
            replaced(path, generator)
        else:
            path.write_bytes(mutated(path.read_bytes(), generator))
    return touched


def repair(path, content):
    """Brings a file back."""
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def contents(folder):
    """Every file's bytes; what is no file is None."""
    return {
        path: path.read_bytes() if path.is_file() and not path.is_symlink() else None
        for path in folder.rglob("*")
        if not path.is_dir()
    }


def uses(run):
    """Everything that reads a run before it trusts it, by name."""
    from gancli.errors import UserError
    from gancli.evaluation.generator import load_generator
    from gancli.runs.directory import DataIdentity, Run
    from gancli.runs.verification import verify_path

    there = Run(run)

    def verify():
        report = verify_path(run)
        json.dumps(report.as_json(), ensure_ascii=False).encode()  # It can be printed.
        if report.problem_count:
            raise UserError("there are problems")

    return {
        "sampling": lambda: load_generator(run),
        "one checkpoint": lambda: load_generator(run / "checkpoints" / "6"),
        "verification": verify,
        "the configuration": lambda: there.config,
        "the status": lambda: DataIdentity.from_json(there.status["data"]),
    }


def main(pristine, folder, seed, inputs):
    """Tries inputs and prints what they came to."""
    import gancli.evaluation.generator as generator_module
    import gancli.runs.verification as verification
    from gancli.errors import GanError

    verification._SECONDS_OF_GRACE = 0.0
    # Networks are built once for each configuration; that takes a hundred times the rest.
    generator_module.weights_like = functools.lru_cache(200)(generator_module.weights_like)

    def too_long(number, frame):
        raise TimeoutError("the input takes too long")

    signal.signal(signal.SIGALRM, too_long)
    generator = np.random.default_rng(seed)
    run, found, failures, first_peak = folder / "run", {}, [], 0
    os.makedirs(folder / "work")
    os.chdir(folder / "work")
    shutil.copytree(pristine, run)
    sound = contents(run)
    for number in range(inputs):
        touched = spoil(run, generator)
        for name, use in uses(run).items():
            signal.alarm(SECONDS_AN_INPUT)
            try:
                use()
                outcome = "used"
            except GanError as error:
                outcome = "refused"
                str(error).encode()  # It can be printed.
            except Exception:
                outcome = "failed"
                failures.append(f"input {number}, {name}:\n{traceback.format_exc(limit=-4)}")
            finally:
                signal.alarm(0)
            counts = found.setdefault(name, {"used": 0, "refused": 0, "failed": 0})
            counts[outcome] += 1
        for path in touched:
            repair(path, sound[path])
        if number == 100:
            first_peak = peak()
    untouched = contents(folder) == sound
    report = {
        "found": found,
        "failures": failures[:5],
        "untouched": untouched,
        "growth": peak() - first_peak,
    }
    print(json.dumps(report))


def peak():
    return peak_mib() * 2**20


@few_or_many(150, 3200)
def test_no_spoilt_run_is_more_than_refused(tmp_path, count):
    from tiny_runs import points_run

    processes = [
        subprocess.Popen(
            [sys.executable, __file__, points_run(), tmp_path / str(seed), str(seed), str(count)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"JAX_PLATFORMS": "cpu"},
        )
        for seed in range(PROCESSES)
    ]
    try:
        reports = [
            json.loads(each.communicate(timeout=1200)[0].splitlines()[-1]) for each in processes
        ]
    finally:
        for each in processes:
            each.kill()
    for report in reports:
        assert not report["failures"], "\n".join(report["failures"])
        assert report["untouched"]  # And no file has appeared beside the run.
        assert report["growth"] < count * MOST_GROWTH
    for name in reports[0]["found"]:
        used, refused = (
            sum(each["found"][name][kind] for each in reports) for kind in ("used", "refused")
        )
        # Else what was tried was always sound, or never got far.
        assert used >= count // 100, (name, used)
        # A run falls back on its checkpoint of step 0.
        assert refused >= count // 100 or name == "sampling", (name, refused)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
