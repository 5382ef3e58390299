"""A file of labels, read line by line: what can't be used is told by its line, the rest is used."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from pointsman.errors import BadRequest, DataError
from pointsman.gateway.labels import read_label
from pointsman.types import Label

JSONL: Final = (".jsonl", ".ndjson")
COLUMNS: Final = ("request_id", "score", "source", "at")
_NEEDED: Final = ("request_id", "score")

Line = tuple[int, Label | str]
"""A line's number, and its label or what is wrong with it."""


def read_feedback(path: Path, source: str | None) -> Iterator[Line]:
    """Labels of a CSV file, or of one with a JSON object a line.

    Args:
        path: `.csv` with the columns `COLUMNS`, of which `source` and `at` may be missing and others are
            passed over; or one of `JSONL` with those fields.
        source: of labels that name none.

    Raises: DataError for a file that is not there or not text, and a CSV without the columns needed;
        BadRequest for another kind of file.
    """
    if path.suffix.lower() not in (".csv", *JSONL):
        raise BadRequest(f"{path} is neither CSV nor JSONL", remedy=f"Name it .csv or {' or '.join(JSONL)}")
    if not path.is_file():
        raise DataError(f"{path} does not exist", remedy="Check the path")
    return _csv(path, source) if path.suffix.lower() == ".csv" else _jsonl(path, source)


def _jsonl(path: Path, source: str | None) -> Iterator[Line]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    yield number, read_label(line, source)
                except BadRequest as error:
                    yield number, str(error)


def _csv(path: Path, source: str | None) -> Iterator[Line]:
    # What is not UTF-8 becomes characters that no label may hold.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        rows = csv.reader(file, strict=True)
        columns = [cell.strip().casefold() for cell in next(rows, [])]
        if missing := [name for name in _NEEDED if name not in columns]:
            raise DataError(
                f"{path} has no column {', '.join(missing)}",
                remedy=f"Its first line names the columns: {', '.join(COLUMNS)}",
            )
        while True:
            try:
                cells = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield rows.line_num, f"it is no CSV: {error}"
                continue
            if any(cell.strip() for cell in cells):
                yield rows.line_num, _of_cells(columns, cells, source)


def _of_cells(columns: Sequence[str], cells: Sequence[str], source: str | None) -> Label | str:
    if len(cells) != len(columns):
        return f"it has {len(cells)} cells, the first line {len(columns)}"
    row = dict(zip(columns, (cell.strip() for cell in cells), strict=True))
    try:
        at = _number("at", row["at"]) if row.get("at") else None
        named = row.get("source") or source or ""
        return Label(row["request_id"], _number("score", row["score"]), named, at)
    except BadRequest as error:
        return str(error)


def _number(name: str, cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        raise BadRequest(f"{name} is {cell[:64]!r}, which is no number", remedy="Give a number") from None


def good_and_bad(lines: Iterator[Line]) -> tuple[list[Label], Mapping[int, str]]:
    """The labels, and what is wrong by line."""
    labels: list[Label] = []
    bad: dict[int, str] = {}
    for number, read in lines:
        if isinstance(read, Label):
            labels.append(read)
        else:
            bad[number] = read
    return labels, bad
