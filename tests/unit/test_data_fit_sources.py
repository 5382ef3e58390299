from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointsman.data.fit_sources import fingerprint, read_sources
from pointsman.data.profiles import ProfileRow, write_profile
from pointsman.errors import DataError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def row(**values: Any) -> ProfileRow:
    usual: dict[str, Any] = {
        "endpoint": "a", "prompt_id": "p1", "task": "fact", "repeat_of": None, "max_tokens": 16, "concurrency": 1,
        "started_unix_s": 1.7e9, "started_s": 0.0, "prompt_bytes": 40, "input_tokens": 30, "output_tokens": 5,
        "cached_tokens": 0, "finish_reason": "stop", "e2e_s": 0.5, "energy_j": 4.0, "energy_modelled": True,
        "meter": "cpu_time", "score": 1.0,
    }  # fmt: skip
    return ProfileRow(**(usual | values))


def test_our_own_profiles(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    rows = [
        row(started_s=2.0, prompt_id="p1r", repeat_of="p1", finish_reason="length"),
        row(started_s=1.0, cached_tokens=10),
        row(started_s=3.0, task="ramp", prompt_id="p2", score=None, energy_j=None),
        row(started_s=4.0, error="refused", input_tokens=None, output_tokens=None, e2e_s=None),
    ]
    write_profile(path, rows, {"hardware": "a machine"})
    (source,) = read_sources(path)
    got = source.rows
    assert source.natural
    assert got.prompt.tolist() == [0, 0, 1]
    assert got.input_tokens.tolist() == [20.0, 30.0, 30.0]
    assert got.cut.tolist() == [False, True, False]
    assert got.task.tolist() == ["fact", "fact", "chat"]
    assert np.isnan(got.energy_j[2])
    assert source.provenance.sentence().startswith(
        "3 rows of p.parquet, a machine, energy modelled by cpu_time"
    )
    assert source.provenance.measured_on == "2023-11-14"


def test_the_fingerprint_is_of_the_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    first.write_bytes(b"1")
    second.write_bytes(b"2")
    assert fingerprint([first]) != fingerprint([second])
    second.write_bytes(b"1")
    assert fingerprint([first]) == fingerprint([second])


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"speed": [1.0]}, "is no profile: its columns are speed"),
        ({"new_tokens": [1], "model": ["a"], "latency_s": [1.0], "energy_j": [1.0]}, "no column input_tokens"),
        (
            {"new_tokens": [1], "model": ["a"], "latency_s": [float("nan")], "energy_j": [1.0], "input_tokens": [1]},
            "row 0, column latency_s: nan",
        ),
        (
            {"new_tokens": [1], "model": ["a"], "latency_s": [None], "energy_j": [1.0], "input_tokens": [1]},
            "row 0, column latency_s: nan",
        ),
        (
            {"new_tokens": [1, 1], "model": ["a"] * 2, "latency_s": [1, 1.0], "energy_j": [1, -2.0], "input_tokens": [1, 1]},
            "row 1, column energy_j: -2.0",
        ),
    ],
)  # fmt: skip
def test_bad_tables_name_file_row_and_column(
    tmp_path: Path, columns: dict[str, list[Any]], words: str
) -> None:
    path = tmp_path / "x.parquet"
    table = pa.table(
        {
            name: pa.array(values, pa.float64()) if None in values else values
            for name, values in columns.items()
        }
    )
    pq.write_table(table, path)
    with pytest.raises(DataError, match=words) as caught:
        read_sources(path)
    assert "x.parquet" in str(caught.value)


def test_no_file_no_parquet_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    with pytest.raises(DataError, match="does not exist"):
        read_sources(path)
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match="is no parquet file"):
        read_sources(path)
    with pytest.raises(DataError, match="neither a parquet file nor a folder"):
        read_sources(tmp_path / "x.txt")
    pq.write_table(
        pa.table({name: [] for name in ("new_tokens", "model", "latency_s", "energy_j", "input_tokens")}),
        path,
    )
    with pytest.raises(DataError, match="has no rows"):
        read_sources(path)
