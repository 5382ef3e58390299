"""A configuration that names learnt lengths: what it builds, and what follows for time and price."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pointsman.build import predictor_of, read_config
from pointsman.clock import VirtualClock
from pointsman.config import ConfigProblems
from pointsman.errors import ConfigError
from pointsman.predict.base import Predictor, is_slow
from pointsman.predict.endpoint import ProfilePredictor
from pointsman.predict.learned import LearnedPredictor
from pointsman.predict.length.columns import EndpointLengths
from pointsman.predict.length.fit import LengthOptions, fit_lengths
from pointsman.predict.length.learned import LearnedLengths
from pointsman.predict.quality.base import Queries
from pointsman.predict.quality.fit import FitOptions, fit_quality
from pointsman.testing.contract import check_predictor, sample_requests
from pointsman.testing.outcomes import capital_question, made_outcomes, proof_question
from pointsman.testing.profiles import made_artifact
from pointsman.types import Endpoint, Prompt, Request

CONFIG = """
model_list:
  - model_name: small
    litellm_params: {{model: hosted_vllm/small, api_base: "http://127.0.0.1:9/v1"}}
    model_info: {{input_cost_per_token: 0.000001, output_cost_per_token: 0.000002}}
  - model_name: other
    litellm_params: {{model: hosted_vllm/other, api_base: "http://127.0.0.1:9/v1"}}
pointsman:
  predictor: {ours}
"""
IDLE = (0, 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("artifacts")
    matrix = made_outcomes(np.random.default_rng(1), 100, ("large", "small"))
    fit_lengths(matrix, LengthOptions(folds=2)).model.write(path / "lengths")
    strangers = made_outcomes(np.random.default_rng(1), 10, ("who",))
    fit_lengths(strangers).model.write(path / "strangers")
    fit_quality(matrix, FitOptions("prior", folds=2)).model.write(path / "quality")
    return path


def built(folder: Path, ours: str) -> tuple[ProfilePredictor, Predictor]:
    path = folder / "config.yaml"
    path.write_text(CONFIG.format(ours=ours))
    return predictor_of(read_config(path), VirtualClock())


def asked(text: str, cap: int | None = None) -> Request:
    return Request("r", Prompt(text, total_bytes=len(text)), cap)


@pytest.mark.parametrize(
    "ours", ["{lengths: lengths}", "{name: learned, artifact: quality, lengths: lengths}"]
)
def test_learnt_lengths_stand_before_the_profiles_and_costs_follow(folder: Path, ours: str) -> None:
    inner, predictor = built(folder, ours)
    assert isinstance(predictor, LearnedPredictor) == ("learned" in ours)
    assert not is_slow(predictor)
    long, short = proof_question(9_001), capital_question(9_002)
    table = predictor.predict([asked(long), asked(short)], IDLE)
    curves = LearnedLengths.read(folder / "lengths").forecast(Queries.without_task([long, short]))
    np.testing.assert_allclose(table.output_tokens.value[:, 0], curves[:, 1].mean(axis=-1))
    assert table.output_tokens.value[0, 0] > 4 * table.output_tokens.value[1, 0]
    assert table.output_tokens.low[0, 0] < table.output_tokens.value[0, 0] < table.output_tokens.high[0, 0]
    for part in (table.time_s, table.price_usd):
        assert part.value[0, 0] > part.value[1, 0]
    _, plain = built(folder, "profile")
    np.testing.assert_array_equal(  # what was not learnt is the profile's
        table.output_tokens.value[:, 1],
        plain.predict([asked(long), asked(short)], IDLE).output_tokens.value[:, 1],
    )
    assert "length learnt from 100 answers" in inner.provenance["small"]
    assert "length learnt" not in inner.provenance["other"]


def test_it_holds_to_the_protocol(folder: Path) -> None:
    odd = [asked(text) for text in ("", "x" * 100_000, "\ud800\x00\U0001f600")] + [asked("List", 1)]
    endpoints = (Endpoint("a", "small"), Endpoint("b", "other"))
    fits = made_artifact(np.random.default_rng(3), {"small": 3.0, "other": 0.4})
    model = LearnedLengths.read(folder / "lengths")

    def made() -> ProfilePredictor:
        return ProfilePredictor(endpoints, fits, 250.0, lengths=EndpointLengths(endpoints, model))

    check_predictor(made, endpoints, [*sample_requests(), *odd])


def test_a_cap_holds_for_a_learnt_length(folder: Path) -> None:
    _, predictor = built(folder, "{lengths: lengths}")
    table = predictor.predict([asked(proof_question(9_003), 7)], IDLE)
    assert table.output_tokens.high[0, 0] <= 7


def test_lengths_of_other_endpoints_are_refused(folder: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"lengths were learnt for who, and for none of the endpoints small, other"
    ):
        built(folder, "{lengths: strangers}")


@pytest.mark.parametrize("wrong", ["nowhere", "quality"])
def test_what_is_no_folder_of_lengths_is_a_problem_with_its_line(folder: Path, wrong: str) -> None:
    with pytest.raises(ConfigProblems) as caught:
        built(folder, f"{{lengths: {wrong}}}")
    (problem,) = caught.value.problems
    assert problem.line == 9
    assert ("is no folder" if wrong == "nowhere" else "is of no pointsman-length") in str(problem)
