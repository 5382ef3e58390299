"""Columns of a parquet file as arrays, with clear words for what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsman.data.parquet import pyarrow, read_table
from pointsman.errors import DataError


def read_columns(
    path: Path, *, texts: Sequence[str], numbers: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, NDArray[Any]]:
    """Read named columns, shape (N,) each; N at least 1.

    Texts are objects; a missing one is "". The `optional` ones of `numbers` are NaN where missing.

    Raises: MissingError without pyarrow. DataError where the file can't be read, lacks a column, has no
    rows, or a number is missing, not finite or negative; it names file, column, row and value.
    """
    pa, _ = pyarrow()
    table = read_table(path)
    there = frozenset(table.column_names)
    wanted = [*texts, *numbers]
    missing = [name for name in wanted if name not in there]
    if missing:
        raise DataError(
            f"{path} has no column {', '.join(missing)}", remedy=f"It needs the columns {', '.join(wanted)}"
        )
    if table.num_rows == 0:
        raise DataError(f"{path} has no rows")
    # As objects: an array of fixed width would give every text the room of the longest.
    columns: dict[str, NDArray[Any]] = {
        name: np.array(["" if text is None else str(text) for text in table[name].to_pylist()], dtype=object)
        for name in texts
    }
    for name in numbers:
        try:
            column = table[name].cast(pa.float64()).to_numpy()
        except pa.ArrowException as error:
            raise DataError(
                f"{path}, column {name} holds {table[name].type}, not numbers: {error}",
                remedy="Write it as numbers",
            ) from error
        good = np.isfinite(column) & (column >= 0)
        if name in optional:
            good |= np.isnan(column)
        if not good.all():
            row = int(np.argmin(good))
            raise DataError(
                f"{path}, row {row}, column {name}: {column[row]} is no measurement",
                remedy="Remove the row, or measure it again",
            )
        columns[name] = column
    return columns


def column_names(path: Path) -> frozenset[str]:
    """The names of a parquet file's columns. Raises DataError where it can't be read."""
    pa, pq = pyarrow()
    try:
        return frozenset(pq.read_schema(path).names)
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist", remedy="Check the path") from error
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path} is no parquet file: {error}") from error
