"""The decision log: an append-only SQLite file of every decision and outcome.

    decisions   who asked (never the prompt, unless told to), what was predicted, what was chosen and why
    outcomes    how each request ended, with tokens, times, energy and price

The caller only puts references into a bounded queue; one thread encodes and writes them in batches.
Where the queue is full an entry is dropped and counted, so a slow disk never slows a request. A crash
loses at most what was not yet written; WAL keeps what was.

Predictions are stored as one little-endian float64 array of shape (19, E): input tokens, then value,
low and high of the six estimates in the order of `CostTable`.
"""

from __future__ import annotations

import json
import logging
import queue
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

import numpy as np

from pointsman.clock import Clock, RealClock
from pointsman.errors import DataError
from pointsman.types import Admission, CostTable, Decision, Estimate, Outcome, Request, Weights

VERSION: Final = 1
MAX_WAITING: Final = 10_000
BATCH: Final = 500
_ESTIMATES: Final = ("quality", "output_tokens", "time_s", "energy_j", "price_usd", "carbon_g")
_ROWS: Final = 1 + 3 * len(_ESTIMATES)
_OUTCOME: Final = tuple(field.name for field in fields(Outcome))
_SCHEMA: Final = f"""
CREATE TABLE decisions (
  id INTEGER PRIMARY KEY, request_id TEXT NOT NULL, logged_unix_s REAL NOT NULL, at_s REAL NOT NULL,
  action TEXT NOT NULL, endpoint TEXT, reason TEXT NOT NULL, policy TEXT NOT NULL, weights TEXT,
  excluded TEXT NOT NULL, endpoints TEXT NOT NULL, predictions BLOB NOT NULL, score BLOB, bypassed INTEGER NOT NULL,
  model TEXT NOT NULL, tenant TEXT NOT NULL, service_class TEXT NOT NULL, session TEXT, max_tokens INTEGER,
  prompt_bytes INTEGER NOT NULL, prompt TEXT
);
CREATE INDEX decisions_by_request ON decisions (request_id);
CREATE TABLE outcomes (id INTEGER PRIMARY KEY, logged_unix_s REAL NOT NULL, {", ".join(_OUTCOME)});
CREATE INDEX outcomes_by_request ON outcomes (request_id);
PRAGMA user_version = {VERSION};
"""
_INSERT_DECISION: Final = f"INSERT INTO decisions VALUES (NULL{', ?' * 20})"  # noqa: S608 - constants
_INSERT_OUTCOME: Final = f"INSERT INTO outcomes VALUES (NULL{', ?' * (len(_OUTCOME) + 1)})"  # noqa: S608 - constants
_log: Final = logging.getLogger(__name__)

_Entry = tuple[float, Decision, Request] | tuple[float, Outcome] | threading.Event


class DecisionLog:
    """Writes to one file; opened once a process.

    Args:
        path: made if it does not exist.
        store_prompts: keep the last user turn's text.
        max_waiting: entries that may wait for the disk.
        clock: for the wall time of entries.

    Attributes:
        dropped: entries lost because the queue was full, or the disk refused them.

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
        self.dropped = 0
        self._path, self._store_prompts = path, store_prompts
        self._clock = clock or RealClock()
        self._queue: queue.Queue[_Entry | None] = queue.Queue(max_waiting)
        with closing(_open(path)) as connection:
            _migrate(connection, path)
        self._thread = threading.Thread(target=self._write_all, name="decision-log", daemon=True)
        self._thread.start()

    def record(self, decision: Decision, request: Request) -> None:
        """Keep a decision. Never waits, never raises."""
        self._put((self._clock.wall(), decision, request))

    def finish(self, outcome: Outcome) -> None:
        """Keep an outcome. Never waits, never raises."""
        self._put((self._clock.wall(), outcome))

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Wait until all that was put in is on disk; False if it took longer than `timeout_s`."""
        written = threading.Event()
        self._queue.put(written, timeout=timeout_s)
        return written.wait(timeout_s)

    def close(self) -> None:
        """Write what waits and stop the thread; entries that come later are dropped and counted."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _put(self, entry: _Entry) -> None:
        try:
            if self._thread.is_alive():
                self._queue.put_nowait(entry)
                return
        except queue.Full:
            pass  # counted below
        self.dropped += 1

    def _write_all(self) -> None:
        connection = _open(self._path)
        closing_down = False
        while not closing_down:
            batch = [self._queue.get()]
            while len(batch) < BATCH and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            closing_down = None in batch
            entries = [entry for entry in batch if isinstance(entry, tuple)]
            try:
                with connection:
                    self._write(connection, entries)
            except sqlite3.Error as error:
                self.dropped += len(entries)
                _log.error("the decision log lost %d entries: %s", len(entries), error)
            for entry in batch:
                if isinstance(entry, threading.Event):
                    entry.set()
        connection.close()

    def _write(self, connection: sqlite3.Connection, entries: Sequence[tuple[Any, ...]]) -> None:
        decisions = [self._decision_row(*entry) for entry in entries if len(entry) == 3]  # noqa: PLR2004
        outcomes = [
            (entry[0], *(_plain(value) for value in asdict(entry[1]).values()))
            for entry in entries
            if len(entry) == 2  # noqa: PLR2004
        ]
        if decisions:
            connection.executemany(_INSERT_DECISION, decisions)
        if outcomes:
            connection.executemany(_INSERT_OUTCOME, outcomes)

    def _decision_row(self, unix_s: float, decision: Decision, request: Request) -> tuple[Any, ...]:
        weights = None if decision.weights is None else json.dumps(asdict(decision.weights))
        return (
            decision.request_id,
            unix_s,
            decision.at_s,
            decision.action.value,
            decision.endpoint,
            decision.reason,
            decision.policy,
            weights,
            json.dumps(dict(decision.excluded)),
            json.dumps(decision.table.endpoints),
            _encode(decision.predictions),
            None if decision.score is None else np.asarray(decision.score, dtype="<f8").tobytes(),
            decision.table.bypassed,
            request.model,
            request.tenant,
            request.slo.service_class,
            request.session,
            request.max_tokens,
            request.prompt.total_bytes,
            request.prompt.text if self._store_prompts else None,
        )


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
    with closing(_open(path)) as connection:
        _check_version(connection, path)
        connection.row_factory = sqlite3.Row
        rows = connection.execute(
            "SELECT * FROM (SELECT * FROM decisions WHERE ?1 IS NULL OR request_id = ?1 ORDER BY id DESC LIMIT ?2) ORDER BY id",
            (request_id, -1 if limit is None else limit),
        )
        for row in rows:
            yield _decision(row)


def read_outcomes(path: Path) -> Iterator[Outcome]:
    """Give outcomes, oldest first. Raises DataError as `read_decisions`."""
    if not path.is_file():
        raise DataError(f"{path} does not exist", remedy="Set pointsman.log.path, and send a request")
    with closing(_open(path)) as connection:
        _check_version(connection, path)
        for row in connection.execute(f"SELECT {', '.join(_OUTCOME)} FROM outcomes ORDER BY id"):  # noqa: S608
            made = dict(zip(_OUTCOME, row, strict=True))
            modelled = made["energy_modelled"]
            made["energy_modelled"] = None if modelled is None else bool(modelled)
            yield Outcome(**made)


def _open(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, timeout=10)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.Error as error:
        raise DataError(
            f"the decision log {path} can't be opened: {error}",
            remedy="Give the path of a writable SQLite file",
        ) from error
    return connection


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if not tables and not _version(connection):
        connection.executescript(_SCHEMA)
    _check_version(connection, path)


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    found = _version(connection)
    if found != VERSION:
        raise DataError(
            f"{path} is no decision log of version {VERSION} (its version is {found})",
            remedy="Give another path",
        )


def _plain(value: Any) -> Any:
    """A value as SQLite takes it."""
    return value.value if hasattr(value, "value") else value


def _encode(table: CostTable) -> bytes:
    rows = [table.input_tokens[0]]
    for name in _ESTIMATES:
        estimate: Estimate = getattr(table, name)
        rows += [estimate.value[0], estimate.low[0], estimate.high[0]]
    return np.array(rows, dtype="<f8").tobytes()


def _decode(blob: bytes, endpoints: tuple[str, ...], *, bypassed: bool) -> CostTable:
    rows = np.frombuffer(blob, dtype="<f8").reshape(_ROWS, 1, len(endpoints))
    estimates = {
        name: Estimate(*rows[1 + 3 * index : 4 + 3 * index]) for index, name in enumerate(_ESTIMATES)
    }
    return CostTable(endpoints, rows[0], **estimates, bypassed=bypassed)


def _decision(row: sqlite3.Row) -> Decision:
    endpoints = tuple(json.loads(row["endpoints"]))
    return Decision(
        request_id=row["request_id"],
        at_s=row["at_s"],
        action=Admission(row["action"]),
        reason=row["reason"],
        policy=row["policy"],
        table=_decode(row["predictions"], endpoints, bypassed=bool(row["bypassed"])),
        index=0,
        excluded=json.loads(row["excluded"]),
        score=None if row["score"] is None else np.frombuffer(row["score"], dtype="<f8"),
        endpoint=row["endpoint"],
        weights=None if row["weights"] is None else Weights(**json.loads(row["weights"])),
    )
