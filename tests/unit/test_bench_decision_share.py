"""`bench/decision_share.py`: what it measures lies where it says, and its shares are right."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from pointsman.build import build_system, read_config
from pointsman.testing.upstream import Upstream

BENCH = Path(__file__).resolve().parents[2] / "bench" / "decision_share.py"
CONFIG = """
model_list:
  - {{model_name: small, litellm_params: {{model: openai/small, api_base: "{url}"}}}}
  - {{model_name: large, litellm_params: {{model: openai/large, api_base: "{url}"}}}}
"""


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_decision_share", BENCH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


async def test_a_decision_lies_within_its_response(bench: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    async with Upstream() as upstream:
        file.write_text(CONFIG.format(url=upstream.base_url))
        clock = bench.CpuClock()
        system = build_system(read_config(file), (), clock)
        predictions = []
        predict = system.predictor.predict

        def counted(*given: object) -> object:
            start_s = clock.now()
            made = predict(*given)
            predictions.append(clock.now() - start_s)
            return made

        system.predictor.predict = counted
        try:
            decision_s, response_s, cpu_s = await bench.ask(
                system, clock, bench.request_of(1, "two words", 8)
            )
        finally:
            await system.close()
    assert upstream.bodies[0]["max_tokens"] == 8
    assert 0 < predictions[0] < decision_s < response_s, "the prediction is in the decision"
    assert cpu_s > 0


def test_shares_are_of_the_sums_and_of_single_requests(bench: ModuleType) -> None:
    times = np.array([[0.001, 1.0, 0.0005], [0.001, 0.1, 0.0001]])
    made = bench.row("fleet", 3, "hot", "value", times)
    assert made["share_percent"] == pytest.approx(100 * 0.002 / 1.1)
    assert made["share_p50_percent"] == pytest.approx((0.1 + 1.0) / 2)
    assert made["cpu_share_percent"] == pytest.approx(100 * 0.0006 / 1.1)
    assert (made["within_0.5_percent"], made["within_0.05_percent"]) == (100, 50)
    assert (made["decision_p50_us"], made["response_p50_s"]) == pytest.approx((1000, 0.55))


def test_each_response_keeps_its_place_and_gets_a_whole_decision(bench: ModuleType) -> None:
    times = np.array([[1.0, 9.0, 0.1], [2.0, 9.0, 0.2]])
    response_s = np.arange(1.0, 201.0)
    made = bench.drawn(times, response_s, np.random.default_rng(1))
    assert made[:, 1].tolist() == response_s.tolist()
    assert set(map(tuple, made[:, [0, 2]].tolist())) == {(1.0, 0.1), (2.0, 0.2)}
