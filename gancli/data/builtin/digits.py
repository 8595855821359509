"""The default data set: real handwriting that needs no network."""

from importlib.metadata import distribution
from typing import Annotated

import numpy as np

from gancli.data.dataset import (
    DATASETS,
    DataRequest,
    Dataset,
    DataSpec,
    require_split,
    rows_of_split,
)
from gancli.data.facts import fingerprint
from gancli.data.transform import check_request, fit_pixels
from gancli.registry import Bounds

# 1,797 lines of 64 grey levels and the digit.
_FILE = "sklearn/datasets/data/digits.csv.gz"


@DATASETS.register("digits", reference="UCI, Optical Recognition of Handwritten Digits (1998)")
def digits(request: DataRequest, *, margin: Annotated[int, Bounds(0, 8)] = 0) -> Dataset:
    """Handwritten digits: 1,797 grey images of 8x8 pixels that come with scikit-learn.

    Grey levels 0..16 become round(255 v / 16).

    Args:
        request: the size; the only split is `train`, unless `holdout` makes a `test`.
        margin: pixels of black to add on each side before images are resized; 1 gives about the
            margin of MNIST's images.

    Returns:
        Images (1797, height, width, 1) uint8 with labels 0..9; fewer if some are held out.

    Raises:
        UserError: if another split is requested, or the size is impossible.
    """
    check_request(request)
    require_split("digits", request.split, ["train", "test"] if request.holdout else ["train"])
    # The file itself, because importing scikit-learn takes longer than compiling a step.
    table = np.loadtxt(str(distribution("scikit-learn").locate_file(_FILE)), delimiter=",")
    if request.holdout:
        table = table[rows_of_split(len(table), request)]
    levels = np.rint(table[:, :-1] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    levels = np.pad(levels, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    examples = np.stack([fit_pixels(image, request) for image in levels])
    labels = table[:, -1].astype(np.int32)
    classes = tuple(str(digit) for digit in range(10))
    spec = DataSpec("digits", "image", examples.shape[1:], classes)
    return Dataset(spec, examples, labels, fingerprint(examples, labels))
