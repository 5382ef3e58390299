from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from pointsman.cli.group import ErrorGroup
from pointsman.cli.route import route
from pointsman.engines.fleet import Fleet
from pointsman.predict.artifact import FitArtifact
from pointsman.predict.cost import ShapeCost
from pointsman.predict.judge import AnswerJudge
from pointsman.predict.length import LinearLength
from pointsman.predict.model_profile import CostCurve, ModelProfile, Provenance, QualityPrior, TokenCount
from pointsman.testing.tiny_gguf import write_tiny_gguf

PROMPT = "Explain reinforcement learning"
CONFIG = """
model_list:
  - model_name: small
    litellm_params: {model: hosted_vllm/small, api_base: http://127.0.0.1:9/v1}
    model_info: {max_input_tokens: 8192}
  - model_name: large
    litellm_params: {model: hosted_vllm/large, api_base: http://127.0.0.1:9/v1}
    model_info: {max_input_tokens: 8192, input_cost_per_token: 1.0e-6, output_cost_per_token: 2.0e-6}
  - model_name: tiny-context
    litellm_params: {model: hosted_vllm/tiny, api_base: http://127.0.0.1:9/v1}
    model_info: {max_input_tokens: 64}
pointsman:
  policy: {name: POLICY}
  fit: fit.json
"""


def profile(name: str, accuracy: float, size: float) -> ModelProfile:
    length = LinearLength(1.0, 40.0)
    return ModelProfile(
        name,
        TokenCount(),
        length,
        CostCurve(ShapeCost(np.array([0.1, 0.001, 0.02, 0.0]) * size), floor=0.01),
        CostCurve(ShapeCost(np.array([5.0, 0.05, 1.0, 0.0]) * size), floor=0.1),
        {"": QualityPrior(accuracy, accuracy - 0.05, accuracy + 0.05, 100)},
        Provenance("test.parquet", "a test", "cpu_time", energy_modelled=True, rows=100),
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    artifact = FitArtifact(
        (profile("small", 0.4, 1), profile("large", 0.8, 4), profile("tiny-context", 0.3, 2)), "sha256:test"
    )
    artifact.write(tmp_path / "fit.json")
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.replace("POLICY", "weighted, weights: {accuracy: 1, energy: 1, time: 1}"))
    return path


def invoke(*args: str | Path, stdin: bytes | None = None) -> Result:
    app = typer.Typer(cls=ErrorGroup)
    app.command()(route)
    app.callback()(lambda: None)
    return CliRunner(env={"COLUMNS": "160"}).invoke(app, ["route", *map(str, args)], input=stdin)


def explained(*args: str | Path) -> dict:
    result = invoke(*args, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_weights_choose(config: Path) -> None:
    base = ("--prompt", PROMPT, "--config", config)
    assert explained(*base, "--weight-energy", "1")["endpoint"] == "small"
    assert explained(*base, "--weight-accuracy", "1")["endpoint"] == "large"


def test_underscore_flags_are_the_same(config: Path) -> None:
    dashes = explained(
        "--prompt", PROMPT, "--config", config, "--weight-accuracy", "0.7", "--weight-time", "0.3"
    )
    underscores = explained(
        "--prompt", PROMPT, "--config", config, "--weight_accuracy", "0.7", "--weight_time", "0.3"
    )
    assert dashes == underscores
    assert dashes["weights"]["accuracy"] == pytest.approx(0.7)


def test_the_nearest_weights_flip_the_choice_when_given_back(config: Path) -> None:
    made = explained(
        "--prompt", PROMPT, "--config", config, "--weight-accuracy", "0.9", "--weight-energy", "0.1"
    )
    assert made["endpoint"] == "large"
    flip = made["flips"][0]
    again = [part for name, value in flip["weights"].items() for part in (f"--weight-{name}", repr(value))]
    assert explained("--prompt", PROMPT, "--config", config, *again)["endpoint"] == flip["endpoint"]


def test_the_page_shows_terms_and_what_would_change_it(config: Path) -> None:
    result = invoke(
        "--prompt", PROMPT, "--config", config, "--weight-accuracy", "0.7", "--weight-energy", "0.3"
    )
    assert result.exit_code == 0, result.output
    page = " ".join(result.stdout.split())
    assert "weights accuracy 0.7, energy 0.3" in page
    assert "Pareto-dominated by small" in page
    assert "its energy is modelled, not measured" in page
    assert "What would have changed the choice" in page
    assert "no weights choose it: dominated by small" in page


def test_who_is_excluded_is_shown_with_the_reason(config: Path) -> None:
    made = explained("--prompt", PROMPT, "--config", config, "--max-tokens", "500")
    assert list(made["excluded"]) == ["tiny-context"]
    assert "its context of 64" in made["excluded"]["tiny-context"]


def test_limits_leave_endpoints_out_under_the_configured_policy(config: Path) -> None:
    base = ("--prompt", PROMPT, "--config", config)
    free = explained(*base, "--weight-energy", "1")
    assert (free["endpoint"], free["excluded"]) == ("small", {})
    held = explained(*base, "--weight-energy", "1", "--min-quality", "0.5")
    assert held["endpoint"] == "large"
    assert held["excluded"] == {
        "small": "its predicted quality 0.4 is below the request's 0.5",
        "tiny-context": "its predicted quality 0.3 is below the request's 0.5",
    }
    saving = explained(*base, "--weight-accuracy", "1", "--max_price_usd", "0", "--max_energy_j", "1e9")
    assert saving["endpoint"] == "small"
    assert list(saving["excluded"]) == ["large"]
    page = invoke(*base, "--min-quality", "0.5").stdout
    assert "excluded: its predicted quality 0.4 is below the request's 0.5" in page


def test_the_prompt_from_stdin_or_a_file_is_the_same(config: Path, tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text(PROMPT)
    by_file = explained("--prompt-file", tmp_path / "prompt.txt", "--config", config)
    stdin = invoke("--prompt", "-", "--config", config, "--json", stdin=PROMPT.encode())
    assert json.loads(stdin.stdout) == by_file == explained("--prompt", PROMPT, "--config", config)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "a prompt is needed, once"),
        (("--prompt", " \n"), "the prompt is empty"),
        (("--prompt", "x", "--prompt-file", "y"), "a prompt is needed, once"),
        (("--prompt-file", "no-such-file"), "no-such-file can't be read"),
        (("--prompt", "x", "--weight-energy", "nan"), "the weight of energy is nan"),
        (("--prompt", "x", "--weight-energy", "inf"), "the weight of energy is inf"),
        (("--prompt", "x", "--weight-time", "-1"), "the weight of time is -1"),
        (("--prompt", "x", "--weight-time", "0", "--weight-energy", "0"), "the weights sum to 0"),
        (("--prompt", "x", "--min-quality", "1.5"), "min_quality is 1.5. Give a probability from 0 to 1"),
        (("--prompt", "x", "--max-price-usd", "-1"), "max_price_usd is -1"),
        (("--prompt", "x", "--max-energy-j", "nan"), "max_energy_j is nan"),
        (("--prompt", "x", "--min-quality", "0.9"), "the best predicted quality is 0.8, by large"),
        (("--prompt", "x", "--weight-carbon", "1"), "the grid's intensity is not known"),
        (("--prompt", "x", "--model", "huge"), "no endpoint serves the model 'huge'"),
        (("--prompt", "x", "--max-tokens", "100000"), "no endpoint can serve this request"),
        (("--prompt", "x" * 100_000), "prompt tokens + max_tokens 0 exceed its context of 8192"),
    ],
)
def test_bad_input_is_said_and_ends_with_2(config: Path, args: tuple[str, ...], message: str) -> None:
    result = invoke(*args, "--config", config)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_prompt_beyond_the_limit_is_refused_with_the_limit(config: Path) -> None:
    result = invoke("--prompt", "-", "--config", config, stdin=b"x" * (10 * 2**20))
    assert result.exit_code == 2
    assert "and the limit is 10,485,760" in result.stderr


def test_a_prompt_of_another_encoding_is_refused_with_its_place(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes("naïve".encode("latin-1"))
    result = invoke("--prompt-file", path, "--config", config)
    assert result.exit_code == 2
    assert "is no UTF-8: byte 0xef at position 2" in result.stderr
    argument = invoke("--prompt", os.fsdecode(b"na\xefve"), "--config", config)
    assert argument.exit_code == 2
    assert "--prompt is no UTF-8: byte 0xef" in argument.stderr


def test_weights_for_a_policy_without_weights_are_refused(config: Path, tmp_path: Path) -> None:
    other = tmp_path / "random.yaml"
    other.write_text(CONFIG.replace("POLICY", "random, seed: 3"))
    result = invoke("--prompt", "x", "--config", other, "--weight-energy", "1")
    assert result.exit_code == 2
    assert "the policy 'random' reads no weights" in result.stderr
    made = explained("--prompt", "x", "--config", other)
    assert made["policy"] == "random"
    assert made["flips"] == []


def test_an_endpoint_that_refuses_is_said(config: Path) -> None:
    result = invoke("--prompt", "x", "--config", config, "--weight-energy", "1", "--run")
    assert result.exit_code == 6
    assert "refused" in result.stderr


TINY_FLEET = """
pointsman:
  fleet:
    models:
      - {name: tiny-a, path: tiny.gguf, threads: 1, slots: 1, context_tokens: 512}
      - {name: tiny-b, path: tiny.gguf, threads: 1, slots: 1, context_tokens: 512}
  fit: fit.json
"""


def test_run_really_runs_on_the_chosen_endpoint_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xllamacpp", reason="the extra `fleet` is not installed")
    monkeypatch.setenv("POINTSMAN_CACHE", str(tmp_path / "cache"))
    write_tiny_gguf(tmp_path / "tiny.gguf")
    FitArtifact((profile("tiny-a", 0.3, 2), profile("tiny-b", 0.5, 1)), "sha256:test").write(
        tmp_path / "fit.json"
    )
    config = tmp_path / "fleet.yaml"
    config.write_text(TINY_FLEET)
    made = explained("--prompt", "abc", "--max-tokens", "8", "--config", config, "--run")
    assert made["endpoint"] == made["outcome"]["endpoint"] == "tiny-b"
    assert 1 <= made["outcome"]["output_tokens"] <= 8
    assert made["outcome"]["e2e_s"] > 0
    assert made["outcome"]["answer"]
    assert Fleet().status() == (), "what was started is stopped"
    page = invoke("--prompt", "abc", "--max-tokens", "8", "--config", config, "--run").stdout
    assert "tiny-b answers" in page
    assert "measured" in page
    assert "predicted" in page


def with_settings(config: Path, ours: str) -> Path:
    config.write_text(config.read_text() + ours)
    return config


def test_the_admission_shows_what_it_weighed(config: Path) -> None:
    with_settings(config, "  admission: value\n  costs: {c_run: {per_s: 1}, classes: {}}\n")
    made = explained("--prompt", PROMPT, "--config", config)
    weighed = made["weighed"]
    assert made["action"] == "skip"
    assert made["endpoint"] is None
    assert made["policy"] == "value"
    assert weighed["judged_by"] in {"small", "large"}
    assert weighed["run_cost"] > weighed["skip_cost"] == pytest.approx(0.8)
    result = invoke("--prompt", PROMPT, "--config", config, "--run")
    assert result.exit_code == 0, result.output
    assert f"skip: running is expected to cost {weighed['run_cost']:.3g} (on" in result.stdout
    assert "It was not run." in result.stdout


def test_a_choice_by_value_is_explained_by_its_costs(config: Path) -> None:
    config.write_text(
        config.read_text().replace("{name: weighted, weights: {accuracy: 1, energy: 1, time: 1}}", "value")
    )
    with_settings(config, "  costs: {c_run: {per_s: 0.1}, c_wrong: 2}\n")
    made = explained("--prompt", PROMPT, "--config", config)
    assert made["policy"] == "value"
    for candidate in made["candidates"]:
        assert sum(term["product"] or 0 for term in candidate["terms"]) == pytest.approx(candidate["score"])
    assert all(flip["c_wrong"] is not None or flip["predictions"] for flip in made["flips"])
    page = " ".join(invoke("--prompt", PROMPT, "--config", config).stdout.split())
    assert "What would have changed the choice" in page
    assert "a wrong answer" in page


def test_where_it_runs_the_page_shows_both_costs(config: Path) -> None:
    with_settings(config, "  admission: value\n  costs: {c_run: 0.1}\n")
    result = invoke("--prompt", PROMPT, "--config", config)
    assert (
        "admission: running is expected to cost 0.3 (on large, quality 0.800), skipping 0.8" in result.stdout
    )


def test_a_model_name_chooses_the_policy(config: Path) -> None:
    base = ("--prompt", PROMPT, "--config", config, "--model")
    assert explained(*base, "router-floor-0.3")["endpoint"] == "small"
    assert explained(*base, "router-floor-0.7")["endpoint"] == "large"
    skipped = explained(*base, "router-threshold-0.9")
    assert (skipped["action"], skipped["weighed"]["threshold"]) == ("skip", 0.9)
    bad = invoke(*base, "router-floor-7")
    assert (bad.exit_code, "with a number T from 0 to 1" in bad.output) == (2, True)
    unknown = invoke(*base, "router-best-0.7")
    assert (unknown.exit_code, "router-floor-T" in unknown.output) == (2, True)


def test_a_cascade_by_model_name_is_known_where_one_is_configured(config: Path) -> None:
    base = ("--prompt", PROMPT, "--config", config, "--model", "router-cascade-0.8")
    unknown = invoke(*base)
    assert (unknown.exit_code, "router-floor-T" in unknown.stderr) == (2, True)
    assert "router-cascade-T" not in unknown.stderr
    (config.parent / "judge.json").write_text(AnswerJudge(("small", "large"), {}).to_json())
    policy = "{name: cheapest, endpoints: [large, small], judge: judge.json}"
    config.write_text(
        config.read_text().replace("{name: weighted, weights: {accuracy: 1, energy: 1, time: 1}}", policy)
    )
    made = explained(*base)
    assert (made["endpoint"], made["policy"]) == ("large", "cascade")
    assert made["reason"] == "the cascade begins with large"


@pytest.mark.parametrize("model", ["router-floor-0.3", "router-cascade-0.8"])
def test_weights_for_a_model_name_that_reads_none_are_refused(config: Path, model: str) -> None:
    (config.parent / "judge.json").write_text(AnswerJudge(("small", "large"), {}).to_json())
    config.write_text(
        config.read_text().replace(
            "{name: weighted,", "{name: weighted, endpoints: [small, large], judge: judge.json,"
        )
    )
    result = invoke("--prompt", PROMPT, "--config", config, "--model", model, "--weight-energy", "1")
    assert (result.exit_code, "reads no weights" in result.stderr) == (2, True)


def test_a_model_of_that_name_goes_first(config: Path) -> None:
    config.write_text(config.read_text().replace("model_name: small", "model_name: router-floor-0.9"))
    made = explained("--prompt", PROMPT, "--config", config, "--model", "router-floor-0.9")
    assert made["endpoint"] == "router-floor-0.9"


def test_what_was_admitted_among_all_endpoints_runs_on_the_chosen_one_alone(config: Path) -> None:
    """The large one's quality reaches the threshold, and the weights choose the small one, which is not there."""
    result = invoke(
        "--prompt",
        "x",
        "--config",
        config,
        "--model",
        "router-threshold-0.6",
        "--weight-energy",
        "1",
        "--run",
    )
    assert result.exit_code == 6
    assert "refused" in result.stderr
