"""The README's main job, in brief, on the three real models."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.real
@pytest.mark.timeout(600)
def test_the_demo_routes_real_questions_and_says_what_it_cost(tmp_path: Path) -> None:
    out = tmp_path / "answers.csv"
    done = subprocess.run(
        [sys.executable, "-m", "pointsman", "demo", "--quick", "--out", str(out)],
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    strategies = {row["strategy"] for row in rows}
    assert strategies == {
        "accuracy first",
        "energy first",
        "time first",
        "balanced",
        "always largest",
        "always smallest",
    }
    questions = {row["question_id"] for row in rows}
    assert len(questions) == 4
    assert len(rows) == 4 * len(strategies)
    chosen = {(row["strategy"], row["endpoint"]) for row in rows}
    assert ("always largest", "qwen2.5-coder-1.5b") in chosen
    assert {endpoint for strategy, endpoint in chosen if strategy == "energy first"} == {"smollm2-135m"}
    for row in rows:
        assert float(row["time_s"]) > 0
        assert float(row["energy_j"]) > 0
        assert int(row["output_tokens"]) > 0
        assert row["why"]
    assert "Energy is modelled, not measured" in done.stdout or {row["energy_modelled"] for row in rows} == {
        "False"
    }
    assert "pointsman serve" in done.stdout
