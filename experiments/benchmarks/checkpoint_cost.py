"""What a checkpoint costs a training run: the same run with and without, in alternation.

    python experiments/benchmarks/checkpoint_cost.py [--segments 9] [--steps 200] [-- train options]

Two runs of one configuration train in one process, a segment of steps each in turn. One of
them writes one checkpoint a segment, in its middle, so that writing and hashing go on beside
its steps; the other writes none. The difference of their segments, over a minute, is the share
of the time that a checkpoint a minute takes. Median and quartiles over the segments.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from gancli.cli.application import compute
from gancli.cli.training import user_layers
from gancli.runs.directory import Run, device_name
from gancli.runs.versions import versions
from gancli.training.events import Event, Measured
from gancli.training.loop import train
from gancli.training.planning import opened, plan


def segments(events: Iterator[Event], steps: int) -> Iterator[float]:
    """The seconds of each segment; the middle of a segment is at a multiple of its steps."""
    began = None
    for event in events:
        if isinstance(event, Measured) and event.step % steps == steps // 2:
            if began is not None:
                yield time.perf_counter() - began
            began = time.perf_counter()


def quartiles(values: list[float]) -> str:
    """Median and quartiles, in milliseconds."""
    low, middle, high = (1000 * value for value in statistics.quantiles(values, n=4))
    return f"{middle:.0f} ms ({low:.0f} to {high:.0f})"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--segments", type=int, default=9)
    parser.add_argument("--steps", type=int, default=200, help="of a segment, even")
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--model", default="dcgan:width=64")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    chosen = parser.parse_args()
    compute()
    total = chosen.steps * (chosen.segments + 1)
    with tempfile.TemporaryDirectory() as folder:
        streams = {}
        for name, every in (("without", 10 * total), ("with", chosen.steps)):
            settings = [
                *chosen.set, f"checkpoint.every={every}", "checkpoint.minutes=1e6",
                f"logging.every={chosen.steps // 2}", f"sample.every={10 * total}",
            ]  # fmt: skip
            flags = {
                "--dataset": ("data.name", chosen.dataset),
                "--model": ("model", chosen.model),
                "--steps": ("train.steps", total + chosen.steps),
            }
            planned = plan(user_layers(None, flags, settings))
            with opened(Path(folder) / name, planned) as run:
                streams[name] = segments(train(planned, run), chosen.steps)
        took: dict[str, list[float]] = {name: [] for name in streams}
        for _ in range(chosen.segments):
            for name, stream in streams.items():
                took[name].append(next(stream))
        run = Run(Path(folder) / "with")
        newest = run.checkpoints().folder(run.checkpoints().steps()[-1])
        size = sum(path.stat().st_size for path in newest.rglob("*") if path.is_file())
        seconds = run.status["goodput"]["seconds"]["checkpoints"]
        count = run.status["step"] // chosen.steps + 1
    extra = [on - off for on, off in zip(took["with"], took["without"], strict=True)]
    print(f"device {device_name()}, jax {versions()['jax']}, {chosen.dataset}, {chosen.model}")
    print(f"a checkpoint of {size / 2**20:.1f} MiB")
    print(f"{chosen.segments} segments of {chosen.steps} steps, median and quartiles:")
    for name, values in took.items():
        print(f"  a segment {name} a checkpoint: {quartiles(values)}")
    print(f"  a checkpoint more: {quartiles(extra)}")
    print(f"  the loop was held up {seconds / count * 1000:.0f} ms by each")
    print(f"  a checkpoint a minute: {statistics.median(extra) / 60:.2%} of the time")


if __name__ == "__main__":
    main()
