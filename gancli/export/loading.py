"""Trained parts from wherever they are kept."""

from pathlib import Path

from gancli.errors import UserError, shown
from gancli.export.part import GENERATOR, TrainedPart, load_part
from gancli.export.weights import SUFFIX, read_safetensors


def load(path: str | Path, part: str = "", raw: bool = False) -> TrainedPart:
    """Loads a trained part from a run, a checkpoint or a safetensors file; see `gancli.load`."""
    path = Path(path)
    if path.suffix != SUFFIX:
        return load_part(path, part or GENERATOR, raw)
    trained = read_safetensors(path)
    if part not in ("", trained.name):
        raise UserError(f"part {shown(part)} of {str(path)!r}", f"{trained.name}, which it holds")
    if raw and trained.generator.averaged:
        raise UserError(f"raw weights of {str(path)!r}", "their moving average, which it holds")
    return trained
