"""Rows of a profile kept on disk as they come (`data/journal.py`), until they become its parquet file.

The journal lies beside that file, `.journal` appended to its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pointsman.data.journal import RecordJournal, open_records
from pointsman.data.profiles import ProfileRow, write_profile
from pointsman.errors import DataError


@dataclass(slots=True)
class Journal:
    """The rows of a run, those of an earlier part that was stopped included.

    Attributes:
        rows: in the order in which they came.
    """

    out: Path
    records: RecordJournal
    rows: list[ProfileRow]

    @property
    def origin_unix_s(self) -> float:
        """When the run first began."""
        return self.records.origin_unix_s

    def done(self) -> set[tuple[str, str]]:
        """(endpoint, prompt id) of every row that did not fail."""
        return {(row.endpoint, row.prompt_id) for row in self.rows if row.error is None}

    def add(self, row: ProfileRow) -> None:
        """Keep a row, on disk at once."""
        self.records.add(asdict(row))
        self.rows.append(row)

    def write(self, metadata: Mapping[str, Any]) -> int:
        """Write the parquet file; gives its number of rows. A repeated failure keeps its last row."""
        final = {(row.endpoint, row.prompt_id): row for row in self.rows}
        ordered = sorted(final.values(), key=lambda row: row.started_s)
        write_profile(self.out, ordered, metadata)
        return len(ordered)


@contextmanager
def open_journal(out: Path, identity: Mapping[str, Any], now_unix_s: float) -> Iterator[Journal]:
    """Begin the run that will be `out`, or go on with it. See `open_records`."""
    path = out.with_name(out.name + ".journal")
    with open_records(path, identity, now_unix_s) as records:
        yield Journal(out, records, [_row(path, n, record) for n, record in enumerate(records.records, 2)])


def _row(path: Path, line: int, record: dict[str, Any]) -> ProfileRow:
    try:
        return ProfileRow(**record)
    except TypeError as error:
        raise DataError(f"{path}, line {line} is no row of a profile: {error}") from error
