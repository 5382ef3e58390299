"""What is committed of the fleet's own answers is what `bench/data/README.md` says."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pytest

from pointsman.data.outcomes import read_outcome_rows

DATA = Path(__file__).resolve().parents[2] / "bench" / "data"
MODELS = {"smollm2-135m", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"}


@pytest.mark.parametrize(("name", "least"), [("mmlu", 400), ("gsm8k", 200), ("mbpp", 200)])
def test_every_model_has_answered_at_least_so_many_questions(name: str, least: int) -> None:
    table = read_outcome_rows(DATA / f"fleet_{name}.parquet")
    by_query = defaultdict(set)
    for row in table.rows:
        by_query[row.query_id].add(row.model)
        assert row.energy_modelled
        assert (row.energy_j or 0) > 0
        assert (row.output_tokens or 0) > 0
    assert sum(models == MODELS for models in by_query.values()) >= least
    assert table.metadata["meters"].keys() == MODELS
    assert table.metadata["fleet"].keys() == MODELS


@pytest.mark.parametrize("path", sorted(DATA.glob("*.parquet")), ids=lambda path: path.stem)
def test_no_file_says_where_on_a_machine_it_was_made(path: Path) -> None:
    import pyarrow.parquet as pq

    about = json.loads(pq.read_schema(path).metadata[b"pointsman"])
    told = json.dumps(about)
    assert "/home" not in told
    assert "/root" not in told
    assert "/tmp" not in told
    assert about["machine"]["cpu"]
