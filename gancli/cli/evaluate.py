"""`gan evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from gancli.cli.application import app, compute, err, out


@app.command()
def evaluate(
    ckpt: Annotated[Path, typer.Option(help="A run, or one of its checkpoints/STEP.")],
    metrics: Annotated[
        str | None, typer.Option(help="Names from gan list metrics, separated by commas.")
    ] = None,
    samples: Annotated[
        int, typer.Option(min=100, max=10_000_000, help="Examples to generate.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Of their latents.")] = 0,
    raw: Annotated[
        bool, typer.Option("--raw", help="The weights as trained, not their EMA.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Measure what a trained generator makes."""
    compute()
    from gancli.display.evaluation import show_evaluation
    from gancli.evaluation import evaluate as evaluate_generator
    from gancli.launch import load_data
    from gancli.sampling import load_generator

    generator = load_generator(ckpt, raw)
    for message in generator.skipped:
        err.print(f"warning: {message}")
    names = [name.strip() for name in (metrics or "").split(",") if name.strip()]
    result = evaluate_generator(generator, load_data(generator.config), names, samples, seed)
    show_evaluation(result, out, json)
