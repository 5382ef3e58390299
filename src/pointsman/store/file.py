"""The decision log's file: opened, made, and told apart from other files."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pointsman.errors import DataError
from pointsman.store.rows import SCHEMA, VERSION


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a log that is there. Raises: DataError."""
    _check_there(path)
    with closing(_connect(path)) as connection:
        _check_version(connection, path)
        yield connection


@contextmanager
def writing(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that writes in batches to a log that is there. Raises: DataError."""
    _check_there(path)
    prepare(path)
    with closing(open_for_writing(path)) as connection:
        yield connection


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Open for writing in batches. Raises: DataError."""
    return _tried(path, "PRAGMA user_version", "PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL")


def prepare(path: Path) -> None:
    """Make the tables where there are none, and see that they can be written to.

    Raises: DataError if the file can't be written or is no decision log of this version.
    """
    with closing(_connect(path)) as connection:
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables:
            _check_version(connection, path)
        try:
            if not tables:
                connection.executescript(SCHEMA)
            with closing(open_for_writing(path)) as writer:
                writer.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise _unusable(path, error) from error


def _connect(path: Path) -> sqlite3.Connection:
    """Open a file and read from it; changes nothing, whatever kind of file it is."""
    return _tried(path, "PRAGMA user_version")


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


def _check_there(path: Path) -> None:
    if not path.is_file():
        raise DataError(f"{path} does not exist", remedy="Set pointsman.log.path, and send a request")


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if found != VERSION:
        raise DataError(
            f"{path} is no decision log of version {VERSION} (its version is {found})",
            remedy="Give another path, or move the file away: logs of another version are not read",
        )


def _unusable(path: Path, error: sqlite3.Error) -> DataError:
    return DataError(
        f"the decision log {path} can't be opened: {error}", remedy="Give the path of a writable SQLite file"
    )
