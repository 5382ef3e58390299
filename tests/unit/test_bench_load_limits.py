"""`bench/load_limits.py` on a short window of real arrivals: its limits hold, and it would see if they did not."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from pointsman.data.traces import Trace
from pointsman.events import Arrived, CapacityChanged, Completed, Dispatch, Finish
from pointsman.queues import Queues
from pointsman.testing.fakes import make_endpoints, make_request
from pointsman.testing.witness import Witness
from pointsman.types import Disposition, Outcome

BENCH = Path(__file__).resolve().parents[2] / "bench" / "load_limits.py"
ENDPOINTS = make_endpoints(2, max_concurrent=1)
N = 400


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_load_limits", BENCH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def answered(request_id: str, endpoint: str = "e0") -> Outcome:
    return Outcome(request_id, endpoint, Disposition.ANSWERED)


@pytest.mark.data
@pytest.mark.parametrize("name", ["azure_2023_conv", "azure_2023_code", "mooncake_synthetic"])
def test_no_limit_is_exceeded_and_all_end_once_while_an_endpoint_dies(
    bench: ModuleType, shared_data: Path, name: str
) -> None:
    """Invariants 1 to 3, at 1.5 times what all slots can serve."""
    calls = bench.Calls(shared_data / "profiles" / "llmperf_api_latency.parquet")
    for seed, (policy, make) in enumerate(bench.POLICIES.items()):
        path = shared_data / "traces" / f"{name}.parquet"
        trace = bench.at_load(Trace.read(path).window(N, np.random.default_rng(seed)), 1.5, calls)
        result, witness = bench.run(make(seed), trace, calls, seed)
        assert witness.faults() == {}, policy
        assert witness.arrived.total() == witness.ended.total() == len(result.e2e_s) == N
        assert all(witness.peak[own.name] <= own.max_concurrent for own in bench.ENDPOINTS), policy
        full = [own.name for own in bench.ENDPOINTS if witness.peak[own.name] == own.max_concurrent]
        assert full, "no limit was ever reached, so that nothing is shown"


@pytest.mark.data
def test_the_one_that_died_fails_what_it_runs_and_is_asked_again_when_it_is_back(
    bench: ModuleType, shared_data: Path
) -> None:
    calls = bench.Calls(shared_data / "profiles" / "llmperf_api_latency.parquet")
    path = shared_data / "traces" / "azure_2023_code.parquet"
    trace = bench.at_load(Trace.read(path).window(N, np.random.default_rng(1)), 1.0, calls)
    result, _ = bench.run(bench.POLICIES["round robin"](1), trace, calls, 1)
    horizon_s = float(trace.arrival_s[-1])
    on_it = result.endpoint == bench.NAMES.index(bench.DYING)
    failed = on_it & ~result.answered
    assert failed.sum() >= 1
    ended_s = result.arrived_s + result.e2e_s
    assert (ended_s[failed] >= horizon_s / 3 - 1e-9).all()
    noticed_s = horizon_s / 3 + bench.NOTICE_S
    started_s = result.arrived_s + result.queue_s
    assert not (on_it & (started_s > noticed_s) & (started_s < horizon_s * 2 / 3)).any(), "asked while down"
    assert (on_it & result.answered & (started_s >= horizon_s * 2 / 3)).any(), "never asked again"


@pytest.mark.data
def test_a_scheduler_that_overruns_is_found_out(
    bench: ModuleType, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of capacity that does not reach its queue."""
    calls = bench.Calls(shared_data / "profiles" / "llmperf_api_latency.parquet")
    path = shared_data / "traces" / "azure_2023_conv.parquet"
    trace = bench.at_load(Trace.read(path).window(N, np.random.default_rng(1)), 1.5, calls)
    monkeypatch.setattr(Queues, "change_capacity", lambda *_: [])
    _, witness = bench.run(bench.POLICIES["round robin"](1), trace, calls, 1)
    assert witness.faults().keys() == {"over the limit"}


def test_a_witness_sees_each_fault() -> None:
    witness = Witness.of(ENDPOINTS)
    witness.saw(
        [Arrived(make_request(name)) for name in "abcd"],
        [Dispatch("a", "e0"), Dispatch("b", "e1"), Dispatch("b", "e1")],
    )
    witness.saw([Completed("a", answered("a"))], [Finish(answered("a")), Finish(answered("a"))])
    assert witness.faults() == {
        "lost": 3,
        "ended twice": 1,
        "ran twice": 1,
        "over the limit": 1,
        "still outstanding": 1,
    }
    assert witness.peak == {"e0": 1, "e1": 2}


def test_a_witness_heeds_what_an_endpoint_may_take_now() -> None:
    witness = Witness.of(ENDPOINTS)
    witness.saw([CapacityChanged("e0", 2), CapacityChanged("e1", 5, healthy=False)], [])
    witness.saw([Arrived(make_request(name)) for name in "abc"], [Dispatch("a", "e0"), Dispatch("b", "e0")])
    assert witness.over == 0
    witness.saw([], [Dispatch("c", "e1")])
    assert witness.over == 1
    witness.saw(
        [Completed(name, answered(name)) for name in "abc"], [Finish(answered(name)) for name in "abc"]
    )
    assert witness.faults() == {"over the limit": 1}
    assert witness.dispositions == {Disposition.ANSWERED: 3}
