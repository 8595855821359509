"""Fine-tuning: a run starts from the weights of another run's checkpoint.

`run.json` names the checkpoint by its checksum. So a run that has no checkpoint of its own yet
starts from the same bytes again, and one that has needs the source no more.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gancli.adversarial.dynamics import Player, TrainState
from gancli.config import Config, from_json
from gancli.data.dataset import DataSpec
from gancli.errors import UserError, shown
from gancli.files import read_json, read_text, seen_from_above, sha256
from gancli.networks import MODELS
from gancli.runs.checkpoints import (
    CHECKSUMS,
    CheckpointDamagedError,
    find_checkpoints,
    require_sound,
)
from gancli.runs.directory import DataIdentity, Run
from gancli.runs.state_files import by_path, read_arrays
from gancli.runs.versions import read_versions
from gancli.tasks import TASKS
from gancli.tasks.freezing import frozen_parameters
from gancli.tasks.matching import Match, Side, match
from gancli.tasks.program import Program, state_like

# Where `run.json` holds the record of the source.
RECORD = "finetune"


class Source(NamedTuple):
    """A verified checkpoint to start from, and what each player takes from it.

    `sha256` is that of its checksums; `skipped` says why newer checkpoints of its run are not used.
    """

    name: str
    checkpoint: Path
    step: int
    sha256: str
    players: Mapping[str, Match]
    skipped: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The record of the source in `run.json`."""
        folder = self.checkpoint.parent
        return {
            "source": self.name,
            "run": str(folder.parent) if folder.name == "checkpoints" else None,
            "checkpoint": str(self.checkpoint),
            "step": self.step,
            "sha256": self.sha256,
            "players": {name: found._asdict() for name, found in self.players.items()},
        }


def find_source(
    config: Config, data: DataSpec, run: Path | None = None, checksum: str = ""
) -> Source:
    """Finds the checkpoint that a configuration names in `finetune.source`, and what fits.

    Args:
        config: the configuration of the new run.
        data: description of its data.
        run: the directory of the new run, from whose parents a relative path is looked for, too.
        checksum: SHA-256 of the checkpoint's checksums; empty for the newest sound checkpoint.

    Raises:
        UserError: if there is none, it is of another task or model, no kernel of a player fits, or
            frozen layers do not.
        CheckpointDamagedError: if none is sound.
    """
    skipped: list[str] = []
    for checkpoint in _checkpoints(config.finetune.source, run):
        try:
            if checksum and sha256(checkpoint / CHECKSUMS) != checksum:
                continue
            require_sound(checkpoint)
        except FileNotFoundError:
            continue  # A source that trains on has removed it.
        except CheckpointDamagedError as error:
            skipped.append(str(error))
            continue
        return _checked(config, data, checkpoint, tuple(skipped))
    if skipped:
        raise CheckpointDamagedError(" ".join(skipped))
    which = f" with SHA-256 {checksum[:12]}…" if checksum else " any more"
    raise UserError(
        f"finetune.source {shown(config.finetune.source)} has no checkpoint{which}",
        "a run or a checkpoint",
    )


def records_of_source(run: Run | None, config: Config, data: DataSpec) -> dict[str, Any]:
    """What `run.json` says of the source of a run that is not there yet (None: of no name yet).

    A run that is there is checked instead: it must have started from the same source, which must
    still be there unless the run has a checkpoint of its own.

    Raises:
        UserError: as in `find_source`, or naming what the run started from.
        CheckpointDamagedError: if no checkpoint of the source is sound.
    """
    source = config.finetune.source
    if run is None or not run.exists:
        found = find_source(config, data, run and run.path) if source else None
        return {RECORD: found.as_json()} if found else {}
    record = _record(run)
    if bool(record) != bool(source):
        raise UserError(
            f"{str(run.path)!r} holds a run that started from {_in_words(record)}, and "
            f"{shown(source) if source else 'random weights'} was asked for",
            f"{shown(record['source'])} as finetune.source" if record else "no finetune.source",
            "Start it as it was, or choose another --out",
        )
    if record and not (source == record["source"] and run.checkpoints().steps()):
        _found_again(run, config, data, record)
    return {}


def first_state(config: Config, program: Program, run: Run) -> TrainState:
    """The state at step 0 of a run: initial weights, or those of its source where they fit.

    Raises:
        UserError: if the source is needed and is no longer what the run started from.
    """
    state = program.initial_state(config.train.seed)
    if not config.finetune.source:
        return state
    data = DataIdentity.from_json(run.status["data"]).spec
    return taken_from(_found_again(run, config, data, _record(run)), state)


def taken_from(source: Source, state: TrainState) -> TrainState:
    """A new run's state with the weights that fit its source.

    Weights that the source does not average begin with an average equal to themselves.
    """
    players = {
        name: _with_taken(player, name, source) if source.players[name].taken else player
        for name, player in state.players.items()
    }
    return state._replace(players=players)


def _with_taken(player: Player, name: str, source: Source) -> Player:
    taken = source.players[name].taken
    held = by_path({**player._asdict(), "opt_state": ()})
    like: dict[str, Any] = {}
    for path, origin in taken.items():
        *folders, last = origin.split("/")
        node = like
        for folder in folders:
            node = node.setdefault(folder, {})
        node[last] = jax.ShapeDtypeStruct(held[path].shape, held[path].dtype)
    read = by_path(read_arrays(source.checkpoint, {"players": {name: like}})["players"][name])
    arrays = {path: read[origin] for path, origin in taken.items()}

    def of(path: Any, own: jax.Array) -> jax.Array:
        place = jax.tree_util.keystr(path, simple=True, separator="/")
        raw = place.removeprefix("average/")
        if place in arrays:
            return arrays[place]
        return jnp.copy(arrays[raw]) if raw in arrays else own

    new = jax.tree_util.tree_map_with_path(of, player._replace(opt_state=()))
    return new._replace(opt_state=player.opt_state)


def _checked(config: Config, data: DataSpec, checkpoint: Path, skipped: tuple[str, ...]) -> Source:
    """The source in a sound checkpoint, if the run can start from it."""
    read_versions(checkpoint)
    place = checkpoint / "config.json"
    of_source = from_json(read_text(place), str(place))
    spec = DataIdentity.from_json(read_json(checkpoint / "data.json")).spec
    for registry, key in ((TASKS, "task"), (MODELS, "model")):
        own, other = (registry.entry(getattr(one, key)).name for one in (config, of_source))
        if own != other:
            raise UserError(
                f"finetune.source {shown(config.finetune.source)} has {key} {other!r}, and the run "
                f"has {key} {own!r}",
                f"a source of the same {key}",
                f"Choose --{key} {other}, or another --from",
            )
    new, old = Side(*state_like(config, data)), Side(*state_like(of_source, spec))
    players = match(new, old)
    for name in new.state.players:
        params = by_path({"params": new.state.players[name].params})
        kernels = [path for path, array in params.items() if len(array.shape) > 1]
        if name in old.state.players and not players[name].taken.keys() & kernels:
            raise UserError(
                f"finetune.source {shown(config.finetune.source)} has a {name} of which no kernel "
                f"fits that of this run (model {shown(of_source.model)} there, "
                f"{shown(config.model)} here)",
                "a source with layers of the same size",
                "Choose its --model, or another --from",
            )
    _require_frozen(config, new, players)
    step = int(read_arrays(checkpoint, {"step": old.state.step})["step"])
    checksum = sha256(checkpoint / CHECKSUMS)
    return Source(config.finetune.source, checkpoint, step, checksum, players, skipped)


def _require_frozen(config: Config, new: Side, players: Mapping[str, Match]) -> None:
    """Refuses frozen layers with arrays that are not taken, which would stay random."""
    for name, frozen in frozen_parameters(config, new.task).items():
        paths = [f"params/{path}" for path, is_frozen in by_path(frozen).items() if is_frozen]
        if missing := [path for path in paths if path not in players[name].taken]:
            count = getattr(config.finetune, f"freeze_{name}")
            raise UserError(
                f"finetune.freeze_{name} was {count}, and {missing[0]} of these layers does not "
                f"fit anything in {shown(config.finetune.source)}: it would stay untrained",
                "frozen layers that come from the source as a whole",
                f"Lower finetune.freeze_{name}, or choose data or a model of the source's size",
            )


def _found_again(run: Run, config: Config, data: DataSpec, record: Mapping[str, Any]) -> Source:
    """The checkpoint that a run started from, by its checksum.

    Raises:
        UserError: if it is gone or has changed.
    """
    try:
        return find_source(config, data, run.path, record["sha256"])
    except (UserError, CheckpointDamagedError) as error:
        reason = error.given if isinstance(error, UserError) else str(error)
        needed = "" if run.checkpoints().steps() else ", and has no checkpoint of its own yet"
        raise UserError(
            f"{str(run.path)!r} started from {_in_words(record)}{needed}: {reason}",
            "that checkpoint, unchanged",
            "Bring it back, or start another run with another --out",
        ) from None


def _record(run: Run) -> dict[str, Any]:
    """The record of a run's source; empty if it has none.

    Raises:
        UserError: if it is damaged.
    """
    held = run.status.get(RECORD) or {}
    if held and not (isinstance(held, dict) and {"source", "step", "sha256"} <= held.keys()):
        raise UserError(
            f"{RECORD!r} in {str(run.path / 'run.json')!r} is not the record of a source",
            "a file that gan train wrote",
        )
    return held


def _in_words(record: Mapping[str, Any]) -> str:
    if not record:
        return "random weights"
    name, step, checksum = shown(record["source"]), record["step"], record["sha256"]
    return f"{name}, step {step} (SHA-256 {checksum[:12]}…)"


def _checkpoints(source: str, run: Path | None) -> list[Path]:
    """The checkpoints of a source, newest first.

    A relative path is also looked for from each directory above the run, as that of data is.
    """
    path = Path(os.path.expanduser(source))
    if run is not None and not os.path.lexists(path):
        path = next(seen_from_above(path, run), path)
    try:
        return find_checkpoints(path)
    except UserError as error:
        given = f"finetune.source: {error.given}"
        raise UserError(given, error.allowed, error.remedy) from None
