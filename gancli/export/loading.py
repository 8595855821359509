"""Trained parts from wherever they are kept."""

from pathlib import Path

from gancli.errors import UserError, shown
from gancli.export.part import GENERATOR, TrainedPart, load_part
from gancli.export.weights import SUFFIX, read_safetensors


def load(path: str | Path, part: str = "", raw: bool = False) -> TrainedPart:
    """Loads a trained part as a function from NumPy arrays to NumPy arrays.

    `generator = gancli.load(path)` is called with latents: `generator(generator.latents(16))`.

    Args:
        path: a run, one of its checkpoints, or a file of `gan export --format safetensors`.
        part: the name of the part; empty for the generator, or what the file holds.
        raw: whether to use the raw weights of a generator instead of their moving average.

    Returns:
        The part. `latents(count, seed, labels)` are those of the examples that `gan sample` draws;
        a part of a translator is called with images in [-1, 1].

    Raises:
        UserError: if there is no such part, or nothing sound to load.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        return load_part(path, part or GENERATOR, raw)
    trained = read_safetensors(path)
    if part not in ("", trained.name):
        raise UserError(f"part {shown(part)} of {str(path)!r}", f"{trained.name}, which it holds")
    if raw and trained.generator.averaged:
        raise UserError(f"raw weights of {str(path)!r}", "their moving average, which it holds")
    return trained
