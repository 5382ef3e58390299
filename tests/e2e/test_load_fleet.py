"""Two real small models under load, one killed midway: within their slots, and every request ends once."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from pointsman.engines.catalogue import SMOLLM2_135M
from pointsman.engines.weights import pull
from pointsman.errors import MissingError
from pointsman.testing.counted_fleet import CountedModel

pytest.importorskip("xllamacpp", reason="the extra `fleet` is not installed")
pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

BENCH = Path(__file__).resolve().parents[2] / "bench" / "load_limits_fleet.py"
MODELS = (CountedModel("first", SMOLLM2_135M.name, 2), CountedModel("second", SMOLLM2_135M.name, 1))
N = 15


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    try:
        pull(SMOLLM2_135M)
    except MissingError as error:
        pytest.skip(f"the weights of {SMOLLM2_135M.name} can't be had here: {error}")
    spec = importlib.util.spec_from_file_location("bench_load_limits_fleet", BENCH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


async def test_every_caller_of_the_gateway_gets_one_answer_or_one_clear_error(
    bench: ModuleType, tmp_path: Path
) -> None:
    """Invariants 1 to 3, as callers, servers and the decision log see them."""
    row = await bench.over_gateway(MODELS, tmp_path, "random", N, 8)
    assert row["answered"] + row["errors"] == N
    assert row["errors"] >= 1, "what ran on the server that was killed"
    assert row["unclear"] == row["answered_twice"] == row["log_twice"] == 0
    assert row["log_ids"] == N
    assert (row["peak first"], row["peak second"]) == ("2/2", "1/1")


async def test_a_plan_whose_endpoint_was_killed_goes_on_and_asks_nothing_twice(
    bench: ModuleType, tmp_path: Path
) -> None:
    row = await bench.over_plan(MODELS, tmp_path, N)
    assert row["answered"] == row["log_ids"] == N
    assert row["errors"] >= 1, "what ran on the server that was killed"
    assert row["unclear"] == row["answered_twice"] == row["log_answered_twice"] == 0
    assert (row["peak first"], row["peak second"]) == ("2/2", "1/1")
