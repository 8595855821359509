"""Projections of images as files: targets beside results, the latents, a manifest."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gancli.data.configured import request_of
from gancli.data.formats.folder import read_image
from gancli.display import pictures
from gancli.display.archive import write_npz
from gancli.errors import UserError
from gancli.evaluation.generator import Generator
from gancli.evaluation.projection import Projection
from gancli.export.folder import filled, write_manifest
from gancli.files import MANIFEST

COMMAND = "gan project"
_PAIRS_ACROSS, _SHOWN = 5, 50


def read_targets(generator: Generator, files: Sequence[Path]) -> np.ndarray:
    """Reads images and fits them to the size and colours of a generator's.

    Args:
        generator: a generator of images.
        files: the images.

    Returns:
        (n, height, width, channels) uint8.

    Raises:
        UserError: if one cannot be read, or the generator's images are neither grey nor RGB.
    """
    height, width, channels = generator.spec.shape
    if channels not in (1, 3) or generator.spec.bits != 8:
        raise UserError(
            f"projection of images of shape {generator.spec.shape} and {generator.spec.bits} bits",
            "a generator of grey or RGB images of 8 bits",
        )
    request = request_of(generator.config)._replace(size=f"{height}x{width}", white_level=None)
    return np.stack([read_image(path, channels, request) for path in files])


def export_projection(
    generator: Generator,
    folder: Path,
    files: Sequence[Path],
    targets: np.ndarray,
    projection: Projection,
    **provenance: object,
) -> list[Path]:
    """Writes the results of a projection.

    `projection.png` shows the first 50 targets, each beside its result; `projection.npz` holds the
    latents, which `gan sample --latents` takes, and the results as `arr_0`.

    Args:
        generator: the generator.
        folder: where to, a new or an empty one; an earlier projection is replaced.
        files: the images.
        targets: the images as read, (n, height, width, channels) uint8.
        projection: what was found for them.
        **provenance: how, for the manifest.

    Returns:
        What was written.

    Raises:
        UserError: if the folder holds anything else or cannot be written.
    """
    found, images, before, after, candidates = projection
    count = len(images)
    with filled(folder, COMMAND) as place:
        both = np.stack([targets, images], axis=1)[:_SHOWN].reshape(-1, *images.shape[1:])
        labels = [
            text
            for path, distance in zip(files[:_SHOWN], after, strict=False)
            for text in (path.stem, f"{distance:.3f}")
        ]
        grid = pictures.make_grid(both, 2 * min(count, _PAIRS_ACROSS), labels)
        pictures.save_png(place / "projection.png", grid)
        columns = {"arr_0": [images], found.kind: [found.values]}
        write_npz(place / "projection.npz", columns, count)
        rows = zip(files, before.tolist(), after.tolist(), strict=True)
        write_manifest(
            place,
            generator.provenance(),
            ["projection.npz", "projection.png"],
            command=COMMAND,
            candidates=candidates,
            images=[
                {"file": str(path), "distance_before": start, "distance": end}
                for path, start, end in rows
            ],
            **provenance,
        )
    return [folder / name for name in ("projection.png", "projection.npz", MANIFEST)]
