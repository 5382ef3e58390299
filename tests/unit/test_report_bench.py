from __future__ import annotations

import csv
from pathlib import Path

import pytest

from pointsman.errors import BadRequest, MissingError
from pointsman.report.bench import bench_parser, machine, shared_data, write_results


def test_every_row_says_whence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "deep" / "x.csv"
    args = bench_parser("x", seed=7).parse_args(["--out", str(out), "--quick"])
    assert write_results("x", [{"a": 1, "b": 0.123456789}, {"a": 2, "c": "z"}], args) == out
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [row["b"] for row in rows] == ["0.123457", ""]
    assert {row["seed"] for row in rows} == {"7"}
    assert {row["quick"] for row in rows} == {"True"}
    assert all(row["commit"] and row["command"] and row["machine"] == machine() for row in rows)
    assert "0.1235" in capsys.readouterr().out


def test_a_quick_run_replaces_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert write_results("x", [{"a": 1}], bench_parser("x").parse_args(["--quick"])) is None
    assert not list(tmp_path.rglob("*.csv"))
    assert write_results("x", [{"a": 1}], bench_parser("x").parse_args([])) == Path("bench/results/x.csv")
    assert (tmp_path / "bench/results/x.csv").exists()


def test_no_rows_are_an_error() -> None:
    with pytest.raises(BadRequest, match="gave no rows"):
        write_results("x", [], bench_parser("x").parse_args([]))


def test_missing_shared_data_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTSMAN_DATA", str(tmp_path))
    with pytest.raises(MissingError, match="POINTSMAN_DATA"):
        shared_data()
