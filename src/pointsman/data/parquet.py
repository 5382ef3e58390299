"""Rows of a parquet file as dictionaries. Needs the extra `data` (pyarrow)."""

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


def read_rows(path: Path) -> list[dict[str, Any]]:
    """All rows. Raises: DataError where it is missing or no parquet file."""
    pa, pq = pyarrow()
    try:
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist", remedy="Check the path") from error
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path} is no parquet file: {error}") from error
    return rows
