"""Checkpoints: whole or absent, verified before use."""

import jax.numpy as jnp
import numpy as np
import pytest

from gancli.dynamics import Player, TrainState, Weights
from gancli.errors import UserError
from gancli.runs.checkpoints import (
    CheckpointDamagedError,
    Checkpoints,
    find_checkpoints,
    restore,
    verify,
)


def state(step, value=1.5):
    kernel = {"layer": {"kernel": jnp.full((3, 2), value), "bias": jnp.arange(2.0)}}
    player = Player(kernel, {}, (jnp.int32(4),), Weights(kernel, {}))
    return TrainState(jnp.int32(step), {"generator": player})


@pytest.fixture
def saved(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=2)
    for step in (1, 2, 3):
        checkpoints.save(state(step, value=step), {"data.json": {"step": step}})
    checkpoints.close()
    return checkpoints


def test_the_newest_stay(saved):
    assert saved.steps() == [2, 3]
    assert [path.name for path in find_checkpoints(saved.path.parent)] == ["3", "2"]
    assert sorted(path.name for path in saved.path.iterdir()) == ["2", "3"]


def test_a_restored_state_is_the_saved_one(saved):
    restored = restore(saved.folder(3), state(0))
    assert int(restored.step) == 3
    player = restored.players["generator"]
    np.testing.assert_array_equal(player.params["layer"]["kernel"], np.full((3, 2), 3.0))
    np.testing.assert_array_equal(player.average.params["layer"]["bias"], [0.0, 1.0])
    assert int(player.opt_state[0]) == 4


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "add"])
def test_every_damaged_file_is_named_and_nothing_is_restored(saved, damage):
    folder = saved.folder(3)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if path.name == "checksums.json" or not path.stat().st_size:
            continue
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
        (problem,) = verify(folder)
        assert problem.startswith(str(victim.relative_to(folder)))
        with pytest.raises(CheckpointDamagedError, match="damaged"):
            restore(folder, state(0))
        if victim is not path:
            victim.unlink()
        path.write_bytes(content)
    assert verify(folder) == []


def test_a_folder_without_checksums_is_not_a_checkpoint(saved):
    (saved.path / "9").mkdir()
    assert saved.steps() == [2, 3]


def test_saving_again_replaces(saved):
    saved.save(state(3, value=7.0), {})
    saved.close()
    kernel = restore(saved.folder(3), state(0)).players["generator"].params["layer"]["kernel"]
    np.testing.assert_array_equal(kernel, np.full((3, 2), 7.0))


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
    with pytest.raises(UserError, match="cannot write"):
        checkpoints.wait()


def test_a_path_without_checkpoint_is_refused(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        find_checkpoints(tmp_path / "nothing")
    with pytest.raises(UserError, match="holds no checkpoint"):
        find_checkpoints(tmp_path)
