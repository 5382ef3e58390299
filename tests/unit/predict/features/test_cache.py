from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pointsman.errors import BadRequest, DataError
from pointsman.predict.features.base import Encoding
from pointsman.predict.features.cache import CachedEncoder


class Lengths:
    """Encodes a text by its length; tells what it was asked."""

    name = "lengths"
    width = 2

    def __init__(self, version: str = "1") -> None:
        self.asked: list[str] = []
        self._version = version

    def encode(self, texts: Sequence[str]) -> Encoding:
        self.asked.extend(texts)
        return np.array([[len(text), ord(text[0]) if text else 0] for text in texts], np.float32).reshape(
            -1, 2
        )

    def fingerprint(self) -> str:
        return self._version


def test_a_text_is_encoded_once(tmp_path: Path) -> None:
    inner = Lengths()
    path = tmp_path / "cache.sqlite"
    cached = CachedEncoder(inner, path)
    first = cached.encode(["a", "bb", "a", ""])
    assert inner.asked == ["a", "bb", ""]
    assert first.tolist() == [[1, 97], [2, 98], [1, 97], [0, 0]]
    again = Lengths()
    assert (CachedEncoder(again, path).encode(["", "a", "ccc"]) == [[0, 0], [1, 97], [3, 99]]).all()
    assert again.asked == ["ccc"]


def test_other_weights_do_not_find_it(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    CachedEncoder(Lengths("1"), path).encode(["a"])
    other = Lengths("2")
    CachedEncoder(other, path).encode(["a"])
    assert other.asked == ["a"]


def test_the_oldest_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    inner = Lengths()
    cached = CachedEncoder(inner, path, max_rows=3)
    cached.encode(["a", "b", "c", "d", "e"])
    inner.asked.clear()
    cached.encode(["c", "d", "e"])
    assert inner.asked == []
    cached.encode(["a"])
    assert inner.asked == ["a"]


def test_a_reader_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    cached = CachedEncoder(Lengths(), path)
    cached.encode(["a"])
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM embeddings")
    assert cached.encode(["a"]).tolist() == [[1, 97]]
    writer.execute("ROLLBACK")
    writer.close()


def test_a_file_that_is_no_cache_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    path.write_bytes(b"not a database at all, but long enough to be read as one" * 40)
    with pytest.raises(DataError, match=r"cache\.sqlite can't be used"):
        CachedEncoder(Lengths(), path).encode(["a"])
    with pytest.raises(DataError, match="can't be used"):
        CachedEncoder(Lengths(), path / "below" / "a file").encode(["a"])
    with pytest.raises(BadRequest, match="max_rows is 0"):
        CachedEncoder(Lengths(), tmp_path / "other", max_rows=0)


def test_a_row_of_another_width_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    cached = CachedEncoder(Lengths(), path)
    cached.encode(["a"])
    connection = sqlite3.connect(path)
    connection.execute("UPDATE embeddings SET row = x'00'")
    connection.commit()
    connection.close()
    with pytest.raises(DataError, match="1 bytes, not 8"):
        cached.encode(["a"])
