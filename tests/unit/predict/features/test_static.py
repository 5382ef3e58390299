from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pointsman.errors import DataError
from pointsman.predict.features.static import StaticTable, shipped_table

TABLE = StaticTable(
    {word: row for row, word in enumerate(["rail", "road", "r", "##road", "##s", "日"])},
    np.arange(12, dtype=np.int8).reshape(6, 2),
)


def test_a_word_is_known_or_cut_into_the_longest_pieces() -> None:
    assert TABLE.pieces("rail") == [0]
    assert TABLE.pieces("railroads") == [0, 3, 4]
    assert TABLE.pieces("r!s") == [2, 4]
    assert TABLE.pieces("?") == []
    assert TABLE.vector("railroads").tolist() == [0 + 6 + 8, 1 + 7 + 9]
    assert TABLE.vector("?").tolist() == [0, 0]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    TABLE.write(tmp_path / "table.npz")
    again = StaticTable.read(tmp_path / "table.npz")
    assert again.rows == TABLE.rows
    assert (again.vectors == TABLE.vectors).all()
    assert again.fingerprint() == TABLE.fingerprint()
    changed = StaticTable(TABLE.rows, TABLE.vectors + np.int8(1))
    assert changed.fingerprint() != TABLE.fingerprint()


def test_a_broken_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.npz"
    TABLE.write(path)
    whole = path.read_bytes()
    for content in (b"", b"no table", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"table\.npz is no static embedding"):
            StaticTable.read(path)
    with pytest.raises(DataError, match="no static embedding"):
        StaticTable.read(tmp_path / "absent.npz")
    np.savez_compressed(path, words=np.frombuffer(b"a\nb", np.uint8), vectors=TABLE.vectors)
    with pytest.raises(DataError, match="for 2 words"):
        StaticTable.read(path)


def test_the_shipped_table_knows_what_belongs_together() -> None:
    table = shipped_table()

    def nearness(one: str, other: str) -> float:
        left, right = table.vector(one).astype(float), table.vector(other).astype(float)
        return float(left @ right / np.sqrt((left @ left) * (right @ right)))

    for near, far, word in [
        ("doctor", "guitar", "physician"),
        ("equation", "dog", "algebra"),
        ("court", "oxygen", "lawyer"),
        ("atom", "painting", "molecule"),
        ("bank", "virus", "money"),
    ]:
        assert nearness(word, near) > nearness(word, far) + 0.1
