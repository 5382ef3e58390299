"""Answers of several strategies to the same questions, side by side: lines, a summary, a CSV."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from math import isfinite, nan
from pathlib import Path
from statistics import fmean

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from pointsman.metrics.proportion import wilson_interval
from pointsman.types import Decision


@dataclass(frozen=True, slots=True)
class Answered:
    """One question as one strategy had it answered.

    Attributes:
        strategy: a weighting, or a fixed model to compare with.
        endpoint: the chosen one; `why` is the decision's reason.
        time_s: measured, from sending to the last byte; `predicted_time_s` is what the choice read.
        energy_j: this answer's; None where no meter sees the endpoint.
        expected: the predicted probability of being right.
        correct: in [0, 1]; `verdict` says why.
    """

    strategy: str
    question_id: str
    task: str
    endpoint: str
    why: str
    input_tokens: int | None
    output_tokens: int | None
    predicted_time_s: float
    time_s: float | None
    predicted_energy_j: float
    energy_j: float | None
    energy_modelled: bool
    expected: float
    correct: float
    verdict: str


def choice_in_words(decision: Decision) -> str:
    """What the chosen endpoint promises and how close the next one came, in one line."""
    if decision.endpoint is None or decision.score is None:
        return decision.reason
    table, names = decision.predictions, decision.table.endpoints
    chosen = names.index(decision.endpoint)
    promise = (
        f"expected {table.quality.value[0, chosen]:.0%} right, {table.time_s.value[0, chosen]:.1f} s, "
        f"{table.energy_j.value[0, chosen]:.1f} J"
    )
    others = [
        (float(score), names[e]) for e, score in enumerate(decision.score) if e != chosen and isfinite(score)
    ]
    if not others:
        return f"{promise}; the only one that can"
    score, name = min(others)
    return f"{promise}; score {decision.score[chosen]:.2f}, next {name} {score:.2f}"


def answer_line(made: Answered) -> Text:
    """What one strategy chose for a question, what it cost, whether it was right; why on a second line."""
    right = made.correct >= 1
    line = Text(f"  {made.strategy:<16}")
    line.append(f"{made.endpoint:<19}", style="bold")
    line.append(f"{_tokens(made):>8} tok {_known(made.time_s):>6} s {_known(made.energy_j):>6} J  ")
    line.append("right" if right else "wrong", style="green" if right else "red")
    line.append(f"\n      {made.why}", style="dim")
    return line


def summary_table(rows: Sequence[Answered], endpoints: Sequence[str]) -> Table:
    """One row a strategy: what it chose, how much was right, tokens, time and energy.

    `endpoints` gives the order of the counts in the column `chose`.
    """
    modelled = " (modelled)" if any(row.energy_modelled for row in rows) else ""
    caption = (
        f"chose: how often {' / '.join(endpoints)}\n"
        f"right: with its 95% interval, and how many the predictions promised; tokens, s, J{modelled}: means"
    )
    table = Table(
        title="All questions, each strategy", title_justify="left", caption=caption, caption_justify="left"
    )
    table.box = SIMPLE_HEAD
    for head in ("strategy", "chose", "right", "95%", "expected", "tokens", "s", "J"):
        table.add_column(head, justify="left" if head == "strategy" else "right", no_wrap=True)
    for strategy in dict.fromkeys(row.strategy for row in rows):
        mine = [row for row in rows if row.strategy == strategy]
        chosen = Counter(row.endpoint for row in mine)
        right = sum(row.correct for row in mine)
        low, high = wilson_interval(right, len(mine))
        table.add_row(
            strategy,
            " / ".join(str(chosen[endpoint]) for endpoint in endpoints),
            f"{right:.0f}/{len(mine)}",
            f"{low:.0%} to {high:.0%}",
            f"{sum(row.expected for row in mine):.1f}",
            f"{_mean([row.output_tokens for row in mine]):.0f}",
            f"{_mean([row.time_s for row in mine]):.2f}",
            f"{_mean([row.energy_j for row in mine]):.2f}",
        )
    return table


def prediction_error(rows: Sequence[Answered]) -> float:
    """Mean absolute percentage error of the predicted times against the measured ones; NaN if none."""
    errors = [abs(row.predicted_time_s - row.time_s) / row.time_s for row in rows if row.time_s]
    return fmean(errors) if errors else nan


def write_answers(path: Path, rows: Sequence[Answered]) -> None:
    """Write every answer as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Answered)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def _tokens(made: Answered) -> str:
    return f"{made.input_tokens or '?'}+{made.output_tokens or '?'}"


def _known(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return fmean(known) if known else nan
