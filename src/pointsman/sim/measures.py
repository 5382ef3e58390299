"""What a simulation of an engine comes to: latencies of those answered, goodput, preemptions, energy."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Final

import numpy as np

from pointsman.sim.result import SimResult
from pointsman.types import Floats

LATENCIES: Final = ("ttft_s", "tpot_s", "e2e_s", "token_s", "max_waiting_s")
"""To the first token; a token after it; to the last; the whole time a token; the longest wait for a token."""

STATISTICS: Final = ("mean", "p50", "p90", "p99", "max")


@dataclass(frozen=True, slots=True)
class Goal:
    """A service level: what a good request takes at most, from its arrival."""

    ttft_s: float = inf
    tpot_s: float = inf
    e2e_s: float = inf


def latencies(result: SimResult) -> dict[str, Floats]:
    """`LATENCIES` of those answered, in order of arrival, shape (A,) each; one token has no time between tokens."""
    answered = result.answered
    ttft_s, gap_s = result.ttft_s[answered], result.longest_gap_s[answered]
    tpot_s = result.tpot_s[answered]
    e2e_s = result.e2e_s[answered]
    return {
        "ttft_s": ttft_s,
        "tpot_s": np.where(np.isnan(tpot_s), 0.0, tpot_s),
        "e2e_s": e2e_s,
        "token_s": e2e_s / np.maximum(1.0, result.output_tokens[answered]),
        "max_waiting_s": np.fmax(ttft_s, gap_s),
    }


def measures(result: SimResult, goal: Goal | None = None) -> dict[str, float]:
    """Every statistic of every latency as `<latency> <statistic>`, and totals; NaN where nothing was answered.

    `goodput_per_s` counts those that keep the goal, `good` is their share of all that came.
    """
    found: dict[str, float] = {}
    values = latencies(result)
    for name, column in values.items():
        if column.size:
            quantiles = np.quantile(column, (0.5, 0.9, 0.99))
            figures = (float(column.mean()), *map(float, quantiles), float(column.max()))
        else:
            figures = (np.nan,) * len(STATISTICS)
        found |= {f"{name} {word}": value for word, value in zip(STATISTICS, figures, strict=True)}
    goal = goal or Goal()
    good = (
        (values["ttft_s"] <= goal.ttft_s)
        & (values["tpot_s"] <= goal.tpot_s)
        & (values["e2e_s"] <= goal.e2e_s)
    )
    count = float(np.count_nonzero(good))
    answered = result.answered
    tokens = float(result.output_tokens[answered].sum())
    return found | {
        "answered": float(np.count_nonzero(answered)),
        "failed": float(np.count_nonzero(~answered)),
        "good": count / len(answered) if len(answered) else np.nan,
        "goodput_per_s": count / result.horizon_s if result.horizon_s else 0.0,
        "tokens_per_s": tokens / result.horizon_s if result.horizon_s else 0.0,
        "preemptions": float(np.nansum(result.preemptions)),
        "energy_j": float(np.nansum(result.energy_j)),
        "makespan_s": result.horizon_s,
    }
