"""What an export computes is what gan computes: every task's parts, and every model."""

import json
import re
import subprocess
import sys

import jax
import numpy as np
import pytest
from refusals import refused
from test_tasks import OF_TASK, OPTIONS, RING, SMALL, config
from tiny_runs import (
    autoencoder_run,
    coded_run,
    gan,
    labelled_run,
    points_run,
    restoring_run,
    snapshot,
    succeed,
)

import gancli
from gancli.data import load
from gancli.data.transform import to_stored
from gancli.evaluation.generator import Generator, load_generator
from gancli.export import FORMATS, export, load_part
from gancli.export.exporting import largest_error
from gancli.export.part import TrainedPart, parts_of
from gancli.networks import MODELS
from gancli.runs.directory import DataIdentity
from gancli.tasks import TASKS
from gancli.tasks.program import build_task

# A web page computes by the file of `onnx`, and has tests of its own.
COMPUTING = [name for name, one in FORMATS.items() if one.run and name != "web"]
# Others of the slow part have such parts, too.
LONG = ("cyclegan", "colorization", "gumbel", "policy-gradient")
LATENTS = "latents = np.load('latents.npy')"


def initial(configuration, data):
    """A generator at step 0, and its players' weights."""
    spec = (load(data) if isinstance(data, str) else data).spec
    task = build_task(configuration, spec)
    weights = task.initialize(jax.random.key(0))
    origin = (DataIdentity(spec, ""), None, 0, False, (), "")
    return Generator(task, weights[task.sampler.player], configuration, *origin), weights


def parts(configuration, data):
    generator, weights = initial(configuration, data)
    for name, one in parts_of(generator).items():
        yield TrainedPart(generator._replace(weights=weights[one.player]), name, one)


def error_of(form, trained):
    """Of three examples by the files, against gan's own."""
    inputs = trained.try_inputs(3)
    return largest_error(
        FORMATS[form].run(FORMATS[form].convert(trained), trained, inputs), trained(*inputs)
    )


def converter(form):
    if form == "onnx":
        pytest.importorskip("jax2onnx")
        pytest.importorskip("onnxruntime")


def code_of(folder):
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    return code


def run_alone(code, folder, without=()):
    """Runs Python in the folder, where some packages cannot be imported."""
    hidden = "".join(f"sys.modules[{name!r}] = None\n" for name in without)
    script = f"import sys\n{hidden}{code}"
    subprocess.run([sys.executable, "-c", script], cwd=folder, check=True)


@pytest.mark.slow
def test_stablehlo_runs_without_gan_and_draws_the_same_images(tmp_path):
    """By the code that its card shows, with the latents of the samples in place of others."""
    folder = tmp_path / "out"
    succeed("export", f"{labelled_run()} --out {folder}")
    latents = gancli.load(labelled_run()).latents(5, seed=3, labels=(4, 2))
    np.save(folder / "latents.npy", latents)
    code = code_of(folder)
    assert code.count("\nlatents = ") == 1
    code = re.sub(r"\nlatents = .*", f"\n{LATENTS}", code)
    run_alone(f"{code}\nnp.save('images.npy', images)", folder, ("gancli", "flax"))
    images = np.load(folder / "images.npy")
    assert (images.dtype, images.shape) == (np.float32, (5, 8, 8, 1))
    np.testing.assert_array_equal(images, gancli.load(labelled_run())(latents))
    drawn = gancli.sample(labelled_run(), 5, seed=3, labels=(4, 2))
    np.testing.assert_array_equal(to_stored(images), drawn)


@pytest.mark.slow
@pytest.mark.parametrize("form", [*COMPUTING, "safetensors"])
@pytest.mark.parametrize("run", [coded_run, points_run])
def test_the_code_of_the_card_runs(tmp_path, monkeypatch, run, form):
    converter(form)
    trained = load_part(run())
    export(trained, form, tmp_path)
    monkeypatch.chdir(tmp_path)
    held: dict = {}
    exec(code_of(tmp_path), held)
    (name,) = trained.part.outputs
    assert held[name].shape == (16, *trained.generator.spec.shape)


@pytest.mark.slow
def test_it_runs_on_every_platform_at_any_batch_size():
    trained = load_part(labelled_run())
    exported = jax.export.deserialize(
        bytearray(FORMATS["stablehlo"].convert(trained)["generator.stablehlo"])
    )
    assert exported.platforms == ("cpu", "cuda", "rocm", "tpu")
    for count in (1, 3):
        assert exported.call(trained.weights, trained.latents(count)).shape == (count, 8, 8, 1)


def test_safetensors_are_loaded_again_as_the_same_function(tmp_path):
    trained = load_part(autoencoder_run())
    export(trained, "safetensors", tmp_path / "out")
    again = gancli.load(tmp_path / "out" / "generator.safetensors")
    assert not any("encoder" in path for path in again.weights)  # It samples without.
    latents = trained.latents(3, seed=1)
    np.testing.assert_array_equal(again.latents(3, seed=1), latents)
    np.testing.assert_array_equal(again(latents), trained(latents))
    assert again.generator.provenance() == trained.generator.provenance()
    with refused("1", allowed="none"):
        again.latents(3, labels=(1,))
    with refused("'encoder'", allowed="generator"):
        gancli.load(tmp_path / "out" / "generator.safetensors", part="encoder")


@pytest.mark.parametrize("change", ["cut", "not", "without"])
def test_a_file_of_other_weights_is_refused(tmp_path, change):
    from safetensors.numpy import load_file, save_file

    path = tmp_path / "generator.safetensors"
    export(load_part(points_run()), "safetensors", tmp_path)
    if change == "cut":
        path.write_bytes(path.read_bytes()[:-8])
    else:
        save_file(load_file(path), path, {"part": "generator"} if change == "without" else None)
    with refused(str(path), allowed="gan export"):
        gancli.load(path)


@pytest.mark.slow
def test_raw_weights_are_those_that_were_trained():
    averaged, raw = load_part(labelled_run()), load_part(labelled_run(), raw=True)
    assert averaged.generator.averaged
    assert not raw.generator.averaged
    latents = raw.latents(2)
    assert (raw(latents) != averaged(latents)).any()
    assert not load_part(labelled_run(), "discriminator").generator.averaged


@pytest.mark.slow
def test_the_discriminator_is_a_function_of_images_and_labels():
    trained = load_part(labelled_run(), "discriminator")
    images = gancli.load(labelled_run())(gancli.load(labelled_run()).latents(4))
    logits = [trained(images, np.eye(10, dtype=np.float32)[[label] * 4]) for label in (0, 1)]
    assert logits[0].shape == (4,)
    assert (logits[0] != logits[1]).any()
    assert set(load_part(coded_run(), "discriminator").part.inputs) == {"images"}


@pytest.mark.parametrize(
    ("options", "given", "allowed"),
    [
        ("--format h5", "'h5'", "stablehlo"),
        ("--part encoder", "'encoder'", ("generator", "discriminator")),
        ("--part back", "'back'", "generator"),
    ],
)
def test_what_there_is_not_is_refused_and_nothing_is_written(tmp_path, options, given, allowed):
    result = gan("export", f"{points_run()} --out {tmp_path / 'out'} {options}")
    assert result.exit_code == 2
    said = " ".join(result.stderr.split())
    for name in (given, *([allowed] if isinstance(allowed, str) else allowed)):
        assert name in said
    assert not (tmp_path / "out").exists()


def test_only_an_earlier_export_is_replaced(tmp_path):
    trained, folder = load_part(points_run()), tmp_path / "out"
    export(trained, "stablehlo", folder)
    export(trained, "safetensors", folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    held = {path.name for path in folder.iterdir()}
    assert held == {"generator.safetensors", "README.md", "manifest.json"}
    assert {*manifest["files"], "manifest.json"} == held
    assert (manifest["command"], manifest["format"]) == ("gan export", "safetensors")
    (folder / "mine").touch()
    before = snapshot(folder)
    with refused(str(folder), "mine", remedy="--out"):
        export(trained, "stablehlo", folder)
    samples = tmp_path / "samples"
    succeed("sample", f"{points_run()} --count 2 --format npz --out {samples}")
    with refused(str(samples), "samples.npz", allowed="gan export"):
        export(trained, "stablehlo", samples)
    assert snapshot(folder) == before


def test_a_conversion_that_computes_something_else_is_refused(tmp_path, monkeypatch):
    wrong = FORMATS["stablehlo"]._replace(run=lambda files, trained, inputs: trained(*inputs) + 1)
    monkeypatch.setitem(FORMATS, "stablehlo", wrong)
    with refused("stablehlo", "differ", allowed="0.001"):
        export(load_part(points_run()), "stablehlo", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_card_says_where_it_comes_from(tmp_path):
    generator = load_generator(coded_run())
    export(load_part(coded_run()), "safetensors", tmp_path)
    card = (tmp_path / "README.md").read_text()
    for fact in (generator.sha256, generator.data.fingerprint, "infogan:latent=4", "dcgan:width=4"):
        assert fact in card
    assert "4 values of standard normal noise" in card
    assert "3 of the label, one-hot, in this order: 0, 1, 2; then 1 codes" in card
    (drawn,) = re.findall(r"`(jax.random.normal.*?)`", card)
    first = eval(drawn, {"jax": jax, "S": 5, "i": 1})
    np.testing.assert_array_equal(gancli.load(coded_run()).latents(2, seed=5)[1, :4], first)
    assert "have not been evaluated" in card


@pytest.mark.slow
def test_the_card_holds_the_figures_of_its_weights_evaluation(tmp_path):
    run = gancli.train(
        {
            "data.name": RING,
            "train.steps": 2,
            "train.batch": 20,
            "loss": "hinge",
            "model": "mlp:width=8,depth=1",
        },
        tmp_path / "run",
    )
    report = gancli.evaluate(run.path, ["modes"], samples=100, seed=4)
    export(load_part(run.path), "safetensors", tmp_path / "averaged")
    export(load_part(run.path, raw=True), "safetensors", tmp_path / "raw")
    card = (tmp_path / "averaged" / "README.md").read_text()
    assert f"| modes/found | {report['metrics']['modes/found']:.4g} |" in card
    assert "100 samples with seed 4" in card
    assert "have not been evaluated" in (tmp_path / "raw" / "README.md").read_text()


@pytest.mark.parametrize("form", COMPUTING)
@pytest.mark.parametrize(
    "task",
    [
        pytest.param(name, marks=[pytest.mark.exhaustive if name in LONG else pytest.mark.slow])
        for name in TASKS.names()
    ],
)
def test_every_part_of_every_task_is_converted_or_names_the_operation(task, form):
    converter(form)
    data, kind, values, _ = OF_TASK.get(task, (RING, "points", SMALL, None))
    default = "latent=2" if "latent" in TASKS.options(task) else ""
    configuration = config(kind, task=f"{task}:{OPTIONS.get(task, default)}", **values)
    for trained in parts(configuration, data):
        if form == "onnx" and trained.name in NOT_IN_ONNX.get(task, {}):
            with refused(task, NOT_IN_ONNX[task][trained.name], remedy="stablehlo"):
                FORMATS[form].convert(trained)
        else:
            bits = form == "stablehlo" and not trained.part.multiple
            assert error_of(form, trained) <= (0 if bits else 1e-5), trained.name


NOT_IN_ONNX = {
    "super-resolution": {"generator": "resize", "discriminator": "resize"},
    "gumbel": {"generator": "full"},
    "policy-gradient": {"generator": "full"},
    "maximum-likelihood": {"generator": "full"},
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("form", COMPUTING)
@pytest.mark.parametrize("model", sorted({*MODELS.names()} - {"sequence", "unet", "cyclegan"}))
def test_every_model_is_converted(model, form):
    converter(form)
    size = {"maxout-mlp": "width=8,pieces=2", "r3gan": "width=16"}.get(model, "width=4")
    values = {"model": f"{model}:{size}", "loss": "non-saturating", "task": "conditional:latent=3"}
    # With a free batch size, StyleGAN2 rounds otherwise.
    most = 1e-5 if form == "onnx" else 1e-6 if model == "stylegan2" else 0
    for trained in parts(config("image", **values), "digits"):
        assert error_of(form, trained) <= most, trained.name


@pytest.mark.slow
@pytest.mark.parametrize("form", COMPUTING)
def test_translators_take_images_of_other_sizes(form):
    converter(form)
    trained = load_part(restoring_run())
    if form == "onnx":
        pytest.skip("super-resolution is not converted to it")
    files = FORMATS[form].convert(trained)
    sources = np.random.default_rng(0).uniform(-1, 1, (2, 6, 10, 1)).astype(np.float32)
    made = FORMATS[form].run(files, trained, [sources])
    assert made.shape == (2, 12, 20, 1)
    np.testing.assert_allclose(made, trained(sources), atol=1e-6)


@pytest.mark.slow
def test_onnx_computes_in_float32_what_was_trained_in_bfloat16(tmp_path):
    converter("onnx")
    values = {"model": "dcgan:width=16", "loss": "hinge", "train__precision": "bfloat16"}
    trained = next(parts(config("image", **values), "digits"))
    latents = trained.latents(3)
    exact = trained.in_float32()
    assert (exact(latents) != trained(latents)).any()
    assert error_of("onnx", exact) <= 1e-5
