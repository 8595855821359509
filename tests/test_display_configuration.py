"""The plan of a run, as `--dry-run` prints it."""

import io

from rich.console import Console

from gancli.config import Layer
from gancli.display import configuration
from gancli.training.planning import plan


def test_what_differs_from_the_defaults_comes_alone_unless_all_is_asked_for(monkeypatch):
    monkeypatch.setattr(configuration, "estimate_memory", lambda _: (1, 2, 3))
    settings = {"data.name": "ring8:count=100", "model": "mlp:width=4,depth=1", "train.seed": 5}
    planned = plan([Layer("mine.toml", settings)])
    keys = []
    for verbose in (False, True):
        text = io.StringIO()
        configuration.show_plan(planned, Console(file=text, width=120), verbose)
        rows = [line.split() for line in text.getvalue().splitlines() if line.startswith("│")]
        keys.append({row[1] for row in rows})
        assert ("--verbose" in text.getvalue()) is not verbose
    some, every = keys
    assert {"data.name", "model", "train.seed"} <= some
    assert "train.dynamics" in every - some
    assert len(every) > 2 * len(some)
