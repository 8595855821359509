"""What `train.microbatch` changes: results, memory and time, against whole batches.

    python experiments/benchmarks/microbatch.py [--steps 100] [--rounds 5] [PART]...

Parts, all by default:

- tasks: a small run of each task with a batch of 16 in parts of 4, against the same run with whole
  batches, both by gradient descent at a rate of 0.001. Prints, for the player that differs most,
  the distance of its weights over what they moved, ‖w' - w‖ / ‖w - w₀‖, after one step and after
  all.
- memory: the working space of an update with a batch of 64 whole, and in parts of 16 and 8, as XLA
  reports it.
- time: the time of a step in such parts, over that with whole batches, in turns, median and
  quartiles.
"""

import argparse
from typing import Any

import jax
import optax
from against_torch import in_words, spread
from workers.gan import Worker, versions

from gancli.tasks import TASKS
from gancli.training.memory import estimate_memory, size_in_words

OF_POINTS = {"data.name": "ring8", "model": "mlp:width=32", "loss": "non-saturating"}
OF_DIGITS = {"data.name": "digits", "model": "dcgan:width=8,generator_norm=layer"}
OF_IMAGES = {"data.name": "digits", "model": "unet:width=4,depth=1,discriminator_width=4"}
OF_TOKENS = {
    "data.name": "oracle:length=8,vocabulary=20,count=1000",
    "model": "sequence:hidden=8,embedding=8,width=8",
    "loss": "non-saturating",
}
TASKS_ON = {
    "generation": OF_POINTS | {"task": "generation:path_length=2", "penalties": ["r1:every=2"]},
    "conditional": OF_DIGITS | {"loss": "relativistic-average"},
    "infogan": OF_DIGITS | {"loss": "non-saturating", "inputs.augment": ["flip", "translation"]},
    "super-resolution": OF_IMAGES | {"task": "super-resolution:factor=2,pixel=1", "loss": "hinge"},
    "colorization": OF_IMAGES
    | {
        "data.name": "photographs:count=200",
        "data.size": 8,
        "task": "colorization:pixel=1",
        "loss": "hinge",
    },
    "cyclegan": {
        "data.name": "digits",
        "data.target": "digits",
        "model": "cyclegan:width=4,blocks=1,discriminator_width=4",
    },
    "vae": OF_DIGITS,
    "vae-gan": OF_DIGITS | {"loss": "non-saturating"},
    "gumbel": OF_TOKENS,
    "policy-gradient": OF_TOKENS | {"task": "policy-gradient:rollouts=2"},
    "maximum-likelihood": OF_TOKENS | {"loss": ""},
}
NETWORKS = {
    "R3GAN, 32x32": {
        "data.name": "digits",
        "data.size": 32,
        "model": "r3gan",
        "loss": "relativistic",
    },
    "DCGAN, 64x64, width 64": {
        "data.name": "digits",
        "data.size": 64,
        "model": "dcgan:width=64,generator_norm=layer",
        "loss": "non-saturating",
    },
}
# Adam divides by gradients: where they are next to nothing it makes rounding visible.
PLAIN = {
    f"optimizer.{player}.{name}": value
    for player in ("generator", "discriminator")
    for name, value in {"name": "sgd", "learning_rate": 1e-3}.items()
}
OF_TASKS, OF_NETWORKS = (0, 4), (0, 16, 8)


def weights_after(settings: dict[str, Any], steps: int) -> list[dict[str, Any]]:
    """The weights of all players at the start, after one step, and after so many."""
    worker = Worker(settings, (1, 1, 1))

    def weights() -> dict[str, Any]:
        return jax.device_get({name: own.params for name, own in worker.state.players.items()})

    found = [weights()]
    for count in (1, steps - 1):
        worker.play(count)
        found.append(weights())
    return found


def tasks(steps: int, rounds: int) -> None:
    """Prints how far runs in parts are from runs with whole batches."""
    print(f"| task | after 1 step | after {steps} steps |\n| --- | --- | --- |")
    for name in TASKS.names():
        settings = {"task": name, **TASKS_ON[name], **PLAIN, "train.batch": 16, "sample.count": 16}
        whole, parts = (
            weights_after(settings | {"train.microbatch": size}, steps) for size in OF_TASKS
        )
        cells = []
        for at in (1, 2):
            shares = [
                float(optax.tree.norm(optax.tree.sub(parts[at][player], own)))
                / float(optax.tree.norm(optax.tree.sub(own, whole[0][player])))
                for player, own in whole[at].items()
            ]
            cells.append(f"{max(shares):.1e}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def sized(settings: dict[str, Any], size: int) -> dict[str, Any]:
    """The settings with batches of 64 in parts of this size."""
    return settings | {"train.batch": 64, "train.microbatch": size}


def memory(steps: int, rounds: int) -> None:
    """Prints the working space of an update."""
    print("| networks | part | working space |\n| --- | --- | --- |")
    for name, settings in NETWORKS.items():
        for size in OF_NETWORKS:
            worker = Worker(sized(settings, size), (1, 1))
            space = size_in_words(estimate_memory(worker.program).working)
            print(f"| {name} | {size or 'whole'} | {space} |", flush=True)


def seconds(steps: int, rounds: int) -> None:
    """Prints the time of a step."""
    print("| networks | part | step, ms | over whole |\n| --- | --- | --- | --- |")
    for name, settings in NETWORKS.items():
        workers = {size: Worker(sized(settings, size), (1, 1)) for size in OF_NETWORKS}
        for worker in workers.values():
            worker.play(1)
        took = [{size: one.play(2) / 2 for size, one in workers.items()} for _ in range(rounds)]
        for size in workers:
            own = in_words(spread([1000 * each[size] for each in took]))
            ratios = in_words(spread([each[size] / each[0] for each in took]))
            print(f"| {name} | {size or 'whole'} | {own} | {ratios} |", flush=True)


PARTS = {"tasks": tasks, "memory": memory, "time": seconds}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("parts", nargs="*", metavar="PART", help="all by default")
    options = parser.parse_args()
    print(versions())
    for name in options.parts or PARTS:
        PARTS[name](options.steps, options.rounds)


if __name__ == "__main__":
    main()
