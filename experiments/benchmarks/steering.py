"""What projection finds, and what truncation trades: both of one run.

    gan train --loss wasserstein --set data.holdout=0.2 --out runs/holdout
    python experiments/benchmarks/steering.py runs/holdout

Projects 48 samples of the generator, whose latents are known, 48 training images and 48 held-out
ones, and prints their mean distances before and after, and for samples the relative error of
the latents found. Then prints precision, recall, density and coverage of as many samples as there
are training images, by the threshold of truncation.
"""

import sys
from pathlib import Path

import numpy as np

from gancli.cli.application import compute, err
from gancli.data.configured import load_split, request_of
from gancli.data.dataset import fixed_order
from gancli.display.progress import shown_progress
from gancli.evaluation.generator import Generator, load_generator
from gancli.evaluation.latents import Draw, origins
from gancli.evaluation.neighbours import overlap
from gancli.evaluation.projection import project
from gancli.evaluation.sampling import sample
from gancli.features import FEATURES, Features

PROJECTED, SEED = 48, 1
THRESHOLDS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, None)


def report_projection(generator: Generator, features: Features) -> None:
    drawn = Draw(SEED)
    images = {"samples": np.concatenate(list(sample(generator, drawn, PROJECTED)))}
    for split in ("train", "test"):
        data = load_split(generator.config, split)
        images[split] = data.examples[fixed_order(len(data.examples))[:PROJECTED]]
    for name, targets in images.items():
        for compared in (features, None):
            found = project(generator, targets, compared)
            errors = (found.images.astype(np.float64) - targets) / 255
            print(
                f"{name}, pixels{' and classifier' if compared else ''}: "
                f"distance {found.before.mean():.4f} to {found.after.mean():.4f}, "
                f"root mean squared error of pixels {np.sqrt((errors**2).mean()):.4f}"
            )
            if name == "samples":
                latents = np.asarray(
                    origins(generator.task.sampler, generator.weights, drawn)(
                        np.arange(PROJECTED)
                    ).latents
                )
                apart = np.linalg.norm(found.found.values - latents, axis=1)
                relative = apart / np.linalg.norm(latents, axis=1)
                print(f"  relative error of the latents: median {np.median(relative):.3f}")


def report_truncation(generator: Generator, features: Features) -> None:
    real = features.of(load_split(generator.config, "train").examples)
    for threshold in THRESHOLDS:
        made = features.of(sample(generator, Draw(truncation=threshold), len(real)))
        found = overlap(real, made)
        shares = (found.inside.mean(), found.recalled.mean(), found.densities.mean())
        coverage = found.covered.mean()
        print(f"truncation {threshold}: " + ", ".join(f"{x:.3f}" for x in (*shares, coverage)))


def main() -> None:
    compute()
    generator = load_generator(Path(sys.argv[1]))
    data = load_split(generator.config, "train")
    with shown_progress(err):
        features = FEATURES.build("classifier", data, request_of(generator.config))
        report_projection(generator, features)
        report_truncation(generator, features)


if __name__ == "__main__":
    main()
