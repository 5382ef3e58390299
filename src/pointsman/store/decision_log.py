"""The decision log: an append-only SQLite file of every decision and outcome.

    decisions   who asked (never the prompt, unless told to), what was predicted, what was chosen and why
    outcomes    how each request ended, with tokens, times, energy and price

The caller only puts references into a bounded queue; one thread encodes and writes them in batches.
Where the queue is full an entry is dropped and counted, so a slow disk never slows a request. A crash
loses at most what was not yet written; WAL keeps what was. The tables are in `store/rows.py`.
"""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from pointsman.clock import Clock, RealClock
from pointsman.errors import DataError
from pointsman.store.rows import (
    INSERT_DECISION,
    INSERT_OUTCOME,
    OUTCOME_COLUMNS,
    SCHEMA,
    VERSION,
    decision_of,
    decision_row,
    outcome_of,
    outcome_row,
)
from pointsman.types import Decision, Outcome, Request

MAX_WAITING: Final = 10_000
BATCH: Final = 500
_log: Final = logging.getLogger(__name__)

_Entry = tuple[float, Decision, Request] | tuple[float, Outcome]


class DecisionLog:
    """Writes to one file; opened once a process.

    Args:
        path: made if it does not exist.
        store_prompts: keep the last user turn's text.
        max_waiting: entries that may wait for the disk.
        clock: for the wall time of entries.

    Raises: DataError if the file can't be written or is no decision log of this version.
    """

    def __init__(
        self,
        path: Path,
        *,
        store_prompts: bool = False,
        max_waiting: int = MAX_WAITING,
        clock: Clock | None = None,
    ) -> None:
        self._path, self._store_prompts = path, store_prompts
        self._clock = clock or RealClock()
        self._turned_away = self._not_written = 0  # by the callers and by the writer: each its own counter
        self._queue: queue.Queue[_Entry | threading.Event | None] = queue.Queue(max_waiting)
        _prepare(path)
        self._thread = threading.Thread(target=self._write_all, name="decision-log", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Entries lost: the queue was full, the log was closed, or they could not be written."""
        return self._turned_away + self._not_written

    def record(self, decision: Decision, request: Request) -> None:
        """Keep a decision. Never waits, never raises."""
        self._put((self._clock.wall(), decision, request))

    def finish(self, outcome: Outcome) -> None:
        """Keep an outcome. Never waits, never raises."""
        self._put((self._clock.wall(), outcome))

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Wait until all that was put in is on disk, or counted as dropped; False if that takes longer."""
        written = threading.Event()
        try:
            self._queue.put(written, timeout=timeout_s)
        except queue.Full:
            return False
        return self._thread.is_alive() and written.wait(timeout_s)

    def close(self) -> None:
        """Write what waits and stop the thread; entries that come later are dropped and counted."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _put(self, entry: _Entry) -> None:
        if not self._thread.is_alive():
            self._turned_away += 1
            return
        try:
            self._queue.put_nowait(entry)
        except queue.Full:
            self._turned_away += 1

    def _write_all(self) -> None:
        with closing(_open(self._path)) as connection:
            closing_down = False
            while not closing_down:
                batch = [self._queue.get()]
                while len(batch) < BATCH and not self._queue.empty():
                    batch.append(self._queue.get_nowait())
                closing_down = None in batch
                self._write_batch(connection, [entry for entry in batch if isinstance(entry, tuple)])
                for entry in batch:
                    if isinstance(entry, threading.Event):
                        entry.set()

    def _write_batch(self, connection: sqlite3.Connection, entries: Sequence[_Entry]) -> None:
        """All in one transaction; if that fails, what each of them does alone."""
        try:
            with connection:
                for entry in entries:
                    self._write(connection, entry)
        except Exception as error:  # noqa: BLE001 - the writer must outlive any entry
            if len(entries) > 1 and not isinstance(error, sqlite3.OperationalError):
                for entry in entries:
                    self._write_batch(connection, [entry])
                return
            self._not_written += len(entries)
            _log.error("the decision log lost %d entries: %s", len(entries), error)

    def _write(self, connection: sqlite3.Connection, entry: _Entry) -> None:
        if len(entry) == 2:  # noqa: PLR2004 - an outcome
            connection.execute(INSERT_OUTCOME, outcome_row(*entry))
        else:
            connection.execute(INSERT_DECISION, decision_row(*entry, store_prompt=self._store_prompts))


def read_decisions(
    path: Path, *, request_id: str | None = None, limit: int | None = None
) -> Iterator[Decision]:
    """Give decisions, oldest first, as they were made; each can be explained again.

    Args:
        path: the log.
        request_id: only this request's.
        limit: only the newest so many, still oldest first.

    Raises: DataError if the file is not there or is no decision log of this version.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist", remedy="Set pointsman.log.path, and send a request")
    with closing(_connect(path)) as connection:
        _check_version(connection, path)
        connection.row_factory = sqlite3.Row
        rows = connection.execute(
            "SELECT * FROM (SELECT * FROM decisions WHERE ?1 IS NULL OR request_id = ?1 ORDER BY id DESC LIMIT ?2) ORDER BY id",
            (request_id, -1 if limit is None else limit),
        )
        for row in rows:
            yield decision_of(row)


def read_outcomes(path: Path) -> Iterator[Outcome]:
    """Give outcomes, oldest first. Raises DataError as `read_decisions`."""
    if not path.is_file():
        raise DataError(f"{path} does not exist", remedy="Set pointsman.log.path, and send a request")
    with closing(_connect(path)) as connection:
        _check_version(connection, path)
        for row in connection.execute(f"SELECT {', '.join(OUTCOME_COLUMNS)} FROM outcomes ORDER BY id"):  # noqa: S608
            yield outcome_of(row)


def _connect(path: Path) -> sqlite3.Connection:
    """Open a file and read from it; changes nothing, whatever kind of file it is."""
    return _tried(path, "PRAGMA user_version")


def _open(path: Path) -> sqlite3.Connection:
    """Open for writing in batches."""
    return _tried(path, "PRAGMA user_version", "PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL")


def _tried(path: Path, *pragmas: str) -> sqlite3.Connection:
    """A connection on which these pragmas have run; one that can't run them is closed."""
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(path, timeout=10)
        for pragma in pragmas:
            connection.execute(pragma).fetchone()
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        raise _unusable(path, error) from error
    return connection


def _prepare(path: Path) -> None:
    """Make the tables where there are none, and see that they can be written to."""
    with closing(_connect(path)) as connection:
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables:
            _check_version(connection, path)
        try:
            if not tables:
                connection.executescript(SCHEMA)
            with closing(_open(path)) as writer:
                writer.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise _unusable(path, error) from error


def _unusable(path: Path, error: sqlite3.Error) -> DataError:
    return DataError(
        f"the decision log {path} can't be opened: {error}", remedy="Give the path of a writable SQLite file"
    )


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if found != VERSION:
        raise DataError(
            f"{path} is no decision log of version {VERSION} (its version is {found})",
            remedy="Give another path, or move the file away: logs of another version are not read",
        )
