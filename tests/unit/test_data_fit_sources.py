from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointsman.data.fit_sources import fingerprint, read_sources
from pointsman.data.profiles import ProfileRow, write_profile
from pointsman.errors import DataError, NotFittable
from pointsman.predict.model_profile import DEFAULT_ENERGY
from pointsman.predict.profile_fit import fit_series

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
    (tmp_path / "x.txt").write_text("no table")
    with pytest.raises(NotFittable, match="neither a parquet file nor a folder"):
        read_sources(tmp_path / "x.txt")
    pq.write_table(
        pa.table({name: [] for name in ("new_tokens", "model", "latency_s", "energy_j", "input_tokens")}),
        path,
    )
    with pytest.raises(DataError, match="has no rows"):
        read_sources(path)


def test_failed_calls_are_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "calls.parquet"
    table = {
        "provider": ["p", "q", "p", "p"], "model": ["m"] * 4, "error_code": [None, None, "429", None],
        "inter_token_latency_s": [0.1] * 4, "latency_s": [1.0, 9.0, 0.0, 3.0],
        "input_tokens": [550] * 4, "output_tokens": [10, 20, 0, 30],
    }  # fmt: skip
    pq.write_table(pa.table(table), path)
    first, second = read_sources(path)
    assert (first.name, second.name) == ("m, p", "m, q")
    assert first.rows.time_s.tolist() == [1.0, 3.0]
    assert first.notes[0] == "1 of 3 calls failed and are left out"
    assert "every prompt has 550 tokens, 90% of the answers 10 to 30" in first.notes[1]
    assert len(second.notes) == 1
    assert not np.isfinite(first.rows.energy_j).any()
    assert first.provenance.sentence().endswith("energy not measured")

    pq.write_table(pa.table(table | {"error_code": [None, "-1", "429", None]}), path)
    with pytest.raises(DataError, match="all 1 calls of m, q failed"):
        read_sources(path)


def test_tokens_of_a_run_follow_from_its_times(tmp_path: Path) -> None:
    path = tmp_path / "phases.parquet"
    table = {
        "model": ["m"] * 5, "hardware": ["a100", "a100", "a100", "a100", "a100-pcap"],
        "tensor_parallel": [2] * 5, "batch_size": [1, 1, 8, 1, 1], "input_tokens": [512] * 5,
        "output_tokens": [8192, 128, 128, 8192, 128], "prompt_time_ms": [50.0] * 5, "token_time_ms": [10.0] * 5,
        "e2e_time_ms": [1050.0, 1320.0, 9000.0, 1050.0, 1320.0],
    }  # fmt: skip
    pq.write_table(pa.table(table), path)
    (source,) = read_sources(path)
    assert source.name == "m, a100, 2 GPU"
    assert source.rows.output_tokens.tolist() == [101.0, 128.0]
    assert source.rows.time_s.tolist() == pytest.approx([1.05, 1.32])

    pq.write_table(pa.table(table | {"e2e_time_ms": [1050.0, 40.0, 9000.0, 1050.0, 1320.0]}), path)
    with pytest.raises(DataError, match=r"row 1: 0.04 s can't be 0.05 s for the first token"):
        read_sources(path)


def test_published_coefficients_become_points_without_interval(tmp_path: Path) -> None:
    path = tmp_path / "coefficients.parquet"
    table = {
        "kind": ["denoised"] * 3 + ["idealized"], "model": ["m"] * 4, "prompt_tokens": [1, 100, 200, 1],
        "runtime_per_output_token_s": [0.02] * 4, "overhead_s": [0.3, 0.3, 0.3, None],
        "runtime_for_prompt_s": [0.02, 0.12, 0.22, 0.05],
    }  # fmt: skip
    pq.write_table(pa.table(table), path)
    api, alone = read_sources(path)
    assert api.computed
    assert alone.rows.time_s.tolist() == pytest.approx(
        [0.05, 0.05 + 7 * 0.02, 0.05 + 63 * 0.02, 0.05 + 511 * 0.02]
    )
    profile = fit_series(api.name, api.rows, api.provenance, computed=True)
    one, tokens = np.ones(1), np.array([150.0])
    # 0.3 s of overhead, 1 ms a prompt token, 20 ms for each token after the first
    assert profile.time.predict(tokens, tokens, one)[0] == pytest.approx(
        0.3 + 0.02 + 0.149 + 149 * 0.02, rel=0.01
    )
    assert np.isnan(profile.time.spread.at(one)[0])
    assert profile.energy is DEFAULT_ENERGY
    assert profile.provenance.sentence() == "from coefficients.parquet, energy not measured"


@pytest.mark.data
def test_the_shared_profiles_of_time_alone(shared_data: Path) -> None:
    folder = shared_data / "profiles"
    calls = read_sources(folder / "llmperf_api_latency.parquet")
    assert len(calls) == 19
    assert sum(len(each.rows) for each in calls) == 2845 - 539
    (lost,) = {each.notes[0] for each in calls if each.name == "llama-2-7b-chat, lepton"}
    assert lost == "130 of 150 calls failed and are left out"
    phases = read_sources(folder / "splitwise_llama70b_bloom.parquet")
    assert [len(each.rows) for each in phases] == [65] * 8
    for source in phases:
        profile = fit_series(source.name, source.rows, source.provenance)
        rows = source.rows
        fitted = profile.time.predict(rows.input_tokens, rows.output_tokens, rows.concurrency)
        assert np.mean(np.abs(fitted / rows.time_s - 1)) < 0.05, source.name
        assert profile.energy is DEFAULT_ENERGY
    computed = read_sources(folder / "helm_api_runtimes.parquet")
    assert len(computed) == 18 + 19
    assert all(each.computed for each in computed)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "reason"),
    [("ml_energy_v3", "without any input length"), ("vidur_layer_kernels", "without attention")],
)
def test_the_shared_profiles_that_no_curve_follows_from(shared_data: Path, name: str, reason: str) -> None:
    with pytest.raises(
        NotFittable, match=rf"{name}\.parquet can't be fitted: .*{reason}.*use energy_inference_runs"
    ):
        read_sources(shared_data / "profiles" / f"{name}.parquet")
