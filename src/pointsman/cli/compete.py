"""`pointsman compete`: the run-or-skip competition, from CSV files to a score."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from pointsman.cli.group import ErrorGroup
from pointsman.compete.scoring import Scores, score_submission
from pointsman.compete.submission import read_submission, read_truth
from pointsman.errors import BadRequest
from pointsman.report.cost_plot import plot_cost_curve
from pointsman.report.figure import FORMATS, save

app = typer.Typer(
    cls=ErrorGroup,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Decide for each question of a CSV file whether a model should answer it, and score decisions.",
)

CRun = Annotated[float, typer.Option(min=0, help="What running a question costs, on average.")]
CWrong = Annotated[float, typer.Option(min=0, help="What a wrong answer costs.")]
CMiss = Annotated[float, typer.Option(min=0, help="What it costs to skip what would have been right.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def score(
    submission: Annotated[
        Path, typer.Argument(metavar="SUBMISSION", help="CSV: id and action, or id and p.")
    ],
    truth: Annotated[Path, typer.Argument(metavar="TRUTH", help="CSV: id and correct, perhaps cost.")],
    c_run: CRun = 0.2,
    c_wrong: CWrong = 1.0,
    c_miss: CMiss = 1.0,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the cost curve; .png or .svg writes one, else both.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 1,
    as_json: Json = False,
) -> None:
    """Score decisions: mean cost, beside running all, skipping all and the oracle.

    With probabilities also how good these are, whatever the costs. A column `cost` in TRUTH says what
    each question's run took, in any unit; --c-run is then the mean.

    For example:

        pointsman compete score submission.csv truth.csv --c-run 0.2 --plot cost_curve
    """
    made = score_submission(read_submission(submission), read_truth(truth), c_run, c_wrong, c_miss, seed=seed)
    drawn = [] if plot is None else _draw(made, plot, truth)
    if as_json:
        print(json.dumps(_document(made), indent=2, allow_nan=False))
        return
    _print_scores(made)
    for path in drawn:
        typer.echo(f"written: {path}")


def _print_scores(made: Scores) -> None:
    table = Table("measure", "value", "", box=None, pad_edge=False)
    low, high = made.score.low, made.score.high
    rows = [
        ("score", made.score.value, f"mean cost, lower is better; 95% from {low:.4f} to {high:.4f}"),
        ("normalised", made.normalised, "0: the best constant, 1: the oracle"),
        ("all run", made.all_run, ""),
        ("all skip", made.all_skip, ""),
        ("oracle", made.oracle, ""),
        ("threshold t*", made.threshold, "run from this probability on"),
        ("run share", made.run_share, f"of {made.n} questions"),
        ("right when run", made.right_when_run, "share"),
        ("right when skipped", made.right_when_skipped, "share that was missed"),
    ]
    if made.probability is not None:
        p = made.probability
        rows += [
            ("AUROC", p.auroc, ""),
            ("Brier", p.brier, ""),
            (
                "ECE",
                p.calibration_error,
                f"10 equal-mass bins; a perfect forecaster: {p.calibration_floor:.4f}",
            ),
            ("AURC", p.aurc, "mean risk over all coverages"),
        ]
    for name, value, about in rows:
        table.add_row(name, "-" if np.isnan(value) else f"{value:.4f}", about)
    Console(soft_wrap=True).print(table, highlight=False)


def _document(made: Scores) -> dict[str, Any]:
    """As JSON can hold it: lists for arrays, null for NaN."""
    found = asdict(made)
    low, high = made.score.low, made.score.high
    found |= {"score": made.score.value, "score_low": low, "score_high": high}
    if made.probability is not None:
        curve = made.probability.curve
        found["probability"]["curve"] = {name: getattr(curve, name).tolist() for name in curve._fields}
    document: dict[str, Any] = _without_nan(found)
    return document


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and np.isnan(value) else value


def _draw(made: Scores, path: Path, truth: Path) -> list[Path]:
    if made.probability is None:
        raise BadRequest(
            "a cost curve needs probabilities and labels of both kinds",
            remedy="Submit id,p, or leave --plot out",
        )
    about = f"{made.n} questions of {truth.name}."
    figure = plot_cost_curve({"submission": made.probability.curve}, about, threshold=made.threshold)
    suffix = path.suffix.removeprefix(".")
    return save(figure, path, [suffix] if suffix else FORMATS)
