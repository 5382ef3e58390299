"""What `pointsman fit` and `pointsman plot fit` share: the files given, and one endpoint's fit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from pointsman.cli.fit_tables import FitFigures
from pointsman.data.fit_sources import FitSource, read_sources
from pointsman.errors import NotFittable
from pointsman.predict.profile_fit import fit_profile, fit_series
from pointsman.report.fit_report import hold_out


def usable_sources(paths: Sequence[Path]) -> tuple[list[FitSource], list[Path]]:
    """The endpoints of all files that a curve follows from, and those files.

    The others are named on stderr, so that a folder's files can be given at once. Raises: NotFittable
    where none is left; DataError for a file that is missing or broken, which is never passed over.
    """
    sources: list[FitSource] = []
    used: list[Path] = []
    refused: list[NotFittable] = []
    for path in paths:
        try:
            sources += read_sources(path)
        except NotFittable as error:
            refused.append(error)
        else:
            used.append(path)
    if refused and not used:
        raise refused[0] if len(refused) == 1 else NotFittable(" ".join(f"{reason}." for reason in refused))
    for reason in refused:
        typer.secho(f"warning: left out: {reason}", fg=typer.colors.YELLOW, err=True)
    return sources, used


def fit_source(source: FitSource, model: str, length: str, seed: int) -> FitFigures:
    """Fit one endpoint and hold its prompts out; computed rows have nothing to hold out."""
    name, rows, origin = source.name, source.rows, source.provenance
    if source.natural:
        profile = fit_profile(name, rows, origin, cost=model, length=length, seed=seed)
    else:
        profile = fit_series(name, rows, origin, cost=model, seed=seed, computed=source.computed)
    held = hold_out(rows, model, length if source.natural else None, seed)
    return FitFigures(profile, () if source.computed else tuple(held), source.notes)
