"""The choice by limits: the least cost at the present prices of what a stream of requests has to keep to.

    score = objective + price of quality (1 - quality) + prices of budgets x use + price of the share + wait

Prices are the state (`streaming.Duals`): they move with what is decided, with what it really used, and with
labels, late or never. How many run at once is kept by the queues: an endpoint without a free slot stays a
choice, at the price of the wait (`waits.py`). Skipping, where it has a cost, is a choice like the others.
What runs is not decided anew.

Source: OmniRouter, streaming. Differs in: waits are priced by the queues as they stand, where it moves a price
for each endpoint by its overload; floors by group, budgets, skipping.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from pointsman.assign.contrasts import Contrasts
from pointsman.assign.explanation import quantity
from pointsman.assign.stream_terms import ConstrainedTerms, StreamRows
from pointsman.assign.streaming import Duals, least
from pointsman.assign.waits import Waits
from pointsman.types import (
    SKIPPED,
    UNASSIGNED,
    Admission,
    Assignment,
    Bools,
    CostTable,
    Decision,
    Disposition,
    EndpointView,
    Floats,
    Label,
    LimitState,
    Outcome,
    Rates,
    Request,
)

REMEMBERED: Final = 50_000
"""Past requests whose labels still count; of more the oldest are forgotten."""

_TIME_MEMORY: Final = 0.02


class _Chosen(NamedTuple):
    """One answer; `column` is E where the request is skipped."""

    column: int
    score: Floats
    rates: Rates


@dataclass(slots=True, eq=False)
class _Placed:
    """What a decision was expected to use, and what was said of its answer.

    Attributes:
        over: above the request's part of each limit, shape (M,).
        quality: as predicted, corrected by labels.
        spent: of each budget.
        labels: by source.
        answered: what it used stays owed, also when another request comes by the same id.
    """

    endpoint: str
    over: Floats
    groups: tuple[int, ...]
    quality: float
    spent: list[float]
    labels: dict[str, float]
    answered: bool = False


class ConstrainedAssign:
    """Chooses at the least reduced cost, and keeps the prices.

    Args:
        endpoints: E names, in column order.
        terms: what is minimised, within what.
        contrasts: what shrinks predicted qualities to what they are worth; None leaves them.
        start: prices to begin with, by the names of limits; others begin at 0.
    """

    name = "constrained"

    def __init__(
        self,
        endpoints: Sequence[str],
        terms: ConstrainedTerms,
        contrasts: Contrasts | None = None,
        start: Mapping[str, float] | None = None,
    ) -> None:
        self._endpoints, self._terms = tuple(endpoints), terms
        self._rows = StreamRows(endpoints, terms, contrasts)
        prices = [(start or {}).get(name, 0.0) for name in self._rows.names]
        self._duals = Duals(self._rows.limits, np.array(prices))
        self._placed: OrderedDict[str, _Placed] = OrderedDict()
        self._time_s = np.full(len(self._endpoints), np.nan)

    def assign(
        self, requests: Sequence[Request], table: CostTable, eligible: Bools, view: Sequence[EndpointView]
    ) -> Assignment:
        """Choose for R requests over E endpoints; see `AssignPolicy`. Cost: O(R E)."""
        duals = self._duals if len(requests) == 1 else self._duals.copy()
        waits = Waits(view, self._time_s)
        chosen: list[_Chosen | None] = []
        for index, request in enumerate(requests):
            if not eligible[index].any():
                chosen.append(None)
                continue
            wait_s = waits.of(table.time_s.value[index])
            allowed = _allowed(eligible[index], wait_s, table.time_s.value[index], request.slo.e2e_s)
            per_s = duals.cost_range / self._terms.patience_s + self._terms.per_s
            wait_cost = per_s * np.where(np.isfinite(wait_s), wait_s, 0.0)
            row = self._rows.row(duals, request, table, index, allowed)
            cost = duals.reduced(row) + self._rows.with_skip(wait_cost, 0.0)
            column = least(cost)
            rates = self._rows.rates_of(duals, request, row, wait_cost)
            score = cost[: len(self._endpoints)] + rates.rates[0]
            chosen.append(_Chosen(column, score, rates))
            if len(requests) > 1:
                duals.spend(row, column)
                waits.join(column)
        return self._assignment(chosen)

    def settled(self, request: Request, decision: Decision) -> None:
        """See `Adaptive`. Decisions of others are none of its business."""
        self._withdraw(request.id)
        skips = decision.action is Admission.SKIP
        if decision.rates is None or not (skips or decision.endpoint):
            return
        table, index = decision.table, decision.index
        column = len(self._endpoints) if skips else self._endpoints.index(decision.endpoint or "")
        eligible = np.array([name not in decision.excluded for name in self._endpoints])
        row = self._rows.row(self._duals, request, table, index, eligible)
        over = self._duals.spend(row, column)
        if skips:
            return
        self._learn_time(column, float(table.time_s.value[index, column]))
        self._placed[request.id] = _Placed(
            self._endpoints[column],
            over,
            self._rows.groups(request),
            float(row.quality[0, column]),
            [float(each[0, column]) for each in row.spent],
            {},
        )
        if len(self._placed) > REMEMBERED:
            self._placed.popitem(last=False)

    def ended(self, outcome: Outcome) -> None:
        """See `Adaptive`: what an answer really used counts; what did not run used nothing."""
        placed = self._placed.get(outcome.request_id)
        if placed is None:
            return
        if outcome.disposition is not Disposition.ANSWERED or outcome.endpoint != placed.endpoint:
            self._withdraw(outcome.request_id)
            return
        placed.answered = True
        correction = np.zeros(len(placed.over))
        first = len(correction) - len(placed.spent)
        for k, (name, expected) in enumerate(zip(self._rows.budgets, placed.spent, strict=True), first):
            really = getattr(outcome, name)
            if really is not None and math.isfinite(really):
                correction[k] = really - expected
        self._duals.owe(correction)
        if outcome.quality is not None:
            self.labelled([Label(outcome.request_id, outcome.quality, "outcome")])

    def labelled(self, labels: Sequence[Label]) -> None:
        """See `Adaptive`. Of each source the last label counts, and of several sources their mean."""
        for label in labels:
            placed = self._placed.get(label.request_id)
            if placed is None:
                continue
            before = _mean(placed.labels)
            placed.labels[label.source] = label.score
            if before is None:
                self._duals.label(placed.groups, placed.quality, label.score)
            else:
                self._duals.relabel(placed.groups, before, _mean(placed.labels) or 0.0)

    def capacity_changed(self) -> None:
        """See `Adaptive`: prices stay, and are found anew in long steps."""
        self._duals.change(self._rows.limits)

    def limits(self) -> Sequence[LimitState]:
        """See `Adaptive`."""
        return self._rows.snapshot(self._duals).states()

    def _withdraw(self, request_id: str) -> None:
        """It does not run where it was placed: what was expected of it is owed no more."""
        placed = self._placed.pop(request_id, None)
        if placed is not None and not placed.answered:
            self._duals.owe(-placed.over)

    def _learn_time(self, column: int, time_s: float) -> None:
        if not math.isfinite(time_s):
            return
        known = self._time_s[column]
        self._time_s[column] = time_s if math.isnan(known) else known + _TIME_MEMORY * (time_s - known)

    def _assignment(self, chosen: Sequence[_Chosen | None]) -> Assignment:
        """Answers, None for those that nobody may serve."""
        skip, nobody = len(self._endpoints), np.full(len(self._endpoints), np.inf)
        columns = [UNASSIGNED if own is None else own.column for own in chosen]
        return Assignment(
            np.array([SKIPPED if column == skip else column for column in columns]),
            np.array([nobody if own is None else own.score for own in chosen]),
            tuple(map(self._reason, chosen)),
            rates=tuple(None if own is None else own.rates for own in chosen),
        )

    def _reason(self, chosen: _Chosen | None) -> str:
        if chosen is None:
            return "no endpoint may serve it"
        unit, worth = self._terms.unit, chosen.rates.rates[0] / 100.0
        price = f"a point of quality costs {quantity(worth, unit)}" if worth else "no floor has a price"
        if chosen.column == len(self._endpoints):
            least = quantity(float(np.min(chosen.score)), unit)
            return f"not answering costs less than {least}, the least at present prices; {price}"
        score = quantity(float(chosen.score[chosen.column]), unit)
        wait = float(chosen.rates.wait[chosen.column])
        waits = f", {quantity(wait, unit)} of it for the wait" if wait else ""
        return f"lowest cost at present prices, {score}{waits}; {price}"


def _allowed(eligible: Bools, wait_s: Floats, time_s: Floats, limit_s: float | None) -> Bools:
    """Those of the eligible that have slots and meet the deadline; without any, those with slots, then all."""
    slots = np.isfinite(wait_s)
    for good in (slots & ~(wait_s + time_s > (limit_s or math.inf)), slots):
        kept: Bools = eligible & good
        if kept.any():
            return kept
    return eligible


def _mean(labels: dict[str, float]) -> float | None:
    return sum(labels.values()) / len(labels) if labels else None
