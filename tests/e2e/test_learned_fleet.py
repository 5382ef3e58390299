"""Learnt from what the fleet's largest model really answered, before that model itself."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import openai
import pytest

from pointsman.build import build_gateway, fleet_of, read_config
from pointsman.clock import RealClock
from pointsman.data.outcomes import read_outcome_rows
from pointsman.data.shared_outcomes import shared_outcomes
from pointsman.engines.catalogue import lookup
from pointsman.engines.weights import pull
from pointsman.errors import MissingError
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.fit import FitOptions, fit_quality
from pointsman.testing.serving import served

pytest.importorskip("xllamacpp", reason="the extra `fleet` is not installed")
pytestmark = [pytest.mark.real, pytest.mark.data, pytest.mark.timeout(600)]

LARGEST = "qwen2.5-coder-1.5b"
OUTCOMES = Path(__file__).resolve().parents[2] / "bench" / "data" / "fleet_mmlu.parquet"
CONFIG = """
pointsman:
  fleet: {{models: [{{name: {name}, weights: {name}, slots: 1}}]}}
  predictor: {{name: learned, artifact: quality}}
  admission: value
  costs: {{c_run: 0.1, c_wrong: {c_wrong}, c_miss: 1}}
"""


@pytest.fixture
def outcomes(shared_data: Path) -> OutcomeMatrix:
    """The model's answers to MMLU questions, with the questions' texts."""
    try:
        pull(lookup(LARGEST))
    except MissingError as error:
        pytest.skip(f"the weights of {LARGEST} can't be had here: {error}")
    mmlu = shared_outcomes(shared_data / "outcomes" / "mmlu")
    texts = dict(zip(mmlu.query_ids, zip(mmlu.prompts, mmlu.tasks, strict=True), strict=True))
    rows = [row for row in read_outcome_rows(OUTCOMES).rows if row.model == LARGEST]
    return OutcomeMatrix.from_rows(
        {row.query_id: texts[row.query_id] for row in rows},
        [LARGEST],
        {
            "query_id": [row.query_id for row in rows],
            "endpoint": [row.model for row in rows],
            "quality": np.array([row.score for row in rows]),
            "output_tokens": np.array([np.nan if n is None else n for n in (r.output_tokens for r in rows)]),
        },
    )


@contextlib.asynccontextmanager
async def gateway(file: Path) -> AsyncIterator[openai.AsyncOpenAI]:
    config = read_config(file)
    with fleet_of(config) as fleet:
        async with (
            served(build_gateway(config, fleet.endpoints(), RealClock())) as url,
            openai.AsyncOpenAI(base_url=url, api_key="any", max_retries=0) as client,
        ):
            yield client


async def test_the_real_model_is_asked_what_it_is_likely_to_know(
    outcomes: OutcomeMatrix, tmp_path: Path
) -> None:
    fitted = fit_quality(outcomes, FitOptions("trained", folds=2))
    fitted.model.write(tmp_path / "quality")
    quality = fitted.held_out.quality.value[:, 0]
    labels = outcomes.quality[:, 0]
    order = np.argsort(quality)
    third = len(order) // 3
    assert labels[order[-third:]].mean() > labels[order[:third]].mean(), "it tells right from wrong, held out"

    # Run where p > (c_run + c_wrong) / (c_wrong + c_miss): in the middle of what it predicts.
    middle = float(np.median(quality))
    c_wrong = (middle - 0.1) / (1 - middle)
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG.format(name=LARGEST, c_wrong=c_wrong))
    short = np.array([len(prompt) < 400 for prompt in outcomes.prompts])[order]
    wrong, right = (outcomes.prompts[order[short][at]] for at in (0, -1))
    async with gateway(file) as client:
        with pytest.raises(openai.UnprocessableEntityError) as caught:
            await client.chat.completions.create(
                model="auto", messages=[{"role": "user", "content": wrong}], max_tokens=2
            )
        said = caught.value.body
        assert said["type"] == "skipped"
        assert said["judged_by"] == LARGEST
        assert 0 < said["quality"] < middle
        assert said["expected_run_cost"] > said["expected_skip_cost"]
        answer = await client.chat.completions.create(
            model="auto", messages=[{"role": "user", "content": right}], max_tokens=2
        )
        assert answer.choices[0].message.content
        assert answer.usage.completion_tokens > 0
