"""Pieces of photographs, without a network."""

from typing import Annotated

import numpy as np

from gancli.data.dataset import DATASETS, DataRequest, Dataset, DataSpec, Seed, require_split
from gancli.data.facts import fingerprint
from gancli.data.transform import check_request
from gancli.errors import UserError
from gancli.registry import Bounds

_SIDES = (32, 32)
# Share of each photograph's columns in the training region; the rest is the test region.
_TRAINED_ON = 0.75


@DATASETS.register("photographs", reference="scikit-learn, load_sample_images (CC BY)")
def photographs(
    request: DataRequest, *, count: Annotated[int, Bounds(1, 100_000)] = 4000, seed: Seed = 0
) -> Dataset:
    """Pieces of two photographs, a temple and a flower, that come with scikit-learn.

    Pieces are cut at random positions without resizing: from the left three quarters of each
    photograph for training, and from the rest for the split `test`, so that no pixel is in both.

    Args:
        request: the split, and the size of the pieces, 32x32 by default.
        count: number of pieces.
        seed: decides the positions.

    Returns:
        Images (count, height, width, 3) uint8, without labels.

    Raises:
        UserError: if there is no such split, or the size is impossible.
    """
    from sklearn.datasets import load_sample_images

    check_request(request)
    require_split("photographs", request.split, ["train", "test"])
    sides = request.sides or _SIDES
    regions = []
    for image in load_sample_images().images:
        border = int(_TRAINED_ON * image.shape[1])
        regions.append(image[:, :border] if request.split == "train" else image[:, border:])
    height, width = (min(own) for own in zip(*(r.shape[:2] for r in regions), strict=True))
    if sides[0] > height or sides[1] > width:
        raise UserError(
            f"data.size was {request.size} with photographs, whose {request.split} region has "
            f"{height}x{width} pixels",
            f"at most {height}x{width}, squares of at most {min(height, width)}",
        )
    generator = np.random.Generator(np.random.PCG64(seed))
    which = generator.integers(len(regions), size=count)
    examples = np.empty((count, *sides, 3), np.uint8)
    for index, region in enumerate(regions[number] for number in which):
        top, left = (
            generator.integers(own - side + 1)
            for own, side in zip(region.shape[:2], sides, strict=True)
        )
        examples[index] = region[top : top + sides[0], left : left + sides[1]]
    spec = DataSpec("photographs", "image", examples.shape[1:])
    return Dataset(spec, examples, None, fingerprint(examples, None))
