"""A CSV file of somebody else, read with clear words for what is wrong."""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pointsman.errors import DataError

_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_DELIMITERS: Final = ",;\t"
_SHOWN: Final = 3
_MAX_CELL_CHARS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class CsvTable:
    """Rows of a CSV file under lower-case column names; at least one row.

    Attributes:
        lines: the line of the file on which each row ends, for messages.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]
    lines: tuple[int, ...]

    def column(self, name: str) -> list[str]:
        """One column's cells, blanks around them removed. Raises DataError where there is no such column."""
        self.require([name])
        return [row[name] for row in self.rows]

    def require(self, names: Sequence[str]) -> None:
        """Raises DataError naming the columns that are missing and those that are there."""
        missing = [name for name in names if name not in self.columns]
        if missing:
            raise DataError(
                f"{self.path} has no column {', '.join(missing)}; it has {', '.join(self.columns)}",
                remedy=f"It needs {', '.join(names)} in its first line",
            )

    def ids(self, *others: str) -> list[str]:
        """The column `id`. Raises DataError for an empty one, and for one that comes twice.

        Args:
            others: columns that make an id's row unique together with it.
        """
        self.require(["id", *others])
        for index, row in enumerate(self.rows):
            if not row["id"]:
                raise self.error(index, "id", "it is empty", "Give every row an id")
        self._unique(("id", *others))
        return [row["id"] for row in self.rows]

    def error(self, index: int, column: str, problem: str, remedy: str) -> DataError:
        """What is wrong with a cell: file, line and column first."""
        return DataError(f"{self.path}, line {self.lines[index]}, column {column}: {problem}", remedy=remedy)

    def _unique(self, key: Sequence[str]) -> None:
        count = Counter(tuple(row[name] for name in key) for row in self.rows)
        twice = [found for found, times in count.items() if times > 1]
        if not twice:
            return
        lines = [
            line
            for row, line in zip(self.rows, self.lines, strict=True)
            if tuple(row[name] for name in key) == twice[0]
        ]
        rest = f", and {len(twice) - 1} more" if len(twice) > 1 else ""
        raise DataError(
            f"{self.path}: {' and '.join(key)} {' '.join(map(repr, twice[0]))} stands on lines "
            f"{', '.join(map(str, lines[:_SHOWN]))}{rest}{self._labels(key, twice[0])}",
            remedy="Keep one row of each",
        )

    def _labels(self, key: Sequence[str], twice: Sequence[str]) -> str:
        """Tells where repeated rows disagree about the label."""
        labels = {
            row["correct"]
            for row in self.rows
            if "correct" in row and tuple(row[name] for name in key) == tuple(twice)
        }
        return f", with conflicting labels {', '.join(sorted(labels))}" if len(labels) > 1 else ""


def read_csv(path: Path) -> CsvTable:
    """Read a CSV file in UTF-8, or in UTF-16 with its mark; commas, semicolons or tabs between cells.

    Raises: DataError where it is missing, empty, in another encoding, has a column twice, no row, or a row
        with more or fewer cells than the first line.
    """
    text = _decoded(path)
    delimiter = max(_DELIMITERS, key=text.partition("\n")[0].count)
    csv.field_size_limit(_MAX_CELL_CHARS)  # the module's, so it is set wherever it is relied on
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        table = [(cells, reader.line_num) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise DataError(
            f"{path}, line {reader.line_num}: {error}",
            remedy='Put cells with commas, quotes or line breaks between double quotes, and double a " inside; '
            f"a cell holds at most {_MAX_CELL_CHARS:,} characters",
        ) from error
    if not table:
        raise _empty(path)
    columns = tuple(cell.strip().casefold() for cell in table[0][0])
    if len(set(columns)) < len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise DataError(f"{path} has the column {twice!r} more than once", remedy="Rename one")
    if len(table) == 1:
        raise DataError(f"{path} has a first line but no rows", remedy="Add the questions below it")
    for cells, line in table:
        if len(cells) != len(columns):
            raise DataError(
                f"{path}, line {line} has {len(cells)} cells, the first line {len(columns)}",
                remedy="Put cells with commas or line breaks between double quotes",
            )
    rows = tuple(dict(zip(columns, (cell.strip() for cell in cells), strict=True)) for cells, _ in table[1:])
    return CsvTable(path, columns, rows, tuple(line for _, line in table[1:]))


def _decoded(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist", remedy="Check the path") from error
    try:
        text = raw.decode("utf-16" if raw.startswith(_UTF16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8: byte {error.start} can't be read", remedy="Save it as CSV in UTF-8"
        ) from error
    if not text.strip():
        raise _empty(path)
    return text


def _empty(path: Path) -> DataError:
    return DataError(f"{path} is empty", remedy="Its first line names the columns, one row a question below")
