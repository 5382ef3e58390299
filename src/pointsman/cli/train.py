"""`pointsman train`: from outcomes to the artifact that predicts quality and length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape

from pointsman.cli.progress import progress
from pointsman.cli.train_length import train_lengths
from pointsman.cli.train_table import print_measures
from pointsman.clock import RealClock
from pointsman.data.outcome_folders import read_outcomes
from pointsman.errors import BadRequest
from pointsman.predict.length.fit import LengthOptions
from pointsman.predict.length.score_fit import SCORES
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.base import Queries
from pointsman.predict.quality.bundle import check_replaceable
from pointsman.predict.quality.fit import FitOptions, FittedQuality, fit_quality
from pointsman.predict.quality.held_out import EndpointMeasures, measure
from pointsman.predict.quality.held_out_rows import HeldOutRows
from pointsman.predict.quality.kinds import FEATURES, MODELS

BASELINES = ("knn", "prior")
TARGETS = ("quality", "length")


def train(
    outcomes: Annotated[
        list[Path],
        typer.Option(
            metavar="DIR", help="A folder with queries.parquet and outcomes.parquet; give it more than once."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The folder to write; default quality or length.")
    ] = None,
    target: Annotated[
        str, typer.Option(help="quality: how likely answers are right, and how long; length: how long alone.")
    ] = TARGETS[0],
    model: Annotated[
        str | None,
        typer.Option(
            help=f"Of quality: {', '.join(MODELS)}, default blend; of length: {', '.join(SCORES)}, the first."
        ),
    ] = None,
    features: Annotated[
        str,
        typer.Option(
            help="hot: tens of microseconds a prompt; minilm: tens of milliseconds, with the extra embed."
        ),
    ] = FEATURES[0],
    tasks: Annotated[
        bool, typer.Option("--tasks", help="Callers will name the task, so the model may use it.")
    ] = False,
    folds: Annotated[
        int | None,
        typer.Option(min=2, help="Parts of the prompts that are held out in turn; default 5, of length 10."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides which prompts are held out together.")] = 1,
    baselines: Annotated[
        bool, typer.Option("--baselines/--no-baselines", help="Fit knn and prior too, to compare.")
    ] = True,
    plots: Annotated[Path | None, typer.Option(metavar="DIR", help="Save plots there, PNG and SVG.")] = None,
) -> None:
    """Learn from outcomes how likely each endpoint is right and how long it answers.

    Reads what `pointsman collect` writes, or any folder of that schema; several are joined, and endpoints
    that one lacks are missing there. The report is of prompts held out, whole groups of equal text at a
    time, with 95% intervals below each figure; below the calibration error stands what perfectly calibrated
    predictions would show by chance, below what a set or range holds its mean size: 1 or 2 labels (2 says
    nothing), or the width of scores or tokens. More than four endpoints get a line each. The artifact keeps
    forecasts and labels of at most 20,000 held-out prompts, drawn, without their texts: by them `pointsman
    assign --confidence` knows how far forecasts are off. Then name the artifact in the configuration:

        pointsman: {predictor: {name: learned, artifact: quality}}

    For example:

        pointsman train --outcomes outcomes/ --out quality --plots plots

        pointsman train --outcomes a/ --outcomes b/ --model knn --features minilm

    With `--target length` only lengths are read; a label is not needed. The report is Kendall's tau between
    forecast and real lengths, quantile loss, and how many lengths lie in their 80% and 95% intervals, by
    folder. Name it beside the other, and predicted tokens, time, energy and price follow:

        pointsman: {predictor: {name: learned, artifact: quality, lengths: length}}
    """
    created = datetime.fromtimestamp(RealClock().wall(), UTC).date().isoformat()
    if target not in TARGETS:
        raise BadRequest(f"there is no target {target!r}", remedy=f"There are {' and '.join(TARGETS)}")
    out = out or Path(target)
    if target == "length":
        if tasks:
            raise BadRequest("lengths are learnt from texts alone", remedy="Leave out --tasks")
        kinds = LengthOptions(model or SCORES[0], features, folds or 10, seed)
        train_lengths(outcomes, out, kinds, created, plots)
        return
    options = FitOptions(model or "blend", features, folds or 5, seed, tasks)
    check_replaceable(out)
    console = Console(highlight=False)
    with progress() as say:
        say("reading")
        matrix = read_outcomes(outcomes)
        queries = Queries(matrix.prompts, matrix.tasks)
        fitted = fit_quality(matrix, options, queries, say)
        say("measuring")
        measures = {fitted.model.name: measure(matrix, fitted, seed)}
        for name in BASELINES if baselines and not fitted.notes else ():
            if name not in measures:
                other = fit_quality(matrix, replace(options, model=name), queries, say)
                measures[name] = measure(matrix, other, seed)
    console.print(_summary(matrix))
    for note in fitted.notes:
        console.print(f"[yellow]note: {escape(note)}[/]", soft_wrap=True)
    print_measures(console, measures)
    held_out = measures[fitted.model.name]
    about = {"created": created, "held_out": {each.endpoint: each.to_dict() for each in held_out}}
    rows = HeldOutRows.of(matrix, fitted, told_tasks=tasks, seed=seed)
    fitted.model.write(out, about, None if rows is None else rows.to_arrays())
    console.print(f"written: {out}", soft_wrap=True)
    if plots is not None and fitted.held_out is not None:
        for path in _save_plots(plots, matrix, fitted, held_out):
            console.print(f"written: {path}", soft_wrap=True)


def _summary(matrix: OutcomeMatrix) -> str:
    labels = int((~np.isnan(matrix.quality)).sum())
    groups = len(np.unique(matrix.groups))
    return (
        f"{len(matrix.query_ids):,} queries ({groups:,} different prompts), "
        f"{len(matrix.endpoints)} endpoints, {labels:,} labels"
    )


def _save_plots(
    folder: Path, matrix: OutcomeMatrix, fitted: FittedQuality, measures: Sequence[EndpointMeasures]
) -> list[Path]:
    from pointsman.report.certainty_plots import Reliability, plot_reliability
    from pointsman.report.figure import save

    assert fitted.held_out is not None
    assert fitted.folds is not None
    panels = []
    for column, made in enumerate(measures):
        known = ~np.isnan(matrix.quality[:, column])
        if made.calibration_floor is not None:
            panels.append(
                Reliability(
                    made.endpoint,
                    matrix.quality[known, column],
                    fitted.held_out.quality.value[known, column],
                    made.calibration_floor,
                )
            )
    if not panels:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    about = f"Model {fitted.model.name}, prompts held out in {int(fitted.folds.max()) + 1} parts."
    return save(plot_reliability(panels, about), folder / "reliability.png")
