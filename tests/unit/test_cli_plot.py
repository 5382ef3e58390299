from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pointsman.cli.plot import app

CONFIG = """
model_list:
  - model_name: small
    litellm_params: {model: hosted_vllm/small, api_base: http://127.0.0.1:9/v1}
    model_info: {accuracy: 0.4}
  - model_name: large
    litellm_params: {model: hosted_vllm/large, api_base: http://127.0.0.1:9/v1}
    model_info: {accuracy: 0.8}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return path


@pytest.mark.parametrize("name", ["pareto", "sensitivity", "regions"])
def test_each_plot_is_written(
    name: str, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, [name, "--config", str(config)])
    assert result.exit_code == 0, result.output
    assert result.stdout.split("\n")[:2] == [f"written: plots/{name}.png", f"written: plots/{name}.svg"]
    assert (tmp_path / "plots" / f"{name}.svg").stat().st_size > 1000


def test_the_suffix_chooses_one_format(config: Path, tmp_path: Path) -> None:
    out = tmp_path / "here.svg"
    result = CliRunner().invoke(app, ["regions", "--config", str(config), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert [path.name for path in tmp_path.glob("here.*")] == ["here.svg"]


def test_bad_weights_are_said(config: Path) -> None:
    result = CliRunner().invoke(app, ["regions", "--config", str(config), "--weight_time", "nan"])
    assert result.exit_code == 2
    assert "the weight of time is nan" in result.stderr


def test_a_fit_of_a_missing_file_is_said(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["fit", str(tmp_path / "no.parquet"), "--out", str(tmp_path)])
    assert result.exit_code == 4
    assert "no.parquet" in result.stderr
    wrong = CliRunner().invoke(app, ["fit", "x.parquet", "--model", "cubic"])
    assert wrong.exit_code == 2
    assert "Models: ols, shape, refined" in wrong.stderr
