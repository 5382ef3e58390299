"""Profile tables: one row for each request that was run, one parquet file for each run.

Columns are those of `ProfileRow`; what is true of the whole run (hardware, versions, meter, seed)
stands in the file's metadata under the key `pointsman`. Needs the extra `data` (pyarrow).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np

from pointsman.data.parquet import pyarrow, read_table
from pointsman.errors import DataError
from pointsman.types import Floats

_METADATA_KEY: Final = b"pointsman"


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """One request as measured; None where it was not.

    Attributes:
        started_s: seconds since the run's first request.
        concurrency: requests that the runner keeps outstanding on this endpoint.
        energy_j: this request's share (`meters/share.py`) of what the meter counted.
        score: in [0, 1] where the answer could be judged.
        answer: the generated text, so that a better judge can be applied later.
        error: why it failed; every measurement is then None.
    """

    endpoint: str
    prompt_id: str
    task: str
    repeat_of: str | None
    max_tokens: int
    concurrency: int
    started_unix_s: float
    started_s: float
    prompt_bytes: int
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    finish_reason: str | None = None
    ttft_s: float | None = None
    tpot_s: float | None = None
    e2e_s: float | None = None
    energy_j: float | None = None
    energy_modelled: bool | None = None
    meter: str | None = None
    score: float | None = None
    answer: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ProfileRun:
    """A run's rows and what is true of all of them."""

    rows: tuple[ProfileRow, ...]
    metadata: Mapping[str, Any]

    def endpoints(self) -> tuple[str, ...]:
        """Endpoint names in order of first appearance."""
        return tuple(dict.fromkeys(row.endpoint for row in self.rows))

    def measured(self, endpoint: str) -> tuple[ProfileRow, ...]:
        """The endpoint's rows that have token counts and a time, in order of time."""
        rows = (
            row
            for row in self.rows
            if row.endpoint == endpoint
            and row.error is None
            and row.input_tokens is not None
            and row.output_tokens is not None
            and row.e2e_s is not None
        )
        return tuple(sorted(rows, key=lambda row: row.started_s))


def column(rows: Sequence[ProfileRow], name: str) -> Floats:
    """A numeric column, shape (len(rows),); NaN where it was not measured."""
    return np.array([np.nan if (value := getattr(row, name)) is None else value for row in rows], dtype=float)


def check_parquet() -> None:
    """Raises MissingError where profiles can't be written, before anything is measured."""
    pyarrow()


def write_profile(path: Path, rows: Iterable[ProfileRow], metadata: Mapping[str, Any]) -> None:
    """Write one run; replaces `path` only when the whole file is there."""
    pa, pq = pyarrow()
    schema = _schema(pa).with_metadata({_METADATA_KEY: json.dumps(metadata).encode()})
    table = pa.Table.from_pylist([asdict(row) for row in rows], schema=schema)
    partial = path.with_name(path.name + ".partial")
    pq.write_table(table, partial, compression="zstd")
    partial.replace(path)


def read_profile(path: Path) -> ProfileRun:
    """Read one run.

    Raises: DataError where the file is no parquet, lacks a column, is empty or holds values no
    measurement can have (NaN, negative); the message names file, column and value.
    """
    pa, _ = pyarrow()
    table = read_table(path, "Make it with: pointsman profile")
    there = frozenset(table.column_names)
    names = [field.name for field in fields(ProfileRow)]
    required = [name for name in names if name not in _OPTIONAL]
    missing = sorted(set(required) - there)
    if missing:
        raise DataError(
            f"{path} has no column {', '.join(missing)}",
            remedy=f"A profile has the columns {', '.join(required)}",
        )
    if table.num_rows == 0:
        raise DataError(f"{path} has no rows", remedy="Run pointsman profile again; it resumes")
    present = [name for name in names if name in there]
    rows = tuple(ProfileRow(**record) for record in _typed(pa, path, table.select(present)).to_pylist())
    _check(path, rows)
    raw = (table.schema.metadata or {}).get(_METADATA_KEY, b"{}")
    try:
        return ProfileRun(rows, json.loads(raw))
    except ValueError as error:
        raise DataError(f"{path} has damaged metadata: {error}", remedy="Measure it again") from error


def _schema(pa: Any) -> Any:
    """The columns of `ProfileRow`; those that may be None are nullable."""
    kinds = {"str": pa.string(), "int": pa.int32(), "float": pa.float64(), "bool": pa.bool_()}
    columns = [(field.name, *str(field.type).partition(" ")[::2]) for field in fields(ProfileRow)]
    return pa.schema([pa.field(name, kinds[kind], nullable=bool(rest)) for name, kind, rest in columns])


def _typed(pa: Any, path: Path, table: Any) -> Any:
    """The table with a profile's types; whole numbers may be stored as others that hold the same."""
    columns = []
    for name, wanted in ((name, _schema(pa).field(name)) for name in table.column_names):
        try:
            columns.append(table[name].cast(wanted.type))
        except pa.ArrowException as error:
            raise DataError(
                f"{path}, column {name}: it holds {table[name].type}, not {wanted.type}",
                remedy="Measure it again with: pointsman profile",
            ) from error
        if table[name].null_count and not wanted.nullable:
            raise DataError(f"{path}, column {name}: a value is missing", remedy="Remove the row")
    return pa.table(columns, names=table.column_names)


_OPTIONAL: Final = frozenset(
    ("repeat_of", "cached_tokens", "finish_reason", "ttft_s", "tpot_s", "energy_modelled", "meter", "score", "answer", "error")
)  # fmt: skip
_NON_NEGATIVE: Final = (
    "max_tokens",
    "prompt_bytes",
    "started_unix_s",
    "started_s",
    "score",
    "input_tokens",
    "output_tokens",
    "e2e_s",
    "ttft_s",
    "tpot_s",
    "energy_j",
    "concurrency",
)


def _check(path: Path, rows: Sequence[ProfileRow]) -> None:
    for index, row in enumerate(rows):
        for name in _NON_NEGATIVE:
            value = getattr(row, name)
            most = 1.0 if name == "score" else np.inf
            if value is not None and not (np.isfinite(value) and 0 <= value <= most):
                raise DataError(
                    f"{path}, row {index}, column {name}: {value} is no measurement",
                    remedy="Remove the row, or measure it again",
                )
