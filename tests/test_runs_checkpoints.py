"""Checkpoints: whole or absent, verified before use."""

import errno
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from faults import few_or_many
from findings import require_findings
from refusals import refused

from gancli.adversarial.dynamics import Player, TrainState, Weights
from gancli.runs.checkpoints import (
    CheckpointDamagedError,
    Checkpoints,
    find_checkpoints,
    is_step,
    restore,
    verify,
)

# The state that `state(3)` makes, array by array in ascending order of path, written by hand:
# a line of JSON and then the bytes in C order, little-endian.
DIGEST_OF_3 = hashlib.sha256(
    b'["players/generator/average/params/layer/bias", "float32", [2]]\n'
    + bytes.fromhex("00000000 0000803f")
    + b'["players/generator/average/params/layer/kernel", "float32", [3, 2]]\n'
    + bytes.fromhex("00004040") * 6
    + b'["players/generator/opt_state/0", "int32", []]\n'
    + bytes.fromhex("04000000")
    + b'["players/generator/params/layer/bias", "float32", [2]]\n'
    + bytes.fromhex("00000000 0000803f")
    + b'["players/generator/params/layer/kernel", "float32", [3, 2]]\n'
    + bytes.fromhex("00004040") * 6
    + b'["step", "int32", []]\n'
    + bytes.fromhex("03000000")
).hexdigest()


def state(step, value=1.5):
    kernel = {"layer": {"kernel": jnp.full((3, 2), float(value)), "bias": jnp.arange(2.0)}}
    player = Player(kernel, {}, (jnp.int32(4),), Weights(kernel, {}))
    return TrainState(jnp.int32(step), {"generator": player})


def large_state(step):
    """Four MB."""
    player = Player({"kernel": jnp.full((1000, 1000), float(step))}, {}, (), None)
    return TrainState(jnp.int32(step), {"generator": player})


def write(path, *states, keep=2):
    checkpoints = Checkpoints(path, keep)
    for each in states:
        checkpoints.save(each, {"data.json": {"step": int(each.step)}})
    checkpoints.close()
    return checkpoints


@pytest.fixture
def saved(tmp_path):
    return write(tmp_path / "checkpoints", *(state(step, value=step) for step in (1, 2, 3)))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def rewrite(checkpoint, name, change):
    """Changes a file and makes the checksums fit it, as somebody would who means harm."""
    path = checkpoint / name
    path.write_bytes(change(path.read_bytes()))
    sums = json.loads((checkpoint / "checksums.json").read_text())
    sums[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    (checkpoint / "checksums.json").write_text(json.dumps(sums, indent=2) + "\n")


def test_the_newest_stay(saved):
    assert saved.steps() == [2, 3]
    assert [path.name for path in find_checkpoints(saved.path.parent)] == ["3", "2"]
    assert names(saved.path) == ["2", "3"]


def test_a_restored_state_is_the_saved_one(saved):
    restored = restore(saved.folder(3), state(0))
    assert int(restored.step) == 3
    player = restored.players["generator"]
    np.testing.assert_array_equal(player.params["layer"]["kernel"], np.full((3, 2), 3.0))
    np.testing.assert_array_equal(player.average.params["layer"]["bias"], [0.0, 1.0])
    assert int(player.opt_state[0]) == 4
    assert restored.step.devices() == {jax.local_devices()[0]}


def test_every_type_comes_back_bit_for_bit(tmp_path):
    """Types beside each other, a scalar, an empty array, and a NaN with a payload."""
    arrays = {
        "bfloat16": jnp.asarray([1.5, -2.0], jnp.bfloat16),
        "bool": jnp.asarray([True, False, True]),
        "uint8": jnp.asarray(200, jnp.uint8),
        "float16": jnp.asarray([[0.1]], jnp.float16),
        "empty": jnp.zeros((0, 3), jnp.uint32),
        "nan": jnp.asarray(np.array([0x7FC12345], np.uint32).view(np.float32)),
    }
    before = TrainState(jnp.int32(1), {"p": Player(arrays, {}, (), None)})
    checkpoints = write(tmp_path, before)
    after = restore(checkpoints.folder(1), jax.eval_shape(lambda: before)).players["p"].params
    for name, array in arrays.items():
        assert (after[name].dtype, after[name].shape) == (array.dtype, array.shape), name
        assert np.asarray(after[name]).tobytes() == np.asarray(array).tobytes(), name


def test_one_line_says_which_state_it_is(saved, tmp_path):
    """Files of Orbax hold times, so they differ; the digest does not."""
    document = json.loads((saved.folder(3) / "state.json").read_text())
    assert document["format"] == 1
    assert document["sha256"] == DIGEST_OF_3
    assert document["arrays"]["players/generator/params/layer/kernel"] == ["float32", [3, 2]]
    again = write(tmp_path / "again", state(3, value=3))
    assert json.loads((again.folder(3) / "state.json").read_text()) == document


def test_orbax_alone_reads_the_vectors(saved):
    """Of each type the numbers of all arrays, in ascending order of their paths."""
    with ocp.PyTreeCheckpointer() as checkpointer:
        vectors = checkpointer.restore((saved.folder(3) / "state").absolute())
    np.testing.assert_array_equal(vectors["float32"], [0, 1, *[3] * 6, 0, 1, *[3] * 6])
    np.testing.assert_array_equal(vectors["int32"], [4, 3])


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "add"])
def test_every_damaged_file_is_named_and_nothing_is_restored(saved, damage):
    folder = saved.folder(3)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content, victim = path.read_bytes(), path
        if damage == "flip":
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        elif damage == "truncate":
            path.write_bytes(content[:-1])
        elif damage == "remove":
            path.unlink()
        else:
            victim = path.with_name("stranger")
            victim.write_bytes(b"x")
        name = str(victim.relative_to(folder))
        require_findings(verify(folder), (name,))
        with pytest.raises(CheckpointDamagedError, match=re.escape(name)):
            restore(folder, state(0))
        if victim is not path:
            victim.unlink()
        path.write_bytes(content)
    assert verify(folder) == []


def test_white_space_in_the_checksums_is_a_change(saved):
    path = saved.folder(3) / "checksums.json"
    content = path.read_text()
    for changed in (content.replace("  ", "\t ", 1), content[:-1], content + "\n", " " + content):
        path.write_text(changed)
        require_findings(verify(saved.folder(3)), ("checksums.json", "changed"))
    path.write_text(content.replace('"data.json"', '"data.json": "0",\n  "data.json"', 1))
    require_findings(verify(saved.folder(3)), ("checksums.json", "changed"))


def test_what_is_no_file_is_named_and_never_opened(saved, tmp_path):
    """A link may lead out or round in a circle, and whoever opens a pipe waits for ever."""
    folder = saved.folder(3)
    outside = tmp_path / "outside.json"
    (folder / "data.json").rename(outside)
    (folder / "data.json").symlink_to(outside)
    (folder / "state" / "circle").symlink_to(folder)
    os.mkfifo(folder / "state" / "pipe")
    (folder / "stray").mkdir()
    require_findings(
        verify(folder),
        ("data.json", "link"),
        ("state/circle", "link"),
        ("state/pipe", "file", "folder"),
        ("stray", "empty"),
        ("data.json", "missing"),
    )
    (folder / "checksums.json").unlink()
    os.mkfifo(folder / "checksums.json")
    require_findings(verify(folder)[:1], ("checksums.json", "file", "folder"))


def test_several_problems_are_all_named(saved):
    folder = saved.folder(3)
    (folder / "data.json").unlink()
    (folder / "state" / "float32" / "0").write_bytes(b"")
    (folder / "new\x1b[31m").write_text("")
    require_findings(
        verify(folder),
        ("data.json", "missing"),
        ("new\\x1b[31m", "added"),
        ("state/float32/0", "changed"),
    )


def test_a_file_of_holes_is_not_read_for_hours(saved):
    with (saved.folder(3) / "state" / "float32" / "0").open("r+b") as file:
        file.truncate(2**43)
    (problem,) = verify(saved.folder(3))
    claimed = sum(path.stat().st_size for path in saved.folder(3).rglob("*") if path.is_file())
    assert f"{claimed:,} bytes" in problem


# Those who change a file can make the checksums fit it


def test_a_changed_state_is_found_by_its_digest(saved):
    rewrite(saved.folder(3), "state/float32/0", lambda held: held[:-1] + bytes([held[-1] ^ 1]))
    assert verify(saved.folder(3)) == []
    with pytest.raises(CheckpointDamagedError, match=DIGEST_OF_3[:12]) as caught:
        restore(saved.folder(3), state(0))
    assert "state.json" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "change", "facts"),
    [
        (
            "state/float32/0",
            lambda held: held + held,
            ("float32/0", "128 bytes", " 64 ", "state.json"),
        ),
        ("state/int32/0", lambda held: b"", ("int32/0", " 0 bytes", " 8 ", "state.json")),
        (
            "state/float32/.zarray",
            lambda held: held.replace(b"[16]", b"[99999999]"),
            ("float32/.zarray", " 16 ", " float32"),
        ),
        (
            "state/float32/.zarray",
            lambda held: held.replace(b"<f4", b"<i4"),
            ("float32/.zarray", " 16 ", " float32"),
        ),
        ("state/float32/.zarray", lambda held: b"[" * 10**6, ("float32/.zarray'", "65,536 bytes")),
        ("state.json", lambda held: b"{", ("state.json'", "line 1 column 2")),
        (
            "state.json",
            lambda held: held.replace(b"float32", b"object"),
            ("state.json", "'object'"),
        ),
        ("state.json", lambda held: held.replace(b"float32", b"float64"), ("state/float64/",)),
        (
            "state.json",
            lambda held: held.replace(b'"arrays"', b'"arrow"'),
            ("state.json", "'arrays'"),
        ),
        (
            "state.json",
            lambda held: held.replace(b"3,", b"1000000000000,"),
            ("state/float32/0", "64 bytes", " 16,000,000,000,016 "),
        ),
        ("state.json", lambda held: held.replace(b"3,", b"NaN,"), ("state.json'", " NaN ")),
        ("state.json", lambda held: held.replace(b"3,", b"1e999,"), ("state.json'", " 1e999 ")),
        ("state.json", lambda held: held.replace(b"3,", b"-3,"), ("state.json", "[-3, 2]")),
        ("state.json", lambda held: held + b" " * 2**24, ("state.json'", "16,777,216 bytes")),
    ],
)
def test_files_that_contradict_each_other_are_damage(saved, name, change, facts):
    rewrite(saved.folder(3), name, change)
    with pytest.raises(CheckpointDamagedError, match="checkpoints/3'") as caught:
        restore(saved.folder(3), state(0))
    for fact in facts:
        assert fact in str(caught.value)


def test_the_state_of_another_configuration_is_explained(saved):
    def other(step):
        """A wider kernel, no average, a second bias, another type."""
        kernel = {"layer": {"kernel": jnp.zeros((3, 4)), "bias": jnp.zeros(2, jnp.int32)}}
        player = Player(kernel | {"more": jnp.zeros(1)}, {}, (jnp.int32(4),), None)
        return TrainState(jnp.int32(step), {"generator": player})

    shown = (
        "players/generator/average/params/layer/bias",
        "players/generator/average/params/layer/kernel",
        "players/generator/params/layer/bias",
    )
    with refused(*shown, "float32 (2,)", "int32 (2,)", " 2 ") as caught:
        restore(saved.folder(3), other(0))
    for more in ("players/generator/params/layer/kernel", "players/generator/params/more"):
        assert more not in str(caught.value)
    wider = state(0)
    for weights in (wider.players["generator"].params, wider.players["generator"].average.params):
        weights["layer"]["kernel"] = jnp.zeros((3, 4))
    with refused("players/generator/params/layer/kernel", "float32 (3, 2)", " (3, 4)"):
        restore(saved.folder(3), wider)


def test_the_state_of_another_format_is_refused(saved):
    rewrite(saved.folder(3), "state.json", lambda held: held.replace(b": 1,", b": 2,", 1))
    with refused("checkpoints/3'", "'2'", allowed="format 1"):
        restore(saved.folder(3), state(0))


def test_a_checkpoint_of_a_version_before_is_refused(saved):
    """It had no description of the state."""
    folder = saved.folder(3)
    (folder / "state.json").unlink()
    sums = json.loads((folder / "checksums.json").read_text())
    del sums["state.json"]
    (folder / "checksums.json").write_text(json.dumps(sums, indent=2) + "\n")
    with refused("checkpoints/3'", "'None'", allowed="format 1"):
        restore(folder, state(0))


# Writing


def test_a_folder_without_checksums_is_not_a_checkpoint(saved):
    (saved.path / "9").mkdir()
    assert saved.steps() == [2, 3]


@pytest.mark.parametrize(
    ("name", "good"),
    [("0", True), ("17", True), ("007", False), ("٣", False), ("²", False), ("-1", False)],
)
def test_a_step_is_named_as_this_program_names_it(saved, name, good):
    assert is_step(name) == good
    saved.folder(3).rename(saved.path / name)
    assert saved.steps() == (sorted([2, int(name)]) if good else [2])


def test_a_link_is_no_step(saved, tmp_path):
    saved.folder(3).rename(tmp_path / "elsewhere")
    saved.folder(3).symlink_to(tmp_path / "elsewhere")
    assert saved.steps() == [2]


def test_saving_again_replaces(saved):
    saved.save(state(3, value=7.0), {})
    saved.close()
    kernel = restore(saved.folder(3), state(0)).players["generator"].params["layer"]["kernel"]
    np.testing.assert_array_equal(kernel, np.full((3, 2), 7.0))
    assert names(saved.path) == ["2", "3"]


def test_damaged_checkpoints_of_later_steps_stand_for_none(tmp_path):
    """A run that went back to step 1 must keep what it saves from there on."""
    checkpoints = write(tmp_path, *(state(step) for step in (1, 8, 9)), keep=3)
    checkpoints.keep = 2
    for step in (2, 3):
        checkpoints.save(state(step), {})
    checkpoints.close()
    assert checkpoints.steps() == [2, 3, 8, 9]


def test_what_a_killed_process_left_is_cleared_away(saved):
    for name in (".4.partial", ".1.discarded", ".3.replaced", "5"):
        (saved.path / name).mkdir()
    (saved.path / ".4.partial" / "data.json").write_text("{}")
    (saved.path / "6").mkdir()
    (saved.path / "6" / "thesis.tex").write_text("mine")
    (saved.path / ".notes").mkdir()
    (saved.path / ".7.partial").symlink_to(saved.path)
    assert saved.clean() == [".1.discarded", ".3.replaced", ".4.partial", "5"]
    assert names(saved.path) == [".7.partial", ".notes", "2", "3", "6"]
    assert saved.clean() == []


def test_a_step_that_was_being_replaced_is_back_after_clearing(saved):
    """A process was killed between the two renames."""
    saved.folder(3).rename(saved.path / ".3.replaced")
    assert saved.steps() == [2]
    assert saved.clean() == []
    assert saved.steps() == [2, 3]
    assert verify(saved.folder(3)) == []


def test_the_state_may_change_once_save_has_returned(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    before = state(1)
    checkpoints.save(before, {})
    before.players["generator"].params["layer"]["kernel"].delete()
    checkpoints.close()
    assert verify(checkpoints.folder(1)) == []


def test_a_place_that_cannot_be_written_is_an_error_at_the_next_wait(tmp_path):
    (tmp_path / "checkpoints").write_text("a file")
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    checkpoints.save(state(1), {})
    with refused("checkpoints/1'", os.strerror(errno.EEXIST), remedy="--out"):
        checkpoints.wait()


@pytest.mark.parametrize("reason", ["No space left on device", "Disk quota exceeded"])
def test_what_orbax_says_of_a_full_disk_becomes_one_message(saved, monkeypatch, reason):
    """In the words of tensorstore 0.1.86, measured on a full disk."""
    message = f'RESOURCE_EXHAUSTED: Error writing local file "x/0": {reason} [os_error_code=28]'

    def fail(*arguments, **words):
        raise ValueError(message)

    monkeypatch.setattr(ocp.Checkpointer, "save", fail)
    saved.save(state(4), {})
    with refused("checkpoints/4'", reason, remedy="--out") as caught:
        saved.wait()
    assert "RESOURCE_EXHAUSTED" not in str(caught.value)
    assert names(saved.path) == ["2", "3"]


def test_a_defect_is_not_taken_for_a_full_disk(saved, monkeypatch):
    def fail(*arguments, **words):
        raise ValueError("something else")

    monkeypatch.setattr(ocp.Checkpointer, "save", fail)
    saved.save(state(4), {})
    with pytest.raises(ValueError, match="something else"):
        saved.wait()
    assert names(saved.path) == ["2", "3"]


def test_a_path_without_checkpoint_is_refused(tmp_path):
    for path in (tmp_path / "nothing", tmp_path):
        with refused(f"'{path}'", allowed=("gan train", "checkpoints/STEP")):
            find_checkpoints(path)


# A real disk


@pytest.fixture
def disk(tmp_path):
    """Mounts a small disk with options; skipped where that is not permitted, except in CI."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = []

    def mount(options):
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            if os.environ.get("CI"):
                pytest.fail(f"mounting is not permitted, and tests may not skip here: {error}")
            pytest.skip(f"mounting is not permitted: {error}")
        mounted.append(place)
        return place

    yield mount
    if mounted:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("size=10m", "No space left on device"),  # Room for two states of 4 MB.
        ("size=20m,nr_inodes=45", "No space left on device"),  # And for the files of two.
    ],
)
def test_a_full_disk_is_one_message_and_older_checkpoints_stay(disk, capfd, options, reason):
    checkpoints = Checkpoints(disk(options) / "checkpoints", keep=9)
    for step in (1, 2):
        checkpoints.save(large_state(step), {})
        checkpoints.wait()
    checkpoints.save(large_state(3), {})
    with refused("checkpoints/3'", reason, remedy="--out"):
        checkpoints.close()
    assert names(checkpoints.path) == ["1", "2"]
    kernel = restore(checkpoints.folder(2), large_state(0)).players["generator"].params["kernel"]
    np.testing.assert_array_equal(kernel, np.full((1000, 1000), 2.0))
    assert "Traceback" not in capfd.readouterr().err


def test_a_read_only_disk_is_one_message(disk, capfd):
    place = disk("size=10m")
    checkpoints = write(place / "checkpoints", large_state(1))
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    checkpoints.save(large_state(2), {})
    with refused("checkpoints/2'", os.strerror(errno.EROFS), remedy="--out"):
        checkpoints.close()
    assert names(checkpoints.path) == ["1"]
    assert verify(checkpoints.folder(1)) == []
    assert "Traceback" not in capfd.readouterr().err


# Other processes and devices


def python(script, *arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def succeed(process):
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    return said


ON_EIGHT_DEVICES = """
import sys; from pathlib import Path
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from gancli.adversarial.dynamics import Player, TrainState
from gancli.runs.checkpoints import Checkpoints
mesh = Mesh(np.array(jax.devices()), ("batch",))
assert mesh.size == 8
replicated, divided = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), ("batch",)))
params = {
    "kernel": jax.device_put(jnp.arange(6.0).reshape(3, 2), replicated),
    "divided": jax.device_put(jnp.arange(16.0), divided),
}
state = TrainState(jnp.int32(1), {"generator": Player(params, {}, (), None)})
checkpoints = Checkpoints(Path(sys.argv[1]))
checkpoints.save(state, {})
checkpoints.close()
"""


def test_what_eight_devices_held_is_restored_on_one(tmp_path):
    devices = "--xla_force_host_platform_device_count=8"
    succeed(python(ON_EIGHT_DEVICES, tmp_path, XLA_FLAGS=devices, JAX_PLATFORMS="cpu"))
    params = {"kernel": jnp.zeros((3, 2)), "divided": jnp.zeros(16)}
    like = TrainState(jnp.int32(0), {"generator": Player(params, {}, (), None)})
    restored = restore(tmp_path / "1", like).players["generator"].params
    np.testing.assert_array_equal(restored["kernel"], [[0, 1], [2, 3], [4, 5]])
    np.testing.assert_array_equal(restored["divided"], np.arange(16))
    assert {leaf.devices().pop() for leaf in jax.tree.leaves(restored)} == {jax.local_devices()[0]}


IN_TWO_PROCESSES = """
import sys; from pathlib import Path
import jax, jax.numpy as jnp, numpy as np
from jax.experimental import multihost_utils
jax.config.update("jax_cpu_collectives_implementation", "gloo")
number = int(sys.argv[2])
jax.distributed.initialize(sys.argv[1], 2, number)
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from gancli.adversarial.dynamics import Player, TrainState
from gancli.runs.checkpoints import Checkpoints, restore
mesh = Mesh(np.array(jax.devices()), ("batch",))
replicated = NamedSharding(mesh, PartitionSpec())

@jax.jit
def make(step, shares):
    kernel = jnp.full((3, 2), 1.0) * shares.sum() * jnp.float32(step)
    return TrainState(step, {"generator": Player({"kernel": kernel}, {}, (), None)})

make = jax.jit(make, out_shardings=replicated)
shares = jax.make_array_from_callback(
    (2,), NamedSharding(mesh, PartitionSpec("batch")), lambda at: np.ones(2, np.float32)[at]
)
checkpoints = Checkpoints(Path(sys.argv[3]))
for step in (1, 2, 3):
    state = make(np.int32(step), shares)
    if number == 0:
        checkpoints.save(state, {})
    # The other one goes on computing with it, without any meeting about the checkpoint.
    other = make(np.int32(10), shares)
    assert float(other.players["generator"].params["kernel"].addressable_data(0)[0, 0]) == 20.0
checkpoints.close()
multihost_utils.sync_global_devices("written")
kernel = restore(checkpoints.folder(3), state).players["generator"].params["kernel"]
assert kernel.devices() == {jax.local_devices()[0]}
assert kernel.tolist() == [[6.0, 6.0]] * 3
"""


@pytest.mark.slow
def test_only_the_process_that_saves_takes_part(tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    script = IN_TWO_PROCESSES.replace(
        "import jax,", "import jax.experimental.multihost_utils, jax,"
    )
    processes = [
        python(script, address, number, tmp_path, JAX_PLATFORMS="cpu") for number in (0, 1)
    ]
    for process in processes:
        succeed(process)
    assert names(tmp_path) == ["3"]


SAVING_FOR_EVER = """
import sys; from pathlib import Path
import jax.numpy as jnp
from gancli.adversarial.dynamics import Player, TrainState
from gancli.runs.checkpoints import Checkpoints
checkpoints = Checkpoints(Path(sys.argv[1]), keep=1)
for number in range(10**6):
    params = {"kernel": jnp.full((100, 100), float(number))}
    checkpoints.save(TrainState(jnp.int32(5), {"generator": Player(params, {}, (), None)}), {})
    print(number, flush=True)
"""


@few_or_many(10, 30)
def test_a_process_killed_while_it_replaces_leaves_a_sound_checkpoint(tmp_path, count):
    """The same step again and again, killed at as many instants; what is left is cleared away."""
    like = TrainState(
        jnp.int32(0), {"generator": Player({"kernel": jnp.zeros((100, 100))}, {}, (), None)}
    )
    generator = np.random.default_rng(0)
    for _ in range(count):
        process = python(SAVING_FOR_EVER, tmp_path, JAX_PLATFORMS="cpu")
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) == 3:  # Three checkpoints are written.
                break
        try:
            process.wait(generator.uniform(0.0, 0.2))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.communicate()
        checkpoints = Checkpoints(tmp_path)
        checkpoints.clean()
        assert names(tmp_path) == ["5"]
        kernel = restore(checkpoints.folder(5), like).players["generator"].params["kernel"]
        assert float(kernel[0, 0]) >= 2


def test_files_and_folders_are_made_durable_before_the_name(saved, monkeypatch):
    """Everything in the hidden folder, then the renaming, then the folders that hold the name."""
    order = []
    renamed = Path.rename

    def sync(path):
        order.append(str(path.relative_to(saved.path.parent)))

    def rename(path, target):
        order.append(f"{path.name} -> {target.name}")
        return renamed(path, target)

    monkeypatch.setattr("gancli.runs.checkpoints.sync", sync)
    monkeypatch.setattr(Path, "rename", rename)
    saved.save(state(4), {"data.json": {}})
    saved.close()
    at = order.index(".4.partial -> 4")
    hidden = "checkpoints/.4.partial"
    files = {str(p.relative_to(saved.folder(4))) for p in saved.folder(4).rglob("*")}
    assert "state/float32" in files
    assert {f"{hidden}/{name}" for name in files} | {hidden} == set(order[:at])
    assert order[at + 1 : at + 3] == ["checkpoints", "."]
