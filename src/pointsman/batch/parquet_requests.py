"""A parquet file of prompts as a batch file, so that all that follows knows one format.

Columns: id and prompt; if there: system, model, max_tokens, task, tenant, service_tier, min_quality,
max_price_usd, max_energy_j; null, and NaN of the last three, count as not given.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from pointsman.data.atomic import written_whole
from pointsman.data.parquet import pyarrow
from pointsman.data.tables import column_names
from pointsman.errors import DataError

NEEDED: Final = ("id", "prompt")
_BODY: Final = ("model", "max_tokens", "service_tier")
_OWN: Final = ("task", "tenant", "min_quality", "max_price_usd", "max_energy_j")
_ROWS: Final = 4096


def rewrite(source: Path, batch_file: Path) -> None:
    """Write the rows of `source` as lines of `batch_file`, in order; row n becomes line n.

    A row without an id or a prompt becomes a line that is refused by its number.

    Raises: DataError where the file can't be read or lacks a column; MissingError without pyarrow.
    """
    pa, pq = pyarrow()
    there = column_names(source)
    if missing := [name for name in NEEDED if name not in there]:
        raise DataError(
            f"{source} has no column {', '.join(missing)}", remedy=f"It needs {' and '.join(NEEDED)}"
        )
    wanted = [name for name in (*NEEDED, "system", *_BODY, *_OWN) if name in there]
    with written_whole(batch_file) as file:
        try:
            with pq.ParquetFile(source) as rows:
                for part in rows.iter_batches(_ROWS, columns=wanted):
                    _write(part.to_pylist(), file)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DataError(f"{source} can't be read: {error}") from error


def _write(rows: list[dict[str, Any]], file: BinaryIO) -> None:
    file.writelines(msgspec.json.encode(_line(row), enc_hook=str) + b"\n" for row in rows)


def _line(row: Mapping[str, Any]) -> dict[str, Any]:
    messages = [
        {"role": role, "content": row[name]}
        for role, name in (("system", "system"), ("user", "prompt"))
        if row.get(name) is not None
    ]
    body: dict[str, Any] = {"messages": messages}
    body |= {name: row[name] for name in _BODY if row.get(name) is not None}
    if own := {name: row[name] for name in _OWN if row.get(name) is not None}:
        body["pointsman"] = own
    named = row["id"] if row["id"] is None else str(row["id"])
    return {"custom_id": named, "method": "POST", "url": "/v1/chat/completions", "body": body}
