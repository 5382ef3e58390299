"""`pointsman fleet` end to end with the real llama.cpp and a 115 KB model."""

import json

import pytest
from typer.testing import CliRunner

from pointsman.cli.fleet import app
from pointsman.engines.fleet import Fleet
from pointsman.testing.tiny_gguf import write_tiny_gguf

pytest.importorskip("xllamacpp", reason="the extra `fleet` is not installed")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("POINTSMAN_CACHE", str(folder))
    monkeypatch.setenv("COLUMNS", "80")
    yield folder
    (folder / "fleet" / "state.json").exists() and Fleet().down()


@pytest.fixture
def tiny(tmp_path):
    return write_tiny_gguf(tmp_path / "tiny.gguf")


def run(*words, exit_code=0):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == exit_code, result.output
    return result


def test_up_status_down(cache, tiny):
    words = (
        "--gguf",
        f"mine={tiny}",
        "--gguf",
        f"other={tiny}",
        "--threads",
        1,
        "--slots",
        2,
        "--context",
        128,
    )
    shown = run("up", *words).stdout
    running = json.loads(run("status", "--json").stdout)["running"]
    assert [model["name"] for model in running] == ["mine", "other"]
    for model in running:
        assert (model["threads"], model["slots"], model["context_tokens"]) == (1, 2, 128)
        assert f"{model['base_url']}/v1" in shown
        assert str(model["pid"]) in shown
    assert json.loads(run("up", *words, "--json").stdout)["running"] == running
    assert run("down", "--model", "other").stdout == "stopped other\n"
    assert run("down").stdout == "stopped mine\n"
    assert run("down").stdout == "nothing was running\n"
    assert "qwen2.5-coder-1.5b  not pulled" in run("status").stdout


@pytest.mark.parametrize(
    ("words", "exit_code", "text"),
    [
        (["up"], 5, "pointsman fleet pull --model smollm2-135m"),
        (["up", "--model", "gpt"], 2, "no model 'gpt' in the catalogue. Choose from smollm2-135m"),
        (["pull", "--model", "gpt"], 2, "no model 'gpt'"),
        (["up", "--gguf", "nameless"], 2, "--gguf 'nameless' can't be used. Write --gguf NAME=PATH"),
        (["up", "--gguf", "a=/x", "--gguf", "a=/y"], 2, "once a name"),
        (["up", "--gguf", "a=/does/not/exist"], 5, "no model file /does/not/exist"),
        (["up", "--gguf", "a=/does/not/exist", "--port", "a=http"], 2, "--port a=http is no number"),
        (["up", "--gguf", "a=/does/not/exist", "--port", "b=1"], 2, "--port names b"),
        (["up", "--gguf", "a=/does/not/exist", "--threads", "0"], 2, "threads 0"),
        (["up", "--gguf", f"a={__file__}"], 4, "not b'GGUF'"),
    ],
)
def test_bad_input_gives_one_line_and_the_exit_code_of_its_kind(cache, words, exit_code, text):
    result = run(*words, exit_code=exit_code)
    assert text in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_a_model_that_does_not_load_exits_with_the_engines_code_and_the_next_works(cache, tiny, tmp_path):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(tiny.read_bytes()[:5000])
    assert "broken did not load" in run("up", "--gguf", f"broken={broken}", exit_code=6).stderr
    run("up", "--gguf", f"mine={tiny}")


@pytest.mark.parametrize("command", ["pull", "up", "status", "down"])
def test_every_command_shows_an_example(command):
    assert f"pointsman fleet {command}" in run(command, "--help").stdout
