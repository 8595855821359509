"""What of one run's weights fits another run of the same task and model.

Networks that differ in size are lined up layer by layer. Where one has more layers, such as those
of a larger image, the others are found on both sides of them: next to the image, where layers have
as many channels at each distance from it, and at the far end.
"""

from collections.abc import Mapping, Sequence
from math import prod
from typing import NamedTuple

from gancli.adversarial.dynamics import Player, TrainState
from gancli.runs.state_files import Form, forms
from gancli.tasks.task import Task

# The arrays of a layer: their paths in a player, by kind, part of the layer and place in the part.
Layer = Mapping[tuple[str, int, str], str]


class Side(NamedTuple):
    """A task and the state of its runs, which may be abstract."""

    task: Task
    state: TrainState


class Match(NamedTuple):
    """What a player takes from its namesake.

    `taken` has the path of each array of the new player that is taken, and its path there. `new`
    are the paths of the other arrays, `unused` those that are left in the source. Paths are as in
    `params/layers/0/kernel`; the optimizer's state is none of them. The `values` of the three are
    counted.
    """

    taken: Mapping[str, str]
    new: tuple[str, ...]
    unused: tuple[str, ...]
    values: Mapping[str, int]


def match(new: Side, source: Side) -> dict[str, Match]:
    """What each player of a new run takes from the players of the same name in a source.

    Arrays of the same layer, place and form are taken: parameters, their averages, and statistics
    of layers whose parameters all are. What a task gathers besides (an adapted probability of
    augmentation, a pool of images, running means of path lengths and rewards) belongs to the run
    and its data, and is not.

    Returns:
        By player, of both; one that is only in the source has nothing but unused arrays.
    """
    names = dict.fromkeys([*new.state.players, *source.state.players])
    return {name: _match(name, new, source) for name in names}


def _match(name: str, new: Side, source: Side) -> Match:
    here, there = _forms(new, name), _forms(source, name)
    taken: dict[str, str] = {}
    for place, network in new.task.networks.get(name, {}).items():
        own = _layers(new.task, name, place, here)
        other = _layers(source.task, name, place, there)
        for first, second in _aligned(own, other, here, there, network.generates):
            taken |= _fitting(first, second, here, there)
    averages = {f"average/{path}": f"average/{origin}" for path, origin in taken.items()}
    taken |= {
        path: origin
        for path, origin in averages.items()
        if path in here and here[path] == there.get(origin)
    }
    lists = {
        "taken": {path: here[path] for path in taken},
        "new": {path: form for path, form in here.items() if path not in taken},
        "unused": {path: form for path, form in there.items() if path not in taken.values()},
    }
    values = {what: sum(map(_size, held.values())) for what, held in lists.items()}
    return Match(taken, tuple(lists["new"]), tuple(lists["unused"]), values)


def _forms(side: Side, name: str) -> dict[str, Form]:
    """The forms of a player's weights and their averages by path; empty if there is none."""
    if name not in side.state.players:
        return {}
    player: Player = side.state.players[name]
    return forms({key: own for key, own in player._asdict().items() if key != "opt_state"})


def _layers(task: Task, name: str, place: str, held: Mapping[str, Form]) -> list[Layer]:
    """The layers of a player's network, from its input to its output; empty if there is none."""
    network = task.networks.get(name, {}).get(place)
    if network is None:
        return []
    roots = {"params": place, "stats": f"{place}/network" if network.carried else place}
    layers: list[Layer] = []
    for parts in network.layers:
        layer = {}
        for number, part in enumerate(parts):
            for kind, root in roots.items():
                start = "/".join(filter(None, (kind, *root.split("/"), part)))
                for path in held:
                    if path == start or path.startswith(f"{start}/"):
                        layer[kind, number, path[len(start) :]] = path
        layers.append(layer)
    return layers


def _aligned(
    new: Sequence[Layer],
    source: Sequence[Layer],
    here: Mapping[str, Form],
    there: Mapping[str, Form],
    image_last: bool,
) -> list[tuple[Layer, Layer]]:
    """Pairs the layers of two networks, which may have different numbers of layers.

    The longer one has its further layers in one place: where the most values fit, and where
    several are equal, as near to the image as possible.
    """
    fewest = min(len(new), len(source))

    def pairs(near: int) -> list[tuple[Layer, Layer]]:
        """With so many layers paired by their distance from the image, the others from afar."""
        begin = fewest - near if image_last else near
        end = fewest - begin
        ends = zip(new[len(new) - end :], source[len(source) - end :], strict=True)
        return [*zip(new[:begin], source[:begin], strict=True), *ends]

    def values(near: int) -> int:
        fitting = (_fitting(*pair, here, there) for pair in pairs(near))
        return sum(_size(here[path]) for found in fitting for path in found)

    return pairs(max(range(fewest + 1), key=lambda near: (values(near), -near)))


def _fitting(
    new: Layer, source: Layer, here: Mapping[str, Form], there: Mapping[str, Form]
) -> dict[str, str]:
    """The arrays of two layers that have the same place and form: new path and path there.

    Statistics describe parameters, and are left where one of the layer's parameters is new.
    """
    found = {
        key: source[key]
        for key, path in new.items()
        if key in source and here[path] == there[source[key]]
    }
    whole = all(key in found for key in new if key[0] == "params")
    return {new[key]: origin for key, origin in found.items() if whole or key[0] == "params"}


def _size(form: Form) -> int:
    return prod(form.shape)
