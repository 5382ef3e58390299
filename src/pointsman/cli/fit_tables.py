"""The fit report as tables on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.table import Table

from pointsman.predict.artifact import FitArtifact
from pointsman.predict.length import LinearLength
from pointsman.predict.model_profile import DEFAULT_ENERGY, CostCurve, ModelProfile
from pointsman.report.fit_report import HeldOut, coefficient_rows

_UNITS: Final = {"time_s": "s", "energy_j": "J", "output_tokens": "tokens"}


@dataclass(frozen=True, slots=True)
class FitFigures:
    """A fitted profile, its held-out predictions and what to know of its rows."""

    profile: ModelProfile
    held: Sequence[HeldOut]
    notes: tuple[str, ...] = ()


def print_fit(console: Console, figures: FitFigures) -> None:
    """What was fitted for one endpoint, and how good it is."""
    profile = figures.profile
    console.print(f"\n[bold]{profile.endpoint}[/bold]: {profile.provenance.sentence()}", highlight=False)
    for note in figures.notes:
        console.print(note, highlight=False, soft_wrap=True)
    _print_curves(console, profile)
    if figures.held:
        _print_figures(console, figures)
    _print_priors(console, profile)


def print_imported(console: Console, artifact: FitArtifact) -> None:
    """Profiles that came fitted: coefficients only."""
    for profile in artifact.profiles:
        console.print(f"\n[bold]{profile.endpoint}[/bold]: {profile.provenance.sentence()}", highlight=False)
        _print_curves(console, profile)
        _print_priors(console, profile)
    console.print("No intervals and no held-out error: the layout holds coefficients only.")


def _print_curves(console: Console, profile: ModelProfile) -> None:
    table = _table("coefficients", "time, s", _energy(profile, "energy, J"), "")
    time, energy = profile.time, profile.energy
    if energy is not DEFAULT_ENERGY:
        for (term, seconds, remark), (_, joules, _) in zip(
            coefficient_rows(time), coefficient_rows(energy), strict=True
        ):
            table.add_row(term, f"{seconds:.4g}", f"{joules:.4g}", remark)
    else:
        for term, seconds, remark in coefficient_rows(time):
            table.add_row(term, f"{seconds:.4g}", "not measured: default", remark)
    for level, *factors in zip(
        time.load.concurrency, time.load.input_side, time.load.output_side, strict=True
    ):
        if level > 1:
            table.add_row(
                f"at concurrency {level}: prompt, decoding",
                " ".join(f"x{factor:.3g}" for factor in factors),
                _load(energy, level),
                "",
            )
    console.print(table)


def _load(curve: CostCurve, level: int) -> str:
    load = curve.load
    if level not in load.concurrency:
        return "-"
    at = load.concurrency.index(level)
    return f"x{load.input_side[at]:.3g} x{load.output_side[at]:.3g}"


def _print_figures(console: Console, figures: FitFigures) -> None:
    table = _table(
        "held-out prompts", "rows", "R2", "MAPE", "median APE", "MAPE at arrival", "coverage of 90%", "width"
    )
    for held in figures.held:
        values = held.figures()
        name = f"{held.quantity.rpartition('_')[0] or held.quantity}, {_UNITS[held.quantity]}"
        if held.quantity == "energy_j":
            name = _energy(figures.profile, name)
        table.add_row(
            name,
            str(len(held.measured)),
            f"{values['r2']:.3f}",
            f"{values['mape']:.1%}",
            f"{values['median_ape']:.1%}",
            f"{values['mape_at_arrival']:.1%}",
            f"{values['coverage']:.1%}",
            f"{values['relative_width']:.2f}",
        )
    console.print(table)


def _print_priors(console: Console, profile: ModelProfile) -> None:
    length = profile.length
    if isinstance(length, LinearLength):
        words = "" if length.measured else " (documented default, not measured)"
        console.print(
            f"length: {length.slope:.4g} in + {length.intercept_tokens:.4g} tokens{words}", highlight=False
        )
    else:
        means = ", ".join(
            f"{task or 'all'} {sum(curve) / len(curve):.1f} (n {length.rows[task]})"
            for task, curve in length.curves.items()
        )
        console.print(f"mean length, tokens: {means}", highlight=False)
    shares = ", ".join(
        f"{task or 'all'} {prior.mean:.2f} [{prior.low:.2f}, {prior.high:.2f}] (n {prior.n})"
        for task, prior in profile.quality.items()
    )
    console.print(f"share of right answers, 90% interval: {shares}", highlight=False)


def _energy(profile: ModelProfile, name: str) -> str:
    return f"{name} (modelled)" if profile.provenance.energy_modelled else name


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right")
    return table
