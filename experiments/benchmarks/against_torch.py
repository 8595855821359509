"""Our training step against plain PyTorch, as its users would write it well.

    python experiments/benchmarks/against_torch.py [--case NAME]... [--rounds 7] [--seconds 5]

`make bench` runs it in an environment with PyTorch. Each case is the step as `gan train` plays it
and a peer of the same architecture, batch and precision (float32), which logs no metrics. Their
numbers of parameters must be equal, and on the same weights, examples and random numbers the losses
of both players and the norms of their gradients to a relative 1e-4. Ours, the peer in eager mode
and the peer with torch.compile take turns, each in a process of its own, of which only one computes
at a time; the faster of the peers counts. Times are medians with quartiles, without compilation.

GFLOP are the operations in products and convolutions that each side writes down; they differ where
one of them has a cheaper formulation. The share of the peak is that of the speed of a product of
large matrices by the same library. Memory is the largest resident memory of each process.

`--smoke` plays a few small cases for a moment, and fails where a ratio is far above what it was.
"""

import argparse
import math
import multiprocessing
import os
import statistics
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, NamedTuple


class Case(NamedTuple):
    """A case: its title and its configuration.

    `intervals` are those, in steps, of what discriminator and generator do not do at every step.
    With `samples`, so many are drawn from the generator instead.
    """

    title: str
    settings: dict[str, Any]
    intervals: tuple[int, int] = (1, 1)
    samples: int = 0

    @property
    def period(self) -> int:
        """The number of steps after which the work repeats."""
        return math.lcm(*self.intervals)


_WIDE = {"model": "dcgan:width=64", "loss": "non-saturating"}
CASES = {
    "dcgan32": Case("DCGAN 32×32 grey, width 64, batch 64", {"data.size": 32, **_WIDE}),
    "dcgan64": Case(
        "DCGAN 64×64 colour, width 64, batch 64",
        {"data.name": "photographs", "data.size": 64, **_WIDE},
    ),
    "ring8": Case(
        "ring of eight Gaussians, maxout, batch 100",
        {
            "data.name": "ring8",
            "task": "generation:latent=2",
            "model": "maxout-mlp",
            "loss": "non-saturating",
            "train.batch": 100,
        },
    ),
    "digits-wgan-gp": Case("WGAN-GP 8×8 grey, DCGAN width 32, batch 64", {"loss": "wasserstein"}),
    "resnet32-wgan-gp": Case(
        "WGAN-GP 32×32 colour, ResNet width 64, batch 64",
        {"data.name": "photographs", "model": "resnet:width=64", "loss": "wasserstein"},
    ),
    "r3gan32": Case(
        "R3GAN 32×32 colour, width 16, R1 and R2, batch 64",
        {
            "data.name": "photographs",
            "model": "r3gan:width=16",
            "loss": "relativistic",
            "penalties": ["r1:weight=1", "r2:weight=1"],
            "optimizer.learning_rate": 2e-4,
            "optimizer.beta1": 0.0,
            "optimizer.beta2": 0.99,
            "average.half_life": 0.0,
        },
    ),
    "cyclegan32": Case(
        "CycleGAN 32×32 colour, width 32, three blocks, batch 16",
        {
            "data.name": "photographs",
            "data.target": "photographs:seed=1",
            "task": "cyclegan",
            "train.batch": 16,
        },
    ),
    "gumbel": Case(
        "LSTM with Gumbel-softmax, 20 of 500 tokens, batch 64",
        {
            "data.name": "oracle:length=20,vocabulary=500,count=10000",
            "task": "gumbel",
            "model": "sequence",
            "loss": "non-saturating",
        },
    ),
    "stylegan2-32": Case(
        "StyleGAN2 32×32 colour, width 32, lazy R1 and path lengths, batch 32",
        {
            "data.name": "photographs",
            "task": "generation:path_length=2,path_every=4",
            "model": "stylegan2:width=32",
            "loss": "non-saturating",
            "penalties": ["r1:weight=1,every=16"],
            "train.batch": 32,
        },
        intervals=(16, 4),
    ),
    "sampling": Case(
        "10,000 samples of DCGAN 32×32 grey, width 64", {"data.size": 32, **_WIDE}, samples=10_000
    ),
}
# Cases of `--smoke`, and the largest ratio of our time to the peer's that it accepts: twice that of
# experiments/results.md.
SMOKE = {"ring8": 1.5, "digits-wgan-gp": 1.0, "dcgan32": 2.4}
# The largest relative difference of losses, and of the norms of their gradients.
_TOLERANCE = 1e-4
# Side of the matrices whose product is the measure of the machine's peak.
_SIDE = 2048


class Spread(NamedTuple):
    """A median with its quartiles."""

    low: float
    median: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles of at least two values."""
    return Spread(*statistics.quantiles(values, n=4, method="inclusive"))


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Median and quartiles of our time over theirs, round by round."""
    return spread([own / other for own, other in zip(ours, theirs, strict=True)])


class Worker:
    """An object in a process of its own, which computes only while it is asked something."""

    def __init__(self, library: str, kind: str, *arguments: Any):
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, library, kind, arguments), daemon=True
        )
        self._process.start()
        theirs.close()
        self._answer()

    def __call__(self, question: str, *arguments: Any) -> Any:
        """The result of one of its methods."""
        self._pipe.send((question, arguments))
        return self._answer()

    def _answer(self) -> Any:
        try:
            succeeded, answer = self._pipe.recv()
        except EOFError:
            raise RuntimeError("a worker died") from None
        if not succeeded:
            raise RuntimeError(f"a worker failed:\n{answer}")
        return answer

    def close(self) -> None:
        """Ends the process."""
        self._pipe.close()
        self._process.join(10)
        self._process.kill()
        self._process.join()


def _serve(pipe: Connection, library: str, kind: str, arguments: Sequence[Any]) -> None:
    """Answers questions until the other end of the pipe is closed."""
    try:
        if library == "jax":
            os.environ["JAX_PLATFORMS"] = "cpu"
            from workers import gan as module
        else:
            from workers import pytorch as module
        asked = getattr(module, kind)(*arguments)
        pipe.send((True, None))
        while True:
            question, given = pipe.recv()
            answers = {"memory": _peak_memory, "versions": module.versions}
            answer = answers.get(question) or getattr(asked, question)
            pipe.send((True, answer(*given)))
    except EOFError:
        return
    except Exception:
        pipe.send((False, traceback.format_exc()))


def _peak_memory() -> float:
    """The largest resident memory of this process so far, in MiB."""
    with open("/proc/self/status") as status:
        (line,) = (line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


@contextmanager
def closing(workers: dict[str, Worker]) -> Iterator[dict[str, Worker]]:
    """Ends all workers that have been added by then."""
    try:
        yield workers
    finally:
        for worker in workers.values():
            worker.close()


def take_turns(
    workers: dict[str, Worker], rounds: int, seconds: float, period: int = 1, samples: int = 0
) -> dict[str, list[float]]:
    """Seconds a step of each worker in each round.

    Args:
        workers: the workers.
        rounds: number of rounds.
        seconds: about how long each turn takes.
        period: turns are multiples of so many steps.
        samples: number of samples to draw instead; then the seconds are those of all.
    """
    if samples:
        for worker in workers.values():
            worker("sample", samples)
        drawn = [{n: w("sample", samples) for n, w in workers.items()} for _ in range(rounds)]
        return {name: [one[name] for one in drawn] for name in workers}
    steps = {}
    for name, worker in workers.items():
        worker("play", period)
        one = worker("play", period)
        steps[name] = period * max(1, round(seconds / one))
    took: dict[str, list[float]] = {name: [] for name in workers}
    for _ in range(rounds):
        for name, worker in workers.items():
            took[name].append(worker("play", steps[name]) / steps[name])
    return took


def difference(ours: dict[str, Any], theirs: dict[str, Any]) -> float:
    """The largest relative difference of losses and norms of gradients."""
    pairs = [pair for player in ours for pair in zip(ours[player], theirs[player], strict=True)]
    return max(abs(one - other) / max(abs(one), abs(other), 1e-3) for one, other in pairs)


class Measured(NamedTuple):
    """What was measured of a case: by worker, and the largest relative difference."""

    seconds: dict[str, list[float]]
    memory: dict[str, float]
    gigaflop: dict[str, float]
    difference: float

    @property
    def peer(self) -> str:
        """The faster of the peers."""
        peers = {name: took for name, took in self.seconds.items() if name != "ours"}
        return min(peers, key=lambda name: statistics.median(peers[name]))


def measure(name: str, case: Case, rounds: int, seconds: float, compiles: bool) -> Measured:
    """Measures a case."""
    with closing({}) as workers:
        workers["ours"] = ours = Worker("jax", "Worker", case.settings, case.intervals)
        described, given = ours("described"), ours("given")
        peer = (name, described["config"], described["examples"])
        workers["eager"] = eager = Worker("torch", "Worker", *peer, False)
        if compiles:
            workers["compiled"] = Worker("torch", "Worker", *peer, True)
        peers = {name: worker for name, worker in workers.items() if name != "ours"}
        found = {}
        for kind, worker in peers.items():
            # Where another number of parameters does not show in their shapes, it does here.
            if worker("load", given["weights"]) != sizes(given["weights"]):
                raise ValueError(f"the peer of {name} has another number of parameters")
            found[kind] = worker("evaluate", given["batch"], given["drawn"])
        took = take_turns(workers, rounds, seconds, case.period, case.samples)
        memory = {name: worker("memory") for name, worker in workers.items()}
        gigaflop = {}
        if not case.samples:
            gigaflop = {"ours": ours("gigaflop"), "theirs": eager("gigaflop", case.period)}
        expected = ours("evaluate")
    return Measured(
        took, memory, gigaflop, max(difference(expected, one) for one in found.values())
    )


def sizes(weights: dict[str, Any]) -> dict[str, int]:
    """The number of values of each player's weights."""

    def size(tree: Any) -> int:
        return sum(map(size, tree.values())) if isinstance(tree, dict) else tree.size

    return {player: size(own) for player, own in weights.items()}


def peak(rounds: int) -> tuple[str, dict[str, float]]:
    """Versions of both, and 10⁹ operations a second of a product of large matrices."""
    with closing({}) as workers:
        workers["ours"] = Worker("jax", "Product", _SIDE)
        workers["theirs"] = Worker("torch", "Product", _SIDE)
        took = take_turns(workers, rounds, 0.5)
        stated = ", ".join(worker("versions") for worker in workers.values())
    operations = 2 * _SIDE**3 / 1e9
    return stated, {name: operations / statistics.median(each) for name, each in took.items()}


HEADINGS = (
    "case",
    "ours, ms",
    "PyTorch, ms",
    "by",
    "ratio",
    "GFLOP ours, theirs",
    "share of peak",
    "MiB ours, theirs",
    "difference",
)


def row(case: Case, found: Measured, peaks: dict[str, float]) -> list[str]:
    """A case's cells, in the order of the headings."""
    ours, theirs = found.seconds["ours"], found.seconds[found.peer]
    own, other = spread(ours), spread(theirs)
    counted = shares = ""
    if found.gigaflop:
        both = [
            (found.gigaflop[side], found.gigaflop[side] / each.median / peaks[side])
            for side, each in (("ours", own), ("theirs", other))
        ]
        counted = ", ".join(f"{gigaflop:.3g}" for gigaflop, _ in both)
        shares = ", ".join(f"{share:.0%}" for _, share in both)
    return [
        case.title,
        in_words(own, 1000),
        in_words(other, 1000),
        found.peer,
        in_words(ratio(ours, theirs)),
        counted,
        shares,
        f"{found.memory['ours']:.0f}, {found.memory[found.peer]:.0f}",
        f"{found.difference:.1e}",
    ]


def in_words(values: Spread, scale: float = 1.0) -> str:
    """A median with its quartiles in parentheses."""
    low, median, high = (f"{scale * value:.3g}" for value in values)
    return f"{median} ({low} to {high})"


def line(cells: Sequence[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Measures and prints; 1 if a result is wrong or a step has become much slower."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--case", action="append", choices=CASES, help="repeatable; default all")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each turn")
    parser.add_argument("--eager", action="store_true", help="without torch.compile")
    parser.add_argument(
        "--smoke", action="store_true", help=f"{', '.join(SMOKE)}: about two minutes in all"
    )
    chosen = parser.parse_args()
    if chosen.smoke:
        chosen.case, chosen.rounds, chosen.seconds, chosen.eager = list(SMOKE), 3, 1.0, True
    if chosen.rounds < 2:
        parser.error("quartiles need at least 2 rounds")
    stated, peaks = peak(max(chosen.rounds, 5))
    print(
        f"{stated}, {len(os.sched_getaffinity(0))} cores; a product of {_SIDE}×{_SIDE} matrices: "
        f"{peaks['ours']:.0f} GFLOP/s by JAX, {peaks['theirs']:.0f} by PyTorch\n"
    )
    print(line(HEADINGS), line(["---"] * len(HEADINGS)), sep="\n", flush=True)
    failures = []
    for name in chosen.case or CASES:
        case = CASES[name]
        found = measure(name, case, chosen.rounds, chosen.seconds, not chosen.eager)
        print(line(row(case, found, peaks)), flush=True)
        if found.difference > _TOLERANCE:
            failures.append(f"{name}: losses or gradients differ by {found.difference:.1e}")
        slower = ratio(found.seconds["ours"], found.seconds[found.peer]).median
        if chosen.smoke and slower > SMOKE[name]:
            failures.append(f"{name}: {slower:.2f} times the peer's time, limit {SMOKE[name]}")
    for failure in failures:
        print(failure, file=sys.stderr)
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
