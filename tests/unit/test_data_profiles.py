"""Profile tables: what was written is read back; a file that can't be used says why."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pointsman.data.profiles import ProfileRow, read_profile, write_profile
from pointsman.errors import DataError

ROW = ProfileRow(
    endpoint="e", prompt_id="p1", task="fact", repeat_of=None, max_tokens=8, concurrency=1, started_unix_s=10.0,
    started_s=0.0, prompt_bytes=40, input_tokens=12, output_tokens=3, e2e_s=0.5, energy_j=2.5, energy_modelled=True,
)  # fmt: skip


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    write_profile(path, [ROW], {"seed": 1})
    run = read_profile(path)
    assert run.rows == (ROW,)
    assert run.metadata == {"seed": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["run.parquet"], "no partial file is left"


def test_a_missing_file_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="pointsman profile"):
        read_profile(tmp_path / "none.parquet")


def test_no_parquet(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(b"hello")
    with pytest.raises(DataError, match="no parquet file"):
        read_profile(path)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    write_profile(path, [ROW], {})
    pq.write_table(pq.read_table(path).drop_columns(["e2e_s"]), path)
    with pytest.raises(DataError, match="no column e2e_s"):
        read_profile(path)


def test_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    write_profile(path, [], {})
    with pytest.raises(DataError, match="no rows"):
        read_profile(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_values_that_no_measurement_has_are_named(tmp_path: Path, value: float) -> None:
    path = tmp_path / "run.parquet"
    write_profile(path, [ROW], {})
    table = pq.read_table(path)
    index = table.column_names.index("e2e_s")
    pq.write_table(table.set_column(index, "e2e_s", pa.array([value])), path)
    with pytest.raises(DataError, match="row 0, column e2e_s"):
        read_profile(path)
