from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pointsman.data.shared_outcomes import shared_measure, shared_outcomes
from pointsman.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    queries = {"query_id": ["b", "a"], "prompt": ["One?", "Two?"], "task": ["x", None]}
    outcomes = {
        "query_id": ["a", "b", "a"],
        "model": ["m2", "m1", "m1"],
        "score": [1.0, None, 0.5],
        "output_tokens": [3, 4, None],
        "latency_s": [0.1, None, 0.3],
    }
    pq.write_table(pa.table(queries), tmp_path / "queries.parquet")
    pq.write_table(pa.table(outcomes), tmp_path / "outcomes.parquet")
    return tmp_path


def test_rows_become_a_matrix_with_gaps(folder: Path) -> None:
    matrix = shared_outcomes(folder)
    assert (matrix.query_ids, matrix.endpoints, matrix.tasks) == (("b", "a"), ("m1", "m2"), ("x", ""))
    np.testing.assert_array_equal(matrix.quality, [[np.nan, np.nan], [0.5, 1.0]])
    np.testing.assert_array_equal(matrix.output_tokens, [[4, np.nan], [np.nan, 3]])
    times = shared_measure(folder, "latency_s", matrix)
    np.testing.assert_array_equal(times, [[np.nan, np.nan], [0.3, 0.1]])


def test_some_models_only(folder: Path) -> None:
    matrix = shared_outcomes(folder, endpoints=["m2"])
    np.testing.assert_array_equal(matrix.quality, [[np.nan], [1.0]])
    np.testing.assert_array_equal(shared_measure(folder, "latency_s", matrix), [[np.nan], [0.1]])


def test_what_is_not_there_is_said(folder: Path) -> None:
    with pytest.raises(DataError, match="no column energy_j"):
        shared_measure(folder, "energy_j", shared_outcomes(folder))
    with pytest.raises(DataError, match="no latency_s"):
        shared_measure(folder, "latency_s", replace(shared_outcomes(folder), endpoints=("m3", "m4")))
    with pytest.raises(DataError, match=r"has no model 'other'. It has m1, m2"):
        shared_outcomes(folder, endpoints=["m1", "other"])
    with pytest.raises(DataError, match=r"nowhere/queries\.parquet does not exist"):
        shared_outcomes(folder / "nowhere")


@pytest.mark.data
def test_the_real_set(shared_data: Path) -> None:
    matrix = shared_outcomes(shared_data / "outcomes" / "mmlu")
    assert matrix.quality.shape == (14042, 19)
    assert (~np.isnan(matrix.quality)).sum() == 97676
