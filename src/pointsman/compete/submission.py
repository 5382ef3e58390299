"""A submission: for each question run or skip, or the probability that the answer will be right."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from pointsman.compete.questions import number, shares
from pointsman.data.csv_table import CsvTable, read_csv
from pointsman.errors import DataError
from pointsman.metrics.run_or_skip import Stakes, decide
from pointsman.types import Bools, Floats

_ACTIONS: Final = {"run": True, "1": True, "skip": False, "0": False}
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Submission:
    """Decisions on N questions: at least one of the two is there.

    Attributes:
        run: shape (N,), or None where the costs decide by `probability`.
        probability: shape (N,), in [0, 1].
    """

    ids: tuple[str, ...]
    run: Bools | None
    probability: Floats | None

    def actions(self, stakes: Stakes) -> Bools:
        """The stated actions; where there are none, run what is expected to cost less than skipping."""
        if self.run is not None:
            return self.run
        assert self.probability is not None
        made: Bools = decide(self.probability, stakes) == 0
        return made


@dataclass(frozen=True, slots=True)
class Truth:
    """What happened on N questions.

    Attributes:
        correct: shape (N,), in [0, 1].
        cost: shape (N,), each question's running cost relative to the others; None: all equal.
    """

    ids: tuple[str, ...]
    correct: Floats
    cost: Floats | None = None

    def stakes(self, c_run: float, c_wrong: float, c_miss: float) -> Stakes:
        """The costs, with `c_run` as the mean of the questions' own running costs."""
        if self.cost is None:
            return Stakes(c_run, c_wrong, c_miss)
        return Stakes(c_run * self.cost / self.cost.mean(), c_wrong, c_miss)


def read_submission(path: Path) -> Submission:
    """Read a submission with a column `action`, `p` or both. Raises DataError."""
    table = read_csv(path)
    ids = table.ids()
    if not {"action", "p"} & set(table.columns):
        raise DataError(
            f"{path} has neither a column action nor a column p; it has {', '.join(table.columns)}",
            remedy="Write id,action with run or skip, or id,p with a probability",
        )
    return Submission(
        tuple(ids),
        _actions(table) if "action" in table.columns else None,
        shares(table, "p") if "p" in table.columns else None,
    )


def read_truth(path: Path) -> Truth:
    """Read labels; a file of labelled questions will do. Raises DataError."""
    table = read_csv(path)
    table.require(["id", "correct"])
    ids = table.ids()
    return Truth(tuple(ids), shares(table, "correct"), _costs(table) if "cost" in table.columns else None)


def aligned(submission: Submission, truth: Truth) -> Submission:
    """The submission in the truth's order. Raises DataError for ids that only one of them has."""
    known, given = set(truth.ids), set(submission.ids)
    for odd, problem, remedy in (
        (given - known, "ids of the submission are unknown", "Submit only the truth's ids"),
        (known - given, "ids are missing from the submission", "Decide on every question"),
    ):
        if odd:
            raise DataError(
                f"{len(odd)} {problem}: {', '.join(map(repr, sorted(odd)[:_SHOWN]))}", remedy=remedy
            )
    row_of = {name: row for row, name in enumerate(submission.ids)}
    rows = np.array([row_of[name] for name in truth.ids])
    return Submission(
        truth.ids,
        None if submission.run is None else submission.run[rows],
        None if submission.probability is None else submission.probability[rows],
    )


def write_submission(path: Path, submission: Submission) -> None:
    """Write `id,action`, or `id,p` where there are no actions. Raises OSError."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if submission.run is not None:
            writer.writerow(["id", "action"])
            words = ["run" if run else "skip" for run in submission.run.tolist()]
        else:
            assert submission.probability is not None
            writer.writerow(["id", "p"])
            words = [f"{p:.6f}" for p in submission.probability.tolist()]
        writer.writerows(zip(submission.ids, words, strict=True))


def _actions(table: CsvTable) -> Bools:
    made = []
    for index, cell in enumerate(table.column("action")):
        action = _ACTIONS.get(cell.casefold())
        if action is None:
            raise table.error(index, "action", f"{cell!r} is no action", "Write run or skip")
        made.append(action)
    return np.array(made, dtype=bool)


def _costs(table: CsvTable) -> Floats:
    values = np.array([number(table, index, "cost") for index in range(len(table.rows))])
    for index in np.flatnonzero(values < 0)[:1].tolist():
        raise table.error(
            index, "cost", f"{values[index]:g} is negative", "Give a time, an energy or a price"
        )
    if values.sum() == 0:
        raise DataError(f"{table.path}, column cost: all are 0", remedy="Remove the column, or fill it in")
    return values
