"""Images as sequences of black and white pixels, for token generators."""

from typing import Annotated

import numpy as np

from gancli.data.dataset import DATASETS, DataRequest, Dataset, DataSpec
from gancli.data.facts import fingerprint
from gancli.errors import UserError
from gancli.registry import Bounds

MOST_PIXELS = 4096


@DATASETS.register("pixels", reference="pixels in the order of arXiv:1601.06759")
def pixels(
    request: DataRequest,
    *,
    of: str = "digits",
    threshold: Annotated[int, Bounds(1, 255)] = 128,
) -> Dataset:
    """The pixels of grey images, black (0) or white (1), row by row as a sequence of tokens.

    Args:
        request: the size, fit and split of the images.
        of: name or path of the data set of the images.
        threshold: the lowest grey level, from 0 to 255, that becomes white.

    Returns:
        Tokens (count, height · width) uint8, without labels.

    Raises:
        UserError: if they are not grey images, or have more than 4,096 pixels.
    """
    from gancli.data.catalogue import load  # Here, because it imports this module.

    images = load(of, request)
    shape = images.spec.shape
    if images.spec.kind != "image" or shape[-1] != 1 or shape[0] * shape[1] > MOST_PIXELS:
        raise UserError(
            f"pixels of {of!r}, {images.spec.kind} of shape {shape}",
            f"grey images of at most {MOST_PIXELS:,} pixels",
            "Set a smaller data.size",
        )
    white = images.examples >= threshold
    examples = np.asarray(white, np.uint8).reshape(len(white), -1)
    spec = DataSpec("pixels", "tokens", examples.shape[1:], vocabulary=2, height=shape[0])
    return Dataset(spec, examples, None, fingerprint(examples))
