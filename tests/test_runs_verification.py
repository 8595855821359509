"""What `gan verify` finds: nothing in a sound run, every damage, and no traceback."""

import errno
import hashlib
import json
import os
import re
import shutil
import subprocess

import numpy as np
import pytest
from findings import require_findings
from refusals import refused
from tiny_runs import STEPS, digits_run, gan, points_run, snapshot, succeed

from gancli.runs.checkpoints import CheckpointDamagedError, require_sound, verify
from gancli.runs.directory import DataIdentity, Run
from gancli.runs.state_files import digest, read_arrays
from gancli.runs.verification import verify_path
from gancli.tasks.program import state_like


@pytest.fixture
def run(tmp_path):
    return shutil.copytree(points_run(), tmp_path / "run")


@pytest.fixture(scope="module")
def like():
    run = Run(points_run())
    return state_like(run.config, DataIdentity.from_json(run.status["data"]).spec)[1]


def append(path, more):
    path.write_bytes(path.read_bytes() + (more if isinstance(more, bytes) else more.encode()))


def problems(run):
    report = verify_path(run)
    of_checkpoints = [
        f"{one.name}: {problem}" for one in report.checkpoints for problem in one.problems
    ]
    return of_checkpoints + list(report.problems)


@pytest.mark.parametrize("path", [points_run, digits_run])
def test_a_finished_run_is_sound(path):
    report = verify_path(path())
    assert [one.name for one in report.checkpoints] == ["0", str(STEPS)]
    assert (report.problem_count, report.notes) == (0, ())
    for one in report.checkpoints:
        folder = path() / "checkpoints" / one.name
        files = [file for file in folder.rglob("*") if file.is_file()]
        assert (one.files, one.bytes) == (len(files), sum(f.stat().st_size for f in files))
        assert one.digest == digest(folder)


def test_states_that_were_put_aside_are_looked_at(run):
    shutil.copytree(run / "checkpoints/6", run / "diverged/6")
    assert [one.name for one in verify_path(run).checkpoints] == ["0", "6", "diverged/6"]
    (run / "diverged/6/data.json").unlink()
    require_findings(problems(run), ("diverged/6: data.json", "missing"))


def test_one_checkpoint_is_looked_at_alone(run):
    report = verify_path(run / "checkpoints" / "6")
    assert [one.name for one in report.checkpoints] == ["6"]
    (run / "checkpoints" / "6" / "checksums.json").unlink()
    require_findings(problems(run / "checkpoints" / "6"), ("6: checksums.json", "missing"))


def spoil_state(run):
    (run / "checkpoints/6/state/_METADATA").write_bytes(b"")


def spoil_checksums(run):
    (run / "checkpoints/0/checksums.json").unlink()


def spoil_step(run):
    (run / "checkpoints/7").mkdir()
    (run / "checkpoints/7/thesis.tex").write_text("mine")


NO_SUCH_FILE, NO_FOLDER = os.strerror(errno.ENOENT), os.strerror(errno.ENOTDIR)

# What is done to a sound run, and the only problem that is found.
SPOILT = {
    "a file of the state": (spoil_state, ("6: state/_METADATA", "changed")),
    "the checksums": (spoil_checksums, ("0: checksums.json", "missing")),
    "a step of something else": (spoil_step, ("7: checksums.json", "missing")),
    "a stray folder": (
        lambda run: (run / "checkpoints/007").mkdir(), ("checkpoints/007 ",)
    ),
    "a stray file": (
        lambda run: (run / "checkpoints/8").write_text(""), ("checkpoints/8 ",)
    ),
    "a step that is a link": (
        lambda run: (run / "checkpoints/8").symlink_to("6"), ("checkpoints/8 ",)
    ),
    "no configuration": (
        lambda run: (run / "config.json").unlink(), ("config.json: ", NO_SUCH_FILE)
    ),
    "another configuration": (
        lambda run: (run / "config.json").write_text('{"loss": 3}'), ("config.json: ", "loss", " 3")
    ),
    "no status": (lambda run: (run / "run.json").unlink(), ("run.json: ", NO_SUCH_FILE)),
    "a status of nothing": (
        lambda run: (run / "run.json").write_text("{}"), ("run.json: ",)
    ),
    "a torn line": (
        lambda run: append(run / "metrics.jsonl", '{"step": 7'),
        ("metrics.jsonl: ", "line 2"),
    ),
    "a line that is none": (
        lambda run: append(run / "metrics.jsonl", "[7]\n"),
        ("metrics.jsonl: ", "line 2"),
    ),
    "a step twice": (
        lambda run: append(run / "metrics.jsonl", '{"step": 6}\n'),
        ("metrics.jsonl: ", "line 2", "step 6"),
    ),
    "a line without end": (
        lambda run: (run / "metrics.jsonl").write_text("[" * 2**21),
        ("metrics.jsonl: ", "line 1"),
    ),
    "a pipe for metrics": (
        lambda run: ((run / "metrics.jsonl").unlink(), os.mkfifo(run / "metrics.jsonl")),
        ("metrics.jsonl: ",),
    ),
    "a pipe for a sample": (
        lambda run: os.mkfifo(run / "samples/00000007.npy"),
        ("samples/00000007.npy ",),
    ),
    "a short sample": (
        lambda run: os.truncate(run / "samples/00000006.npy", 300),
        ("samples/00000006.npy ", "mmap length"),
    ),
    "a long sample": (
        lambda run: append(run / "samples/00000006.npy", b"x"),
        ("samples/00000006.npy ", "641 bytes", " 512"),
    ),
    "no checkpoints": (
        lambda run: shutil.rmtree(run / "checkpoints"),
        ("", "checkpoint", "6 steps"),
    ),
    "a file for the checkpoints": (
        lambda run: ((run / "checkpoints").rename(run / "x"), (run / "checkpoints").touch()),
        ("checkpoints ", NO_FOLDER),
    ),
    "no samples": (lambda run: shutil.rmtree(run / "samples"), ("samples ", "missing")),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILT)
def test_every_damage_is_one_line(run, name, monkeypatch):
    monkeypatch.setattr("gancli.runs.verification._SECONDS_OF_GRACE", 0.01)
    spoil, expected = SPOILT[name]
    spoil(run)
    require_findings(problems(run), expected)


def test_documents_that_say_nothing_are_damage(run):
    """Whole according to their checksums, and of no use."""
    folder = run / "checkpoints" / "6"
    for name in ("config.json", "data.json", "state/_METADATA"):
        before = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        (folder / name).write_text("[]")
        sums = (folder / "checksums.json").read_text()
        after = hashlib.sha256(b"[]").hexdigest()
        (folder / "checksums.json").write_text(sums.replace(before, after))
    found = problems(run)
    assert len(found) == 3
    for name, problem in zip(("config.json", "data.json", "Orbax"), found, strict=True):
        assert name in problem


class Payload:
    """Makes the file `unpickled` when it is loaded."""

    def __reduce__(self):
        return open, ("unpickled", "w")


def test_a_sample_of_objects_is_refused_and_never_unpickled(run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    np.save(run / "samples" / "00000007.npy", np.array([Payload()]))
    require_findings(problems(run), ("samples/00000007.npy ", "Python objects"))
    assert not (tmp_path / "unpickled").exists()


def test_a_header_of_terabytes_allocates_nothing(run):
    path = run / "samples" / "00000006.npy"
    held = path.read_bytes()
    path.write_bytes(held.replace(b"(64, 2), }" + b" " * 12, b"(9999999999999, 2), }" + b" "))
    require_findings(problems(run), ("samples/00000006.npy ", "mmap length"))


def test_a_run_that_is_being_written_is_sound(run):
    shutil.copytree(run / "checkpoints/6", run / "checkpoints/.7.partial")
    (run / "samples/.00000007.npy.0a1b2c3d.partial").write_bytes(b"half")
    with Run(run).lock():
        report = verify_path(run)
    assert report.problem_count == 0
    require_findings(report.notes, ("checkpoints/.7.partial ",))


def test_a_run_that_a_file_manager_has_shown_is_sound(run):
    (run / "checkpoints" / ".DS_Store").write_bytes(b"")
    assert verify_path(run).problem_count == 0


def test_a_line_that_is_being_written_is_waited_for(run, monkeypatch):
    whole = (run / "metrics.jsonl").read_bytes()
    (run / "metrics.jsonl").write_bytes(whole[:-9])
    monkeypatch.setattr("time.sleep", lambda seconds: (run / "metrics.jsonl").write_bytes(whole))
    assert problems(run) == []


def test_a_checkpoint_that_is_let_go_meanwhile_is_left_out(run, monkeypatch):
    def verify_late(folder):
        if folder.name == "0":
            shutil.rmtree(folder)
        return verify(folder)

    monkeypatch.setattr("gancli.runs.verification.verify", verify_late)
    report = verify_path(run)
    assert ([one.name for one in report.checkpoints], report.problem_count) == (["6"], 0)


def test_what_is_no_run_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for name, reason, allowed in [
        ("nowhere", NO_SUCH_FILE, ()),
        ("file", NO_FOLDER, ()),
        (".", "", ("gan train", "checkpoints/STEP")),
    ]:
        with refused(f"'{tmp_path / name}'", reason, allowed=allowed):
            verify_path(tmp_path / name)


# The command


def test_the_command_prints_a_row_for_every_step(run):
    said = succeed(f"verify {run}").stdout
    files = [path for path in (run / "checkpoints/6").rglob("*") if path.is_file()]
    size = f"{sum(path.stat().st_size for path in files) / 2**20:.2f}"
    (row,) = [line for line in said.splitlines() if line.split()[1:2] == [str(STEPS)]]
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        "6", "sound", str(len(files)), size, digest(run / "checkpoints/6")[:12],
    ]  # fmt: skip
    assert max(map(len, said.splitlines())) <= 80


def test_the_command_names_the_problems_and_counts_them(run):
    spoil_state(run)
    spoil_step(run)
    done = gan(f"verify {run}")
    assert done.exit_code == 2
    said = [line for line in done.stdout.splitlines() if line.startswith("checkpoint ")]
    require_findings(
        said,
        ("checkpoint 6: state/_METADATA ", "changed"),
        ("checkpoint 7: checksums.json ", "missing"),
    )
    assert done.stderr.startswith("error: ")
    assert " 2 " in done.stderr
    assert f"'{run}'" in done.stderr
    found = json.loads(gan(f"verify {run} --json").stdout)
    assert found["sound"] is False
    first, *others = (one["problems"] for one in found["checkpoints"])
    assert first == []
    for problems_found, expected in zip(
        others, [("state/_METADATA", "changed"), ("checksums.json", "missing")], strict=True
    ):
        require_findings(problems_found, expected)


def test_the_command_writes_nothing(run):
    spoil_step(run)
    (run / "checkpoints/.9.partial").mkdir()
    before = snapshot(run)
    assert gan(f"verify {run}").exit_code == 2
    assert snapshot(run) == before


def test_a_read_only_disk_can_be_verified(run):
    def mount(*options):
        return subprocess.run(["mount", *options, run], check=False, capture_output=True)

    if mount("--bind", run).returncode:
        if os.environ.get("CI"):
            pytest.fail("mounting is not permitted, and tests may not skip here")
        pytest.skip("mounting is not permitted")
    try:
        assert mount("-o", "remount,bind,ro").returncode == 0
        with pytest.raises(OSError, match="Read-only"):
            (run / "x").write_text("")
        succeed(f"verify {run}")
    finally:
        subprocess.run(["umount", run], check=True)


# Random damage


def damaged(run, generator):
    """Flips a byte or cuts off the end of a random file of a random checkpoint."""
    folder = run / "checkpoints" / str(generator.choice([0, STEPS]))
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.stat().st_size)
    path = files[generator.integers(len(files))]
    content = path.read_bytes()
    at = int(generator.integers(len(content)))
    if generator.random() < 0.7:
        flipped = content[at] ^ int(generator.integers(1, 256))
        path.write_bytes(content[:at] + bytes([flipped]) + content[at + 1 :])
    else:
        path.write_bytes(content[:at])
    return folder, path, content


def find_damage(run, like, seed, count):
    """Every damage is found by `verify` and refused by `require_sound`; the sound state is not."""
    generator = np.random.default_rng(seed)
    for number in range(count):
        folder, path, content = damaged(run, generator)
        name = str(path.relative_to(folder))
        found = verify(folder)
        # A sum that was changed cannot be told from a file that was.
        assert found, number
        if name != "checksums.json":
            require_findings(found, (name, "changed"))
        with pytest.raises(CheckpointDamagedError, match=re.escape(found[0])):
            require_sound(folder)
        path.write_bytes(content)
    for step in (0, STEPS):
        assert int(read_arrays(run / "checkpoints" / str(step), like).step) == step


def test_sixty_random_damages_are_found_and_refused(run, like):
    find_damage(run, like, seed=0, count=60)


@pytest.mark.slow
def test_a_thousand_random_damages_are_found_and_refused(run, like):
    find_damage(run, like, seed=1, count=1000)


@pytest.mark.slow
def test_damage_is_named_by_the_commands_and_resumption_falls_back(run, tmp_path):
    generator = np.random.default_rng(2)
    reference = tmp_path / "reference"
    shutil.copytree(run, reference)
    succeed(f"resume {reference} --steps 7")
    expected = digest(reference / "checkpoints/7")
    for number in range(20):
        one = shutil.copytree(run, tmp_path / str(number))
        folder = damaged(one, generator)[0]
        name = verify(folder)[0]
        done = gan(f"verify {one}")
        assert done.exit_code == 2
        assert f"checkpoint {folder.name}: {name}\n" in done.stdout
        assert "Traceback" not in done.output
        resumed = succeed(f"resume {one} --steps 7").output
        # The one of step 0 is not looked at where the newer one is sound.
        assert (name in resumed) == (folder.name == str(STEPS))
        assert digest(one / "checkpoints/7") == expected
