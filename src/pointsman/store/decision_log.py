"""The decision log: an append-only SQLite file of every decision and outcome.

    decisions   who asked (never the prompt, unless told to), what was predicted, what was chosen and why
    outcomes    how each request ended, with tokens, times, energy and price
    labels      how good answers were, as was said later (`store/labels.py`)

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
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pointsman.clock import Clock, RealClock
from pointsman.errors import DataError
from pointsman.store.file import open_for_writing, prepare, reading
from pointsman.store.labels import insert_labels
from pointsman.store.rows import (
    INSERT_DECISION,
    INSERT_OUTCOME,
    SELECT_OUTCOMES,
    decision_of,
    decision_row,
    outcome_of,
    outcome_row,
)
from pointsman.types import Decision, Kept, Label, Outcome, Request

MAX_WAITING: Final = 10_000
BATCH: Final = 500
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Labels:
    """Labels that somebody waits for."""

    unix_s: float
    labels: Sequence[Label]
    kept: Future[Kept] = field(default_factory=Future)


_Entry = tuple[float, Decision, Request] | tuple[float, Outcome] | _Labels


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
        prepare(path)
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

    def label(self, labels: Sequence[Label]) -> Future[Kept]:
        """Keep labels, all or none. Never waits, never raises.

        Returns: what became of them, once they are on disk; else a DataError that says why they are not.
        """
        entry = _Labels(self._clock.wall(), tuple(labels))
        entry.kept.set_running_or_notify_cancel()  # who waits may go; what was begun is ended
        if not self._put(entry):
            entry.kept.set_exception(_not_kept("the decision log is busy or closed"))
        return entry.kept

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

    def _put(self, entry: _Entry) -> bool:
        if self._thread.is_alive():
            try:
                self._queue.put_nowait(entry)
            except queue.Full:
                pass
            else:
                return True
        self._turned_away += 1
        return False

    def _write_all(self) -> None:
        with closing(open_for_writing(self._path)) as connection:
            closing_down = False
            while not closing_down:
                batch = [self._queue.get()]
                while len(batch) < BATCH and not self._queue.empty():
                    batch.append(self._queue.get_nowait())
                closing_down = None in batch
                self._write_batch(
                    connection, [entry for entry in batch if isinstance(entry, tuple | _Labels)]
                )
                for entry in batch:
                    if isinstance(entry, threading.Event):
                        entry.set()

    def _write_batch(self, connection: sqlite3.Connection, entries: Sequence[_Entry]) -> None:
        """All in one transaction; if that fails, what each of them does alone."""
        try:
            with connection:
                written = [self._write(connection, entry) for entry in entries]
        except Exception as error:  # noqa: BLE001 - the writer must outlive any entry
            if len(entries) > 1 and not isinstance(error, sqlite3.OperationalError):
                for entry in entries:
                    self._write_batch(connection, [entry])
                return
            self._not_written += len(entries)
            _log.error("the decision log lost %d entries: %s", len(entries), error)
            for entry in entries:
                if isinstance(entry, _Labels):
                    entry.kept.set_exception(_not_kept(f"the decision log can't be written: {error}"))
            return
        for entry, kept in zip(entries, written, strict=True):
            if isinstance(entry, _Labels):
                entry.kept.set_result(kept)

    def _write(self, connection: sqlite3.Connection, entry: _Entry) -> Kept:
        """Write one; what became of it, if it is labels."""
        match entry:
            case _Labels(unix_s, labels):
                return insert_labels(connection, unix_s, labels)
            case (unix_s, Outcome() as outcome):
                connection.execute(INSERT_OUTCOME, outcome_row(unix_s, outcome))
            case (unix_s, decision, request):
                row = decision_row(unix_s, decision, request, store_prompt=self._store_prompts)
                connection.execute(INSERT_DECISION, row)
        return Kept()


def _not_kept(why: str) -> DataError:
    return DataError(f"the labels were not kept: {why}", remedy="Send them again later")


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
    with reading(path) as connection:
        connection.row_factory = sqlite3.Row
        rows = connection.execute(
            "SELECT * FROM (SELECT * FROM decisions WHERE ?1 IS NULL OR request_id = ?1 ORDER BY id DESC LIMIT ?2) ORDER BY id",
            (request_id, -1 if limit is None else limit),
        )
        for row in rows:
            yield decision_of(row)


def read_outcomes(path: Path) -> Iterator[Outcome]:
    """Give outcomes, oldest first; an answer's `quality` is what its labels come to.

    Raises: DataError as `read_decisions`.
    """
    with reading(path) as connection:
        for row in connection.execute(SELECT_OUTCOMES):
            yield outcome_of(row)
