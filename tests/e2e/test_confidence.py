"""`train`, then `assign --confidence`: the plan says what it was told, what it predicts and what will come.

And the policy `constrained` of the gateway with a confidence: the stream's real quality reaches the floor.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from pointsman.admit.always import AlwaysAdmit
from pointsman.build import endpoints_of, predictor_of, read_config
from pointsman.build.policies import assign_policy_of
from pointsman.cli.app import app
from pointsman.clock import VirtualClock
from pointsman.decide import Decider
from pointsman.errors import ConfigError
from pointsman.predict.quality.learned_model import LearnedModel
from pointsman.testing.fakes import make_request
from pointsman.testing.outcomes import capital_question, made_outcomes, proof_question
from pointsman.types import EndpointView

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

CALLER, CONFIG_FAULT, DATA = 2, 3, 4
CONFIG = """
model_list:
  - model_name: both
    litellm_params: {model: hosted_vllm/a, api_base: "http://127.0.0.1:9/v1", input_cost_per_token: 1.0e-5, output_cost_per_token: 1.0e-5}
  - model_name: capitals
    litellm_params: {model: hosted_vllm/b, api_base: "http://127.0.0.1:9/v1", input_cost_per_token: 1.0e-6, output_cost_per_token: 1.0e-6}
"""
LEARNED = "pointsman: {predictor: {name: learned, artifact: quality}}\n"
OTHER = (
    '  - model_name: other\n    litellm_params: {model: hosted_vllm/c, api_base: "http://127.0.0.1:9/v1"}\n'
)


def pointsman(*words: str) -> Result:
    return CliRunner().invoke(app, words)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    matrix = made_outcomes(np.random.default_rng(1), 400)
    (folder / "outcomes").mkdir()
    queries = {"query_id": matrix.query_ids, "prompt": matrix.prompts, "task": matrix.tasks}
    outcomes = {
        "query_id": [each for each in matrix.query_ids for _ in matrix.endpoints],
        "model": list(matrix.endpoints) * 400,
        "score": matrix.quality.ravel(),
        "output_tokens": matrix.output_tokens.ravel().astype(int),
    }
    pq.write_table(pa.table(queries), folder / "outcomes" / "queries.parquet")
    pq.write_table(pa.table(outcomes), folder / "outcomes" / "outcomes.parquet")
    words = ("--outcomes", str(folder / "outcomes"), "--out", str(folder / "quality"), "--model", "knn")
    assert pointsman("train", *words, "--no-baselines", "--folds", "3").exit_code == 0
    return folder


@pytest.fixture
def here(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "quality").symlink_to(trained / "quality")
    (tmp_path / "c.yaml").write_text(CONFIG + LEARNED)
    texts = [proof_question(1000 + i) if i % 2 else capital_question(1000 + i) for i in range(200)]
    lines: list[dict[str, Any]] = [
        {"custom_id": f"q{i}", "url": "/v1/chat/completions", "body": {"model": "auto", "messages": [{"role": "user", "content": text}]}}
        for i, text in enumerate(texts)
    ]  # fmt: skip
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def assign(*words: str, config: str = "c.yaml") -> Result:
    return pointsman("assign", "r.jsonl", "--endpoints", config, *words)


def test_a_floor_with_a_confidence_is_planned_higher_and_said(here: Path) -> None:
    made = assign("--min-quality", "0.7", "--confidence", "0.95")
    assert made.exit_code == 0, made.output
    head = json.loads((here / "r.plan.jsonl").read_text().splitlines()[0])
    (promise,) = head["summary"]["promises"]
    assert head["settings"]["confidence"] == 0.95
    assert (promise["asked"], promise["confidence"], promise["requests"]) == (0.7, 0.95, 200)
    assert 0.72 < promise["told"] < 0.82, "of 200 labels the chance alone is 4 points"
    said = " ".join(made.stdout.split())
    assert "quality floor all: at least 0.7 with 95% over 200 requests: planned for 0.7" in said
    assert f"expected to really come: {promise['expected']:.4g}" in said
    rows = [json.loads(line) for line in (here / "r.plan.jsonl").read_text().splitlines()[1:]]
    assert np.mean([row["quality"] for row in rows]) == pytest.approx(promise["predicted"], abs=1e-5)
    right = [0.9 if row["endpoint"] == "both" or i % 2 == 0 else 0.15 for i, row in enumerate(rows)]
    assert np.mean(right) >= 0.7
    assert assign("--min-quality", "0.7").exit_code == 0
    plain = json.loads((here / "r.plan.jsonl").read_text().splitlines()[0])
    assert plain["summary"]["promises"] == []
    assert plain["summary"]["objective"] < head["summary"]["objective"]


def test_what_can_t_be_asked_is_said_before_the_batch_is_predicted(here: Path) -> None:
    for words, code, said in (
        (("--confidence", "0.95"), CALLER, "--confidence is of a floor, and there is none"),
        (("--min-quality", "0.9", "--confidence", "0.95"), CALLER, "can't be promised: at most 0."),
        (("--min-quality", "0.5", "--confidence", "1"), CALLER, "0.9999"),
    ):
        made = assign(*words)
        assert (made.exit_code, said in made.output) == (code, True), made.output
    for config, code, said in (
        (CONFIG, CONFIG_FAULT, "the predictor 'profile' has none. Train one with: pointsman train"),
        (CONFIG + OTHER + LEARNED, CALLER, "the quality of other was not learnt"),
    ):
        (here / "d.yaml").write_text(config)
        made = assign("--min-quality", "0.5", "--confidence", "0.9", config="d.yaml")
        assert (made.exit_code, said in " ".join(made.output.split())) == (code, True), made.output
    model = LearnedModel.read((here / "quality").resolve())
    (here / "quality").unlink()
    model.write(here / "quality")
    made = assign("--min-quality", "0.5", "--confidence", "0.9")
    said = "keeps no forecasts of prompts that were held out. Train again"
    assert (made.exit_code, said in " ".join(made.output.split())) == (DATA, True), made.output
    assert assign("--min-quality", "0.5").exit_code == 0, "without a confidence it serves as before"


# The gateway's policy

STREAM = "pointsman: {{predictor: {{name: learned, artifact: quality}}, policy: {{name: constrained, limits: {{min_quality: 0.7{more}}}}}}}\n"


def streamed(folder: Path, more: str) -> tuple[float, float]:
    """The mean real quality of 600 requests that come one by one, and what the floor was told."""
    (folder / "s.yaml").write_text(CONFIG + STREAM.format(more=more))
    config = read_config(folder / "s.yaml")
    endpoints = endpoints_of(config)
    policy = assign_policy_of(config, endpoints)
    _, predictor = predictor_of(config, VirtualClock())
    decider = Decider(endpoints, AlwaysAdmit(), policy, max_queued=10)
    idle = [EndpointView(endpoint.name, 0, 0, 4, healthy=True) for endpoint in endpoints]
    right = []
    for k in range(600):
        request = make_request(f"r{k}", proof_question(1000 + k) if k % 2 else capital_question(1000 + k))
        [made] = decider.decide([request], predictor.predict([request], (0, 0)), idle, float(k))
        policy.settled(request, made.decision)
        right.append(0.9 if made.decision.endpoint == "both" or k % 2 == 0 else 0.15)
    return float(np.mean(right)), policy.limits()[0].bound


def test_a_stream_with_a_confidence_is_told_more_and_begins_at_the_prices_that_reach_it(here: Path) -> None:
    sure, told = streamed(here, ", confidence: 0.95, over_requests: 600")
    _, plain = streamed(here, "")
    assert plain == 0.7
    assert 0.71 < told < 0.8
    assert sure >= 0.7


@pytest.mark.parametrize(
    ("floor", "predictor", "said"),
    [
        (
            "0.95",
            "predictor: {name: learned, artifact: quality}, ",
            "quality floor all: .* can't be promised: at most 0",
        ),
        ("0.5", "", "the predictor 'profile' has none"),
    ],
)
def test_a_stream_s_floor_that_can_t_be_promised_is_refused(
    here: Path, floor: str, predictor: str, said: str
) -> None:
    limits = f"limits: {{min_quality: {floor}, confidence: 0.95}}"
    (here / "s.yaml").write_text(
        f"{CONFIG}pointsman: {{{predictor}policy: {{name: constrained, {limits}}}}}\n"
    )
    config = read_config(here / "s.yaml")
    with pytest.raises(ConfigError, match=said):
        assign_policy_of(config, endpoints_of(config))
