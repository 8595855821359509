"""The card of an export: what it is, where it comes from, and how to use it."""

from collections.abc import Sequence
from typing import Any

from gancli.evaluation.kept import evaluations_of
from gancli.export.part import TrainedPart
from gancli.runs.versions import versions
from gancli.tasks import Sampler

_SERVE = "Serve the folder, such as by `python -m http.server`, and open http://localhost:8000."
# What loads the files of a format.
_LIBRARIES = {"stablehlo": "jax", "safetensors": "gancli", "onnx": "onnx", "web": "onnx"}


def model_card(trained: TrainedPart, name: str, precision: str, error: float | None) -> str:
    """The card of an export, as Markdown.

    Args:
        trained: the part.
        name: of its format.
        precision: that of its products.
        error: the largest difference of its outputs from gan's own; None if it computes nothing.
    """
    generator = trained.generator
    config, spec = generator.config, generator.spec
    weights = "moving average (EMA)" if generator.averaged else "raw"
    trained_in = config.train.precision
    facts = {
        "Data set": f"{spec.name}: {spec.kind} of shape {spec.shape}"
        + (f", {len(spec.classes)} labels" if spec.classes else ""),
        "Fingerprint of the data": generator.data.fingerprint,
        "Task": config.task,
        "Part": f"{trained.name}, of the player {trained.part.player}",
        "Networks": config.model,
        "Loss": ", ".join(filter(None, (config.loss, *config.penalties))) or "that of the task",
        "Steps": f"{generator.step:,} of {config.train.batch} examples, seed {config.train.seed}",
        "Weights": f"{weights}, {sum(array.size for array in trained.weights.values()):,} values",
        "Precision of products": precision
        + (f"; {trained_in} in training" if trained_in != precision else ""),
        "SHA-256 of the checkpoint's checksums": generator.sha256,
        "Versions": ", ".join(f"{package} {own}" for package, own in versions().items()),
    }
    if error is not None:
        facts["Largest difference from gan's own outputs, measured"] = f"{error:.2g}"
    parts = [
        _metadata(trained, name),
        f"# {trained.name} of {spec.name}",
        _table(("", ""), [(key, _cell(value)) for key, value in facts.items()]),
        "## Inputs and outputs",
        "\n".join(f"- {line}" for line in (*_inputs(trained), *_outputs(trained))),
        "## Use",
        *([_SERVE] if name == "web" else []),
        f"```python\n{_code(trained, name)}\n```",
        "## Evaluation",
        _evaluation(trained),
        "## Licence",
        "Chosen by whoever publishes this export. The licence of the data may bind it.",
    ]
    return "\n\n".join(parts) + "\n"


def _metadata(trained: TrainedPart, name: str) -> str:
    """What the Hugging Face hub reads of a card: YAML between two lines."""
    sampler, inputs = trained.generator.task.sampler, trained.part.inputs
    lines = [f"library_name: {_LIBRARIES[name]}", "tags:", "- gan", f"- {name}"]
    if trained.part.outputs == ("images",):
        if "sources" in inputs:
            lines.append("pipeline_tag: image-to-image")
        elif isinstance(sampler, Sampler) and not sampler.classes:
            lines.append("pipeline_tag: unconditional-image-generation")
    return "\n".join(["---", *lines, "---"])


def _inputs(trained: TrainedPart) -> list[str]:
    """What each input is; of latents, how gan draws them."""
    described = []
    part, sampler = trained.part, trained.generator.task.sampler
    for name, one in part.inputs.items():
        if name == "latents" and isinstance(sampler, Sampler):
            means = _latents(sampler, one.shape[0])
        elif name == "codes":
            means = "the labels that the examples are judged with, one-hot"
        elif len(one.shape) == 3:
            means = f"images, 0 as -1 and {trained.generator.spec.white:,} as 1"
            if part.multiple > 1:
                means += f"; height and width are multiples of {part.multiple}"
        else:
            means = "examples as in the data"
        sides = ("height", "width", one.shape[-1]) if part.multiple else one.shape
        described.append(
            f"`{name}`: {one.dtype} ({', '.join(map(str, ('batch', *sides)))}): {means}"
        )
    return described


def _latents(sampler: Sampler, size: int) -> str:
    if sampler.space is None:
        return "the two words of a random key, any numbers"
    codes = len(sampler.classes) + sampler.continuous
    noise = {"normal": "standard normal noise", "uniform": "uniform noise in [-1, 1]"}
    said = [f"{size - codes} values of {noise[sampler.space.distribution]}"]
    if sampler.space.distribution == "normal":
        drawn = (
            f"jax.random.normal(jax.random.fold_in(jax.random.key(S), i), (1, {size - codes}))[0]"
        )
        said[0] += f" (of example i of `gan sample --seed S`: `{drawn}`)"
    if sampler.classes:
        names = ", ".join(sampler.classes)
        said.append(f"{len(sampler.classes)} of the label, one-hot, in this order: {names}")
    if sampler.continuous:
        said.append(f"{sampler.continuous} codes, uniform in [-1, 1]")
    return "; then ".join(said)


def _outputs(trained: TrainedPart) -> list[str]:
    """What each output is."""
    white = trained.generator.spec.white
    half = white / 2
    means = {
        "images": f"in [-1, 1]; as whole numbers `({half} * images + {half}).round()"
        f".clip(0, {white})`",
        "points": "as in the data",
        "tokens": "int32, as in the data",
        "logits": "higher for examples that look more real",
        "mean": "the mean of the latents of an example",
        "log_variance": "the logarithm of their variance",
    }
    made = trained.shapes()
    return [
        f"`{name}`: {like.dtype} ({', '.join(('batch', *map(str, like.shape[1:])))}): {means[name]}"
        for name, like in zip(trained.part.outputs, made, strict=True)
    ]


def _code(trained: TrainedPart, name: str) -> str:
    """Ten lines of Python that load the export and compute the outputs."""
    own, outputs = trained.name, ", ".join(trained.part.outputs)
    given = [
        line for key, one in trained.part.inputs.items() for line in _drawing(trained, key, one)
    ]
    names = ", ".join(trained.part.inputs)
    if name == "safetensors":
        lines = ["import numpy as np", "", "import gancli", ""]
        lines += [f'{own} = gancli.load("{own}.safetensors")']
        if "latents" in trained.part.inputs:
            given = [f"latents = {own}.latents(16, seed=0)"]
        return "\n".join([*lines, *given, f"{outputs} = {own}({names})"])
    if name in ("onnx", "web"):
        feeds = ", ".join(f'"{key}": {key}' for key in trained.part.inputs)
        lines = ["import numpy as np", "import onnxruntime", ""]
        lines += [f'{own} = onnxruntime.InferenceSession("{own}.onnx")']
        return "\n".join([*lines, *given, f"{outputs}, = {own}.run(None, {{{feeds}}})"])
    lines = ["import jax", "import numpy as np", ""]
    lines += ['weights = dict(np.load("weights.npz"))']
    lines += [f'with open("{own}.stablehlo", "rb") as file:']
    lines += [f"    {own} = jax.export.deserialize(bytearray(file.read()))"]
    return "\n".join([*lines, *given, f"{outputs} = {own}.call(weights, {names})"])


def _drawing(trained: TrainedPart, name: str, one: Any) -> list[str]:
    """Lines that draw 16 of an input; of latents, as their noise and codes are distributed."""
    random, sampler = "np.random.default_rng(0)", trained.generator.task.sampler
    if name != "latents" or not isinstance(sampler, Sampler):
        return [f"{name} = {random}.uniform(-1, 1, {(16, *one.shape)}).astype(np.float32)"]
    if sampler.space is None:
        return [f"latents = {random}.integers(0, 2**32, {(16, *one.shape)}, np.uint32)"]
    classes, continuous = len(sampler.classes), sampler.continuous
    of_noise = (16, one.shape[0] - classes - continuous)
    drawn = {"normal": f"standard_normal({of_noise})", "uniform": f"uniform(-1, 1, {of_noise})"}
    lines, parts = [f"noise = {random}.{drawn[sampler.space.distribution]}"], ["noise"]
    if classes:
        lines.append(f"labels = np.eye({classes})[np.arange(16) % {classes}]")
        parts.append("labels")
    if continuous:
        lines.append(f"codes = {random}.uniform(-1, 1, {(16, continuous)})")
        parts.append("codes")
    return [*lines, f"latents = np.concatenate([{', '.join(parts)}], axis=1, dtype=np.float32)"]


def _evaluation(trained: TrainedPart) -> str:
    """The figures of the last evaluation of these weights."""
    held = evaluations_of(trained.generator)
    if not held:
        return "These weights have not been evaluated."
    report = held[-1]
    intervals = report.get("intervals", {})
    rows = []
    for figure, value in report["metrics"].items():
        low, high = intervals.get(figure, ("", ""))
        between = f"{low:.4g} to {high:.4g}" if figure in intervals else ""
        rows.append((figure, f"{value:.4g}", between))
    origin = (
        f"By `gan evaluate`, of {report['samples']:,} samples with seed {report['seed']}, against "
        f"the split {report['real']['split']!r}."
    )
    return f"{origin}\n\n{_table(('figure', 'value', 'interval'), rows)}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
