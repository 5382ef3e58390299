"""What a predictor begins to grow with: outcomes that were collected, then those of the log."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pointsman.build.feedback import feedback_of
from pointsman.build.predictions import predictor_of
from pointsman.build.source import read_config
from pointsman.clock import RealClock
from pointsman.data.answers import NumberAnswer
from pointsman.data.outcomes import OutcomeRow, write_outcomes
from pointsman.data.question_sets import SetQuestion
from pointsman.predict.learned import LearnedPredictor
from pointsman.predict.quality.base import Queries
from pointsman.predict.quality.fit import FitOptions, fit_quality
from pointsman.store.decision_log import DecisionLog
from pointsman.testing.outcomes import made_outcomes, proof_question

pytest.importorskip("pyarrow")

CONFIG = """
model_list:
  - model_name: small
    litellm_params: {model: hosted_vllm/small, api_base: "http://127.0.0.1:9/v1"}
pointsman:
  predictor: {name: learned, artifact: quality, grow: {most: 70, collected: [collected]}}
  log: {path: log.db}
  energy: {grid_gco2e_per_kwh: 100, grid_source: a test}
"""


def collect(folder: Path, n: int) -> None:
    """Proofs, of which `small` does every one right, and one that nobody configured none."""
    asked = [
        SetQuestion(f"q{i}", "proofs", "", p, p, 50, NumberAnswer(1))
        for i in range(n)
        for p in [proof_question(i)]
    ]
    rows = []
    for question in asked:
        for model, score in (("small", 1.0), ("elsewhere", 0.0)):
            fields = dict.fromkeys(OutcomeRow.__dataclass_fields__) | {
                "query_id": question.id, "model": model, "sample": 0, "method": "generation", "score": score,
                "generation_score": score, "parsed": True, "finish_reason": "stop", "output_tokens": 9,
                "output_chars": 30, "concurrency": 1, "started_unix_s": 0.0,
            }  # fmt: skip
            rows.append(OutcomeRow(**fields))
    write_outcomes(folder, asked, rows, {})


def test_collected_outcomes_are_looked_up_from_the_start(tmp_path: Path) -> None:
    matrix = made_outcomes(np.random.default_rng(1), 60, ("large", "small"))
    fit_quality(matrix, FitOptions("knn", folds=2)).model.write(tmp_path / "quality")
    collect(tmp_path / "collected", 80)
    (tmp_path / "config.yaml").write_text(CONFIG)
    config = read_config(tmp_path / "config.yaml")
    _, asked = predictor_of(config, RealClock())
    learned = asked.asked  # behind the grid's
    assert isinstance(learned, LearnedPredictor)
    new = Queries.without_task([proof_question(9_000)])
    before = learned.model.forecast(new)
    log = DecisionLog(tmp_path / "log.db")
    feedback = feedback_of(config, log, asked, RealClock())
    assert feedback.growth.flush()
    after = learned.model.forecast(new)
    assert feedback.growth.rows == 70, "the newest of those of configured endpoints"
    assert after.quality.value[0, 1] > before.quality.value[0, 1] + 0.2
    assert after.quality.value[0, 0] == pytest.approx(before.quality.value[0, 0], abs=0.02), "its prior moved"
    assert after.output_tokens[0, 1, 10] == pytest.approx(9, abs=1)
    feedback.close()
    log.close()
