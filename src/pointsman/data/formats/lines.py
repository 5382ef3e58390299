"""Numbered lines of a file of others, one at a time; a bad line does not stop the next.

UTF-8 with or without its mark, any line end, gzip by its first bytes. Pickles are never read: loading one
runs whatever code it holds.

A file is read as it comes, so its size is no limit; a line is (`MAX_LINE_BYTES`), and a CSV cell
(`MAX_CELL_CHARS`).
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn, cast

from pointsman.data.formats.rows import Refused
from pointsman.errors import DataError

MAX_LINE_BYTES: Final = 256 * 2**20
MAX_CELL_CHARS: Final = 1_000_000
_GZIP: Final = b"\x1f\x8b"
_TORN: Final = (EOFError, zlib.error, gzip.BadGzipFile)
_PICKLES: Final = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))
_NOT_TEXT: Final = {
    b"PAR1": "is a parquet file",
    b"PK\x03\x04": "is a zip archive",
    codecs.BOM_UTF16_LE: "is UTF-16",
    codecs.BOM_UTF16_BE: "is UTF-16",
}


def json_objects(path: Path) -> Iterator[tuple[int, Mapping[str, Any] | Refused]]:
    """Objects of a JSONL file by their line; empty lines are passed over.

    Raises: DataError for a file that is missing, empty, or no text.
    """
    with _opened(path) as file:
        number = 0
        for number, line in _numbered(file):
            if isinstance(line, Refused):
                yield number, line
            elif line.strip():
                yield number, _object(line)
        if number == 0:
            raise _empty(path)


def csv_rows(
    path: Path, required: Sequence[str]
) -> tuple[tuple[str, ...], Iterator[tuple[int, Mapping[str, str] | Refused]]]:
    """The columns of a CSV file, and its rows by the line on which each ends. Cells are kept as they are.

    Raises: DataError for a file that is missing, empty, no text, or whose first line lacks a required
        column or has one twice.
    """
    rows = _cells(path)
    first = next(rows, None)
    if first is None:
        raise _empty(path)
    if isinstance(first[1], Refused):
        raise DataError(f"{path}, line 1: {first[1].why}")
    columns = tuple(cell.strip() for cell in first[1])
    if missing := [name for name in required if name not in columns]:
        raise DataError(
            f"{path} has no column {', '.join(missing)}; its first line is {', '.join(columns)[:200]!r}",
            remedy=f"It needs {', '.join(required)} there, with commas between",
        )
    if twice := [name for name in set(columns) if columns.count(name) > 1]:
        raise DataError(f"{path} has the column {twice[0]!r} more than once", remedy="Rename one")
    return columns, _named(columns, rows)


def _named(
    columns: Sequence[str], rows: Iterator[tuple[int, list[str] | Refused]]
) -> Iterator[tuple[int, Mapping[str, str] | Refused]]:
    for number, cells in rows:
        if isinstance(cells, Refused):
            yield number, cells
        elif len(cells) != len(columns):
            yield (
                number,
                Refused(
                    f"it has {len(cells)} cells, the first line {len(columns)}. "
                    "Put cells with commas or line breaks between double quotes"
                ),
            )
        else:
            yield number, dict(zip(columns, cells, strict=True))


def _cells(path: Path) -> Iterator[tuple[int, list[str] | Refused]]:
    csv.field_size_limit(MAX_CELL_CHARS)  # the module's, so it is set wherever it is relied on
    with _opened(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline="")
        reader = csv.reader(iter(lambda: text.readline(MAX_LINE_BYTES), ""), strict=True)
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield (
                    reader.line_num,
                    Refused(
                        f'{error}. Put cells with commas, quotes or line breaks between double quotes, double a " '
                        f"inside; a cell holds at most {MAX_CELL_CHARS:,} characters"
                    ),
                )
            except _TORN as error:
                yield reader.line_num + 1, _torn(error)
                return
            else:
                if any(cell.strip() for cell in cells):
                    yield reader.line_num, cells


def _numbered(file: BinaryIO) -> Iterator[tuple[int, bytes | Refused]]:
    number = 0
    while True:
        number += 1
        try:
            line = file.readline(MAX_LINE_BYTES)
            whole = len(line) < MAX_LINE_BYTES or line.endswith(b"\n")
            rest = b"" if whole else line
            while rest and not rest.endswith(b"\n"):
                rest = file.readline(MAX_LINE_BYTES)
        except _TORN as error:
            yield number, _torn(error)
            return
        if not line:
            return
        too_long = Refused(f"it is longer than {MAX_LINE_BYTES:,} bytes. Write one object a line")
        yield number, line if whole else too_long


def _object(line: bytes) -> Mapping[str, Any] | Refused:
    try:
        found = json.loads(line.decode(), parse_constant=_no_number)
    except UnicodeDecodeError as error:
        return Refused(f"byte {error.start} is no UTF-8. Save the file as UTF-8")
    except RecursionError:
        return Refused("it is nested too deep. Write one flat object a line")
    except ValueError as error:
        return Refused(
            f"it is no JSON: {error}. It needs one whole object a line (jq -c . makes that of others)"
        )
    if not isinstance(found, Mapping):
        return Refused(f"it is {found!r:.40}, not an object. It needs one object a line (jq -c '.[]')")
    return found


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file's bytes, unpacked, behind its mark. Raises: DataError."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise DataError(f"{path} {what}", remedy="Name a file")
    with path.open("rb") as raw:
        packed = raw.peek(2).startswith(_GZIP)
        with io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=raw) if packed else raw)) as file:
            try:
                start = file.peek(4)
            except _TORN as error:
                raise DataError(f"{path} is no whole gzip file: {error}", remedy="Fetch it again") from error
            _check_text(path, start)
            if start.startswith(codecs.BOM_UTF8):
                file.read(len(codecs.BOM_UTF8))
            yield cast("BinaryIO", file)


def _check_text(path: Path, start: bytes) -> None:
    if start.startswith(_PICKLES):
        raise DataError(
            f"{path} is a pickle, and loading one runs whatever code it holds, so none is ever loaded",
            remedy="Where you trust it, turn it into CSV yourself: "
            "python -c \"import pandas; pandas.read_pickle('in.pkl').to_csv('out.csv', index=False)\"",
        )
    for mark, what in _NOT_TEXT.items():
        if start.startswith(mark):
            raise DataError(f"{path} {what}", remedy="Give CSV or JSONL in UTF-8, packed with gzip or not")


def _torn(error: BaseException) -> Refused:
    return Refused(f"the packed data end or break here ({error}). Fetch the file again")


def _empty(path: Path) -> DataError:
    return DataError(f"{path} is empty", remedy="Check the path")
