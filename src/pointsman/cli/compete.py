"""`pointsman compete`: the run-or-skip competition, from CSV files to a score."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from pointsman.cli.group import ErrorGroup
from pointsman.compete.entry import Entry
from pointsman.compete.entry import train as train_entry
from pointsman.compete.questions import read_questions
from pointsman.compete.scoring import Scores, score_submission
from pointsman.compete.submission import Submission, read_submission, read_truth, write_submission
from pointsman.errors import BadRequest
from pointsman.metrics.run_or_skip import Stakes
from pointsman.predict.quality.bundle import check_replaceable
from pointsman.predict.quality.fit import FitOptions
from pointsman.predict.quality.kinds import FEATURES, MODELS
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
_SHOWN = 3


Questions = Annotated[
    Path,
    typer.Argument(
        metavar="QUESTIONS", help="CSV: id, question, perhaps choices (or A, B, C, ...) and subject."
    ),
]


@app.command()
def train(
    questions: Annotated[
        Path,
        typer.Argument(metavar="QUESTIONS", help="CSV: id, question, correct, perhaps choices and subject."),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write the entry to.")] = Path(
        "entry"
    ),
    model: Annotated[str, typer.Option(help=f"One of {', '.join(MODELS)}.")] = "blend",
    features: Annotated[
        str, typer.Option(help=f"One of {', '.join(FEATURES)}; minilm is slower and needs its extra.")
    ] = "hot",
    folds: Annotated[int, typer.Option(min=2, help="Grouped folds to calibrate and to hold out.")] = 5,
    c_run: CRun = 0.2,
    c_wrong: CWrong = 1.0,
    c_miss: CMiss = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the folds and the fit.")] = 1,
    as_json: Json = False,
) -> None:
    """Learn from questions whose answers were judged which questions the model gets right.

    `correct` is 1 where the model was right and 0 where it was wrong. Shows what the entry scores on these
    questions, each held out. The costs only serve that score: the entry predicts probabilities.

    For example:

        pointsman compete train train.csv --out entry
    """
    options = FitOptions(model=model, features=features, folds=folds, seed=seed, tasks=True)
    Stakes(c_run, c_wrong, c_miss)  # raises before anything is learnt, as does the next line
    check_replaceable(out)
    made = train_entry(
        read_questions(questions, labelled=True),
        options,
        (c_run, c_wrong, c_miss),
        partial(typer.echo, err=True),
    )
    made.entry.write(out)
    if as_json:
        print(json.dumps(_document(made.scores), indent=2, allow_nan=False))
        return
    print("held out from the training questions, by groups of equal text:\n")
    _print_scores(made.scores)
    typer.echo(f"\nwritten: {out}")


@app.command()
def predict(
    entry: Annotated[Path, typer.Argument(metavar="DIR", help="What `compete train` wrote.")],
    questions: Questions,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The submission to write.")] = Path(
        "submission.csv"
    ),
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Write id,p instead of id,action.")
    ] = False,
    c_run: CRun = 0.2,
    c_wrong: CWrong = 1.0,
    c_miss: CMiss = 1.0,
) -> None:
    """Decide on each question: run or skip, whichever is expected to cost less.

    A question of a subject that was not trained on is judged by its text alone.

    For example:

        pointsman compete predict entry test.csv --c-run 0.2
    """
    asked = read_questions(questions, labelled=False)
    made = Entry.read(entry)
    if new := made.unseen(asked):
        shown = ", ".join(list(new)[:_SHOWN]) + (", ..." if len(new) > _SHOWN else "")
        typer.secho(
            f"warning: {sum(new.values())} questions of {len(new)} subjects not trained on ({shown}): "
            "judged by their text alone",
            fg=typer.colors.YELLOW,
            err=True,
        )
    submission = Submission(asked.ids, None, made.probability(asked))
    run = submission.actions(Stakes(c_run, c_wrong, c_miss))
    write_submission(out, submission if probabilities else Submission(asked.ids, run, None))
    typer.echo(f"written: {out}: run {int(run.sum())}, skip {int((~run).sum())}")


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
