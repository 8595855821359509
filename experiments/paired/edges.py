"""Writes pairs of an image's edges and the image, as folders trainA, trainB, testA and testB.

Run it with `python experiments/paired/edges.py FOLDER edges`, where FOLDER holds the IDX files of
MNIST or Fashion-MNIST. An edge is a pixel that differs from a neighbour by more than 90 levels.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from gancli.data import DataRequest, load


def edges_of(images: np.ndarray) -> np.ndarray:
    """Images (n, height, width, 1) uint8 with 255 where there is an edge, else 0."""
    levels = images.astype(np.int16)
    found = np.zeros(images.shape, bool)
    for axis in (1, 2):
        step = np.abs(np.diff(levels, axis=axis)) > 90
        found |= np.pad(step, [(0, int(own == axis)) for own in range(4)])
    return np.where(found, 255, 0).astype(np.uint8)


def main() -> None:
    """Writes at most --count pairs of each split."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=10_000)
    asked = parser.parse_args()
    for split in ("train", "test"):
        images = load(asked.source, DataRequest(split=split)).examples[: asked.count]
        for end, own in (("A", edges_of(images)), ("B", images)):
            folder = asked.out / f"{split}{end}"
            folder.mkdir(parents=True)
            for number, image in enumerate(own):
                Image.fromarray(image[..., 0]).save(folder / f"{number:05}.png")


if __name__ == "__main__":
    main()
