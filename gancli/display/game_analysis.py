"""The analysis of a run's game, for people."""

import math
from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.table import Table

from gancli.adversarial.jacobian import MOST_RESTARTS, Outlook, Spectrum
from gancli.display.tables import show_table
from gancli.training.game_analysis import GameAnalysis

_ROWS = 3  # Eigenvalues of each kind.
_VERBS = {
    "converges": "converge",
    "cycles": "cycle",
    "diverges": "diverge",
    "undecided": "are undecided",
}


def show_analysis(found: GameAnalysis, console: Console) -> None:
    """Prints the leading eigenvalues, what follows for gradient steps, and the duality gap."""
    field = found.spectra["simultaneous"]
    console.print(
        f"\nThe game at step {found.step}, linearized in {found.parameters:,} parameters\n"
        f"Norms of the gradients: {_by_player(found.norms)}. "
        f"Learning rates: {_by_player(found.rates)}.",
        markup=False,
    )
    show_table(console, _eigenvalues(field, found))
    for sentence in _sentences(found, field):
        console.print(sentence, markup=False)
    gap = found.gap
    error = "" if gap.error is None else f" ± {gap.error:.2g}"
    console.print(
        f"\nDuality gap {gap.gap:.4g}{error}, on {'held-out' if found.held_out else 'training'} "
        "examples",
        markup=False,
    )
    table = Table("value M of the game", "")
    table.columns[1].justify = "right"
    table.add_row("as it is", f"{gap.value.mean():.4f}")
    table.add_row("the discriminator responds", f"{gap.maximised.mean():.4f}")
    table.add_row("the generator responds", f"{gap.minimised.mean():.4f}")
    show_table(console, table)
    console.print(
        "M is minus the discriminator's loss without penalties. A response is "
        f"{found.responses} updates by the player's own loss and optimizer at its learning rate "
        "against fixed weights of the other. At an equilibrium no response changes M.",
        markup=False,
    )


def _eigenvalues(field: Spectrum, found: GameAnalysis) -> Table:
    table = Table("eigenvalues λ of", "real part", "imaginary part", "|1 + ηλ|")
    for column in table.columns[1:]:
        column.justify = "right"
    for kind, leading in field.leading.items():
        for row, value in enumerate(leading.values[:_ROWS]):
            table.add_row(
                kind if row == 0 else "",
                f"{value.real:.4g}",
                f"± {value.imag:.4g}" if value.imag else "",
                f"{abs(1 + found.rate * value):.7f}",
            )
    return table


def _sentences(found: GameAnalysis, field: Spectrum) -> Iterator[str]:
    """What follows from the eigenvalues, and how far it can be trusted."""
    each = ", ".join(f"{count} of the {name}" for name, count in found.updates.items())
    for name, outlook in found.outlooks.items():
        yield _prospect(f"{name} steps".capitalize(), outlook, found.rate)
        if name == "alternating" and set(found.updates.values()) != {1}:
            yield f"An alternating step has these updates: {each}."
    rotation = field.rotation
    if rotation is None:
        yield f"No rotation was found: imaginary parts are below {field.resolution:.2g}."
    else:
        yield (
            f"The fastest rotation has |Im λ| / |Re λ| = {rotation:.3g}; the larger it is, the "
            "smaller a learning rate must be to converge."
        )
    scaled = ", each times its share of the largest learning rate" if found.rates_differ else ""
    yield (
        f"λ are eigenvalues of -F', F the gradients of all players{scaled}: the leading ones that "
        f"Arnoldi iteration finds, not all, exact to about {field.resolution:.2g} (largest "
        f"residual {field.residual:.1g} of the largest magnitude). They tell of plain gradient "
        "steps near a point of rest, not of the steps of the run's optimizers."
    )
    for name, spectrum in found.spectra.items():
        for kind, leading in spectrum.leading.items():
            if not leading.complete:
                yield (
                    f"{name.capitalize()} steps: after {MOST_RESTARTS} restarts only "
                    f"{len(leading.values)} with the {kind} had been found; there may be others."
                )


def _prospect(steps: str, outlook: Outlook | None, rate: float) -> str:
    """What gradient steps do near the state."""
    if outlook is None:
        return f"{steps}: nothing is known, because no eigenvalue was found."
    said = (
        f"{steps} of gradient descent at η = {rate:.3g} {_VERBS[outlook.verdict]}: |1 + ηλ| is at "
        f"most {outlook.factor:.7f} (± {outlook.margin:.1g})."
    )
    if outlook.overshoots is not None:
        value = outlook.overshoots
        limit = -2 * value.real / abs(value) ** 2
        said += f" The learning rate is too large: λ = {_shown(value)} allows {limit:.2g}."
    if outlook.repels is not None:
        value = outlook.repels
        said += f" λ = {_shown(value)} repels at every learning rate"
        if rate:  # ln |1 + ηλ|, exact for the smallest rates, too.
            growth = 0.5 * math.log1p(2 * rate * value.real + (rate * abs(value)) ** 2)
            said += f", e-fold in {1 / growth:,.0f} steps"
        said += "."
    return said


def _shown(value: complex) -> str:
    return f"{value.real:.4g}" + (f" ± {value.imag:.4g}i" if value.imag else "")


def _by_player(values: Mapping[str, float]) -> str:
    return ", ".join(f"{value:.3g} ({name})" for name, value in values.items())
