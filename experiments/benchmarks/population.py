"""What a population gains: runs of other seeds as one program against one after another.

    python experiments/benchmarks/population.py [MEMBERS]

In one process, in alternation: a call of the program of all, then as many steps of each run by
itself. Compilation is left out, and shown. Prints run-steps a second of both and their ratio,
median and quartiles.
"""

import sys
import time

import jax
import numpy as np

from gancli.config import Layer
from gancli.runs.directory import device_name
from gancli.system.interruption import StopRequest
from gancli.training.backends.devices import Devices
from gancli.training.backends.together import Seat, Together
from gancli.training.execution import Chunk
from gancli.training.planning import Plan, plan

GAMES = {
    "ring8, mlp": {"data.name": "ring8", "loss": "hinge"},
    "digits, dcgan": {"data.name": "digits", "loss": "hinge"},
}
STEPS = {"ring8, mlp": 100, "digits, dcgan": 10}
ROUNDS = 9


def begin(backend: Devices, one: Plan) -> Chunk:
    """Where a run stands whose program is compiled, or waits for that."""
    state = one.program.initial_state(one.config.train.seed)
    _, here = backend.prepare(one.config, one.program, state)
    backend.compile(here, StopRequest())
    return here


def measure(name: str, members: int) -> None:
    plans = [
        plan([Layer("benchmark", GAMES[name] | {"train.seed": seed})]) for seed in range(members)
    ]
    steps = STEPS[name]

    began = time.monotonic()
    seats = {place: Seat(one.config) for place, one in enumerate(plans)}
    here = {place: begin(seats[place], one) for place, one in enumerate(plans)}
    together = Together([one.config for one in plans], seats, plans[0].dataset)
    together.compile()
    for seat in seats.values():
        seat.compiling.set_result(True)
    of_all = time.monotonic() - began

    singles, of_one = [], 0.0
    for one in plans:
        began = time.monotonic()
        single = Devices()
        singles.append([single, begin(single, one)])
        of_one += time.monotonic() - began

    seconds = {"together": [], "alone": []}
    for _ in range(ROUNDS + 1):  # The first is not counted.
        began = time.monotonic()
        futures = {place: seats[place].advance(one, steps, list) for place, one in here.items()}
        together.play(list(here), steps)
        here = {place: future.result() for place, future in futures.items()}
        jax.block_until_ready(here[0].table)
        seconds["together"].append(time.monotonic() - began)
        began = time.monotonic()
        for single in singles:
            single[1] = single[0].advance(single[1], steps, list).result()
            jax.block_until_ready(single[1].table)
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
