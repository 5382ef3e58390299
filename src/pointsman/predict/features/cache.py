"""Embeddings kept on disk by the content of their text, so that none is made twice.

One SQLite file (write-ahead log: readers don't wait for a writer). A row's key is a hash of the encoder's
fingerprint and the text; another encoder, or other weights, never finds it. The texts themselves are not
stored.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import numpy as np

from pointsman.errors import BadRequest, DataError
from pointsman.predict.features.base import Encoding, TextEncoder

_AT_ONCE: Final = 256
"""Texts encoded before they are kept: what an interruption can lose."""
_WAIT_S: Final = 30
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS embeddings (number INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB UNIQUE, row BLOB)
"""


class CachedEncoder:
    """An encoder that remembers.

    Args:
        encoder: makes what is not there.
        path: the file; it and its folder are made if absent.
        max_rows: beyond that many the oldest rows are dropped; 384 columns take 1.6 KB a row.

    Raises: BadRequest for `max_rows` below 1; `encode` raises DataError where the file can't be used.
    """

    def __init__(self, encoder: TextEncoder, path: Path, *, max_rows: int = 1_000_000) -> None:
        if max_rows < 1:
            raise BadRequest(f"max_rows is {max_rows}", remedy="Keep at least one row")
        self.name = encoder.name
        self.width = encoder.width
        self._encoder = encoder
        self._path = path
        self._max_rows = max_rows
        self._salt = encoder.fingerprint().encode()

    def encode(self, texts: Sequence[str]) -> Encoding:
        """What the encoder gives, shape (R, width); equal texts are encoded once."""
        keys = [self._key(text) for text in texts]
        missing = dict(zip(keys, texts, strict=True))
        found: dict[bytes, Encoding] = {}
        with self._open() as connection:
            for key in list(missing):
                row = connection.execute("SELECT row FROM embeddings WHERE key = ?", (key,)).fetchone()
                if row is not None:
                    found[key] = self._decoded(row[0])
                    del missing[key]
            absent = list(missing)
            for start in range(0, len(absent), _AT_ONCE):
                part = absent[start : start + _AT_ONCE]
                rows = self._encoder.encode([missing[key] for key in part])
                found.update(zip(part, rows, strict=True))
                self._keep(connection, part, rows)
        encoded = np.empty((len(texts), self.width), np.float32)
        for number, key in enumerate(keys):
            encoded[number] = found[key]
        return encoded

    def fingerprint(self) -> str:
        """The encoder's own: what is remembered changes no number."""
        return self._encoder.fingerprint()

    def _key(self, text: str) -> bytes:
        return hashlib.sha256(self._salt + b"\0" + text.encode("utf-8", "surrogatepass")).digest()

    def _keep(self, connection: sqlite3.Connection, keys: Sequence[bytes], rows: Encoding) -> None:
        with connection:
            connection.executemany(
                "INSERT OR IGNORE INTO embeddings (key, row) VALUES (?, ?)",
                [(key, row.tobytes()) for key, row in zip(keys, rows, strict=True)],
            )
            connection.execute(
                "DELETE FROM embeddings WHERE number <= (SELECT MAX(number) FROM embeddings) - ?",
                (self._max_rows,),
            )

    def _decoded(self, stored: bytes) -> Encoding:
        if len(stored) != 4 * self.width:
            raise DataError(
                f"the cache {self._path} holds a row of {len(stored)} bytes, not {4 * self.width}",
                remedy="Delete the file: it is made again",
            )
        return np.frombuffer(stored, np.float32)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._path, timeout=_WAIT_S)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute(_SCHEMA)
                yield connection
        except (sqlite3.Error, OSError) as error:
            raise DataError(
                f"the cache of embeddings {self._path} can't be used: {error}",
                remedy="Choose another file, or delete it: it is made again",
            ) from error
