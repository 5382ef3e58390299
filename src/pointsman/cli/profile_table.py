"""What a profile holds, as a table on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

from pointsman.data.profiles import ProfileRow, ProfileRun, column


def print_summary(run: ProfileRun) -> None:
    """A table of each endpoint's counts, times and joules."""
    title = "Measured, mean per request (median for times)"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for head in (
        "endpoint",
        "requests",
        "failed",
        "in tokens",
        "out tokens",
        "TTFT s",
        "E2E s",
        "energy J",
        "right",
    ):
        name = head == "endpoint"
        table.add_column(head, justify="left" if name else "right", no_wrap=name)
    for endpoint in run.endpoints():
        rows = run.measured(endpoint)
        total = sum(row.endpoint == endpoint for row in run.rows)
        figures = [
            _mean(rows, "input_tokens"),
            _mean(rows, "output_tokens"),
            _median(rows, "ttft_s"),
            _median(rows, "e2e_s"),
        ]
        energy = _mean(rows, "energy_j") + (" modelled" if any(row.energy_modelled for row in rows) else "")
        table.add_row(
            endpoint, str(len(rows)), str(total - len(rows)), *figures, energy, _mean(rows, "score")
        )
    Console().print(table)


def _mean(rows: Sequence[ProfileRow], name: str) -> str:
    values = column(rows, name)
    return f"{np.nanmean(values):.3g}" if np.isfinite(values).any() else "-"


def _median(rows: Sequence[ProfileRow], name: str) -> str:
    values = column(rows, name)
    return f"{np.nanmedian(values):.3g}" if np.isfinite(values).any() else "-"
