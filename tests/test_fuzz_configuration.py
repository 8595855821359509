"""Any text, a person's or a stranger's, ends in a plan or in one clear message: slow.

Each family of inputs is made from a fixed seed and tried in a process of its own, whose memory
is measured and which ends, saying where, if one input takes too long.
"""

import faulthandler
import json
import os
import resource
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from gancli.augment import AUGMENTATIONS
from gancli.catalogues import catalogues
from gancli.cli.training import user_layers
from gancli.config import Config, Layer, fields, from_json, parse_assignment, read_toml, to_json
from gancli.data import DATASETS
from gancli.dynamics import DYNAMICS, Turn
from gancli.errors import GanError
from gancli.games import GAMES, trajectory
from gancli.launch import Plan, plan
from gancli.losses import LOSSES
from gancli.networks import MODELS
from gancli.optimizers import OPTIMIZERS, SCHEDULES, build_optimizer
from gancli.penalties import PENALTIES
from gancli.registry import Entry, Option, Registry, parse_spec
from gancli.tasks import TASKS

pytestmark = pytest.mark.slow

SECONDS_AN_INPUT = 10
MEBIBYTES = 2048
LONGEST_MESSAGE = 2000

# Texts that something could take for what they are not
NUMBERS = [
    "0", "-1", "1", "2", "3", "7", "1000000000", "1" + "0" * 400, "9" * 5000, "-0", "0.5", "1.5",
    "-2.5", "1e308", "-1e308", "1e30", "1e-30", "1e-45", "1e-400", "1e400", "nan", "inf", "-inf",
    "0x10", "1_0", "٣", "1e", "2147483648", "18446744073709551616",
]  # fmt: skip
WORDS = [
    "", " ", "true", "False", "none", "None", "null", "\0", "\n", "a\nb", "\r\n", "\t", "\x1b[31m",
    "\u202e", "é", "💥", "\udcff", "\ufeff", "'", '"', "\\", "{}", "%s", "$HOME", "~", "~nobody", "..",
    "/", "/dev/zero", "/proc/self/mem", "::::", ",,,,", "====", ":=,", "a=b", "a:b=c,d=e:f=g", "[" * 5000,
    "]" * 50, "x" * 300, "y" * 5000, "z" * 10**6, "flip+" * 400, "hinge:" + "margin=1," * 10**4,
]  # fmt: skip
TEXTS = st.one_of(st.text(max_size=20), st.sampled_from(WORDS), st.sampled_from(NUMBERS))

# What plans rest on where an input does not say otherwise
POINTS = {"data.name": "ring8:count=200", "model": "mlp:width=8,depth=1", "train.batch": 20}
DIGITS = {"data.name": "digits", "model": "dcgan:width=4", "train.batch": 20}


# Strategies


@st.composite
def specs(draw: st.DrawFn, registry: Registry) -> str:
    """A spec of a catalogue: fitting it, nearly, or not at all."""
    kind = draw(st.sampled_from(["fitting"] * 3 + ["odd"] * 4 + ["text"]))
    if kind == "text":
        return draw(TEXTS)
    entry: Entry = registry.entry(draw(st.sampled_from(registry.names())))
    parts = []
    for option in draw(st.lists(st.sampled_from(entry.options), max_size=3) if entry.options else st.just([])):
        value = draw(fitting(option) if kind == "fitting" or draw(st.booleans()) else TEXTS)
        parts.append(f"{option.name}={value}")
    if kind == "fitting":
        parts = list({part.partition("=")[0]: part for part in parts}.values())
        return f"{entry.name}:{','.join(parts)}" if parts else entry.name
    parts += draw(st.lists(st.sampled_from(["", "=", "x=1", "every", ":", " "]), max_size=1))
    name = draw(st.sampled_from([entry.name] * 4 + [f" {entry.name} ", entry.name.upper(), f"{entry.name}\n"]))
    return name + draw(st.sampled_from([":", ":", " : ", "::"])) + draw(st.sampled_from([",", ", ", ",,"])).join(parts)


def fitting(option: Option) -> SearchStrategy[str]:
    """A value that an option takes, and that is tried in little time."""
    if get_origin(option.kind) is Literal:
        return st.sampled_from([str(one) for one in get_args(option.kind)])
    if option.kind is bool:
        return st.sampled_from(["true", "false", "True"])
    if option.kind is int:
        least, largest = option.bounds or (1, 100)
        return st.integers(int(max(0, least)), int(min(largest, 12))).map(str)
    if option.kind is float:
        least, largest = option.bounds or (0, 100)
        return st.floats(max(-10, least), min(largest, 10)).map(str)
    return st.sampled_from([str(option.default) or "hinge", "flip", "color+cutout", "mnist"])


TOML_VALUES = st.one_of(
    st.sampled_from(NUMBERS),
    st.sampled_from(WORDS).map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.sampled_from([
        "true", "[]", "{}", '["r1"]', '["flip", "color"]', "[1, 2]", "[[]]", "[{}]", '[{a = 1}]', "{a = {b = 1}}",
        "2020-01-01", "12:00:00", "2020-01-01T00:00:00Z", "'hinge'", "'1 epoch'", "'999999999 epochs'", "'1000 epochs'",
        "'epochs'", "'digits'", "'ring8:count=300'", "'mlp'", "'alternating'", "0xffffffffffffffffffffffff",
        "0x" + "f" * 20000, "1e5", "[" + "'r1'," * 10000 + "]", "[" * 3000 + "]" * 3000, "'''a\nb'''",
    ]),
)  # fmt: skip
KEYS = st.one_of(
    st.sampled_from(sorted(fields())),
    st.sampled_from([
        "", ".", "train", "train.", ".steps", "train.step", "Train.steps", "optimizer.learning_rate", "a.b.c.d", "data",
        "penalties.0", "train.steps.x", "a." * 3000 + "a", "k" * 10**5, "\n", "\u202e", "__class__", "model_config",
    ]),
    st.text(max_size=10),
)  # fmt: skip
ASSIGNMENTS = st.builds(
    lambda key, equals, value: f"{key}{equals}{value}",
    KEYS, st.sampled_from(["=", "=", "=", " = ", "==", "", "= \n"]), st.one_of(TOML_VALUES, TEXTS),
)  # fmt: skip


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """The bytes of a TOML file, or of what is nearly one."""
    lines = []
    for key in draw(st.lists(st.sampled_from(sorted(fields())), max_size=4)):
        section, _, name = key.rpartition(".")
        value = draw(TOML_VALUES)
        if section:
            lines.append(draw(st.sampled_from([f"[{section}]\n{name} = {value}", f"[[{section}]]\n{name} = {value}", f"{key} = {value}", f"{section} = {{ {name} = {value} }}", f'"{key}" = {value}', f"[{section}]", f"[{key}]"])))
        else:
            lines.insert(0, f"{name} = {value}")
    lines += draw(st.lists(st.sampled_from([
        "", "#", "[", "]", "= 1", "x", "[train", "[[penalties]]", "[train]", "[optimizer]", "a." * 2000 + "a = 1", "[" + "a." * 2000 + "a]",
        "x = " + "[" * 10000, "x = " + "{a=" * 10000, "[bogus]", "[train.steps]", "loss = 'hinge'", "\0", "\u202e", "# " + "c" * 10**5,
    ]), max_size=2))  # fmt: skip
    text = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"])).join(lines).encode("utf-8", "surrogatepass")
    cut = draw(st.integers(0, 3 * len(text)))
    return draw(st.sampled_from([text, text, text[:cut], b"\xef\xbb\xbf" + text, text + b"\xff", text * 3, text * 500, b"\xff\xfe"]))


@st.composite
def json_documents(draw: st.DrawFn) -> str:
    """The text of a `config.json`, or of what is nearly one."""
    tree = Config().model_dump(mode="json")
    values = st.one_of(
        st.sampled_from([None, True, -1, 0, 1.5, 10**400, 2**31, "", "x" * 10**6, "\n", [], {}, [[]], ["r1"] * 17, ["r1"] * 10**4, {"a": {}}, float("nan"), float("inf"), "1 epoch", "7 epochs"]),
        TEXTS,
    )
    for key in draw(st.lists(st.sampled_from([*sorted(fields()), "train", "extra", "optimizer.generator", "data.x" , "k" * 10**5]), max_size=3)):
        node = tree
        *parents, leaf = key.split(".")
        for parent in parents:
            inner = node.get(parent)
            node = inner if isinstance(inner, dict) else node
        if draw(st.booleans()):
            node[leaf] = draw(values)
        else:
            node.pop(leaf, None)
    text = json.dumps(tree)
    cut = draw(st.integers(0, 4 * len(text)))
    return draw(st.sampled_from([text, text, text, text[:cut], text + text, "[" * 10**5, '{"a":' * 10**4, "\0", "\udcff", text.replace("}", ', "x": ' + "9" * 5000 + "}", 1), "null", "[]", "1" * 5000, "\ufeff" + text]))


# Attempts


def planned(values: dict[str, Any], upon: dict[str, Any] = POINTS) -> Plan:
    return plan([Layer("small", upon), Layer("input", values)])


def try_toml(content: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        Path(file.name).write_bytes(content)
        plan([Layer("small", POINTS), *user_layers(Path(file.name), {}, None)])


def try_settings(assignments: list[str]) -> None:
    plan([Layer("small", POINTS), *user_layers(None, {}, assignments)])


def try_json(text: str) -> None:
    config = from_json(text, "config.json")
    assert from_json(to_json(config), "again") == config


def try_game(spec: str) -> None:
    GAMES.build(spec)


def trace(accepted: Plan) -> None:
    """What a plan's first step would ask of JAX, without compiling it."""
    program = accepted.program
    state = jax.eval_shape(lambda: program.initial_state(0))
    for move in program.moves:

        def once(players, resident, argument, step, move=move):
            turn = Turn(program.source.materialize(resident, argument), jax.random.key(0), step)
            return move.play(players, turn)

        argument = next(program.source.arguments(0))
        jax.eval_shape(once, state.players, program.source.resident, argument, np.int32(0))


def try_trace(values: dict[str, Any]) -> None:
    trace(planned(values, DIGITS if values.pop("digits") else POINTS))


class Family(NamedTuple):
    """Inputs of one kind: how many are tried, and how."""

    count: int
    inputs: SearchStrategy
    attempt: Callable[[Any], object]


FAMILIES = {
    "losses": Family(500, specs(LOSSES), lambda spec: planned({"loss": spec})),
    "penalties": Family(600, specs(PENALTIES), lambda spec: planned({"penalties": [spec]})),
    "models of points": Family(500, specs(MODELS), lambda spec: planned({"model": spec})),
    "models of images": Family(500, specs(MODELS), lambda spec: planned({"model": spec}, DIGITS)),
    "tasks": Family(400, specs(TASKS), lambda spec: planned({"task": spec})),
    "dynamics": Family(400, specs(DYNAMICS), lambda spec: planned({"train.dynamics": spec})),
    "optimizers": Family(400, specs(OPTIMIZERS), lambda spec: planned({"optimizer.generator.name": spec})),
    "schedules": Family(300, specs(SCHEDULES), lambda spec: planned({"optimizer.discriminator.schedule": spec})),
    "augmentations": Family(400, st.lists(specs(AUGMENTATIONS), max_size=3), lambda each: planned({"inputs.augment": each}, DIGITS)),
    "data sets": Family(400, specs(DATASETS), lambda spec: planned({"data.name": spec})),
    "games": Family(500, specs(GAMES), try_game),
    "metrics": Family(300, specs(catalogues()["metrics"]), catalogues()["metrics"].build),
    "spec texts": Family(500, TEXTS, parse_spec),
    "toml": Family(1500, documents(), try_toml),
    "settings": Family(1500, st.lists(ASSIGNMENTS, min_size=1, max_size=2), try_settings),
    "json": Family(1500, json_documents(), try_json),
    "traces": Family(150, st.fixed_dictionaries({
        "digits": st.booleans(),
        "loss": specs(LOSSES), "penalties": st.lists(specs(PENALTIES), max_size=2),
        "train.dynamics": specs(DYNAMICS), "inputs.packing": st.integers(1, 3),
    }), try_trace),
}  # fmt: skip


def outcome(attempt: Callable[[], object]) -> str:
    """Whether an input was accepted, or refused as it should be."""
    try:
        attempt()
    except GanError as error:
        message = str(error)
        assert error.exit_status == 2, message
        assert message.isprintable(), repr(message[:3000])
        assert len(message) <= LONGEST_MESSAGE, message[:3000]
        return "refused"
    return "accepted"


def main(name: str) -> None:
    """Tries all inputs of a family, and prints how many were accepted and refused."""
    family, outcomes = FAMILIES[name], Counter()
    warnings.simplefilter("error")

    @settings(max_examples=family.count, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(family.inputs)
    def every(value):
        faulthandler.dump_traceback_later(SECONDS_AN_INPUT, exit=True)
        outcomes[outcome(lambda: family.attempt(value))] += 1

    every()
    faulthandler.cancel_dump_traceback_later()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1 if sys.platform == "linux" else 2**10)
    print(json.dumps(outcomes | {"mebibytes": most // 2**10}))


@pytest.mark.parametrize("name", FAMILIES)
def test_every_input_ends_in_a_plan_or_in_one_message(name):
    done = subprocess.run([sys.executable, __file__, name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["accepted"] + report["refused"] >= FAMILIES[name].count
    assert min(report["accepted"], report["refused"]) > 0
    assert report["mebibytes"] < MEBIBYTES


if __name__ == "__main__":
    main(sys.argv[1])
