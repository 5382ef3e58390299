"""How good a fitted quality model is, as tables on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pointsman.metrics.intervals import Interval
from pointsman.predict.quality.held_out import EndpointMeasures

_FEW: Final = 4
_LONG_TOKENS: Final = 100


def print_measures(console: Console, measures: Mapping[str, Sequence[EndpointMeasures]]) -> None:
    """Print held-out measures: a table an endpoint where they are few, else a row each.

    Args:
        console: where.
        measures: model -> its measures, one an endpoint; first the model that is kept.
    """
    endpoints = list(zip(*measures.values(), strict=True))
    if len(endpoints) > _FEW:
        console.print(f"Held out, by {next(iter(measures))}:")
        console.print(_of_many(list(measures), endpoints))
        if any(made.lengths for made, *_ in endpoints):
            console.print(_lengths_of_many([made for made, *_ in endpoints]))
        return
    for made in endpoints:
        first = made[0]
        console.print(
            f"[bold]{escape(first.endpoint)}[/]: {first.labels:,} labels, {_share(first)} right, held out",
            soft_wrap=True,
        )
        console.print(_of_one(dict(zip(measures, made, strict=True))))


def _of_many(names: Sequence[str], endpoints: Sequence[Sequence[EndpointMeasures]]) -> Table:
    """One row an endpoint: the first model, and beside its Brier score that of the last."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=0)
    table.add_column("endpoint", overflow="fold")
    brier = ("Brier", *(f"Brier,\n{name}" for name in names[1:][-1:]))
    for heading in ("labels", "right", "AUROC", "95%", *brier, "cal.\nerror", "by\nchance", "90%\nset"):
        table.add_column(heading, justify="right", no_wrap=True)
    for first, *others in endpoints:
        auroc, floor = first.auroc, first.calibration_floor
        table.add_row(
            escape(first.endpoint),
            f"{first.labels:,}",
            _share(first),
            _number(auroc and auroc.value),
            f"{auroc.low:.3f}-{auroc.high:.3f}" if auroc else "-",
            *(_number(made.brier and made.brier.value) for made in (first, *others[-1:])),
            _number(first.calibration_error),
            _number(floor and floor.mean),
            "-" if first.label_coverage is None else f"{first.label_coverage:.1%}",
        )
    return table


def _lengths_of_many(endpoints: Sequence[EndpointMeasures]) -> Table:
    """One row an endpoint whose answers have lengths, in tokens."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("endpoint", overflow="fold")
    for heading in ("lengths", "MAE,\ntokens", "95%", "in 90%\nrange", "its mean\nwidth"):
        table.add_column(heading, justify="right", no_wrap=True)
    for made in endpoints:
        mae, held, width = made.length_mae, made.length_coverage, made.length_width
        if mae is not None and held is not None and width is not None:
            ends = f"{mae.low:,.0f}-{mae.high:,.0f}"
            cells = (f"{made.lengths:,}", f"{mae.value:,.0f}", ends, f"{held:.1%}", f"{width:,.0f}")
            table.add_row(escape(made.endpoint), *cells)
    return table


def _of_one(measures: Mapping[str, EndpointMeasures]) -> Table:
    """One row a model: how well it tells right from wrong, and how long answers will be."""
    first = next(iter(measures.values()))
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    held = "score in\n90% range,\nwidth" if first.score_width else "label in\n90% set,\nlabels"
    for heading in ("", "AUROC", "Brier", "calibration\nerror,\nby chance", held):
        table.add_column(heading)
    with_lengths = any(made.length_mae for made in measures.values())
    if with_lengths:
        table.add_column("length MAE,\ntokens")
        table.add_column("in 90%\nrange,\nwidth")
    for name, made in measures.items():
        cells = [name, _interval(made.auroc, 3), _interval(made.brier, 3), _calibration(made)]
        cells.append(_held(made.label_coverage, made.set_size or made.score_width, "{:.2f}"))
        if with_lengths:
            long = made.length_mae is not None and made.length_mae.high >= _LONG_TOKENS
            cells.append(_interval(made.length_mae, 0 if long else 1))
            cells.append(_held(made.length_coverage, made.length_width, "{:,.0f}"))
        table.add_row(*cells)
    return table


def _calibration(made: EndpointMeasures) -> str:
    error, floor = made.calibration_error, made.calibration_floor
    return "-" if error is None or floor is None else f"{error:.3f}\n[dim]{floor.mean:.3f}[/]"


def _held(share: float | None, size: float | None, digits: str) -> str:
    """How many are in their set or range, and how large that is on average."""
    if share is None or size is None:
        return "-"
    return f"{share:.1%}\n[dim]{digits.format(size)}[/]"


def _interval(found: Interval | None, digits: int) -> str:
    if found is None:
        return "-"
    return f"{found.value:.{digits}f}\n[dim]{found.low:.{digits}f}-{found.high:.{digits}f}[/]"


def _share(made: EndpointMeasures) -> str:
    return f"{made.right:.1%}" if made.labels else "none"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
