"""What was collected, as a table on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from rich.console import Console
from rich.table import Table

from pointsman.data.outcomes import OutcomeRow


def print_summary(rows: Sequence[OutcomeRow], questions: int, samples: int) -> None:
    """Each endpoint's share of right answers, lengths, times and joules, and what was not as asked."""
    table = Table(title="Collected, means per answer", title_justify="left", box=None, pad_edge=False)
    for head in (
        "endpoint",
        "answers",
        "missing",
        "right",
        "right by text",
        "cut off",
        "out tokens",
        "s",
        "J",
    ):
        table.add_column(head, justify="left" if head == "endpoint" else "right", no_wrap=head == "endpoint")
    notes = []
    for model in sorted({row.model for row in rows}):
        own = [row for row in rows if row.model == model]
        energy = _mean([row.energy_j for row in own]) + (
            " modelled" if any(row.energy_modelled for row in own) else ""
        )
        table.add_row(
            model,
            str(len(own)),
            str(questions * samples - len(own)),
            _mean([row.score for row in own]),
            _mean([row.generation_score for row in own]),
            f"{fmean(row.finish_reason == 'length' for row in own):.1%}",
            _mean([row.output_tokens for row in own]),
            _mean([row.latency_s for row in own]),
            energy,
        )
        if all(row.mean_logprob is None for row in own):
            notes.append(
                f"{model} gives no log-probabilities: its answers were judged by their text alone "
                "(method generation)."
            )
    console = Console()
    console.print(table)
    for note in notes:
        console.print(note, highlight=False)


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{fmean(known):.3g}" if known else "-"
