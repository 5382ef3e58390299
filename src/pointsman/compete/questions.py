"""The competition's questions: ids, texts, subjects and, for training, whether the model was right."""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from pointsman.data.csv_table import CsvTable, read_csv
from pointsman.types import Floats

LETTERS: Final = "ABCDEFGHIJ"
_LABELS: Final = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}


@dataclass(frozen=True, slots=True)
class Questions:
    """N questions.

    Attributes:
        ids: unique.
        texts: question and lettered options, as one would send them.
        subjects: "" where none is given.
        correct: shape (N,), in [0, 1], or None where the file has no labels.
    """

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    subjects: tuple[str, ...]
    correct: Floats | None = None


def read_questions(path: Path, *, labelled: bool) -> Questions:
    """Read questions, with the column `correct` where they are `labelled`. Raises DataError."""
    table = read_csv(path)
    table.require(["id", "question", "correct"] if labelled else ["id", "question"])
    ids = table.ids()
    return Questions(
        tuple(ids),
        tuple(_text(table, index) for index in range(len(ids))),
        tuple(row.get("subject", "") for row in table.rows),
        shares(table, "correct") if labelled else None,
    )


def shares(table: CsvTable, column: str) -> Floats:
    """A column of numbers in [0, 1]; true, false, yes and no are 1 and 0. Raises DataError otherwise."""
    values = np.empty(len(table.rows))
    for index, cell in enumerate(table.column(column)):
        word = _LABELS.get(cell.casefold())
        values[index] = number(table, index, column) if word is None else word
        if not 0 <= values[index] <= 1:
            raise table.error(index, column, f"{cell} is not in [0, 1]", "Divide by the best possible value")
    return values


def number(table: CsvTable, index: int, column: str) -> float:
    """One cell as a number. Raises DataError for one that is empty, no number or not finite."""
    cell = table.rows[index][column]
    try:
        value = float(cell)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise table.error(index, column, f"{cell!r} is no number", "Give a finite number")
    return value


def _text(table: CsvTable, index: int) -> str:
    row = table.rows[index]
    if not row["question"]:
        raise table.error(index, "question", f"{row['id']!r} has no text", "Fill it in, or remove the row")
    return "\n".join([row["question"], *lettered(_choices(table, index))])


def lettered(choices: list[str]) -> list[str]:
    """Options as lines `A. ...`, `B. ...`."""
    return [f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False)]


def _choices(table: CsvTable, index: int) -> list[str]:
    """The options of one row: a list in `choices`, else columns A, B, ...; none where there are neither."""
    row = table.rows[index]
    cell = row.get("choices", "")
    if not cell:
        named = [row.get(letter.casefold(), "") for letter in LETTERS]
        return named[: next((at for at, option in enumerate(named) if not option), len(named))]
    parsed = _listed(cell)
    if parsed is None or not 1 < len(parsed) <= len(LETTERS):
        raise table.error(
            index,
            "choices",
            f"{cell[:60]!r} is no list of 2 to {len(LETTERS)} options",
            'Write ["first", "second", ...], or use columns A, B, C, D',
        )
    return parsed


def _listed(cell: str) -> list[str] | None:
    """A list in JSON, or as Python prints it; None for anything else."""
    try:
        found = json.loads(cell)
    except ValueError:
        try:
            found = ast.literal_eval(cell)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
    return [str(option).strip() for option in found] if isinstance(found, list | tuple) else None
