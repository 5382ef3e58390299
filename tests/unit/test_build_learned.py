"""A configuration with a learned predictor: what it builds, what `config check` and `route` say of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from pointsman.build import predictor_of, read_config
from pointsman.cli.config import app as config_app
from pointsman.cli.group import ErrorGroup
from pointsman.cli.route import route
from pointsman.clock import VirtualClock
from pointsman.config import ConfigProblems, render_config
from pointsman.errors import ConfigError
from pointsman.live.grid import GridPredictor
from pointsman.predict.learned import LearnedPredictor
from pointsman.predict.quality.bundle import FORMAT, READ, Bundle
from pointsman.predict.quality.fit import FitOptions, fit_quality
from pointsman.testing.outcomes import capital_question, made_outcomes, proof_question

CONFIG = """
model_list:
  - model_name: small
    litellm_params: {{model: hosted_vllm/small, api_base: "http://127.0.0.1:9/v1"}}
  - model_name: other
    litellm_params: {{model: hosted_vllm/other, api_base: "http://127.0.0.1:9/v1"}}
    model_info: {{accuracy: 0.3}}
pointsman:
  {ours}
"""
LEARNED = "predictor: {name: learned, artifact: quality}"
GROWS = "predictor: {name: learned, artifact: quality, grow: {most: 10}}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    matrix = made_outcomes(np.random.default_rng(1), 100, ("large", "small"))
    fit_quality(matrix, FitOptions("knn", folds=2)).model.write(tmp_path / "quality")
    return written(tmp_path, LEARNED)


def written(folder: Path, ours: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(CONFIG.format(ours=ours))
    return path


def check(path: Path) -> Result:
    return CliRunner().invoke(config_app, ["check", str(path)])


def routed(path: Path, prompt: str, *more: str) -> Result:
    app = typer.Typer(cls=ErrorGroup)
    app.command()(route)
    app.callback()(lambda: None)
    words = ["route", "--prompt", prompt, "--config", str(path), "--weight-accuracy", "1", *more]
    return CliRunner(env={"COLUMNS": "160"}).invoke(app, words)


def test_the_learned_predictor_is_built_over_the_profiles(file: Path) -> None:
    config = read_config(file)
    inner, asked = predictor_of(config, VirtualClock())
    assert isinstance(asked, LearnedPredictor)
    assert asked.profiles is inner
    assert config.predictor.artifact == file.parent / "quality"
    assert "artifact: " in render_config(config)
    result = check(file)
    assert result.exit_code == 0, result.output


def test_the_grid_is_looked_up_for_it_too(file: Path) -> None:
    energy = "energy: {grid_gco2e_per_kwh: 100, grid_source: a test}"
    config = read_config(written(file.parent, f"{LEARNED}\n  {energy}"))
    _, asked = predictor_of(config, VirtualClock())
    assert isinstance(asked, GridPredictor)
    assert asked.name == "learned"


def test_route_shows_the_learnt_quality_and_where_it_is_from(file: Path) -> None:
    easy, hard = (
        json.loads(routed(file, prompt, "--json").stdout)
        for prompt in (capital_question(5_001), proof_question(5_002))
    )
    qualities = []
    for made in (easy, hard):
        candidates = {each["endpoint"]: each for each in made["candidates"]}
        qualities.append({name: each["terms"][0]["value"] for name, each in candidates.items()})
        assert any(
            note.startswith("quality learnt by knn from 100 labels") for note in candidates["small"]["notes"]
        )
        assert "quality not learnt: the profile's" in candidates["other"]["notes"]
    assert qualities[0]["small"] > 0.7
    assert qualities[1]["small"] < 0.4
    assert qualities[0]["other"] == qualities[1]["other"] == 0.3
    assert (easy["endpoint"], qualities[0]["small"] > qualities[0]["other"]) == ("small", True)
    page = " ".join(routed(file, capital_question(5_001)).stdout.split())
    assert "quality learnt by knn from 100 labels" in page


@pytest.mark.parametrize("kind", ["prior", "trained", "knn", "blend"])
def test_an_endpoint_without_outcomes_and_without_a_profile_is_open_and_says_so(
    tmp_path: Path, kind: str
) -> None:
    matrix = made_outcomes(np.random.default_rng(1), 60, ("large", "small"))
    fit_quality(matrix, FitOptions(kind, folds=2)).model.write(tmp_path / "quality")
    path = written(tmp_path, LEARNED)
    path.write_text(path.read_text().replace("model_info: {accuracy: 0.3}", "model_info: {}"))
    for prompt in (capital_question(5_001), "?"):
        result = routed(path, prompt, "--json")
        assert result.exit_code == 0, result.output
        (other,) = [each for each in json.loads(result.stdout)["candidates"] if each["endpoint"] == "other"]
        accuracy = other["terms"][0]
        assert (accuracy["value"], accuracy["low"], accuracy["high"]) == (0.5, 0.0, 1.0)
        assert "quality not known: taken as 0.5, from 0 to 1" in other["notes"]


def test_a_missing_artifact_is_a_problem_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, LEARNED)
    result = check(path)
    assert result.exit_code == 3
    assert f"{path}:9" in result.stderr
    assert "quality is no folder" in result.stderr


def test_an_artifact_of_another_version_is_a_problem_with_its_line(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(READ, FORMAT, (7, 9))
    with pytest.raises(ConfigProblems) as caught:
        read_config(file)
    (problem,) = caught.value.problems
    assert problem.line == 9
    assert "has version 3; this Pointsman reads versions 7 and 9" in str(problem)


def test_an_altered_artifact_names_the_key(file: Path) -> None:
    arrays = file.parent / "quality" / "arrays.npz"
    arrays.write_bytes(arrays.read_bytes()[:-1])
    result = check(file)
    assert result.exit_code == 3
    assert "pointsman.predictor.artifact: " in result.stderr
    assert "arrays.npz was altered or cut short" in result.stderr


def test_an_artifact_of_other_features_names_the_key(file: Path) -> None:
    bundle = Bundle.read(file.parent / "quality")
    Bundle(bundle.about, {**bundle.model, "encoders": {"hot": "other"}}, bundle.arrays).write(
        file.parent / "quality"
    )
    with pytest.raises(ConfigError, match=r"artifact: .*fitted with other features 'hot'"):
        predictor_of(read_config(file), VirtualClock())


def test_an_artifact_of_other_endpoints_names_both(tmp_path: Path) -> None:
    matrix = made_outcomes(np.random.default_rng(2), 40, ("x", "y"))
    fit_quality(matrix, FitOptions("prior", folds=2)).model.write(tmp_path / "quality")
    with pytest.raises(ConfigError, match="knows x, y, and none of the endpoints small, other"):
        predictor_of(read_config(written(tmp_path, LEARNED)), VirtualClock())


def test_the_example_is_a_configuration_once_its_artifact_is_there(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "examples" / "learned.yaml"
    path = tmp_path / example.name
    path.write_text(example.read_text(encoding="utf-8"))
    assert "quality is no folder" in check(path).stderr
    matrix = made_outcomes(np.random.default_rng(3), 40, ("qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"))
    fit_quality(matrix, FitOptions("prior", folds=2)).model.write(tmp_path / "quality")
    assert check(path).exit_code == 0


@pytest.mark.parametrize(
    ("ours", "why"),
    [
        ("predictor: learned", "the predictor 'learned' names no artifact"),
        ("predictor: {artifact: quality}", "the predictor 'profile' reads no artifact"),
        ("predictor: learnt", "learned"),
        (f"{GROWS}\n  log: {{}}", "a predictor that grows without a decision log"),
        ("predictor: {grow: {most: 10}}", "the predictor 'profile' can't grow"),
        (f"{GROWS.replace('10', '0')}\n  log: {{path: log.db}}", "from 1 to 100000"),
    ],
)
def test_half_a_setting_is_a_problem(file: Path, ours: str, why: str) -> None:
    with pytest.raises(ConfigProblems) as caught:
        read_config(written(file.parent, ours))
    assert why in str(caught.value.problems[0])


def test_a_predictor_that_grows_is_read_and_shown(file: Path) -> None:
    config = read_config(written(file.parent, f"{GROWS}\n  log: {{path: log.db}}"))
    assert config.predictor.grow is not None
    assert config.predictor.grow.most == 10
    assert "most: 10" in render_config(config)
    bare = written(file.parent, GROWS.replace("{most: 10}", "{}") + "\n  log: {path: log.db}")
    assert read_config(bare).predictor.grow is not None
    assert read_config(written(file.parent, LEARNED)).predictor.grow is None


def test_a_model_that_looks_up_nothing_cant_grow(file: Path) -> None:
    matrix = made_outcomes(np.random.default_rng(1), 60, ("large", "small"))
    fit_quality(matrix, FitOptions("prior", folds=2)).model.write(file.parent / "quality")
    result = check(written(file.parent, f"{GROWS}\n  log: {{path: log.db}}"))
    assert result.exit_code == 3
    assert "a model of the kind prior looks up no past outcomes" in result.stderr
