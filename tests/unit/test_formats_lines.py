"""Lines of public files: what packing, encoding and damage do to them, and that one bad line is one."""

from __future__ import annotations

import gzip
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pointsman.data.formats import lines
from pointsman.data.formats.lines import csv_rows, json_objects
from pointsman.data.formats.rows import Refused
from pointsman.errors import DataError


def file(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "given"
    path.write_bytes(content)
    return path


def numbered(path: Path) -> list[tuple[int, Any]]:
    return [
        (number, row.why if isinstance(row, Refused) else dict(row)) for number, row in json_objects(path)
    ]


def cells(path: Path, *required: str) -> list[tuple[int, Any]]:
    _, rows = csv_rows(path, required)
    return [(number, row.why if isinstance(row, Refused) else dict(row)) for number, row in rows]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_marks_line_ends_and_packing_change_nothing(
    tmp_path: Path, mark: bytes, end: bytes, pack: Callable[[bytes], bytes]
) -> None:
    objects = file(tmp_path, pack(mark + b'{"a": "\xc3\xa9"}' + end * 2 + b'{"a": 2}'))
    assert numbered(objects) == [(1, {"a": "é"}), (3, {"a": 2})]
    table = file(tmp_path, pack(mark + b"a,b" + end + b'1,"x\ny"' + end * 2 + b"2,z" + end))
    assert cells(table, "a") == [(3, {"a": "1", "b": "x\ny"}), (5, {"a": "2", "b": "z"})]


def test_a_bad_object_is_refused_by_its_line_and_the_rest_is_read(tmp_path: Path) -> None:
    bad = [
        b'{"a": 1',
        b"[1]",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": "\xff"}',
        b"[" * 100_000,
        b"7" * 5_000,
    ]
    found = numbered(file(tmp_path, b"\n".join([b'{"a": 0}', *bad, b'{"a": 9}'])))
    assert found[0] == (1, {"a": 0})
    assert found[-1] == (9, {"a": 9})
    reasons = [why for _, why in found[1:-1]]
    assert [number for number, _ in found] == list(range(1, 10))
    expected = [
        "no JSON",
        "not an object",
        "NaN is no number",
        "Infinity is no number",
        "no UTF-8",
        "nested too deep",
        "no JSON",
    ]
    for reason, word in zip(reasons, expected, strict=True):
        assert word in reason


def test_a_line_too_long_is_passed_over_without_being_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 16)
    content = b'{"a": 1}\n{"a": "' + b"x" * 40 + b'"}\n{"a": 2}\n' + b'{"a": "' + b"y" * 40
    first, long, last, torn = numbered(file(tmp_path, content))
    assert (first, last) == ((1, {"a": 1}), (3, {"a": 2}))
    assert long[0], torn[0] == (2, 4)
    assert "longer than 16 bytes" in long[1]
    assert "longer than 16 bytes" in torn[1]


def test_a_torn_archive_gives_what_came_before(tmp_path: Path) -> None:
    whole = b"".join(
        json.dumps({"a": number, "pad": f"{number**9}"}).encode() + b"\n" for number in range(5_000)
    )
    packed = gzip.compress(whole)
    *good, (number, why) = numbered(file(tmp_path, packed[: len(packed) // 2]))
    assert len(good) > 100
    assert [row["a"] for _, row in good] == list(range(len(good)))
    assert number == len(good) + 1
    assert "Fetch the file again" in why
    table = gzip.compress(b"a\n" + b"".join(b"%d\n" % (number**7) for number in range(5_000)))
    *rows, (_, torn) = cells(file(tmp_path, table[: len(table) // 2]), "a")
    assert rows[:2] == [(2, {"a": "0"}), (3, {"a": "1"})]
    assert "Fetch the file again" in torn


def test_bad_csv_lines_are_refused_one_by_one(tmp_path: Path) -> None:
    rows = 'a,b\n1,2\n1,2,3\n"x"y,2\n' + "z" * 1_000_001 + ',1\n3,4\n5,"open\n'
    found = dict(cells(file(tmp_path, rows.encode()), "a", "b"))
    assert found[2] == {"a": "1", "b": "2"}
    assert found[6] == {"a": "3", "b": "4"}
    assert "3 cells, the first line 2" in found[3]
    assert "expected after" in found[4]
    assert "1,000,000 characters" in found[5]
    assert "unexpected end of data" in found[7]
    assert len(found) == 6


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"\n\n", "is empty"),
        (b"a,c\n1,2\n", "has no column b"),
        (b"a;b\n1;2\n", "has no column a, b"),
        (b"a,b,a\n", "has the column 'a' more than once"),
        (b'"a\n', "line 1"),
        ("a,b\n".encode("utf-16"), "is UTF-16"),
        (b"PAR1....", "is a parquet file"),
        (b"PK\x03\x04..", "is a zip archive"),
        (gzip.compress(b"a,b\n1,2\n")[:12], "is no whole gzip file"),
    ],
)
def test_a_file_that_is_no_such_table_is_refused_whole(tmp_path: Path, content: bytes, said: str) -> None:
    path = file(tmp_path, content)
    with pytest.raises(DataError, match="given") as raised:
        cells(path, "a", "b")
    assert said in str(raised.value)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_no_pickle_is_loaded(tmp_path: Path, protocol: int, pack: Callable[[bytes], bytes]) -> None:
    planted = tmp_path / "ran"
    path = file(tmp_path, pack(pickle.dumps(Planted(str(planted)), protocol)))
    for read in (lambda: cells(path), lambda: numbered(path)):
        with pytest.raises(DataError, match="none is ever loaded") as raised:
            read()
        assert "pandas.read_pickle" in str(raised.value)
    assert not planted.exists()


def test_a_pickle_in_ascii_is_text_without_an_object(tmp_path: Path) -> None:
    planted = tmp_path / "ran"
    path = file(tmp_path, pickle.dumps(Planted(str(planted)), 0))
    assert all("no JSON" in why or "not an object" in why for _, why in numbered(path))
    with pytest.raises(DataError, match="has no column prompt"):
        cells(path, "prompt")
    assert not planted.exists()


class Planted:
    """Makes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (self.path, "w"))


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere does not exist"):
        numbered(tmp_path / "nowhere")
    with pytest.raises(DataError, match="is a folder"):
        numbered(tmp_path)
    with pytest.raises(DataError, match="is empty"):
        numbered(file(tmp_path, b""))
