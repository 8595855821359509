"""The shape of the code: who imports whom, who owns which package, and what no file may do."""

import ast
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from gancli.errors import UserError
from gancli.networks import MODELS, Interface, convolutions

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "gancli"
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in PACKAGE.rglob("*.py"))

# From low to high: a room imports itself and what stands before it, never what comes after.
ROOMS = [
    "__init__", "errors", "registry", "files", "system", "config", "networks", "data",
    "adversarial", "runs", "cluster", "tasks", "features", "evaluation", "export", "training",
    "comparison", "doctor", "api", "display", "report", "cli", "__main__",
]  # fmt: skip

# The only rooms, or modules, that import a package; every module may use jax and NumPy.
OWNERS = {
    "flax": ["networks"],
    "tensorflow_datasets": ["data.formats"],
    "grain": ["data"],
    "PIL": ["data", "display", "report"],
    "scipy": ["evaluation", "comparison", "adversarial.jacobian"],
    "sklearn": ["data.builtin", "evaluation"],
    "pydantic": ["config", "runs.directory", "comparison.results"],
    "optax": ["adversarial", "features.fitting", "evaluation.projection"],
    "orbax": ["runs"],
    "filelock": ["runs"],
    "safetensors": ["export"],
    "jax2onnx": ["export.onnx_file"],
    "onnxruntime": ["export.onnx_file"],
    "huggingface_hub": ["export.hub"],
    "packaging": ["doctor.installation"],
    "tensorboard": ["training.tensorboard"],
    "matplotlib": ["display", "report"],
    "jinja2": ["report"],
    "tomli_w": ["report"],
    "rich": ["display", "cli"],
    "typer": ["cli"],
}
FOR_ALL = {"jax", "numpy", *sys.stdlib_module_names}
TALKING = ("cli", "display", "report")
MOST_LINES = 450


def tree(module: str) -> ast.Module:
    return ast.parse((ROOT / module).read_text(encoding="utf-8"))


def name_in_package(module: str) -> str:
    """`gancli/runs/files.py` as `runs.files`, `gancli/runs/__init__.py` as `runs`."""
    name = module.removeprefix("gancli/").removesuffix(".py").replace("/", ".")
    return name.removesuffix(".__init__")


def room(name: str) -> str:
    return name.partition(".")[0]


def imports(module: str) -> Iterator[str]:
    """The modules that a module imports anywhere, inside its functions too."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno} is a relative import"
            assert node.module
            if node.module == "gancli":
                yield from (f"gancli.{alias.name}" for alias in node.names)
            else:
                yield node.module


def test_every_module_is_in_a_room_and_every_room_is_there():
    assert {room(name_in_package(module)) for module in MODULES} == set(ROOMS)


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_one_way(module):
    name = name_in_package(module)
    # The package exports what stands high, and is imported for its version by what stands low.
    own = len(ROOMS) if name == "__init__" else ROOMS.index(room(name))
    for imported in imports(module):
        package, _, name = imported.partition(".")
        if package == "gancli":
            # `from gancli import __version__` names a value, not a room.
            other = "__init__" if name in ("", "__version__") else room(name)
            assert ROOMS.index(other) <= own, f"{module} imports {imported}, which stands above it"


@pytest.mark.parametrize("module", MODULES)
def test_packages_are_imported_where_they_belong(module):
    name = name_in_package(module)
    for imported in imports(module):
        package = imported.partition(".")[0]
        if package in FOR_ALL or package == "gancli":
            continue
        owners = OWNERS.get(package, [])
        assert any(f"{name}.".startswith(f"{owner}.") for owner in owners), (
            f"{module} imports {imported}, which belongs to {owners}"
        )


@pytest.mark.parametrize("module", MODULES)
def test_only_the_command_line_and_the_display_print(module):
    if room(name_in_package(module)) in TALKING:
        return
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Name):
            assert node.id != "print", f"{module}:{node.lineno}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            said = f"{node.value.id}.{node.attr}"
            assert said not in ("sys.stdout", "sys.stderr"), f"{module}:{node.lineno}"


@pytest.mark.parametrize("module", MODULES)
def test_no_private_name_is_used_outside_its_module(module):
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gancli"):
            private = [a.name for a in node.names if a.name[0] == "_" and a.name[:2] != "__"]
            assert not private, f"{module}:{node.lineno}"


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_unpickled(module):
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "load":
            words = {word.arg: word.value for word in node.keywords}
            if getattr(node.func.value, "id", "") == "np":
                allowed = words.get("allow_pickle")
                assert isinstance(allowed, ast.Constant), f"{module}:{node.lineno}"
                assert allowed.value is False, f"{module}:{node.lineno}"
    assert not {"pickle", "dill", "cloudpickle", "joblib", "shelve"} & set(imports(module))


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_read_in_one_sitting(module):
    assert len((ROOT / module).read_text(encoding="utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize("module", MODULES)
def test_what_is_public_is_documented(module):
    def check(node: ast.Module | ast.ClassDef, where: str) -> None:
        assert ast.get_docstring(node), where
        for inner in node.body:
            if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                place = f"{where}, {inner.name}"
                if inner.name.startswith("_"):
                    continue
                assert ast.get_docstring(inner), place
                if isinstance(inner, ast.ClassDef):
                    check(inner, place)

    check(tree(module), module)


def test_no_file_is_called_utils():
    named = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name[0] != "."]
        named += [Path(folder, name) for name in (*folders, *files) if "utils" in name.lower()]
    assert not named


# XLA's own convolution in a loop


def jaxpr_of_a_looped_step(spec: str, interface: Interface) -> str:
    """What a step of both networks, its gradients inside a loop, asks XLA for."""
    pair = MODELS.build(spec, interface)

    def starts(key):
        return pair.generator.initialize(key), pair.discriminator.initialize(key)

    (generator, g_stats), (discriminator, d_stats) = jax.eval_shape(starts, jax.random.key(0))

    def loss(params, g_stats, d_stats, latents):
        fake, _ = pair.generator.apply(params[0], g_stats, latents, train=True)
        logits, _ = pair.discriminator.apply(params[1], d_stats, fake, train=True)
        return logits.sum()

    def step(params, g_stats, d_stats, latents):
        def body(_, params):
            gradients = jax.grad(loss)(params, g_stats, d_stats, latents)
            return jax.tree.map(jnp.subtract, params, gradients)

        return jax.lax.fori_loop(0, 2, body, params)

    if interface.vocabulary:
        given = jax.ShapeDtypeStruct((4, *interface.shape), jnp.int32)
    else:
        source, sides = interface.source, interface.shape[:2]
        origin = (4, *sides, source) if source else (4, interface.latent)
        given = jax.ShapeDtypeStruct(origin, jnp.float32)
    text = jax.make_jaxpr(step)((generator, discriminator), g_stats, d_stats, given)
    return str(text)


def fitting_interfaces(name: str) -> list[Interface]:
    fitting = []
    for interface in [
        Interface((2,), 3),
        Interface((8, 8, 1), 3),
        Interface((28, 28, 3), 3),
        Interface((8, 8, 1), 0, source=1),
        Interface((28, 28, 3), 0, source=1),
        Interface((6,), 0, vocabulary=5),
    ]:
        try:
            MODELS.build(name, interface)
        except UserError:
            continue
        fitting.append(interface)
    return fitting


@pytest.mark.slow
@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the loop is slow on CPU only")
@pytest.mark.parametrize("name", MODELS.names())
def test_no_model_holds_xlas_convolution_on_cpu(name):
    interfaces = fitting_interfaces(name)
    assert interfaces
    for interface in interfaces:
        assert "conv_general_dilated" not in jaxpr_of_a_looped_step(name, interface), interface


def test_such_a_convolution_would_be_found(monkeypatch):
    monkeypatch.setattr(convolutions, "_on_cpu", lambda: False)
    assert "conv_general_dilated" in jaxpr_of_a_looped_step(
        "dcgan:width=4", Interface((8, 8, 1), 3)
    )
