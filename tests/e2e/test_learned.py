"""A learned predictor behind the gateway: what is likely wrong is skipped with its number, the rest runs."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest

from pointsman.build import build_gateway, read_config
from pointsman.clock import RealClock
from pointsman.predict.quality.fit import FitOptions, fit_quality
from pointsman.testing.outcomes import capital_question, made_outcomes, proof_question
from pointsman.testing.serving import served
from pointsman.testing.upstream import Upstream

CONFIG = """
model_list:
  - model_name: small
    litellm_params: {{model: hosted_vllm/small, api_base: "{small}"}}
  - model_name: large
    litellm_params: {{model: hosted_vllm/large, api_base: "{large}"}}
pointsman:
  predictor: {{name: learned, artifact: quality}}
  admission: value
  costs: {{c_run: 0.2}}
"""


@contextlib.asynccontextmanager
async def gateway(folder: Path, small: Upstream, large: Upstream) -> AsyncIterator[openai.AsyncOpenAI]:
    """The gateway of `CONFIG` on a free port, and the official client before it."""
    file = folder / "config.yaml"
    file.write_text(CONFIG.format(small=small.base_url, large=large.base_url))
    async with (
        served(build_gateway(read_config(file), (), RealClock())) as url,
        openai.AsyncOpenAI(base_url=url, api_key="any", max_retries=0) as client,
    ):
        yield client


@pytest.fixture(params=["trained hot", "knn hot", "knn minilm"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Holds an artifact that knows: both endpoints are good at capitals and bad at proofs."""
    kind, features = request.param.split()
    if features == "minilm":
        pytest.importorskip("onnxruntime", reason="the extra `embed` is not installed")
    matrix = made_outcomes(np.random.default_rng(1), 120, ("elsewhere", "small", "large"))
    model = fit_quality(matrix, FitOptions(kind, features, folds=2)).model
    assert model.slow == (kind == "knn")
    model.write(tmp_path / "quality")
    return tmp_path


async def ask(client: openai.AsyncOpenAI, question: str) -> str | dict[str, Any]:
    """The answer, or the error object of a skip."""
    try:
        answer = await client.chat.completions.create(
            model="auto", messages=[{"role": "user", "content": question}]
        )
    except openai.UnprocessableEntityError as error:
        return dict(error.body)
    return answer.choices[0].message.content


async def test_a_question_likely_wrong_is_skipped_and_one_likely_right_runs(folder: Path) -> None:
    async with Upstream() as small, Upstream() as large, gateway(folder, small, large) as client:
        for _ in range(20):  # a slow prediction that is late on a busy machine lets its request run
            said = await ask(client, proof_question(8_001))
            if isinstance(said, dict):
                break
        assert said["type"] == "skipped"
        assert 0 < said["quality"] < 0.4
        assert said["expected_run_cost"] > said["expected_skip_cost"]
        before = len(small.bodies) + len(large.bodies)
        assert isinstance(await ask(client, capital_question(8_002)), str)
        assert len(small.bodies) + len(large.bodies) == before + 1
