"""What our own parts cost: penalties, precision, the training loop, and the start of a command.

    python experiments/benchmarks/own_costs.py [--rounds 7] [--seconds 2] [PART]...

Parts, all by default:

- penalties: a step of `gan train` with each penalty that takes second derivatives, over one
  without, on digits of 32x32.
- precision: a step with `train.precision=bfloat16` over one in float32.
- loop: a run after it has started and compiled, with its lines, pictures, measurements and
  checkpoints, over the same compiled steps alone; and what it called steps, over these.
- start: seconds of commands in processes of their own: `gan --help`, `gan list`, `gan sample`, and
  `gan train` up to its end after one step, with an empty and with a filled cache of compiled
  programs.

Steps take turns; medians with quartiles over the rounds.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from against_torch import in_words, spread
from workers.gan import Worker, versions

from gancli.config import Layer
from gancli.training.loop import train
from gancli.training.planning import opened, plan

BASE = {"data.name": "digits", "data.size": 32, "loss": "non-saturating"}
DCGAN = BASE | {"model": "dcgan:width=64"}
NETWORKS = {
    "an mlp at 8x8": BASE | {"data.size": 8, "model": "mlp"},
    "a DCGAN at 32x32": DCGAN,
    "a DCGAN at 64x64": DCGAN | {"data.size": 64},
}
PENALTIES = ("gradient-penalty", "r1", "r2", "dragan", "wgan-div")


def steps_of(settings: dict[str, Any]) -> Callable[[int], float]:
    """A function that plays so many steps of a configuration and returns their seconds."""
    worker = Worker(settings, (1, 1))
    worker.play(1)
    return worker.play


def in_turns(settings: dict[str, dict[str, Any]], rounds: int, seconds: float) -> None:
    """Prints the time of a step of each configuration, and over that of the first."""
    plays = {name: steps_of(own) for name, own in settings.items()}
    counts = {name: max(1, round(seconds / play(1))) for name, play in plays.items()}
    took = [
        {name: play(counts[name]) / counts[name] for name, play in plays.items()}
        for _ in range(rounds)
    ]
    first = next(iter(plays))
    for name in plays:
        own = [1000 * each[name] for each in took]
        ratios = [each[name] / each[first] for each in took]
        print(f"  {name:18} {in_words(spread(own))} ms, {in_words(spread(ratios))} times")


def penalties(rounds: int, seconds: float) -> None:
    """Prints the time of a step with each penalty over that of one without."""
    print("steps with a penalty, over those without:")
    chosen = {"none": [], **{name: [name] for name in PENALTIES}}
    settings = {name: BASE | {"penalties": specs} for name, specs in chosen.items()}
    in_turns(settings, rounds, seconds)


def precision(rounds: int, seconds: float) -> None:
    """Prints the time of a step with products in bfloat16 over that of one in float32."""
    for network, own in NETWORKS.items():
        print(f"steps of {network}, over those in float32:")
        settings = {name: own | {"train.precision": name} for name in ("float32", "bfloat16")}
        in_turns(settings, rounds, seconds)


def loop(rounds: int, seconds: float) -> None:
    """Prints the time of training over that of its compiled steps alone."""
    play = steps_of({"data.name": "ring8", "model": "mlp", "loss": "hinge"})
    play(100)
    # Whole intervals of what a run does now and then.
    steps = 1000 * max(1, round(seconds / (10 * play(100))))
    settings = {"data.name": "ring8", "model": "mlp", "loss": "hinge", "train.steps": steps}
    ratios: dict[str, list[float]] = {"all": [], "steps": []}
    for _ in range(rounds):
        alone = play(steps)
        with tempfile.TemporaryDirectory() as folder:
            planned = plan([Layer("benchmark", settings)])
            with opened(Path(folder) / "run", planned) as run:
                for _ in train(planned, run):
                    pass
                spent = run.status["goodput"]["seconds"]
        playing = sum(spent.values()) - spent["start"] - spent["compile"]
        ratios["all"].append(playing / alone)
        ratios["steps"].append(spent["steps"] / alone)
    print(f"training on ring8 for {steps} steps, over its compiled steps alone:")
    for name, values in ratios.items():
        print(f"  {name:24} {in_words(spread(values))} times")


def start(rounds: int, seconds: float) -> None:
    """Prints seconds of commands."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"GAN_CACHE": str(Path(folder) / "cache")}

        def command(*words: str) -> float:
            began = time.perf_counter()
            command = [sys.executable, "-m", "gancli", *words]
            subprocess.run(command, env=environment, cwd=folder, check=True, capture_output=True)
            return time.perf_counter() - began

        def training(number: int) -> float:
            return command("train", "--steps", "1", "--out", f"run-{number}")

        cold = training(0)
        commands = {
            "gan train, cache": training,
            "gan sample": lambda number: command(
                "sample", "--ckpt", "run-0", "--out", f"s{number}"
            ),
            "gan list": lambda number: command("list"),
            "gan --help": lambda number: command("--help"),
        }
        took = [
            {name: play(number) for name, play in commands.items()}
            for number in range(1, rounds + 1)
        ]
        print("seconds of commands:")
        print(f"  {'gan train, no cache':24} {cold:.3g} (once)")
        for name in commands:
            print(f"  {name:24} {in_words(spread([each[name] for each in took]))}")


PARTS = {"penalties": penalties, "precision": precision, "loop": loop, "start": start}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each turn")
    parser.add_argument("part", nargs="*", metavar="PART", help=", ".join(PARTS))
    chosen = parser.parse_args()
    if unknown := set(chosen.part) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    print(versions())
    for part in chosen.part or PARTS:
        PARTS[part](chosen.rounds, chosen.seconds)


if __name__ == "__main__":
    main()
