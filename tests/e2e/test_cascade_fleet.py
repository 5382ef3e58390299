"""Several samples of a real small model's answer are compared, before another one is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest

from pointsman.build import build_gateway, fleet_of, read_config
from pointsman.clock import RealClock
from pointsman.engines.catalogue import SMOLLM2_135M
from pointsman.engines.weights import pull
from pointsman.errors import MissingError
from pointsman.predict.judge import SIGNS, AnswerJudge
from pointsman.predict.logistic import Logistic
from pointsman.store.decision_log import read_outcomes
from pointsman.testing.serving import served
from pointsman.types import Disposition, Outcome

pytest.importorskip("xllamacpp", reason="the extra `fleet` is not installed")
pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

MESSAGES: Any = [{"role": "user", "content": "What is the capital of France? One word."}]
CONFIG = """
pointsman:
  fleet:
    models:
      - {{name: first, weights: {name}, slots: 1, threads: 1}}
      - {{name: second, weights: {name}, slots: 1, threads: 1}}
  policy: {{name: cascade, endpoints: [first, second], judge: judge.json, samples: 3}}
  costs: {{c_run: 0.01}}
  log: {{path: log.db}}
"""


def judge() -> AnswerJudge:
    """Right if and only if the samples agree; the second model is right in any case."""
    nothing, ones = np.zeros(len(SIGNS)), np.ones(len(SIGNS))
    weights, centre = nothing.copy(), nothing.copy()
    weights[SIGNS.index("agreement")], centre[SIGNS.index("agreement")] = 20.0, 0.75
    of_first, of_second = Logistic(0.0, centre, ones, weights), Logistic(9.0, nothing, ones, nothing)
    return AnswerJudge(("first", "second"), {("first", "first"): of_first, ("first", "second"): of_second})


@pytest.fixture
def config(tmp_path: Path) -> Path:
    try:
        pull(SMOLLM2_135M)
    except MissingError as error:
        pytest.skip(f"the weights of {SMOLLM2_135M.name} can't be had here: {error}")
    (tmp_path / "judge.json").write_text(judge().to_json())
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG.format(name=SMOLLM2_135M.name))
    return file


async def test_real_samples_are_compared_and_paid_for(config: Path) -> None:
    settings = read_config(config)
    with fleet_of(settings) as fleet:
        async with (
            served(build_gateway(settings, fleet.endpoints(), RealClock())) as url,
            openai.AsyncOpenAI(base_url=url, api_key="any", max_retries=0) as client,
        ):
            sure, unsure = [
                await client.chat.completions.with_raw_response.create(
                    model="auto", messages=MESSAGES, temperature=temperature, seed=1, max_tokens=8
                )
                for temperature in (1e-6, 2.0)
            ]
    runs: dict[str, list[Outcome]] = {}
    for outcome in read_outcomes(config.parent / "log.db"):
        runs.setdefault(outcome.request_id, []).append(outcome)
    for raw in (sure, unsure):
        own = runs[raw.headers["x-request-id"]]
        *_, given = own
        samples = [run for run in own if run.disposition is Disposition.SAMPLED]
        assert [run.endpoint for run in samples] == ["first", "first"]
        assert all(run.output_tokens and run.e2e_s and run.energy_j for run in samples)
        assert raw.parse().usage.completion_tokens == given.output_tokens
        assert float(raw.headers["x-pointsman-time-s"]) == pytest.approx(
            sum(r.e2e_s or 0 for r in own), rel=1e-4
        )
        energy = raw.headers["x-pointsman-energy-j"].removesuffix(";modelled")
        assert float(energy) == pytest.approx(sum(run.energy_j or 0 for run in own), rel=1e-4)
    assert "Paris" in (sure.parse().choices[0].message.content or "")
    assert "100% agree" in sure.headers["x-pointsman-verdict"]
    assert unsure.headers["x-pointsman-endpoint"] == "second"
