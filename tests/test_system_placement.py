"""Where arrays lie when several devices compute a run, and that it makes no difference to it."""

import json
import os
import subprocess
import sys

import jax
import pytest

from gancli.system.placement import placement_for


def on_devices(count, script):
    """What a program prints, as JSON, with so many virtual devices."""
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={count}"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"XLA_FLAGS": flags},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_one_device_needs_no_division():
    assert jax.device_count() == 1
    assert placement_for(64) is None
    assert placement_for(64, shard_state=True) is None


ON_EIGHT = """
import json
import jax, jax.numpy as jnp, numpy as np
from gancli.config import Layer
from gancli.system.placement import on_one_device, placement_for
from gancli.training.execution import build_execution
from gancli.training.planning import plan

said = {"devices": [p and p.mesh.size for p in map(placement_for, (64, 24, 20, 7, 13))]}
shapes = ((64, 64), (3, 8, 512), (512, 8), (4096,), (4095,), (64, 63), (5000, 3), (8, 512, 512))
abstract = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
said["axes"] = [
    list(p.spec).index("batch") if "batch" in p.spec else None
    for p in placement_for(64, True).of_state(abstract)
]
made = plan([Layer("test", SETTINGS)])
state, metrics, sizes = {}, {}, {}
placements = {"one": None, "whole": placement_for(32), "divided": placement_for(32, True)}
for name in ("one", *PLACES):
    placement = placements[name]
    own = made.program.initial_state(0)
    if placement:
        own = jax.device_put(own, placement.of_state(own))
    execution = build_execution(
        made.program.moves, made.program.source, 3, own, STEPS, placement
    )
    chunk = execution.compile()(own, execution.draw(STEPS))
    metrics[name] = chunk.rows().astype(float).tolist()
    shares = [leaf.addressable_data(0).nbytes for leaf in jax.tree.leaves(chunk.state)]
    sizes[name] = sum(shares)
    if placement:
        places = jax.tree.leaves(placement.of_state(chunk.state))
        for leaf, place in zip(jax.tree.leaves(chunk.state), places, strict=True):
            assert leaf.sharding.is_equivalent_to(place, leaf.ndim), (leaf.shape, leaf.sharding)
    state[name] = jax.device_get(on_one_device(chunk.state))
said["names"], said["metrics"], said["sizes"] = execution.names, metrics, sizes
said["apart"] = {
    name: max(
        float(np.abs(a - b).max())
        for a, b in zip(jax.tree.leaves(state["one"]), jax.tree.leaves(state[name]), strict=True)
    )
    for name in PLACES
}
print(json.dumps(said))
"""

POINTS = {
    "data.name": "ring8:count=500", "model": "mlp:width=64,depth=2", "loss": "non-saturating",
    "train.batch": 24,
}  # fmt: skip
# Statistics over the batch in both players, and pairs of examples.
IMAGES = {
    "data.name": "digits", "model": "dcgan:width=8,norm=batch,minibatch=stddev",
    "loss": "hinge", "train.batch": 16, "inputs.packing": 2,
}  # fmt: skip


def steps_on_eight(settings, steps, *places):
    script = ON_EIGHT.replace("SETTINGS", repr(settings)).replace("PLACES", repr(places))
    said = on_devices(8, script.replace("STEPS", str(steps)))
    for name in places:
        for ours, theirs in zip(said["metrics"][name], said["metrics"]["one"], strict=True):
            assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-4)
        # Adam divides a gradient by its size, so that the rounding of a small one is amplified.
        assert said["apart"][name] < 1e-4
    return said


def test_eight_devices_that_divide_the_state_make_the_steps_of_one():
    said = steps_on_eight(POINTS, 5, "divided")
    assert said["devices"] == [8, 8, 5, 7, None]
    assert said["axes"] == [0, 2, 0, 0, None, None, 0, 1]
    # Of each player the matrix of 64 by 64, its two moments and the generator's average.
    matrix = 64 * 64 * 4
    assert said["sizes"]["one"] - said["sizes"]["divided"] == 7 * matrix * 7 // 8


@pytest.mark.slow
def test_statistics_of_a_batch_are_those_of_the_whole_one():
    said = steps_on_eight(IMAGES, 8, "divided")
    assert said["sizes"]["divided"] < said["sizes"]["one"]
