"""`pointsman config check` and `show`."""

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from pointsman.cli.config import app

EXAMPLE = Path(__file__).parents[2] / "examples" / "config.yaml"
KEY = "sk-abcdefghijklmnopqrstuvwxyz1234"
BAD = "model_list:\n- {model_name: m, litellm_params: {model: openai/x, rpm: -1}}\nspeed: 1\n"


@pytest.fixture
def call():
    return lambda *args, **env: CliRunner().invoke(
        app, list(map(str, args)), env={"OPENAI_API_KEY": None, **env}
    )


def test_check_sums_up_a_good_file(call):
    result = call("check", EXAMPLE, OPENAI_API_KEY=KEY)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == (
        "gpt-4o-mini: openai/gpt-4o-mini for model 'gpt-4o-mini', at most 32 at once, "
        "$0.15 in and $0.6 out a million tokens, accuracy 0.82, key sk-…1234"
    )
    assert lines[2] == "smollm2-135m: embedded, smollm2-135m, 4 slots of 2048 tokens"
    assert lines[-1] == f"{EXAMPLE}: ok; 4 endpoints, 0 warnings; policy weighted; listens on 127.0.0.1:8080"
    assert result.stderr == ""


def test_check_gives_every_problem_and_exit_code_3(call, tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text(BAD)
    result = call("check", file, OPENAI_API_KEY=KEY)
    assert result.exit_code == 3
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert [line.split(": ")[0] for line in lines[:2]] == [f"{file}:2", f"{file}:3"]
    assert lines[2] == f"{file}: 2 problems"


def test_check_warns_on_stderr(call, tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text(BAD.replace("speed", "router_settings").replace("-1", "5"))
    result = call("check", file, OPENAI_API_KEY=KEY)
    assert result.exit_code == 0
    assert f"warning: {file}:3: router_settings: read but not used" in result.stderr
    assert "1 endpoint, 3 warnings" in result.stdout


def test_a_missing_key_is_named_not_guessed(call):
    result = call("check", EXAMPLE)
    assert result.exit_code == 3
    assert "the environment variable OPENAI_API_KEY is not set. Export OPENAI_API_KEY" in result.stderr


def test_show_prints_yaml_with_defaults_and_without_keys(call):
    result = call("show", EXAMPLE, OPENAI_API_KEY=KEY)
    assert result.exit_code == 0
    assert KEY not in result.output
    shown = yaml.safe_load(result.stdout)
    assert shown["pointsman"]["order"]["name"] == "fcfs"
    assert shown["pointsman"]["policy"]["weights"]["price"] == 0.0
    assert shown["model_list"][0]["litellm_params"]["api_key"] == "os.environ/OPENAI_API_KEY"


def test_a_file_that_is_not_there(call, tmp_path):
    result = call("show", tmp_path / "none.yaml")
    assert result.exit_code == 3
    assert "can't read the file: No such file or directory" in result.stderr
