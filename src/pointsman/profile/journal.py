"""Rows of a run kept on disk as they come, so that a stopped run goes on where it was.

The journal lies beside the parquet file that it becomes (`.journal` appended to its name). The first
line says which run it is, each further line is one row.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from pointsman.data.profiles import ProfileRow, write_profile
from pointsman.errors import DataError


@dataclass(slots=True)
class Journal:
    """The rows of a run, those of an earlier part that was stopped included.

    Attributes:
        rows: in the order in which they came.
        origin_unix_s: when the run first began.
    """

    out: Path
    file: TextIO
    rows: list[ProfileRow]
    origin_unix_s: float

    def done(self) -> set[tuple[str, str]]:
        """(endpoint, prompt id) of every row that did not fail."""
        return {(row.endpoint, row.prompt_id) for row in self.rows if row.error is None}

    def add(self, row: ProfileRow) -> None:
        """Keep a row, on disk at once."""
        _append(self.file, asdict(row))
        self.rows.append(row)

    def write(self, metadata: Mapping[str, Any]) -> int:
        """Write the parquet file; gives its number of rows. A repeated failure keeps its last row."""
        final = {(row.endpoint, row.prompt_id): row for row in self.rows}
        ordered = sorted(final.values(), key=lambda row: row.started_s)
        write_profile(self.out, ordered, metadata)
        return len(ordered)


@contextmanager
def open_journal(out: Path, identity: Mapping[str, Any], now_unix_s: float) -> Iterator[Journal]:
    """Begin the run that will be `out`, or go on with it.

    Args:
        out: the parquet file of the run.
        identity: JSON values; a journal with others belongs to another run.
        now_unix_s: when the run begins, if it is new.

    Raises: DataError if the journal is another run's or no journal. A torn last line is dropped.
    """
    path = out.with_name(out.name + ".journal")
    rows, origin_unix_s = _resume(path, identity, now_unix_s)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        if file.tell() == 0:
            _append(file, {"run": identity, "origin_unix_s": origin_unix_s})
        yield Journal(out, file, rows, origin_unix_s)


def _check_identity(path: Path, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    differences = [
        f"{name} {was.get(name)}, not {now.get(name)}"
        for name in sorted({*was, *now})
        if was.get(name) != now.get(name)
    ]
    if differences:
        raise DataError(
            f"{path} belongs to another run: {'; '.join(differences)}",
            remedy="Give another --out, or delete the journal",
        )


def _append(file: TextIO, record: Mapping[str, Any]) -> None:
    file.write(json.dumps(record) + "\n")
    file.flush()


def _resume(path: Path, identity: Mapping[str, Any], now_unix_s: float) -> tuple[list[ProfileRow], float]:
    """Rows of an earlier, stopped run and when it began."""
    if not path.exists():
        return [], now_unix_s
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:  # the line that was being written when the run was stopped
        path.write_text(whole, encoding="utf-8")
    lines = whole.splitlines()
    try:
        head = json.loads(lines[0])
    except (IndexError, ValueError) as error:
        raise DataError(f"{path} is no journal of a profile", remedy="Delete it to start anew") from error
    _check_identity(path, head.get("run") or {}, identity)
    rows = []
    for number, line in enumerate(lines[1:], 2):
        try:
            rows.append(ProfileRow(**json.loads(line)))
        except (ValueError, TypeError) as error:
            raise DataError(f"{path}, line {number} is no row of a profile: {error}") from error
    return rows, float(head["origin_unix_s"])
