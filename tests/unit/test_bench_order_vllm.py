"""`bench/order_vllm.py`: its arithmetic, and what it says where vLLM is not installed."""

from __future__ import annotations

import importlib.util
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from pointsman.engines.base import Usage

BENCH = Path(__file__).resolve().parents[2] / "bench" / "order_vllm.py"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_order_vllm", BENCH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_tokens_put_out_count_those_of_all_that_were_underway(bench: ModuleType) -> None:
    tokens, first_s, end_s = np.array([10, 40, 5]), np.array([0.0, 0.0, 4.0]), np.array([2.0, 4.0, 5.0])
    assert bench.served(tokens, first_s, end_s).tolist() == [30.0, 50.0, 55.0]


def test_a_machine_that_halves_its_pace_moves_seconds_and_not_even_seconds(bench: ModuleType) -> None:
    tokens = np.array([10, 40, 5])

    def figures(scale: float) -> dict[str, float]:
        first_s, end_s = scale * np.array([0.0, 0.0, 4.0]), scale * np.array([2.0, 4.0, 5.0])
        usages = [Usage(ttft_s=float(at), tpot_s=0.1) for at in first_s]
        found: dict[str, float] = bench.figures(tokens, end_s, usages)
        return found

    fast, slow = figures(1.0), figures(2.0)
    assert slow["token_s mean"] == pytest.approx(2.0 * fast["token_s mean"])
    assert slow["even_s mean"] == pytest.approx(fast["even_s mean"])
    assert fast["even_s mean"] == pytest.approx((30 / 10 + 50 / 40 + 55 / 5) / 100 / 3)


def test_the_way_is_measured_against_fcfs_and_foresight_of_the_same_seed(bench: ModuleType) -> None:
    def runs(*means: float) -> list[dict[str, float]]:
        return [{"even_s mean": mean, "even_s p90": 2.0 * mean} for mean in means]

    rows = bench.table({"fcfs": runs(4.0, 8.0), "sjf": runs(2.0, 4.0), "priority": runs(2.5, 5.0)})
    assert [row["way_to_sjf"] for row in rows] == [0.0, 1.0, 0.75]
    assert [row["p90_under_fcfs"] for row in rows] == [1.0, 2.0, 1.6]


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed")
def test_a_quick_run_without_vllm_says_so_and_ends_well(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["order_vllm.py", "--quick"])
    monkeypatch.setenv("POINTSMAN_VLLM_PYTHON", sys.executable)
    bench.main()
    assert "vLLM is not installed" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["order_vllm.py"])
    with pytest.raises(SystemExit) as caught:
        bench.main()
    assert caught.value.code == 5
