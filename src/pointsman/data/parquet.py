"""Parquet files as tables and as rows. Needs the extra `data` (pyarrow)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pointsman.errors import DataError, MissingError


def pyarrow() -> tuple[Any, Any]:
    """The modules `pyarrow` and `pyarrow.parquet`. Raises MissingError naming the extra."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingError(
            "reading and writing parquet needs pyarrow", remedy="pip install 'pointsman[data]'"
        ) from error
    return pa, pq


def read_table(path: Path, remedy: str = "Check the path") -> Any:
    """The whole file as pyarrow's table. Raises: DataError where it is missing or no parquet file."""
    pa, pq = pyarrow()
    try:
        table = pq.read_table(path)
        _ = table.column_names  # raises ValueError where they are no UTF-8
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist", remedy=remedy) from error
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path} is no parquet file: {error}") from error
    return table


def read_rows(path: Path) -> list[dict[str, Any]]:
    """All rows; raises as `read_table` does."""
    rows: list[dict[str, Any]] = read_table(path).to_pylist()
    return rows
