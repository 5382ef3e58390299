"""Rows written to a parquet file as they come, some at a time, so that memory does not grow with the file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pointsman.data.parquet import pyarrow

GROUP_ROWS: Final = 50_000
GROUP_CHARS: Final = 32 * 2**20
METADATA_KEY: Final = "pointsman"
OUTCOME_COLUMNS: Final = {
    "query_id": "string",
    "model": "string",
    "score": "float64",
    "input_tokens": "int32",
    "output_tokens": "int32",
    "output_tokens_cl100k": "int32",
    "output_chars": "int32",
    "cost_usd": "float64",
    "latency_s": "float64",
    "energy_j": "float64",
}
QUERY_COLUMNS: Final = {
    "query_id": "string",
    "dataset": "string",
    "task": "string",
    "prompt": "string",
    "prompt_tokens_cl100k": "int32",
    "ground_truth": "string",
    "metric": "string",
    "choices_json": "string",
}
TRACE_COLUMNS: Final = {
    "request_id": "int32",
    "arrival_s": "float64",
    "input_tokens": "int32",
    "output_tokens": "int32",
    "prefix_hash_ids": "list",
    "ttft_s": "float64",
    "latency_s": "float64",
}
"""Columns and types of the shared data's schema; scores are kept as they came, in 64 bits."""


@dataclass(slots=True)
class RowWriter:
    """Writes beside `path`, which `appear` alone puts there; `abandon` leaves nothing else.

    Attributes:
        columns: name -> type, one of Arrow's or `list` (of 64-bit integers).
        rows: how many were added.
        arrange: done to the whole file before it appears.
    """

    path: Path
    columns: Mapping[str, str]
    rows: int = 0
    arrange: Callable[[Path], None] | None = None
    _waiting: list[Sequence[Any]] = field(default_factory=list)
    _chars: int = 0
    _file: Any = None
    _schema: Any = None

    def __post_init__(self) -> None:
        """Open the file. Raises: MissingError without pyarrow."""
        pa, pq = pyarrow()
        types = [
            pa.list_(pa.int64()) if kind == "list" else getattr(pa, kind)() for kind in self.columns.values()
        ]
        self._schema = pa.schema(list(zip(self.columns, types, strict=True)))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Without Arrow's own schema the metadata are those of the end of the file, when all is known.
        self._file = pq.ParquetWriter(self._partial, self._schema, store_schema=False, compression="zstd")

    @property
    def _partial(self) -> Path:
        return self.path.with_name(self.path.name + ".partial")

    def add(self, row: Sequence[Any]) -> None:
        """A row, in the order of the columns."""
        self._waiting.append(row)
        self._chars += sum(len(cell) for cell in row if isinstance(cell, str))
        self.rows += 1
        if len(self._waiting) >= GROUP_ROWS or self._chars >= GROUP_CHARS:
            self._flush()

    def close(self, about: Mapping[str, Any]) -> None:
        """Write what waits and what is true of the whole."""
        if self._waiting:
            self._flush()
        self._file.add_key_value_metadata({METADATA_KEY: json.dumps(about)})
        self._file.close()
        if self.arrange is not None:
            self.arrange(self._partial)

    def appear(self) -> None:
        """Put the closed file in its place."""
        self._partial.replace(self.path)

    def abandon(self) -> None:
        """Leave nothing that is not in its place."""
        self._file.close()
        self._partial.unlink(missing_ok=True)

    def _flush(self) -> None:
        pa, _ = pyarrow()
        cells = zip(*self._waiting, strict=True)
        arrays = [pa.array(column, kind) for column, kind in zip(cells, self._schema.types, strict=True)]
        self._file.write_batch(pa.record_batch(arrays, schema=self._schema))
        self._waiting, self._chars = [], 0
