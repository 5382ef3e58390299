"""`pointsman simulate`: what it prints and writes, and what it says of bad input."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pointsman.cli.app import app

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
GPU = ["--engine", "llama2-70b-a100-x8", "--slots", "4"]


def simulate(*words: str):
    return CliRunner().invoke(app, ["simulate", *words], env={"NO_COLOR": "1"})


def table(path: Path, **columns) -> str:
    pq.write_table(pa.table(columns), path)
    return str(path)


def test_a_burst_under_several_orders(tmp_path):
    pytest.importorskip("matplotlib")
    out, plot = tmp_path / "runs.csv", tmp_path / "runs.png"
    ended = simulate(
        *GPU, "--burst", "60", "--seeds", "2", "--ttft-s", "20", "--compare", "fcfs,bounded,sjf",
        "--out", str(out), "--plot", str(plot),
    )  # fmt: skip
    assert ended.exit_code == 0, ended.output
    assert "longest wait for a token" in ended.output
    assert "log-normal of 0.5" in ended.output
    rows = list(csv.DictReader(out.read_text(encoding="utf-8").splitlines()))
    assert [(row["order"], row["seed"]) for row in rows] == [
        (order, seed) for order in ("fcfs", "bounded", "sjf") for seed in "12"
    ]
    means = {
        order: np.mean([float(row["token_s_mean"]) for row in rows if row["order"] == order])
        for order in ("fcfs", "bounded", "sjf")
    }
    assert means["sjf"] < means["bounded"] < means["fcfs"]
    assert all(row["answered"] == "60.0" for row in rows)
    assert plot.stat().st_size > 1_000
    assert plot.with_suffix(".svg").exists()


def test_loads_make_a_picture_of_latency_against_load(tmp_path):
    pytest.importorskip("matplotlib")
    plot = tmp_path / "load.png"
    ended = simulate(
        *GPU, "--load", "0.5,0.9", "--cv", "2", "--requests", "80", "--compare", "fcfs", "--plot", str(plot)
    )
    assert ended.exit_code == 0, ended.output
    assert "fcfs at 0.9" in ended.output
    assert plot.exists()


def test_a_trace_has_its_own_times_lengths_and_predictions(tmp_path):
    trace = table(
        tmp_path / "t.parquet", arrival_s=[0.0, 0.1, 0.2], input_tokens=[5, 5, 5], output_tokens=[9, 400, 3],
        predicted_tokens=[9.0, 400.0, 3.0],
    )  # fmt: skip
    ended = simulate(*GPU[:2], "--slots", "1", "--trace", trace, "--compare", "ranked,sjf")
    assert ended.exit_code == 0, ended.output
    assert "log-normal" not in ended.output
    stretched = simulate(*GPU, "--trace", trace, "--load", "0.5", "--compare", "fcfs")
    assert stretched.exit_code == 0, stretched.output


def test_the_embedded_fleet_has_engines_of_its_own():
    ended = simulate(
        "--rate", "0.5", "--requests", "30", "--output-tokens", "20", "--compare", "fcfs", "--place", "engine"
    )
    assert ended.exit_code == 0, ended.output
    assert "smollm2-135m-cpu" in ended.output


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"arrival_s": [1.0, 0.5]}, "Sort the trace by arrival_s"),
        ({"arrival_s": [0.0, None]}, "column arrival_s: nan"),
        ({"arrival_s": [0.0, 1.0], "output_tokens": [5, -1]}, "column output_tokens: -1"),
        ({"arrival_s": [0.0, 1.0], "output_tokens": [5, 10**9]}, "output_tokens is 1e+09"),
        ({}, "has no column arrival_s"),
    ],
)
def test_bad_traces_are_told(tmp_path, columns, says):
    rows = {"input_tokens": [5, 5], "output_tokens": [5, 5], **columns}
    ended = simulate(*GPU, "--trace", table(tmp_path / "t.parquet", **rows))
    assert ended.exit_code in (2, 4), ended.output
    assert says in ended.output


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([*GPU], "it must be said in one way"),
        ([*GPU, "--burst", "5", "--rate", "1"], "it must be said in one way"),
        ([*GPU, "--burst", "5", "--compare", "lifo"], "there is no order 'lifo'"),
        ([*GPU, "--burst", "5", "--compare", "mlfq"], "Place it in the engine"),
        ([*GPU, "--burst", "5", "--compare", ","], "--compare names no order"),
        ([*GPU, "--load", "0.5,often"], "--load 'often' is no load"),
        ([*GPU, "--rate", "-1"], "Give a rate and a variation above 0"),
        (["--engine", "cray", "--burst", "5"], "no times are known of an engine 'cray'"),
        (["--engine", "moon=llama2-70b-a100-x8", "--burst", "5"], "--engine names 'moon'"),
        ([*GPU, "--burst", "5", "--step-tokens", "2"], "as many tokens a step as slots"),
    ],
)
def test_bad_words_are_told(words, says):
    ended = simulate(*words)
    assert ended.exit_code == 2, ended.output
    assert says in ended.output


def test_the_endpoints_of_a_configuration_have_engines_each(tmp_path):
    config = tmp_path / "config.yaml"
    entries = "".join(
        f"  - model_name: {name}\n    litellm_params: {{model: openai/{name}, api_base: 'http://127.0.0.1:1/v1', api_key: none}}\n"
        for name in ("small", "large")
    )
    config.write_text(
        f"model_list:\n{entries}pointsman:\n  policy: {{name: random, seed: 1}}\n", encoding="utf-8"
    )
    engines = ["--engine", "small=llama2-70b-h100-x8", "--engine", "large=bloom-176b-a100-x8"]
    ended = simulate(
        str(config), *engines, "--slots", "8", "--rate", "2", "--requests", "60", "--compare", "fcfs"
    )
    assert ended.exit_code == 0, ended.output
    assert "small: 8 slots, llama2-70b-h100-x8" in ended.output
    assert "large: 8 slots, bloom-176b-a100-x8" in ended.output
    untold = simulate(str(config), *engines[:2], "--burst", "5")
    assert untold.exit_code == 2
    assert "how fast is the engine of large?" in untold.output
