"""Public traces: units, order and what is left out; the published ones give the shared data's tables."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointsman.data.formats import row_writer
from pointsman.data.formats.importing import import_trace
from pointsman.data.formats.output import Source, Tally
from pointsman.data.formats.registry import TRACE_READERS
from pointsman.errors import DataError

pq = pytest.importorskip("pyarrow.parquet")

COMMON = ["request_id", "arrival_s", "input_tokens", "output_tokens"]


def run(name: str, tmp_path: Path, content: str | bytes) -> tuple[Tally, Any]:
    path = tmp_path / "given"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    out = tmp_path / "trace.parquet"
    tally = import_trace(*TRACE_READERS[name], Source(name, (path,), "2026-01-01", name), out, lambda _: None)
    return tally, pq.read_table(out)


AZURE = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    "2023-11-16 18:17:03.9799600,4808,10\n"
    "2023-11-16 18:17:04.0319600,3180,8\n"
)


def test_azure_2023_and_2024_count_from_the_first_request(tmp_path: Path) -> None:
    tally, table = run("azure", tmp_path, AZURE)
    assert table.column_names == COMMON
    assert table.to_pylist() == [
        {"request_id": 0, "arrival_s": 0.0, "input_tokens": 4808, "output_tokens": 10},
        {"request_id": 1, "arrival_s": 0.052, "input_tokens": 3180, "output_tokens": 8},
    ]
    assert (tally.rows, tally.refused) == (2, 0)
    later = (
        "TIMESTAMP,NumImages,ContextTokens,GeneratedTokens\n"
        "2024-05-12 00:00:00+00:00,0,7,1\n2024-05-12 02:00:00.001163+02:00,1,8,2\n"
    )
    assert run("azure", tmp_path, later)[1]["arrival_s"].to_pylist() == [0.0, 0.001163]


def test_bad_azure_lines_are_refused_alone(tmp_path: Path) -> None:
    bad = [
        "yesterday,1,1",
        "2023-11-16 18:17:05,,1",
        "2023-11-16 18:17:05,1,-1",
        "2023-11-16 18:17:05+00:00,1,1",
        "2023-11-16 18:17:05,1",
    ]
    tally, table = run("azure", tmp_path, AZURE + "\n".join(bad) + "\n2023-11-16 18:17:06,1,1\n")
    assert (table.num_rows, tally.refused) == (3, 5)
    said = [
        "'yesterday', not a time",
        "ContextTokens is missing",
        "is '-1'",
        "unlike the lines before",
        "2 cells",
    ]
    for line, word, number in zip(tally.shown, said, range(4, 9), strict=True):
        assert f"line {number}: " in line
        assert word in line


def test_arrivals_out_of_order_are_sorted_and_counted_from_the_earliest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_writer, "GROUP_ROWS", 3)
    times = [5_000, 2_000, 9_000, 2_000, 1_500, 7_000, 5_000]
    records = [
        {"timestamp": time, "input_length": number, "output_length": 1, "hash_ids": [number]}
        for number, time in enumerate(times)
    ]
    _, table = run("mooncake", tmp_path, "\n".join(map(json.dumps, records)))
    assert table["arrival_s"].to_pylist() == [0.0, 0.5, 0.5, 3.5, 3.5, 5.5, 7.5]
    assert table["input_tokens"].to_pylist() == [4, 1, 3, 0, 6, 5, 2]
    assert table["prefix_hash_ids"].to_pylist() == [[4], [1], [3], [0], [6], [5], [2]]
    assert table["request_id"].to_pylist() == list(range(7))
    about = json.loads(table.schema.metadata[b"pointsman"])
    assert (about["imported"], about["rows"], about["files"][0]["name"]) == ("mooncake", 7, "given")


def test_mooncake_counts_milliseconds_and_may_lack_blocks(tmp_path: Path) -> None:
    good = {"timestamp": 27_482, "input_length": 6_955, "output_length": 52, "hash_ids": [46, 2**40]}
    records = [
        good,
        {name: value for name, value in good.items() if name != "hash_ids"} | {"timestamp": 27_500.5},
        good | {"hash_ids": ["a"]},
        good | {"hash_ids": [2**70]},
        good | {"timestamp": None},
        good | {"output_length": "x"},
    ]
    tally, table = run("mooncake", tmp_path, gzip.compress("\n".join(map(json.dumps, records)).encode()))
    assert table["arrival_s"].to_pylist() == pytest.approx([0.0, 0.0185])
    assert table["prefix_hash_ids"].to_pylist() == [[46, 2**40], None]
    assert tally.refused == 4


VLLM: Mapping[str, Any] = {
    "date": "20260101-000000",
    "model_id": "m",
    "duration": 3.0,
    "input_lens": [10, 20, 30],
    "output_lens": [3, 0, 1],
    "ttfts": [0.5, 0.0, 0.25],
    "itls": [[0.1, 0.2], [], []],
    "start_times": [1_000.5, 1_000.0, 1_001.0],
    "errors": ["", "refused", ""],
}


def test_vllm_bench_gives_arrivals_and_what_was_measured(tmp_path: Path) -> None:
    tally, table = run("vllm-bench", tmp_path, json.dumps(VLLM))
    assert table.column_names == [*COMMON, "ttft_s", "latency_s"]
    assert table.to_pylist() == [
        {
            "request_id": 0,
            "arrival_s": 0.0,
            "input_tokens": 10,
            "output_tokens": 3,
            "ttft_s": 0.5,
            "latency_s": pytest.approx(0.8),
        },
        {
            "request_id": 1,
            "arrival_s": 0.5,
            "input_tokens": 30,
            "output_tokens": 1,
            "ttft_s": 0.25,
            "latency_s": 0.25,
        },
    ]
    assert (tally.failed_calls, tally.refused) == (1, 0)


def test_a_second_run_of_vllm_bench_is_refused_and_the_first_kept(tmp_path: Path) -> None:
    tally, table = run("vllm-bench", tmp_path, json.dumps(VLLM) + "\n" + json.dumps(VLLM))
    assert table.num_rows == 2
    assert tally.shown == ["given, line 4: " + tally.shown[0].partition(": ")[2]]
    assert "sed -n 2p" in tally.shown[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"start_times": None}, "no list start_times.*--save-detailed"),
        ({"itls": None, "ttfts": None}, "no list ttfts, itls"),
        ({"errors": [""]}, "different lengths"),
        ({"start_times": [None, 1.0, None]}, "start_times has no entry"),
    ],
)
def test_a_result_without_what_a_trace_needs_is_refused(
    tmp_path: Path, change: Mapping[str, Any], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        run("vllm-bench", tmp_path, json.dumps({**VLLM, **change}))
    assert not (tmp_path / "trace.parquet").exists()


def test_a_result_that_is_no_line_of_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no result: it is no JSON.*jq -c"):
        run("vllm-bench", tmp_path, json.dumps(VLLM, indent=2))


@pytest.mark.data
@pytest.mark.parametrize("name", ["azure_2023_code", "azure_2023_conv"])
def test_azure_as_published_is_the_shared_table(tmp_path: Path, shared_data: Path, name: str) -> None:
    known = pq.read_table(shared_data / "traces" / f"{name}.parquet")
    start = datetime(2023, 11, 16, 18, 17, 3, 979960)  # noqa: DTZ001  # the file has no zone
    rows = zip(*(known[column].to_pylist() for column in COMMON[1:]), strict=True)
    lines = [
        f"{start + timedelta(seconds=arrival):%Y-%m-%d %H:%M:%S.%f}0,{given},{made}"
        for arrival, given, made in rows
    ]
    tally, table = run("azure", tmp_path, "\r\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *lines]))
    assert tally.refused == 0
    assert table["request_id"].to_pylist() == known["request_id"].to_pylist()
    np.testing.assert_allclose(table["arrival_s"], known["arrival_s"], atol=1e-6, rtol=0)
    for column in COMMON[2:]:
        assert table[column].to_pylist() == known[column].to_pylist()
        assert table.schema.field(column).type == known.schema.field(column).type


@pytest.mark.data
def test_mooncake_as_published_is_the_shared_table(tmp_path: Path, shared_data: Path) -> None:
    known = pq.read_table(shared_data / "traces" / "mooncake_synthetic.parquet").to_pylist()
    records = [
        {
            "timestamp": round(row["arrival_s"] * 1000),
            "input_length": row["input_tokens"],
            "output_length": row["output_tokens"],
            "hash_ids": row["prefix_hash_ids"],
        }
        for row in known
    ]
    tally, table = run("mooncake", tmp_path, "\n".join(map(json.dumps, records)))
    assert tally.refused == 0
    assert table.to_pylist() == known
