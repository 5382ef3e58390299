"""Profile tables: what was written is read back; a file that can't be used says why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pointsman.data.profiles import ProfileRow, read_profile, write_profile
from pointsman.data.tables import column_names
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


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("input_tokens", ["many"], "column input_tokens: it holds string, not int32"),
        ("endpoint", [["e"]], "column endpoint: it holds list<"),
        ("e2e_s", [[0.5]], "column e2e_s: it holds list<"),
        ("output_tokens", [2.5], "column output_tokens: it holds double, not int32"),
        ("started_s", pa.nulls(1), "column started_s: a value is missing"),
        ("endpoint", pa.nulls(1), "column endpoint: a value is missing"),
        ("prompt_bytes", [-1], "row 0, column prompt_bytes: -1 is no measurement"),
        ("score", [1.5], "row 0, column score: 1.5 is no measurement"),
    ],
)
def test_columns_of_another_kind_are_named(tmp_path: Path, name: str, values: object, said: str) -> None:
    path = tmp_path / "run.parquet"
    write_profile(path, [ROW], {})
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.column_names.index(name), name, pa.array(values)), path)
    with pytest.raises(DataError) as caught:
        read_profile(path)
    assert said in str(caught.value)


@pytest.mark.parametrize("read", [read_profile, column_names])
@pytest.mark.parametrize(("old", "new"), [(b"prompt_id", b"prompt\xea\xff\xfe"), (b"PAR1", b"PAR2")])
def test_damaged_files_are_data_errors(
    tmp_path: Path, read: Callable[[Path], object], old: bytes, new: bytes
) -> None:
    path = tmp_path / "run.parquet"
    write_profile(path, [ROW], {})
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(DataError, match=r"run\.parquet is no parquet file"):
        read(path)


def test_damaged_metadata_is_a_data_error(tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    write_profile(path, [ROW], {})
    pq.write_table(pq.read_table(path).replace_schema_metadata({"pointsman": "{"}), path)
    with pytest.raises(DataError, match=r"run\.parquet has damaged metadata"):
        read_profile(path)
