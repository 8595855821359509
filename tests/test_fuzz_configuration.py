"""Any text, a person's or a stranger's, ends in a plan or in one clear message: slow.

Every family of inputs is made from a fixed seed and tried in a process of its own, whose memory
is measured and which ends, saying where, if one input takes too long.
"""

import faulthandler
import json
import os
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin

import jax
import numpy as np
import pytest
from budget import peak_mib
from compiling import SOON
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from tiny_runs import points_run
from typer.testing import CliRunner

from gancli.adversarial.augmentations import AUGMENTATIONS
from gancli.adversarial.dynamics import DYNAMICS, Turn
from gancli.adversarial.games import GAMES
from gancli.adversarial.losses import LOSSES
from gancli.adversarial.optimizers import OPTIMIZERS
from gancli.adversarial.penalties import PENALTIES
from gancli.adversarial.schedules import SCHEDULES
from gancli.cli.application import app
from gancli.cli.training import user_layers
from gancli.config import Config, Layer, fields, flatten_config, from_json, to_json
from gancli.data import DATASETS
from gancli.errors import GanError, UserError
from gancli.evaluation import METRICS
from gancli.networks import MODELS
from gancli.registry import LONGEST_SPEC, Option, Registry, parse_spec
from gancli.tasks import TASKS
from gancli.training.planning import Plan, plan

A_QUARTER = pytest.param(4, marks=pytest.mark.slow, id="a quarter")
ALL = pytest.param(1, marks=pytest.mark.exhaustive, id="all")

# Of the processor; whatever else the machine does, an input has hung after six times as many by
# the clock.
SECONDS_AN_INPUT = 10
MEBIBYTES = 1500
LONGEST_MESSAGE = 5000  # characters: a path may be quoted whole, and lists of names are long
LEAST_INPUTS = 8000

# What plans rest on where an input does not say otherwise
POINTS = {"data.name": "ring8:count=200", "model": "mlp:width=8,depth=1", "train.batch": 20}
DIGITS = {"data.name": "digits", "model": "dcgan:width=4", "train.batch": 20}
TOKENS = {
    "data.name": "oracle:length=3,vocabulary=4,count=50",
    "model": "sequence:hidden=4,width=4",
    "train.batch": 20,
}

# Texts

NUMBERS = [
    "0", "-1", "1", "2", "3", "7", "1000000000", "1" + "0" * 400, "9" * 5000, "-0", "0.5", "1.5",
    "-2.5", "1e308", "-1e308", "1e30", "1e-30", "1e-45", "1e-400", "1e400", "nan", "inf", "-inf",
    "0x10", "1_0", "٣", "1e", "2147483648", "18446744073709551616",
]  # fmt: skip
WORDS = [
    "", " ", "true", "False", "none", "None", "null", "\0", "\n", "a\nb", "\r\n", "\t", "\x1b[31m",
    "\u202e", "é", "💥", "\udcff", "\ufeff", "'", '"', "\\", "{}", "%s", "$HOME", "~", "~nobody",
    "..", "/dev/zero", "/proc/self/mem", "::::", ",,,,", "====", ":=,", "a=b", "a:b=c,d=e:f=g",
    "[" * 5000, "]" * 50, "x" * 300, "y" * 5000, "z" * 10**6, "flip+" * 200,
    "hinge:" + "margin=1," * 10**4,
]  # fmt: skip
TEXTS = st.one_of(st.text(max_size=20), st.sampled_from(WORDS), st.sampled_from(NUMBERS))


# Specs


@st.composite
def specs(draw: st.DrawFn, registry: Registry, fits: int = 3) -> str:
    """A spec of a catalogue: fitting it (`fits` times against 5), nearly, or not at all."""
    kind = draw(st.sampled_from(["fits"] * fits + ["odd"] * 4 + ["text"]))
    if kind == "text":
        return draw(TEXTS)
    entry = registry.entry(draw(st.sampled_from(registry.names())))
    values = {}
    if entry.options:
        for option in draw(st.lists(st.sampled_from(entry.options), max_size=3)):
            values[option.name] = draw(fitting(option) if kind == "fits" else TEXTS)
    parts = [f"{name}={value}" for name, value in values.items()]
    if kind == "fits":
        return f"{entry.name}:{','.join(parts)}" if parts else entry.name
    parts += draw(st.lists(st.sampled_from(["", "=", "x=1", "every", ":", *parts]), max_size=1))
    names = [entry.name] * 4 + [f" {entry.name} ", entry.name.upper(), f"{entry.name}\n"]
    separators = draw(st.sampled_from([":", ":", " : ", "::"])), draw(st.sampled_from([",", ", "]))
    return draw(st.sampled_from(names)) + separators[0] + separators[1].join(parts)


def in_parentheses() -> SearchStrategy[str]:
    """Schedules as values of options."""
    return specs(SCHEDULES).map(lambda spec: f"({spec})")


def fitting(option: Option) -> SearchStrategy[str]:
    """Values that an option takes, to the ends of its bounds."""
    if get_origin(option.kind) is Literal:
        return st.sampled_from([str(one) for one in get_args(option.kind)])
    if option.kind is bool:
        return st.sampled_from(["true", "false", "True"])
    if option.kind is int:
        least, largest = map(int, option.bounds or (1, 100))
        small = st.integers(max(0, least), max(least, min(largest, 12)))
        # A hundred layers take seconds to trace.
        ends = st.sampled_from([least] if option.name == "depth" else [least, largest])
        return st.one_of(small, ends).map(str)
    if option.kind is float:
        least, largest = option.bounds or (-1e30, 1e30)
        small = st.floats(max(-10, least), min(largest, 10))
        numbers = st.one_of(small, st.sampled_from([least, largest])).map(str)
        return st.one_of(numbers, in_parentheses()) if option.alternative else numbers
    if option.name == "initial":
        return st.floats(0, 10).map(str)
    return st.sampled_from([str(option.default) or "hinge", "flip", "color+cutout", "mnist"])


# Documents

TOML_VALUES = st.one_of(
    st.sampled_from(NUMBERS),
    st.sampled_from(WORDS).map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.sampled_from([
        "true", "[]", "{}", '["r1"]', '["flip", "color"]', "[1, 2]", "[[]]", "[{}]", "[{a = 1}]",
        "{a = {b = 1}}", "2020-01-01", "12:00:00", "2020-01-01T00:00:00Z", "'hinge'", "'1 epoch'",
        "'999999999 epochs'", "'1000 epochs'", "'epochs'", "'digits'", "'ring8:count=300'", "'mlp'",
        "'alternating'", "0xffffffffffffffffffffffff", "0x" + "f" * 3000, "1e5", "'''a\nb'''",
        "[" + "'r1'," * 10000 + "]", "[" + "'r1'," * 500 + "]", "[" * 3000 + "]" * 3000,
    ]),
)  # fmt: skip
DEFAULTS = {key: json.dumps(value) for key, value in flatten_config(Config()).items()}
DEFAULTS |= {key: json.dumps(value) for key, value in POINTS.items()}
# TOML has no null, and points no size.
DEFAULTS = {key: "1.0" if value == "null" else value for key, value in DEFAULTS.items()}
KEYS = st.one_of(
    st.sampled_from(sorted(fields())),
    st.sampled_from(sorted(fields())),
    st.sampled_from([
        "", ".", "train", "train.", ".steps", "train.step", "Train.steps", "a.b.c.d", "data",
        "optimizer.learning_rate", "penalties.0", "train.steps.x", "a." * 1500 + "a", "k" * 3000,
        "k" * 10**5, "\n", "\u202e", "__class__", "model_config",
    ]),
    st.text(max_size=10),
)  # fmt: skip
ASSIGNMENTS = st.one_of(
    st.sampled_from([f"{key}={value}" for key, value in DEFAULTS.items()]),
    st.builds(
        lambda key, equals, value: f"{key}{equals}{value}",
        KEYS,
        st.sampled_from(["=", "=", "=", " = ", "==", "", "= \n"]),
        st.one_of(TOML_VALUES, TEXTS),
    ),
)
LINES = [
    "", "#", "[", "]", "= 1", "x", "[train", "[[penalties]]", "[train]", "[optimizer]", "[bogus]",
    "a." * 2000 + "a = 1", "[" + "a." * 2000 + "a]", "x = " + "[" * 10000, "x = " + "{a=" * 10000,
    "[train.steps]", "loss = 'hinge'", "\0", "\u202e", "# " + "c" * 10**5,
]  # fmt: skip


@st.composite
def toml_lines(draw: st.DrawFn) -> str:
    """A key's value in one of the ways to write it, or to fail at it."""
    key = draw(st.sampled_from(sorted(fields())))
    value = draw(st.one_of(st.just(DEFAULTS[key]), st.just(DEFAULTS[key]), TOML_VALUES))
    section, _, name = key.rpartition(".")
    if not section:
        return f"{name} = {value}"
    ways = [
        f"[{section}]\n{name} = {value}", f"{key} = {value}", f"{section} = {{ {name} = {value} }}",
        f'"{key}" = {value}', f"[[{section}]]\n{name} = {value}", f"[{section}]", f"[{key}]",
    ]  # fmt: skip
    return draw(st.one_of(st.just(ways[0]), st.sampled_from(ways)))


@st.composite
def toml_documents(draw: st.DrawFn) -> bytes:
    """The bytes of a TOML file, or of what is nearly one."""
    lines = sorted(draw(st.lists(toml_lines(), max_size=4)))
    lines += draw(st.one_of(st.just([]), st.lists(st.sampled_from(LINES), max_size=1)))
    joined = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"])).join(lines)
    content = joined.encode("utf-8", "surrogatepass")
    cut = content[: draw(st.integers(0, 3 * len(content)))]
    repeated = content * (500 if len(content) < 5000 else 2)
    others = [b"\xef\xbb\xbf" + content, content + b"\xff", b"\xff\xfe", repeated]
    return draw(st.one_of(st.just(content), st.sampled_from([content, cut, *others])))


@st.composite
def json_documents(draw: st.DrawFn) -> str:
    """The text of a `config.json`, or of what is nearly one."""
    tree = Config().model_dump(mode="json")
    odd = [
        None, True, -1, 0, 1.5, 10**400, 2**31, float("nan"), float("inf"), "x" * 10**6, [], [[]],
        {}, {"a": {}}, ["r1"] * 17, ["r1"] * 10**4, "1 epoch", "7 epochs", "1001 epochs",
    ]  # fmt: skip
    keys = [*sorted(fields()), "train", "extra", "optimizer.generator", "data.x", "k" * 10**5]
    for key in draw(st.lists(st.sampled_from(keys), max_size=3)):
        node: dict[str, Any] = tree
        *parents, leaf = key.split(".")
        for parent in parents:
            inner = node.get(parent)
            node = inner if isinstance(inner, dict) else node
        if draw(st.booleans()):
            node[leaf] = draw(st.one_of(st.sampled_from(odd), TEXTS))
        else:
            node.pop(leaf, None)
    text = json.dumps(tree)
    others = [
        text[: draw(st.integers(0, len(text)))], text + text, "[" * 10**5, '{"a":' * 10**4, "\0",
        "\udcff", text.replace("}", ', "x": ' + "9" * 5000 + "}", 1), "null", "[]", "1" * 5000,
        "\ufeff" + text,
    ]  # fmt: skip
    return draw(st.one_of(st.just(text), st.just(text), st.sampled_from(others)))


# Commands

ARGUMENTS = TEXTS.filter(lambda text: "\0" not in text and len(text) < 10**5)  # as a shell passes


def options(*flags: str) -> SearchStrategy[list[str]]:
    """One or two of a command's options with any text for their values."""
    each = st.tuples(st.sampled_from(flags), ARGUMENTS)
    return st.lists(each, min_size=1, max_size=2).map(lambda pairs: [w for p in pairs for w in p])


def command(*words: str) -> Callable[[list[str]], list[str]]:
    """Puts words before options."""
    return lambda found: [*words, *found]


GAME_NUMBERS = st.sampled_from(["0", "-1", "nan", "1e30", "1e-30", "1e308", "0.1", "1", "2"])
TRAINING = ("--dataset", "--loss", "--model", "--task", "--steps", "--batch", "--seed", "--set")
DRY_RUN = ("train", "--dry-run", "--model", "mlp:width=4,depth=1", "--dataset", "ring8:count=200")
COMMANDS = st.one_of(
    options(*TRAINING, "--penalty").map(command(*DRY_RUN, "--batch", "20")),
    options("--dataset", "--loss", "--steps", "--set", "--vary", "--by", "--examples").map(
        command("compare", "--loss", "unknown", "--seeds", "1")
    ),
    st.tuples(
        specs(GAMES, 30), specs(DYNAMICS, 30), specs(OPTIMIZERS, 30), GAME_NUMBERS,
        st.sampled_from(["1", "5", "9", "1000000", "1000001", "1" + "0" * 400]),
    ).map(lambda t: [
        "game", "--dynamics", t[1], "--optimizer", t[2], "--learning-rate", t[3], "--clip", t[3],
        "--steps", t[4], "--", t[0],
    ]),
    options("--size", "--split").map(command("data", "info", "ring8:count=50", "--out", "x.png")),
    ARGUMENTS.filter(lambda text: len(text) <= LONGEST_SPEC).map(
        lambda text: ["data", "info", "--out", "x.png", "--", text]
    ),
    options("--seed", "--format", "--labels").map(
        command("sample", "--ckpt", "run", "--count", "3")
    ),
    options("--metrics", "--seed").map(command("evaluate", "--ckpt", "run")),
    st.sampled_from(["losses", "models", "loses", "", "\n", "x" * 300]).map(
        lambda text: ["list", "--", text]
    ),
)  # fmt: skip


# Attempts


def planned(values: dict[str, Any], upon: dict[str, Any] = POINTS) -> Plan:
    """The plan of some values upon those of a small run."""
    return plan([Layer("small", upon), Layer("input", values)])


def try_toml(content: bytes) -> None:
    """A configuration file."""
    Path("input.toml").write_bytes(content)
    plan([Layer("small", POINTS), *user_layers(Path("input.toml"), {}, None)])


def try_settings(assignments: list[str]) -> None:
    """Values of `--set`."""
    plan([Layer("small", POINTS), *user_layers(None, {}, assignments)])


def try_json(text: str) -> None:
    """A run's configuration, which is then written and read again."""
    config = from_json(text, "config.json")
    assert from_json(to_json(config), "again") == config


def try_command(arguments: list[str]) -> None:
    """A command in this process."""
    result = CliRunner().invoke(app, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code in (0, 2), result.output
    assert "Traceback" not in result.output
    if result.exit_code and result.stderr.startswith("error: "):
        raise UserError(result.stderr.removeprefix("error: ").removesuffix("\n"))
    if result.exit_code:
        raise UserError("usage")  # Typer's own, in a box


def try_step(values: dict[str, Any]) -> None:
    """A plan, and what its first step would ask of JAX, without compiling it."""
    program = planned(values, DIGITS if values.pop("digits") else POINTS).program
    state = jax.eval_shape(lambda: program.initial_state(0))
    for move in program.moves:

        def once(players, resident, argument, step, move=move):
            turn = Turn(program.source.materialize(resident, argument), jax.random.key(0), step)
            return move.play(players, turn)

        argument = next(program.source.arguments(0))
        jax.eval_shape(once, state.players, program.source.resident, argument, np.int32(0))


STEPS = st.fixed_dictionaries({
    "digits": st.booleans(),
    "loss": specs(LOSSES, 60),
    "penalties": st.lists(specs(PENALTIES, 60), max_size=2),
    # Most models and tasks are for other data than those of one draw; these two are for any.
    "model": st.just("mlp:width=8,depth=1") | specs(MODELS, 60),
    "task": st.just("generation:latent=2") | specs(TASKS, 60),
    "train.dynamics": specs(DYNAMICS, 60),
    "optimizer.generator.name": specs(OPTIMIZERS, 60),
    "optimizer.discriminator.learning_rate": st.sampled_from(
        [1e-4, "cosine:initial=2e-4", "linear:initial=1,steps=3,warmup=2", "step:initial=1,begin=9"]
    ),
    "inputs.augment": st.lists(specs(AUGMENTATIONS, 60), max_size=1),
    "inputs.augment_target": st.sampled_from([0.0, 0.0, 0.6]),
    "inputs.packing": st.integers(1, 3),
    "inputs.noise": st.sampled_from([0.0, 1e-45, 0.1, 1e30, "linear:initial=0.1"]),
    "optimizer.generator.clip_norm": st.sampled_from([1e-30, 1.0, 1e30]),
    "optimizer.generator.learning_rate": st.sampled_from([1e-30, 1.0, 1e30]),
    "average.decay": st.sampled_from([0.0, 5e-324, 0.9999999999999999]),
    "train.discriminator_steps": st.sampled_from([1, 1, 3, 1000000, "1000 epochs"]),
})  # fmt: skip


class Family(NamedTuple):
    """Inputs of one kind: how many are tried, how, and how long one may take."""

    count: int
    inputs: SearchStrategy
    attempt: Callable[[Any], object]
    seconds: int = SECONDS_AN_INPUT


def of_points(count: int, registry: Registry, key: str) -> Family:
    """Specs of a catalogue under a key of the configuration."""
    return Family(count, specs(registry), lambda spec: planned({key: spec}))


FAMILIES = {
    "losses": of_points(150, LOSSES, "loss"),
    "penalties": Family(150, specs(PENALTIES), lambda spec: planned({"penalties": [spec]})),
    "models of points": of_points(150, MODELS, "model"),
    "models of images": Family(150, specs(MODELS), lambda spec: planned({"model": spec}, DIGITS)),
    "models of tokens": Family(100, specs(MODELS), lambda spec: planned({"model": spec}, TOKENS)),
    "tasks of tokens": Family(100, specs(TASKS), lambda spec: planned({"task": spec}, TOKENS)),
    "tasks of points": of_points(150, TASKS, "task"),
    "tasks of images": Family(150, specs(TASKS), lambda spec: planned({"task": spec}, DIGITS)),
    "dynamics": of_points(100, DYNAMICS, "train.dynamics"),
    "optimizers": of_points(125, OPTIMIZERS, "optimizer.generator.name"),
    "schedules": of_points(100, SCHEDULES, "optimizer.discriminator.learning_rate"),
    "augmentations": Family(
        100,
        st.lists(specs(AUGMENTATIONS), max_size=3),
        lambda each: planned({"inputs.augment": each}, DIGITS),
    ),
    # The oracle's published set takes half of that to draw.
    "data sets": of_points(300, DATASETS, "data.name")._replace(seconds=30),
    "games": Family(500, specs(GAMES), GAMES.build),
    "metrics": Family(300, specs(METRICS), METRICS.build),
    "spec texts": Family(700, TEXTS, parse_spec),
    "toml": Family(1500, toml_documents(), try_toml),
    "settings": Family(1500, st.lists(ASSIGNMENTS, min_size=1, max_size=2), try_settings),
    "json": Family(1500, json_documents(), try_json),
    "commands": Family(200, COMMANDS, try_command),
    # Consensus in turn traces the gradients of gradients once for each player.
    "steps": Family(60, STEPS, try_step, seconds=40),
}


def outcome(attempt: Callable[[], object]) -> str:
    """Whether an input was accepted, or refused as it should be; nothing else may happen."""
    refusal = None
    try:
        with warnings.catch_warnings(action="error"):
            attempt()
    except GanError as error:
        refusal = error
    if refusal is None:
        return "accepted"
    message = str(refusal)
    assert refusal.exit_status == 2, message
    assert message.isprintable(), repr(message[:LONGEST_MESSAGE])
    assert len(message) <= LONGEST_MESSAGE, message[:LONGEST_MESSAGE]
    return "refused"


def main(name: str, divisor: int) -> None:
    """Tries inputs of a family, and prints how many were accepted and refused."""
    family, outcomes = FAMILIES[name], Counter()
    if name == "commands":
        Path("run").symlink_to(points_run())

    @settings(
        max_examples=family.count // divisor,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(family.inputs)
    def every(value):
        faulthandler.dump_traceback_later(6 * family.seconds, exit=True)
        began = time.process_time()
        outcomes[outcome(lambda: family.attempt(value))] += 1
        assert time.process_time() - began < family.seconds

    every()
    faulthandler.cancel_dump_traceback_later()
    print(json.dumps({**outcomes, "mebibytes": peak_mib()}))


@pytest.mark.parametrize("divisor", [A_QUARTER, ALL])
@pytest.mark.parametrize("name", FAMILIES)
def test_every_input_ends_in_a_plan_or_in_one_message(tmp_path, name, divisor):
    done = subprocess.run(
        [sys.executable, __file__, name, str(divisor)],
        cwd=tmp_path, env=os.environ | ({"XLA_FLAGS": SOON} if name == "steps" else {}),
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["accepted"] + report["refused"] >= FAMILIES[name].count // divisor
    assert min(report["accepted"], report["refused"]) > 0
    assert report["mebibytes"] < MEBIBYTES


def test_there_are_enough_inputs():
    assert sum(family.count for family in FAMILIES.values()) >= LEAST_INPUTS


if __name__ == "__main__":
    os.environ.setdefault("GAN_CACHE", str(Path.cwd() / "cache"))
    main(sys.argv[1], int(sys.argv[2]))
