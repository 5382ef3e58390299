"""Simulated orders as tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from pointsman.report.bench import MAX_WIDTH
from pointsman.sim.compare import Run
from pointsman.sim.measures import LATENCIES, STATISTICS

_WORDS: Final = {
    "ttft_s": "first token",
    "tpot_s": "each further token",
    "e2e_s": "whole answer",
    "token_s": "whole time a token",
    "max_waiting_s": "longest wait for a token",
}


def print_runs(runs: Sequence[Run]) -> None:
    """Latencies in seconds, then totals; means with their 95% interval where there are several seeds."""
    console = Console()
    console.width = max(console.width, MAX_WIDTH) if not console.is_terminal else console.width
    times = Table("order", "seconds", *STATISTICS, title="Latency", title_justify="left", box=SIMPLE_HEAD)
    for column in times.columns[2:]:
        column.justify = "right"
    totals = Table(
        "order", "answered", "failed", "good", "good/s", "tokens/s", "preempted", "energy J", "lasts s",
        title="Totals", title_justify="left", box=SIMPLE_HEAD,
    )  # fmt: skip
    for column in totals.columns[1:]:
        column.justify = "right"
    for run in runs:
        name = run.order if run.load is None else f"{run.order} at {run.load:g}"
        for latency in LATENCIES:
            cells = [_shown(run, f"{latency} {word}", interval=word == "mean") for word in STATISTICS]
            times.add_row(name, _WORDS[latency], *cells, end_section=latency == LATENCIES[-1])
            name = ""
        measures = (
            "answered",
            "failed",
            "good",
            "goodput_per_s",
            "tokens_per_s",
            "preemptions",
            "energy_j",
            "makespan_s",
        )
        at = run.order if run.load is None else f"{run.order} at {run.load:g}"
        totals.add_row(at, *(_shown(run, name) for name in measures))
    console.print(times)
    console.print(totals)


def _shown(run: Run, measure: str, *, interval: bool = False) -> str:
    over = run.over(measure)
    if not interval or math.isnan(over.low):
        return f"{over.value:.4g}"
    return f"{over.value:.4g} ± {over.high - over.value:.2g}"
