"""What a population gains: runs of other seeds as one program against one after another.

    python experiments/benchmarks/population.py [MEMBERS]

In one process, in alternation: a call of the program of all, then as many steps of each run by
itself. Compilation is left out, and shown. Prints run-steps a second of both and their ratio,
median and quartiles.
"""

import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

from gancli.config import Layer
from gancli.execution import Compile, Play, Progress, build_execution
from gancli.interruption import StopRequest
from gancli.launch import plan
from gancli.population import Together
from gancli.runs.directory import device_name

GAMES = {
    "ring8, mlp": {"data.name": "ring8", "loss": "hinge"},
    "digits, dcgan": {"data.name": "digits", "loss": "hinge"},
}
STEPS = {"ring8, mlp": 100, "digits, dcgan": 10}
ROUNDS = 9


def asked_by(plans) -> list[Compile]:
    asked = []
    for one in plans:
        program, seed = one.program, one.config.train.seed
        state = program.initial_state(seed)
        execution = build_execution(program.moves, program.source, seed, state, 128)
        asked.append(Compile(one.config, program, execution, state, StopRequest()))
    return asked


def measure(name: str, members: int) -> None:
    plans = [
        plan([Layer("benchmark", GAMES[name] | {"train.seed": seed})]) for seed in range(members)
    ]
    steps = STEPS[name]

    began = time.monotonic()
    asked = dict(enumerate(asked_by(plans)))
    together = Together([one.config for one in plans], asked, plans[0].dataset)
    together.compile()
    of_all = time.monotonic() - began
    here = {place: Progress(one.state, 0, jnp.zeros(0)) for place, one in asked.items()}

    singles, of_one = [], 0.0
    for one in asked_by(plans):
        began = time.monotonic()
        singles.append([one.execution.compile(), one.execution, one.state])
        of_one += time.monotonic() - began

    seconds = {"together": [], "alone": []}
    for _ in range(ROUNDS + 1):  # The first is not counted.
        began = time.monotonic()
        here = together.play(
            {place: Play(one, 0, steps, lambda: None) for place, one in here.items()}
        )
        jax.block_until_ready(here[0].table)
        seconds["together"].append(time.monotonic() - began)
        began = time.monotonic()
        for single in singles:
            progress = single[0](single[2], single[1].draw(steps))
            single[2] = progress.state
            jax.block_until_ready(progress.table)
        seconds["alone"].append(time.monotonic() - began)
    rates = {kind: members * steps / np.asarray(times[1:]) for kind, times in seconds.items()}
    ratios = rates["together"] / rates["alone"]
    print(f"{name}: {members} runs, {ROUNDS} rounds of {steps} steps, median and quartiles")
    for kind, values in rates.items():
        print(f"  {kind}: {in_words(values)} run-steps a second")
    print(f"  ratio: {in_words(ratios)}; compiled in {of_all:.1f} s against {of_one:.1f} s")


def in_words(values: np.ndarray) -> str:
    low, middle, high = np.percentile(values, [25, 50, 75])
    return f"{middle:.3g} ({low:.3g} to {high:.3g})"


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 16
    print(f"device {device_name()}, jax {jax.__version__}")
    for game in GAMES:
        measure(game, count)
