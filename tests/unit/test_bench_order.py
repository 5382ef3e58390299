"""`bench/order.py` on a small burst of real lengths: what it must show is seen there already."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench" / "order.py"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_order", BENCH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.data
def test_a_published_ranking_goes_most_of_the_way_to_foresight(bench: ModuleType, shared_data: Path) -> None:
    requests = bench.Requests(shared_data / "lengths" / "lmsys_vicuna13b_predictor.parquet")
    sizes = bench.Sizes(range(1, 3), (16,), burst=300, synthetic=300, samples=50)
    rows = {row["order"]: row for row in bench.burst(requests, sizes, lambda _: None)}
    assert (rows["fcfs"]["way_to_sjf"], rows["sjf"]["way_to_sjf"]) == (0.0, 1.0)
    assert 0.8 < rows["ranked"]["way_to_sjf"] < 1.0
    assert rows["ranked"]["times_under_fcfs_p90"] > 3
    assert rows["ranked+promotion"]["max_waiting_s_max"] < rows["ranked"]["max_waiting_s_max"]
    samples = {row["order"]: row["samples_s"] for row in bench.synthetic(requests, sizes, lambda _: None)}
    assert samples["sjf"] < samples["ranked"] < samples["fcfs"]


@pytest.mark.data
def test_predictions_are_made_without_the_requests_that_are_served(
    bench: ModuleType, shared_data: Path
) -> None:
    requests = bench.Requests(shared_data / "lengths" / "lmsys_vicuna13b_predictor.parquet")
    drawn = requests.draw(500, 1)
    assert len(set(drawn.predicted_tokens.tolist())) <= 5
    assert not (drawn.predicted_tokens == drawn.output_tokens).all()
    assert (requests.draw(500, 1).output_tokens == drawn.output_tokens).all()
    assert (requests.draw(500, 2).output_tokens != drawn.output_tokens).any()
