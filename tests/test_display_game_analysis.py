"""What is said of a run's game, from figures made by hand."""

import io

import numpy as np
import pytest
from rich.console import Console

from gancli.adversarial.duality_gap import DualityGap
from gancli.adversarial.jacobian import Leading, Spectrum, outlook
from gancli.display.game_analysis import show_analysis
from gancli.training.game_analysis import GameAnalysis


def said_of(largest, right, fastest, rate=0.01, complete=True, updates=1):
    spectrum = Spectrum(
        {
            "largest magnitude": Leading((largest,), 0.0, complete),
            "largest real part": Leading((right,), 0.0, True),
            "largest imaginary part": Leading(fastest, 0.0, True),
        },
        100,
    )
    both = {"simultaneous": spectrum, "alternating": spectrum}
    found = GameAnalysis(
        step=7,
        parameters=1234,
        rates={"discriminator": rate, "generator": rate},
        updates={"discriminator": updates, "generator": 1},
        norms={"discriminator": 0.5, "generator": 0.25},
        spectra=both,
        outlooks={name: outlook(own, rate) for name, own in both.items()},
        gap=DualityGap(np.full(4, 1.0), np.full(4, 1.5), np.full(4, 0.75)),
        held_out=False,
        warnings=(),
    )
    console = Console(file=io.StringIO(), width=80)
    show_analysis(found, console)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("values", "words"),
    [
        # 1 / ln 1.01 = 100.5 steps
        ((-50 + 0j, 1 + 0j, ()), ("diverge", "λ = 1 repels", "100 steps", "No rotation")),
        # 2 · 400 / 400² = 0.005
        ((-400 + 0j, -1 + 0j, ()), ("diverge", "λ = -400 allows 0.005")),
        ((-50 + 0j, -1 + 0j, (-2 + 6j,)), ("converge", "|Im λ| / |Re λ| = 3;")),
    ],
)
def test_what_follows_for_gradient_steps(values, words):
    said = said_of(*values)
    for word in (*words, "step 7", "1,234 parameters", "Duality gap 0.75", "training examples"):
        assert word in said


def test_what_was_not_found_is_said():
    assert "Simultaneous steps: after 40 restarts only 1" in said_of(
        -50 + 0j, -1 + 0j, (), complete=False
    )


def test_several_updates_are_said():
    assert "5 of the discriminator, 1 of the generator" in said_of(-50 + 0j, -1 + 0j, (), updates=5)
