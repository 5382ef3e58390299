"""The comparison of strategies: what is shown follows from the answers."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from pointsman.metrics.proportion import wilson_interval
from pointsman.report.comparison import Answered, answer_line, prediction_error, summary_table, write_answers

ROW = Answered(
    "balanced", "q1", "fact", "small", "score 0.1", 40, 3, 1.0, 2.0, 5.0, 6.0, True, 0.75, 1.0, "found Oslo"
)


def shown(renderable: object) -> str:
    console = Console(width=200, record=True, file=None)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_the_summary_counts_per_strategy_and_marks_modelled_energy() -> None:
    rows = [
        ROW,
        replace(ROW, endpoint="large", correct=0.0, time_s=4.0),
        replace(ROW, strategy="energy first"),
    ]
    text = shown(summary_table(rows, ["small", "large"]))
    assert "1/2" in text
    assert "1/1" in text
    assert "1 / 1" in text
    assert "(modelled)" in text
    assert "1.5" in text, "two answers of which the predictions promised 0.75 each"
    assert "3.00" in text, "the mean time of 2 s and 4 s"


def test_a_line_says_what_was_chosen_and_whether_it_was_right() -> None:
    assert "small" in shown(answer_line(ROW))
    assert "right" in shown(answer_line(ROW))
    assert "wrong" in shown(answer_line(replace(ROW, correct=0.0)))
    assert " - " in shown(answer_line(replace(ROW, energy_j=None))), "no meter, no number"


def test_prediction_error_is_relative_to_what_was_measured() -> None:
    assert prediction_error([ROW]) == pytest.approx(0.5)
    assert prediction_error([replace(ROW, time_s=None)]) != prediction_error([ROW])


def test_answers_are_written_whole(tmp_path: Path) -> None:
    write_answers(tmp_path / "new" / "answers.csv", [ROW])
    with (tmp_path / "new" / "answers.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["endpoint"] == "small"
    assert float(row["energy_j"]) == 6.0


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [(0, 0, 0, 1), (0, 10, 0, 0.2775), (10, 10, 0.7225, 1), (5, 10, 0.2366, 0.7634)],
)
def test_wilson_interval(right: int, n: int, low: float, high: float) -> None:
    assert wilson_interval(right, n) == pytest.approx((low, high), abs=1e-4)


def test_the_interval_of_a_share_holds_it_to_the_last_bit() -> None:
    for n in range(1, 300):
        for right in (0, 0.1 * n, n):
            low, high = wilson_interval(right, n)
            assert 0 <= low <= right / n <= high <= 1, (right, n)
