"""How a step grows with the number of devices: measured on two cores, and reckoned for many.

    python experiments/benchmarks/scaling.py measure [--rounds 9] [--batch 32] [--width 32]
    python experiments/benchmarks/scaling.py paper

`measure` gives each device its own core and the same number of examples (weak scaling), and lets
them take turns: one device; two devices of one process; two processes, which talk by Gloo. Medians
and quartiles over the rounds. Beside them is the share of a step that one device did not need.

`paper` counts the operations of a step, in products and convolutions, and the bytes of the
gradients that all devices add up, and divides both by the rates below. It computes nothing and
needs no accelerator. An addition of S bytes over n devices in a ring moves 2 S (n - 1) / n bytes
of each (arXiv:1802.05799); communication and computation are taken one after the other.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

# Assumed of one accelerator, an NVIDIA H100 SXM: a third of the 989 TFLOP/s in bfloat16 of its data
# sheet; 450 GB/s in each direction by NVLink between the 8 of a node, and 400 Gbit/s by InfiniBand
# for each of them between nodes. A call of NCCL takes about so long however little it moves.
OPERATIONS_A_SECOND = 989e12 / 3
BYTES_WITHIN, BYTES_BETWEEN, DEVICES_A_NODE = 450e9, 50e9, 8
SECONDS_A_CALL = 30e-6
DEVICES = (8, 64, 512)

R1_R2 = ["r1:weight=1", "r2:weight=1"]
# The title, the settings, and the intervals of what the players do not do at every step.
PAPER = {
    "DCGAN-64": (
        {"data.size": 64, "model": "dcgan:width=64", "loss": "non-saturating", "train.batch": 64},
        (1, 1),
    ),
    "R3GAN-64": (
        {"data.size": 64, "model": "r3gan:width=96,blocks=2", "loss": "relativistic",
         "penalties": R1_R2, "train.batch": 32},
        (1, 1),
    ),
    "StyleGAN2-256": (
        {"data.size": 256, "model": "stylegan2:width=64,style=512,mapping=8",
         "task": "generation:latent=512,path_length=2,path_every=4", "loss": "non-saturating",
         "penalties": ["r1:weight=1,every=16"], "train.batch": 4},
        (16, 4),
    ),
}  # fmt: skip


def communication(size: float, devices: int, calls: int) -> float:
    """Seconds in which devices add up so many bytes in so many calls."""
    rate = BYTES_WITHIN if devices <= DEVICES_A_NODE else BYTES_BETWEEN
    return 2 * size * (devices - 1) / devices / rate + calls * SECONDS_A_CALL


def operations_of(program: Any, intervals: tuple[int, int]) -> float:
    """Floating-point operations of a step in products and convolutions, without computing it."""
    import jax
    import numpy as np
    from jax.interpreters.partial_eval import dce_jaxpr
    from workers.gan import operations

    from gancli.training.execution import step_of

    state, source = jax.eval_shape(lambda: program.initial_state(0)), program.source
    total = 0.0
    for move, every in zip(program.moves, intervals, strict=True):
        argument = jax.tree.map(lambda leaf: leaf[np.newaxis], next(source.arguments(0)))
        step = step_of((move._replace(repeat=1),), source.materialize)
        traced = jax.make_jaxpr(step)(state, source.resident, [argument], jax.random.key(0)).jaxpr
        # What no result needs is not computed either.
        needed, _ = dce_jaxpr(traced, [True] * len(traced.outvars))
        total += move.repeat * operations(needed, every)
    return total


def reckon() -> None:
    """Prints the table of `paper`."""
    import numpy as np

    from gancli.config import Layer
    from gancli.training.memory import parameter_counts
    from gancli.training.planning import plan

    heads = [f"{devices} devices" for devices in DEVICES]
    names = ["network", "batch a device", "GFLOP a step", "parameters", "step", *heads, "even at"]
    print(line(names))
    print(line(["---"] * len(names)))
    for title, (settings, intervals) in PAPER.items():
        with tempfile.TemporaryDirectory() as folder:
            path, side = f"{folder}/colour.npz", settings["data.size"]
            np.savez(path, images=np.zeros((64, side, side, 3), np.uint8))
            program = plan([Layer("benchmark", {"data.name": path} | settings)]).program
            flop = operations_of(program, intervals)
        counts = parameter_counts(program)
        updates = dict(zip(program.task.game.players, program.moves, strict=True))
        size = 4 * sum(updates[player].repeat * counts[player] for player in counts)
        calls = sum(move.repeat for move in program.moves)
        examples = settings["train.batch"]
        computing = flop / OPERATIONS_A_SECOND
        shares = [
            computing / (computing + communication(size, devices, calls)) for devices in DEVICES
        ]
        even = examples * communication(size, DEVICES[-1], calls) / computing
        print(
            line(
                [
                    title, str(examples), f"{flop / 1e9:,.0f}",
                    f"{sum(counts.values()) / 1e6:.1f} M",
                    f"{1000 * computing:.2f} ms", *(f"{share:.0%}" for share in shares),
                    f"{even:.2g} examples",
                ]
            )
        )  # fmt: skip


def work(settings: dict[str, Any]) -> None:
    """Plays as many steps as are asked for on standard input, and prints how long they took."""
    cores = settings.pop("cores")
    os.sched_setaffinity(0, cores)
    import jax

    from gancli.cli.application import compute
    from gancli.config import Layer
    from gancli.training.backends import Devices
    from gancli.training.planning import plan

    compute(together=True)
    made = plan([Layer("benchmark", settings)])
    from gancli.system.interruption import StopRequest

    backend = Devices()
    _, here = backend.prepare(made.config, made.program, made.program.initial_state(0))
    backend.compile(here, StopRequest()).result()
    print("ready", jax.device_count(), flush=True)
    for asked in sys.stdin:
        steps, began = int(asked), time.perf_counter()
        here = backend.advance(here, steps, lambda: None).result()
        jax.block_until_ready(here.table)
        print((time.perf_counter() - began) / steps, flush=True)


class Case:
    """Processes that compute the same steps."""

    def __init__(self, settings: dict[str, Any], cores: list[list[int]], devices: int):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            address = f"localhost:{free.getsockname()[1]}"
        flags = f"--xla_force_host_platform_device_count={devices}"
        job: dict[str, str] = {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
        if len(cores) > 1:
            job |= {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": str(len(cores))}
        self.processes = [
            subprocess.Popen(
                [sys.executable, __file__, "work", json.dumps(settings | {"cores": own})],
                env=os.environ | job | {"JAX_PROCESS_ID": str(number)},
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for number, own in enumerate(cores)
        ]  # fmt: skip
        for process in self.processes:
            assert process.stdout is not None
            while not process.stdout.readline().startswith("ready"):
                assert process.poll() is None

    def play(self, steps: int) -> float:
        """Seconds a step."""
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write(f"{steps}\n")
            process.stdin.flush()
        return max(float(process.stdout.readline()) for process in self.processes)  # pyright: ignore

    def end(self) -> None:
        """Ends the processes."""
        for process in self.processes:
            process.kill()


def measure(rounds: int, batch: int, width: int) -> None:
    """Prints the table of `measure`."""
    one = {"data.size": 16, "model": f"dcgan:width={width}", "loss": "non-saturating"}
    two = one | {"train.batch": 2 * batch}
    cases = {
        "1 device": Case(one | {"train.batch": batch}, [[0]], 1),
        "2 devices, 1 process": Case(two, [[0, 1]], 2),
        "2 devices that divide the state": Case(two | {"train.shard_state": True}, [[0, 1]], 2),
        "2 processes": Case(two, [[0], [1]], 1),
        "2 processes that divide the state": Case(
            two | {"train.shard_state": True}, [[0], [1]], 1
        ),
    }  # fmt: skip
    took: dict[str, list[float]] = {name: [] for name in cases}
    try:
        for case in cases.values():
            case.play(2)
        for _ in range(rounds):
            for name, case in cases.items():
                took[name].append(1000 * case.play(8))
    finally:
        for case in cases.values():
            case.end()
    alone = statistics.median(took["1 device"])
    print(line(["", "ms a step", "quartiles", "examples a second", "outside the computation"]))
    print(line(["---"] * 5))
    for name, values in took.items():
        low, middle, high = statistics.quantiles(values, n=4)
        examples = batch if name == "1 device" else 2 * batch
        outside = "" if name == "1 device" else f"{1 - alone / middle:.0%}"
        print(
            line(
                [name, f"{middle:.0f}", f"{low:.0f} to {high:.0f}",
                 f"{1000 * examples / middle:,.0f}", outside]
            )
        )  # fmt: skip


def line(cells: list[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measures, or reckons."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("measure", "paper", "work"))
    parser.add_argument("settings", nargs="?", default="{}", help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--width", type=int, default=32)
    chosen = parser.parse_args()
    if chosen.what == "work":
        work(json.loads(chosen.settings))
    elif chosen.what == "paper":
        reckon()
    else:
        measure(chosen.rounds, chosen.batch, chosen.width)


if __name__ == "__main__":
    main()
