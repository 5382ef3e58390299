"""Records of a long run kept on disk as they come, so that a stopped run goes on where it was.

A journal is a text file: the first line says which run it is, each further line is one JSON object.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from pointsman.errors import DataError


@dataclass(slots=True)
class RecordJournal:
    """The records of a run, those of an earlier part that was stopped included.

    Attributes:
        records: JSON objects in the order in which they came.
        origin_unix_s: when the run first began.
    """

    file: TextIO
    records: list[dict[str, Any]]
    origin_unix_s: float

    def add(self, record: dict[str, Any]) -> None:
        """Keep a record, on disk at once."""
        _append(self.file, record)
        self.records.append(record)


@contextmanager
def open_records(path: Path, identity: Mapping[str, Any], now_unix_s: float) -> Iterator[RecordJournal]:
    """Begin the run of this journal, or go on with it. Makes the folder.

    Args:
        path: the journal.
        identity: JSON values; a journal with others belongs to another run.
        now_unix_s: when the run begins, if it is new.

    Raises: DataError if the journal is another run's or no journal. A torn last line is dropped.
    """
    records, origin_unix_s = _resume(path, identity, now_unix_s)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        if file.tell() == 0:
            _append(file, {"run": identity, "origin_unix_s": origin_unix_s})
        yield RecordJournal(file, records, origin_unix_s)


def read_records(path: Path) -> tuple[dict[str, Any], tuple[dict[str, Any], ...]]:
    """The first line's object and the records; a torn last line is left out. For a run that still goes on.

    Raises: DataError where it is no journal.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} can't be read as a journal: {error}") from error
    return _parsed(path, text[: text.rfind("\n") + 1])


def _resume(path: Path, identity: Mapping[str, Any], now_unix_s: float) -> tuple[list[dict[str, Any]], float]:
    """Records of an earlier, stopped run and when it began."""
    if not path.exists():
        return [], now_unix_s
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:  # the line that was being written when the run was stopped
        path.write_text(whole, encoding="utf-8")
    if not whole:
        return [], now_unix_s
    head, records = _parsed(path, whole)
    _check_identity(path, head["run"], identity)
    return list(records), float(head["origin_unix_s"])


def _parsed(path: Path, whole: str) -> tuple[dict[str, Any], tuple[dict[str, Any], ...]]:
    parsed = []
    for number, line in enumerate(whole.split("\n")[:-1], 1):
        try:
            record = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}, line {number} is no record of a journal: {error}") from error
        if not isinstance(record, dict):
            raise DataError(f"{path}, line {number} is no record of a journal: {line:.60}")
        parsed.append(record)
    if not parsed or not isinstance(parsed[0].get("run"), dict) or "origin_unix_s" not in parsed[0]:
        raise DataError(f"{path} is no journal of a run", remedy="Delete it to start anew")
    return parsed[0], tuple(parsed[1:])


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
