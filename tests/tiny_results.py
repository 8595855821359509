"""A small comparison by hand: three variants, whose figures are worked out in the tests."""

import json
from pathlib import Path

import numpy as np

from gancli.comparison import Outcome, Results, open_folder, write_results
from gancli.config import Config, to_json

BY = "frechet/distance"
# Both runs of a give 2, those of b 4; one of c gives 6 and one diverged.
VALUES = {("a", 0): 2.0, ("a", 1): 2.0, ("b", 0): 4.0, ("b", 1): 4.0, ("c", 0): 6.0}
FAILURE = "Training diverged: the loss of the critic is not finite at step 7."
PRINT = "ab" * 32
SENTENCE = (
    "a is first by frechet/distance: 2 (95 %: 2 to 2, 2 seeds). It beats b. Seeds are too few "
    "to compare it with c. Diverged: c in 1 of 2 runs."
)


def config(**values):
    """A configuration of a data set of images that is nowhere."""
    data = {"name": "nowhere", "size": 4}
    return Config.model_validate({"data": data, "model": "dcgan", "task": "generation"} | values)


def results(folder, names=("a", "b", "c"), kind="image"):
    """What was found; the variants may be called otherwise."""
    called = dict(zip("abc", names, strict=True))
    outcomes = [
        Outcome(called[variant], seed, folder / variant / f"seed-{seed}", {BY: value}, "")
        for (variant, seed), value in VALUES.items()
    ]
    outcomes.append(Outcome(called["c"], 1, folder / "c" / "seed-1", {}, FAILURE))
    asked = {
        "command": "gan compare --loss a --loss b --loss c --seeds 2",
        "samples": 500,
        "metrics": [],
        "split": "",
        "figure": "",
        "baseline": "",
        "equal": False,
    }
    return Results(
        asked,
        [{"name": "nowhere", "kind": kind, "fingerprint": PRINT}],
        {called["a"]: config(loss="hinge"), called["b"]: config(loss="minimax"),
         called["c"]: config(loss="wasserstein")},
        {"python": "3.11.7", "jax": "0.10.2"},
        outcomes,
    )  # fmt: skip


def write_comparison(folder, names=("a", "b", "c")) -> Path:
    """The results and the runs of all but b, whose directories are not there."""
    open_folder(folder)
    write_results(folder, results(folder, names))
    for variant, loss in (("a", "hinge"), ("c", "wasserstein")):
        for seed in (0, 1):
            write_run(folder / variant / f"seed-{seed}", config(loss=loss), seed)
    return folder


def write_run(path, configuration, seed=0, status="finished") -> Path:
    """A run of 20 steps: two lines of metrics, and four images of 4x4 at steps 0 and 20."""
    (path / "samples").mkdir(parents=True)
    train = configuration.train.model_copy(update={"seed": seed, "steps": 20})
    (path / "config.json").write_text(to_json(configuration.model_copy(update={"train": train})))
    held = {
        "status": status,
        "step": 20,
        "restarts": 1,
        "device": "1 × cpu (cpu)",
        "data": {"name": "nowhere", "kind": "image", "fingerprint": PRINT},
        "versions": {"jax": "0.10.2"},
        "rollbacks": [
            {
                "player": "critic",
                "quantity": "loss",
                "value": "1e9",
                "step": 7,
                "back_to": 5,
                "changes": {"optimizer.generator.learning_rate": 1e-4},
            }
        ],
        "goodput": {"seconds": {"steps": 6.0, "compile": 2.0}, "steps": 20, "steps_repeated": 5},
    }
    (path / "run.json").write_text(json.dumps(held))
    lines = [
        {"step": 10, "generator/loss": 1.0 + seed, "critic/loss": 0.5, "critic/accuracy": 0.5},
        {"step": 20, "generator/loss": 3.0 + seed, "critic/loss": 0.25, "critic/accuracy": 0.5},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (path / "metrics.jsonl").write_text(text)
    for step in (0, 20):
        images = np.full((4, 4, 4, 1), step, np.uint8)
        np.save(path / "samples" / f"{step:08d}.npy", images)
    return path
