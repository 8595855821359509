"""What each measurement of a run's states costs, beside the steps between two of them.

    python experiments/benchmarks/monitor_cost.py [--rounds 7] [--dataset digits] [--set KEY=VALUE]

Samples are drawn once for all measurements. The time of a part is that of drawing them and making
that part alone, less that of drawing them. Parts, the whole and the steps up to the next
measurement take turns. Medians and quartiles over the rounds. Compilation is timed once, without
the cache of earlier programs.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import jax
import numpy as np

from gancli.adversarial.dynamics import TrainState
from gancli.cli.application import compute
from gancli.cli.training import user_layers
from gancli.runs.directory import device_name
from gancli.runs.versions import versions
from gancli.training.execution import build_execution
from gancli.training.monitors.fluctuations import fluctuations
from gancli.training.monitors.probe import build_probe
from gancli.training.planning import plan

DRAWN = "samples and diversity"
PARTS = {
    DRAWN: ("diversity",),
    "spacing, support, distance": ("spacing", "support", "distance"),
    "samples of averaged weights": ("restlessness",),
    "known modes": ("modes/found", "modes/near"),
    "held-out logits": ("overfitting", "auc/train", "auc/held_out"),
    "slope at interpolates": ("slope",),
    "nearest training examples": ("copying", "nearness"),
    "weights": ("largest_singular_value", "drift"),
    "projections of weights": ("projection",),
}


def timed(function: Callable[[], object]) -> float:
    """Seconds of a call and its results."""
    began = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - began


def quartiles(values: list[float]) -> str:
    """Median and quartiles, in milliseconds."""
    low, middle, high = (1000 * value for value in statistics.quantiles(values, n=4))
    return f"{middle:10.2f} ms ({low:.2f} to {high:.2f})"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    chosen = parser.parse_args()
    compute()
    jax.config.update("jax_enable_compilation_cache", False)
    planned = plan(user_layers(None, {"--dataset": ("data.name", chosen.dataset)}, chosen.set))
    config, program = planned.config, planned.program
    probe = build_probe(program.task, config, planned.dataset, planned.held_out)
    state = program.initial_state(0)
    given = probe.inputs()
    began = time.perf_counter()
    jax.jit(probe.measure).lower(state, given).compile()
    compiling = time.perf_counter() - began

    def measure(state: TrainState) -> dict[str, jax.Array]:
        figures, projections = probe.measure(state, given)
        return figures | {f"{name}/projection": one for name, one in projections.items()}

    names = jax.eval_shape(measure, state)

    def part(endings: tuple[str, ...]) -> Callable[[], object] | None:
        kept = [name for name in names if name.endswith((*endings, *PARTS[DRAWN]))]
        if len(kept) == 1 and endings != PARTS[DRAWN]:
            return None
        chosen = jax.jit(lambda state: {name: measure(state)[name] for name in kept})
        return lambda: chosen(state)

    calls = {name: made for name, endings in PARTS.items() if (made := part(endings))}
    every, line = config.monitors.every, config.logging.every
    execution = build_execution(program.moves, program.source, 0, state, every)
    rows = np.random.default_rng(0).normal(size=(line, len(execution.names))).astype(np.float32)

    def fluctuate() -> object:
        return fluctuations(execution.names, rows)

    calls[f"fluctuations of {line} steps"] = fluctuate
    calls["all measurements"] = lambda: (probe(state), fluctuate())
    play, position = execution.compile(), jax.tree.map(jax.numpy.copy, state)

    def steps() -> object:
        nonlocal position
        left = every
        while left:
            chunk = play(position, execution.draw(left))
            position, left = chunk.state, left - chunk.steps
        return position

    calls[f"{every} steps"] = steps
    took: dict[str, list[float]] = {name: [] for name in calls}
    for counted in range(chosen.rounds + 1):
        for name, call in calls.items():
            seconds = timed(call)
            if counted:  # The first round compiles.
                took[name].append(seconds)
    drawn = statistics.median(took[DRAWN])
    print(f"device {device_name()}, jax {versions()['jax']}, {chosen.dataset}, {config.model}")
    for name, seconds in took.items():
        own = [one - drawn for one in seconds] if name in PARTS and name != DRAWN else seconds
        print(f"  {name:28} {quartiles(own)}")
    whole, between = (statistics.median(took[name]) for name in list(calls)[-2:])
    print(f"  measurements take {whole / (whole + between):.2%} of the time of training")
    print(f"  compiling them takes {compiling:.1f} s")


if __name__ == "__main__":
    main()
