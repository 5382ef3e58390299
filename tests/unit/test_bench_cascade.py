"""`bench/cascade.py` and the table it reads, on made answers of which the truth is known."""

from __future__ import annotations

import csv
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from pointsman.data.answer_table import AnswerTable
from pointsman.data.outcomes import OutcomeRow, write_outcome_rows
from pointsman.errors import DataError

BENCH = Path(__file__).resolve().parents[2] / "bench" / "cascade.py"
MODELS = ("tiny-135m", "coder-1.5b", "coder-0.5b")
SKILL = {"tiny-135m": -3.0, "coder-0.5b": 0.5, "coder-1.5b": 2.0}
COST_S = {"tiny-135m": 1.0, "coder-0.5b": 2.0, "coder-1.5b": 6.0}


def row(query_id: str, model: str, sample: int = 0, **fields) -> OutcomeRow:
    made = dict.fromkeys(OutcomeRow.__dataclass_fields__)
    made |= {"method": "generation", "parsed": True, "finish_reason": "stop", "input_tokens": 50}
    made |= {"output_tokens": 20, "output_chars": 80, "concurrency": 1, "started_unix_s": 0.0}
    made |= {
        "generation_score": 0.0,
        "score": 0.0,
        "latency_s": 1.0,
        "energy_j": 2.0,
        "energy_modelled": True,
    }
    return OutcomeRow(**(made | {"query_id": query_id, "model": model, "sample": sample} | fields))


def answers(name: str, n: int) -> list[OutcomeRow]:
    """A hidden difficulty decides; the surer the tokens and the more the samples agree, the righter the answer."""
    rng = np.random.default_rng(len(name))
    rows = []
    for number in range(n):
        hard = rng.normal()
        for model in MODELS:
            chance = 1 / (1 + np.exp(3 * hard - SKILL[model]))
            right = float(rng.random() < chance)
            for sample in range(3 if model == "coder-0.5b" else 1):
                same = sample == 0 or rng.random() < (0.9 if right else 0.3)
                rows.append(row(
                    f"{name}-{number}", model, sample, score=right, answer_key=f"{same}",
                    mean_logprob=-0.2 - 0.4 * (1 - right) + rng.normal(0, 0.15),
                    latency_s=COST_S[model], energy_j=3 * COST_S[model],
                ))  # fmt: skip
    return rows


def test_the_table_has_labels_signs_and_what_every_sample_took():
    rows = [
        row("q1", "b", score=1.0, answer_key="4", mean_logprob=-0.5),
        row("q1", "b", 1, answer_key="4", latency_s=2.0),
        row("q1", "b", 2, answer_key="5"),
        row("q1", "a", finish_reason="length"),
        row("q2", "b", answer_key=None),
        row("q2", "b", 1, answer_key=None),
    ]
    table = AnswerTable.of(rows, ["a", "b"])
    assert (table.query_ids, table.endpoints) == (("q1", "q2"), ("a", "b"))
    np.testing.assert_equal(table.right, [[0.0, 1.0], [np.nan, 0.0]])
    np.testing.assert_equal(table.signs["b"].agreement, [0.5, 0.0])
    np.testing.assert_equal(table.signs["a"].agreement, [np.nan, np.nan])
    np.testing.assert_equal(table.signs["a"].finished, [0.0, np.nan])
    np.testing.assert_equal(table.signs["b"].mean_logprob, [-0.5, np.nan])
    np.testing.assert_equal(table.time_s[:, 0, 1], [1.0, 2.0, 1.0])
    assert table.take(np.array([1])).query_ids == ("q2",)
    with pytest.raises(DataError, match="no answers of c"):
        AnswerTable.of(rows, ["a", "c"])


def test_the_bench_finds_that_looking_pays(tmp_path, monkeypatch, capsys):
    for name in ("gsm8k", "mbpp"):
        write_outcome_rows(tmp_path / f"{name}.parquet", answers(name, 150), {})
    spec = importlib.util.spec_from_file_location("bench_cascade", BENCH)
    bench = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "bench_cascade", bench)
    spec.loader.exec_module(bench)
    out = tmp_path / "cascade.csv"
    monkeypatch.setattr(bench, "SEEDS", 2)
    data = [str(tmp_path / f"{name}.parquet") for name in ("gsm8k", "mbpp")]
    monkeypatch.setattr(
        sys, "argv", ["cascade.py", "--out", str(out), "--plot", str(tmp_path / "plot.png"), "--data", *data]
    )
    bench.main()
    capsys.readouterr()
    rows = {
        row["policy"]: {
            name: float(row[name]) for name in ("cost", "quality", "run_cost", "escalated", "less_high")
        }
        for row in csv.DictReader(out.read_text().splitlines())
        if (row["questions"], row["mode"], row["c_run"]) == ("both", "must answer", "measured time")
    }
    assert rows["coder-1.5b alone"]["run_cost"] == pytest.approx(0.2)
    assert rows["coder-0.5b alone"]["run_cost"] == pytest.approx(0.2 / 3, rel=1e-4)
    best = rows["cascade by logprob, 2 models"]
    assert best["less_high"] < 0, "it beats every model alone"
    assert best["cost"] < rows["cascade at random, 2 models"]["cost"] - 0.02
    assert rows["oracle cascade, 2 models"]["cost"] < best["cost"]
    assert rows["oracle"]["cost"] < rows["oracle cascade, 2 models"]["cost"]
    paid = rows["cascade by agreement, 2 models"]
    assert paid["run_cost"] == pytest.approx(0.2 + 0.2 * paid["escalated"], rel=1e-4), (
        "three samples are paid for"
    )
    assert (tmp_path / "plot.png").stat().st_size > 10_000
