"""`pointsman train --target length`: from outcomes to the artifact that predicts how long answers are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pointsman.cli.progress import progress
from pointsman.data.outcome_folders import joined, read_outcomes
from pointsman.errors import DataError
from pointsman.predict.length.fit import FittedLengths, LengthOptions, fit_lengths
from pointsman.predict.length.held_out import LengthMeasures, SetMeasures
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.bundle import check_replaceable

_MOST_POINTS: Final = 4_000


def train_lengths(
    folders: Sequence[Path],
    out: Path,
    options: LengthOptions,
    created: str,
    plots: Path | None,
) -> None:
    """Learn lengths, print what they are worth on prompts held out, and write the artifact."""
    check_replaceable(out)
    console = Console(highlight=False)
    with progress() as say:
        say("reading")
        matrix, set_of, names = _with_sets(folders)
        fitted = fit_lengths(matrix, options, progress=say)
        say("measuring")
        measures = None
        if fitted.curves is not None:
            measures = LengthMeasures.of(matrix, fitted.curves, set_of, names)
    answers = int(np.isfinite(matrix.output_tokens).sum())
    console.print(
        f"{len(matrix.query_ids):,} queries ({len(np.unique(matrix.groups)):,} different prompts), "
        f"{len(matrix.endpoints)} endpoints, {answers:,} lengths",
        soft_wrap=True,
    )
    for note in fitted.notes:
        console.print(f"[yellow]note: {escape(note)}[/]", soft_wrap=True)
    if measures is not None:
        _print(console, measures)
    fitted.model.write(
        out, {"created": created} | ({} if measures is None else {"held_out": measures.to_dict()})
    )
    console.print(f"written: {out}", soft_wrap=True)
    if plots is not None and measures is not None:
        for path in _save_plots(plots, matrix, fitted, measures, set_of):
            console.print(f"written: {path}", soft_wrap=True)


def _with_sets(folders: Sequence[Path]) -> tuple[OutcomeMatrix, NDArray[np.int64], tuple[str, ...]]:
    """Queries with a length on some endpoint, the folder of each, and the folders' names."""
    parts = [read_outcomes([folder]) for folder in folders]
    whole = joined(parts)
    first: dict[str, int] = {}
    for number, part in enumerate(parts):
        for query in part.query_ids:
            first.setdefault(query, number)
    rows = np.flatnonzero(np.isfinite(whole.output_tokens).any(axis=1))
    if not len(rows):
        raise DataError(
            f"no answer of {', '.join(map(str, folders))} has a length",
            remedy="Give outcomes with the column output_tokens",
        )
    matrix = whole.take(rows)
    set_of = np.array([first[query] for query in matrix.query_ids], dtype=np.int64)
    return matrix, set_of, tuple(folder.resolve().name for folder in folders)


def _print(console: Console, measures: LengthMeasures) -> None:
    """A row a set, and what is across sets below."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("held out", overflow="fold")
    headings = (
        "answers",
        "tau",
        "tau,\ninput\nsize",
        "quantile\nloss,\ntokens",
        "the same,\nno text",
        "in 80%",
        "in 95%",
    )
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    several = len(measures.sets) > 1
    for each in measures.sets:
        table.add_row(*_cells(each))
    if several:
        table.add_row(*_cells(measures.whole), style="bold")
    console.print(table)
    if several:
        console.print(
            f"Kendall's tau over all pairs {measures.tau:.3f}, within a set and endpoint "
            f"{measures.tau_within:.3f}, across {measures.tau_across:.3f}",
            soft_wrap=True,
        )


def _cells(made: SetMeasures) -> tuple[str, ...]:
    return (
        escape(made.name),
        f"{made.answers:,}",
        f"{made.tau:.3f}",
        f"{made.tau_input:.3f}",
        f"{made.loss:,.1f}",
        f"{made.loss_plain:,.1f}",
        f"{made.held_80:.1%}",
        f"{made.held_95:.1%}",
    )


def _save_plots(
    folder: Path,
    matrix: OutcomeMatrix,
    fitted: FittedLengths,
    measures: LengthMeasures,
    set_of: NDArray[np.int64],
) -> list[Path]:
    from pointsman.report.figure import save
    from pointsman.report.length_plots import LengthPoints, plot_lengths, plot_tau

    assert fitted.curves is not None
    assert fitted.folds is not None
    row, column = np.nonzero(np.isfinite(matrix.output_tokens))
    seed = fitted.model.about["settings"]["seed"]
    order = np.random.default_rng(seed).permutation(len(row))
    panels = []
    numbers = [number for number in range(int(set_of.max()) + 1) if (set_of == number).any()]
    for each, number in zip(measures.sets, numbers, strict=True):
        drawn = order[set_of[row[order]] == number][:_MOST_POINTS]
        curves = fitted.curves[row[drawn], column[drawn]]
        panels.append(LengthPoints(each.name, matrix.output_tokens[row[drawn], column[drawn]], curves))
    folder.mkdir(parents=True, exist_ok=True)
    about = f"Prompts held out in {len(np.unique(fitted.folds))} parts, features {fitted.model.features}."
    taus = [(each.name, each.tau, each.tau_input) for each in measures.sets]
    written = save(plot_lengths(panels, about), folder / "lengths.png")
    return written + save(plot_tau(taus, about), folder / "tau.png")
