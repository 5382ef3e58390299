"""Results on disk as they come, so that a run that was killed goes on where it was.

The first line names the plan; each further line is one JSON object: the row of the plan, how it ended,
and the result. In memory stays only where each row's last result stands, so a million rows take 9 MB.

A record is handed to the system before its row counts as done, which outlives the process; it is on the
disk at the latest `SYNC_RECORDS` records later, which outlives the machine. A last line that was cut is dropped.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, BinaryIO, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from pointsman.errors import BadRequest, DataError

SYNC_RECORDS: Final = 64
_NONE: Final = -1


class End(StrEnum):
    """How a request ended."""

    ANSWERED = "answered"
    REFUSED = "refused"  # its endpoint says that it can't be served as it is
    FAILED = "failed"  # it may go better another time


_ENDS: Final = tuple(End)


class _Head(msgspec.Struct):
    plan: str
    rows: int


class _Record(msgspec.Struct):
    row: Annotated[int, msgspec.Meta(ge=0)]
    end: End
    result: msgspec.Raw


_decode_head = msgspec.json.Decoder(_Head).decode
_decode = msgspec.json.Decoder(_Record).decode
_encode = msgspec.json.Encoder().encode


class ResultJournal:
    """The results of a plan's rows. Use `open_journal`."""

    def __init__(self, file: BinaryIO, path: Path, rows: int) -> None:
        self._file, self._path = file, path
        self._offset: NDArray[np.int64] = np.full(rows, _NONE, dtype=np.int64)
        self._end: NDArray[np.int8] = np.full(rows, _NONE, dtype=np.int8)
        self._unsynced = 0

    def ended(self, end: End) -> NDArray[np.bool_]:
        """Which rows have ended so, shape (N,)."""
        ended: NDArray[np.bool_] = self._end == _ENDS.index(end)
        return ended

    def add(self, row: int, end: End, result: bytes) -> None:
        """Keep a result, one JSON object; of several of a row the last counts. Raises: OSError."""
        offset = self._file.seek(0, os.SEEK_END)
        self._file.write(_encode(_Record(row, end, msgspec.Raw(result))) + b"\n")
        self._file.flush()
        self._note(row, end, offset)
        self._unsynced += 1
        if self._unsynced >= SYNC_RECORDS:
            self.sync()

    def sync(self) -> None:
        """Have all records on the disk."""
        os.fsync(self._file.fileno())
        self._unsynced = 0

    def results(self) -> Iterator[tuple[int, End, bytes]]:
        """(row, end, result) of each row that has one, in the order of the plan."""
        for row in np.flatnonzero(self._offset != _NONE).tolist():
            self._file.seek(int(self._offset[row]))
            record = _decode(self._file.readline())
            yield row, record.end, bytes(record.result)

    def load(self) -> None:
        """Read what is there, and drop a last line that was cut. Raises: DataError."""
        self._file.seek(0)
        whole = len(self._file.readline())
        for number, data in enumerate(self._file, 2):
            if not data.endswith(b"\n"):
                break
            try:
                record = _decode(data)
                self._note(record.row, record.end, whole)
            except (ValueError, IndexError) as error:
                raise DataError(
                    f"{self._path}, line {number} is no result of this plan: {error}",
                    remedy="Delete that line",
                ) from error
            whole += len(data)
        self._file.truncate(whole)

    def _note(self, row: int, end: End, offset: int) -> None:
        self._offset[row], self._end[row] = offset, _ENDS.index(end)


@contextmanager
def open_journal(path: Path, plan: str, rows: int) -> Iterator[ResultJournal]:
    """Begin the journal of a plan, or go on with it, as the only one who does.

    Args:
        path: the journal; its folder is made.
        plan: the plan's id.
        rows: N, the plan's.

    Raises: DataError if it is another plan's journal, or none; BadRequest if another process runs the plan.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        _lock(file, path)
        journal = ResultJournal(file, path, rows)
        file.seek(0)
        first = file.readline()
        if not first.endswith(b"\n"):  # new, or killed while its first line was written
            file.truncate(0)
            file.write(_encode(_Head(plan, rows)) + b"\n")
            file.flush()
        else:
            _check(first, path, plan)
            journal.load()
        try:
            yield journal
        finally:
            journal.sync()


def _lock(file: BinaryIO, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BadRequest(
            f"{path} is being written by another run of this plan", remedy="Wait until it ends, or end it"
        ) from error


def _check(first: bytes, path: Path, plan: str) -> None:
    try:
        head = _decode_head(first)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no journal of a batch: {error}", remedy="Give another --out") from error
    if head.plan != plan:
        raise DataError(
            f"{path} belongs to another plan",
            remedy="Give another --out, or delete it to ask everything anew",
        )
