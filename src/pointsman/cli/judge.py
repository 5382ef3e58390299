"""`pointsman judge`: from answers with samples to the file by which a cascade judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pointsman.config.policy import MAX_SAMPLES
from pointsman.data.answer_key import reading_of
from pointsman.data.answer_table import AnswerTable
from pointsman.data.outcome_folders import read_outcomes
from pointsman.data.outcomes import SAMPLES, read_outcome_rows
from pointsman.errors import DataError
from pointsman.metrics.probability import auroc, brier
from pointsman.metrics.splits import grouped_folds
from pointsman.predict.judge import AnswerJudge, AnswerRows
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.fit import MIN_GROUPS, FitOptions, fit_quality
from pointsman.predict.quality.kinds import MODELS
from pointsman.types import Floats

FOLDS = 5


def judge(
    outcomes: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Folders that `pointsman collect` wrote.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The file to write.")] = Path("judge.json"),
    model: Annotated[
        str, typer.Option(help=f"How quality is predicted before a run: {', '.join(MODELS)}.")
    ] = "prior",
    samples: Annotated[
        int,
        typer.Option(
            min=1,
            max=MAX_SAMPLES,
            help="Answers that the gateway is to compare; 2 or more heed their agreement.",
        ),
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Decides which prompts are held out together.")] = 1,
) -> None:
    """Learn from collected answers how likely an answer is right, for the policy `cascade`.

    It is judged by its log-probabilities, its length and its end, which is what the gateway knows of an
    answer; and with it how likely another endpoint would be right. With --samples it is judged by how many
    further samples say the same too; the gateway then asks for as many. All endpoints must have answered
    the same questions. Then name the file in the configuration:

        pointsman: {policy: {name: cascade, endpoints: [small, large], judge: judge.json, samples: 1}}

    The report is of prompts held out. For example:

        pointsman collect --set gsm8k --out outcomes

        pointsman judge outcomes --out judge.json
    """
    table, matrix, answers = _collected(outcomes, samples)
    fitted = fit_quality(matrix, FitOptions(model=model, folds=FOLDS, seed=seed))
    if fitted.held_out is None:
        raise DataError(
            f"{len(np.unique(matrix.groups))} different prompts are too few to judge by",
            remedy=f"Collect at least {MIN_GROUPS}",
        )
    quality = fitted.held_out.quality.value
    tokens = table.output_tokens[0]
    known = np.isfinite(tokens).sum(axis=0)
    mean = np.where(known, np.nansum(tokens, axis=0) / np.maximum(known, 1), np.nan)
    expected = np.broadcast_to(mean, quality.shape)
    source = f"{answers:,} answers to {len(table.query_ids):,} questions of {', '.join(map(str, outcomes))}"
    made = AnswerJudge.fit(table.endpoints, table.signs, table.right, quality, expected, source=source)
    out.write_text(made.to_json(), encoding="utf-8")
    console = Console(highlight=False)
    folds = grouped_folds(matrix.groups, FOLDS, seed)
    console.print(_report(table, quality, _held_out(table, quality, expected, folds), source))
    console.print(f"written: {out}", soft_wrap=True)


def _collected(outcomes: Sequence[Path], samples: int) -> tuple[AnswerTable, OutcomeMatrix, int]:
    """At most so many samples of each answer, the same questions' prompts, and how many answers these are."""
    matrix = read_outcomes(outcomes)
    read = (row for folder in outcomes for row in read_outcome_rows(folder / SAMPLES).rows)
    rows = list({(row.query_id, row.model, row.sample): row for row in read}.values())  # each answer once
    # No more than the gateway will ask for: a judge that leant on what is not there would miss it.
    rows = [row for row in rows if row.sample < samples]
    table = AnswerTable.of(rows, matrix.endpoints)
    if samples > 1 and len(table.time_s) < samples:
        raise DataError(
            f"these outcomes hold at most {len(table.time_s)} samples of an answer, not {samples}",
            remedy=f"Collect more with: pointsman collect --samples {samples}",
        )
    place = {query_id: row for row, query_id in enumerate(matrix.query_ids)}
    if unknown := [query_id for query_id in table.query_ids if query_id not in place]:
        raise DataError(
            f"there are samples of the query {unknown[0]!r}, and no outcome of it ({len(unknown)} such queries)",
            remedy="Remove them, or collect the outcomes again",
        )
    matrix = matrix.take(np.array([place[query_id] for query_id in table.query_ids]))
    table = replace(table, signs={name: _comparable(rows, matrix) for name, rows in table.signs.items()})
    return table, matrix, len(rows)


def _comparable(rows: AnswerRows, matrix: OutcomeMatrix) -> AnswerRows:
    """Signs without the agreement of answers that the gateway can't compare: code, which it does not run."""
    known = [reading_of(prompt, "any answer") is not None for prompt in matrix.prompts]
    return replace(rows, agreement=np.where(known, rows.agreement, np.nan))


def _held_out(table: AnswerTable, quality: Floats, expected: Floats, folds: np.ndarray) -> Floats:
    """P(right) of every answer by judges that never saw its prompt, shape (N, E)."""
    made = np.array(quality)
    for fold in np.unique(folds):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        signs = {name: rows.take(train) for name, rows in table.signs.items()}
        part = AnswerJudge.fit(table.endpoints, signs, table.right[train], quality[train], expected[train])
        for column, name in enumerate(table.endpoints):
            rows = table.signs[name].take(test)
            made[test, column] = part.right_rows(name, rows, quality[test], expected[test])[:, column]
    return made


def _report(table: AnswerTable, quality: Floats, judged: Floats, source: str) -> Table:
    """One row an endpoint: what judging adds to predicting."""
    shown = Table(title=f"{escape(source)}, held out", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("endpoint", "answers", "right", "AUROC before", "judged", "Brier before", "judged"):
        shown.add_column(heading, justify="left" if heading == "endpoint" else "right")
    for column, name in enumerate(table.endpoints):
        known = np.isfinite(table.right[:, column])
        labels = np.round(table.right[known, column])
        said = [values[known, column] for values in (quality, judged)]
        shown.add_row(
            name,
            f"{known.sum():,}",
            f"{labels.mean():.1%}",
            *(f"{auroc(labels, each):.3f}" if 0 < labels.mean() < 1 else "-" for each in said),
            *(f"{brier(labels, each):.3f}" for each in said),
        )
    return shown
