"""Checkpoints: whole or absent, verified before use."""

import errno
import hashlib
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
    require_sound,
    verify,
)
from gancli.runs.state_files import digest, read_arrays

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


def test_the_newest_stay(saved):
    assert saved.steps() == [2, 3]
    assert [path.name for path in find_checkpoints(saved.path.parent)] == ["3", "2"]
    assert names(saved.path) == ["2", "3"]


def test_a_restored_state_is_the_saved_one(saved):
    restored = read_arrays(saved.folder(3), state(0))
    assert int(restored.step) == 3
    player = restored.players["generator"]
    np.testing.assert_array_equal(player.params["layer"]["kernel"], np.full((3, 2), 3.0))
    np.testing.assert_array_equal(player.average.params["layer"]["bias"], [0.0, 1.0])
    assert int(player.opt_state[0]) == 4
    assert restored.step.devices() == {jax.local_devices()[0]}


def test_every_type_comes_back_bit_for_bit(tmp_path):
    """Types beside each other, a scalar, and a NaN with a payload."""
    arrays = {
        "bfloat16": jnp.asarray([1.5, -2.0], jnp.bfloat16),
        "bool": jnp.asarray([True, False, True]),
        "uint8": jnp.asarray(200, jnp.uint8),
        "float16": jnp.asarray([[0.1]], jnp.float16),
        "nan": jnp.asarray(np.array([0x7FC12345], np.uint32).view(np.float32)),
    }
    before = TrainState(jnp.int32(1), {"p": Player(arrays, {}, (), None)})
    checkpoints = write(tmp_path, before)
    after = read_arrays(checkpoints.folder(1), jax.eval_shape(lambda: before)).players["p"].params
    for name, array in arrays.items():
        assert (after[name].dtype, after[name].shape) == (array.dtype, array.shape), name
        assert np.asarray(after[name]).tobytes() == np.asarray(array).tobytes(), name


def test_a_digest_says_which_state_it_is(saved, tmp_path):
    """Files of Orbax have random names and hold times, so they differ; the digest does not."""
    assert digest(saved.folder(3)) == DIGEST_OF_3
    again = write(tmp_path / "again", state(3, value=3))
    assert digest(again.folder(3)) == DIGEST_OF_3
    assert digest(saved.folder(2)) != DIGEST_OF_3


def test_orbax_alone_reads_a_checkpoint(saved):
    with ocp.StandardCheckpointer() as checkpointer:
        held = checkpointer.restore((saved.folder(3) / "state").absolute())
    assert int(held["step"]) == 3
    kernel = held["players"]["generator"]["params"]["layer"]["kernel"]
    np.testing.assert_array_equal(kernel, np.full((3, 2), 3.0))


def test_the_manager_of_orbax_finds_the_checkpoints(saved):
    with ocp.CheckpointManager(saved.path.absolute(), item_names=("state",)) as manager:
        assert manager.all_steps() == [2, 3]
        held = manager.restore(2, args=ocp.args.Composite(state=ocp.args.StandardRestore()))
    assert int(held["state"]["step"]) == 2


def test_one_player_is_read_alone(saved):
    """Neither optimizer nor raw weights are asked for, so a damaged one would not be noticed."""
    average = {"params": {"layer": {"bias": jax.ShapeDtypeStruct((2,), jnp.float32)}}}
    held = read_arrays(saved.folder(3), {"players": {"generator": {"average": average}}})
    (bias,) = jax.tree.leaves(held)
    np.testing.assert_array_equal(bias, [0.0, 1.0])
    with refused("players/generator/average/params/gain", "float32 (2,)"):
        other = {"params": {"gain": jax.ShapeDtypeStruct((2,), jnp.float32)}}
        read_arrays(saved.folder(3), {"players": {"generator": {"average": other}}})


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
            require_sound(folder)
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
    require_findings(
        verify(folder),
        ("data.json", "link"),
        ("state/circle", "link"),
        ("state/pipe", "file", "folder"),
        ("data.json", "missing"),
    )
    (folder / "checksums.json").unlink()
    os.mkfifo(folder / "checksums.json")
    require_findings(verify(folder)[:1], ("checksums.json", "file", "folder"))


def test_several_problems_are_all_named(saved):
    folder = saved.folder(3)
    (folder / "data.json").unlink()
    (folder / "state" / "_METADATA").write_bytes(b"")
    (folder / "new\x1b[31m").write_text("")
    require_findings(
        verify(folder),
        ("data.json", "missing"),
        ("new\\x1b[31m", "added"),
        ("state/_METADATA", "changed"),
    )


def test_what_file_managers_leave_is_no_damage(saved):
    """Looking at a checkpoint must not cost the run its newest steps."""
    folder = saved.folder(3)
    (folder / ".DS_Store").write_bytes(b"mac")
    (folder / "state" / "Thumbs.db").write_bytes(b"windows")
    (folder / "@eaDir").mkdir()
    (folder / "@eaDir" / "data.json@SynoEAStream").write_bytes(b"")
    assert verify(folder) == []


def test_a_state_that_orbax_cannot_read_is_damage(saved):
    """Whole according to its checksums."""
    folder = saved.folder(3)
    for path in sorted(path for path in (folder / "state").rglob("*") if path.is_file()):
        path.write_bytes(b"")
    with pytest.raises(CheckpointDamagedError, match="checkpoints/3'"):
        read_arrays(folder, state(0))


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
        read_arrays(saved.folder(3), other(0))
    for more in ("players/generator/params/layer/kernel", "players/generator/params/more"):
        assert more not in str(caught.value)
    wider = state(0)
    for weights in (wider.players["generator"].params, wider.players["generator"].average.params):
        weights["layer"]["kernel"] = jnp.zeros((3, 4))
    with refused("players/generator/params/layer/kernel", "float32 (3, 2)", " (3, 4)"):
        read_arrays(saved.folder(3), wider)


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
    kernel = read_arrays(saved.folder(3), state(0)).players["generator"].params["layer"]["kernel"]
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


def test_a_place_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "checkpoints").write_text("a file")
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    with refused("checkpoints/1'", os.strerror(errno.EEXIST), remedy="--out"):
        checkpoints.save(state(1), {})


@pytest.mark.parametrize("reason", ["No space left on device", "Disk quota exceeded"])
def test_what_orbax_says_of_a_full_disk_becomes_one_message(saved, monkeypatch, reason):
    """In the words of tensorstore 0.1.86, measured on a full disk."""
    message = f'RESOURCE_EXHAUSTED: Error writing local file "x/0": {reason} [os_error_code=28]'

    def fail(*arguments, **words):
        raise ValueError(message)

    monkeypatch.setattr(ocp.AsyncCheckpointer, "save", fail)
    with refused("checkpoints/4'", reason, remedy="--out") as caught:
        saved.save(state(4), {})
    assert "RESOURCE_EXHAUSTED" not in str(caught.value)
    assert names(saved.path) == ["2", "3"]


def test_a_defect_is_not_taken_for_a_full_disk(saved, monkeypatch):
    def fail(*arguments, **words):
        raise ValueError("something else")

    monkeypatch.setattr(ocp.AsyncCheckpointer, "save", fail)
    with pytest.raises(ValueError, match="something else"):
        saved.save(state(4), {})
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
        ("size=20m,nr_inodes=60", "No space left on device"),  # And for the files of two.
    ],
)
def test_a_full_disk_is_one_message_and_older_checkpoints_stay(disk, capfd, options, reason):
    checkpoints = Checkpoints(disk(options) / "checkpoints", keep=9)
    for step in (1, 2):
        checkpoints.save(large_state(step), {})
        checkpoints.wait()
    with refused("checkpoints/3'", reason, remedy="--out"):
        checkpoints.save(large_state(3), {})
        checkpoints.close()
    assert names(checkpoints.path) == ["1", "2"]
    kernel = (
        read_arrays(checkpoints.folder(2), large_state(0)).players["generator"].params["kernel"]
    )
    np.testing.assert_array_equal(kernel, np.full((1000, 1000), 2.0))
    assert "Traceback" not in capfd.readouterr().err


def test_a_read_only_disk_is_one_message(disk, capfd):
    place = disk("size=10m")
    checkpoints = write(place / "checkpoints", large_state(1))
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    with refused("checkpoints/2'", os.strerror(errno.EROFS), remedy="--out"):
        checkpoints.save(large_state(2), {})
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
    restored = read_arrays(tmp_path / "1", like).players["generator"].params
    np.testing.assert_array_equal(restored["kernel"], [[0, 1], [2, 3], [4, 5]])
    np.testing.assert_array_equal(restored["divided"], np.arange(16))
    assert {leaf.devices().pop() for leaf in jax.tree.leaves(restored)} == {jax.local_devices()[0]}


LAYOUTS = """
import sys; from pathlib import Path
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh
from gancli.adversarial.dynamics import Player, TrainState
from gancli.runs.checkpoints import Checkpoints
from gancli.runs.state_files import read_arrays
from gancli.system import processes
from gancli.system.placement import Placement, on_one_device

processes.join()
folder, writes = Path(sys.argv[1]), sys.argv[2] == "write"
devices = np.array(jax.devices())
several, placements = processes.are_several(), {}
for count in {1, 2, len(devices)} - ({1} if several else set()):
    for divides in (False, True):
        name = f"{jax.process_count()}-{count}-{divides}"
        placements[name] = Placement(Mesh(devices[:count], ("batch",)), divides)

def state(step):
    params = {"kernel": jnp.arange(4096.0).reshape(64, 64) + step, "bias": jnp.arange(64.0)}
    return TrainState(jnp.int32(step), {"generator": Player(params, {}, (), None)})

written = sorted(folder.iterdir())
for name, placement in placements.items():
    for one in written:
        read = jax.device_get(read_arrays(one / "4", jax.eval_shape(lambda: state(0))))
        placed = on_one_device(jax.device_put(read, placement.of_state(read)))
        jax.tree.map(np.testing.assert_array_equal, placed, state(4))
    if writes:
        checkpoints = Checkpoints(folder / name, every=2)
        double = jax.jit(lambda array: (2 * array).sum(), out_shardings=placement.whole)
        for step in (2, 3, 4):
            placed = jax.device_put(jax.device_get(state(step)), placement.of_state(state(step)))
            checkpoints.save(placed, {"data.json": {}})
            # All go on computing together while they write.
            assert float(double(placed.players["generator"].params["bias"])) == 64 * 63
        checkpoints.close()
processes.meet("everything is written")
print(len(written))
"""


@pytest.mark.slow
def test_every_layout_reads_what_every_layout_wrote(tmp_path):
    """One, two and eight devices, and two processes; the state whole, and divided among them."""
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    job = {"JAX_PLATFORMS": "cpu", "JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": "2"}
    assert succeed(python(LAYOUTS, tmp_path, "write", XLA_FLAGS=flags)).strip() == "0"
    pair = [python(LAYOUTS, tmp_path, "write", **job, JAX_PROCESS_ID=number) for number in "01"]
    for process in pair:
        assert succeed(process).split()[-1] == "6"
    assert succeed(python(LAYOUTS, tmp_path, "read", XLA_FLAGS=flags)).strip() == "8"
    assert all(names(one) == ["4"] for one in tmp_path.iterdir())
    of_two = {path.name for path in (tmp_path / "2-2-True/4/state").iterdir()}
    assert {"ocdbt.process_0", "ocdbt.process_1"} <= of_two
    assert len({digest(one / "4") for one in tmp_path.iterdir()}) == 1


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
        kernel = read_arrays(checkpoints.folder(5), like).players["generator"].params["kernel"]
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
    assert {"state/_METADATA", "state/ocdbt.process_0"} <= files
    assert {f"{hidden}/{name}" for name in files} | {hidden} == set(order[:at])
    assert order[at + 1 : at + 3] == ["checkpoints", "."]
