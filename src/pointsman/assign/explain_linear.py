"""A choice by a linear score in terms that add up to it, and what would have changed it.

    value          score = c_wrong (1 - quality) + per_j J + per_s s + per_usd $ + constant
    constrained    score = price of quality (1 - quality) + the same of J, s, $ + share + wait

Each term is linear in one prediction, so the change that would have flipped the choice is exact. Lazy:
nothing of it runs while a request waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from pointsman.assign.explanation import UNITS, Flip, PredictionChange, Term
from pointsman.assign.weighted import FIELDS
from pointsman.types import OBJECTIVES, Bools, CostTable, Decision, Estimate, Floats, Rates, ValueTerms

_MARGIN: Final = 1e-9
"""By how much, relative to the numbers at hand, a changed score must be below the others."""


class LinearScore(NamedTuple):
    """The score of one request as a sum over objectives and of what does not depend on predictions.

    Attributes:
        rates: what a unit of each of `OBJECTIVES` costs, shape (5,); of accuracy, of being wrong.
        amounts: those units, shape (5, E).
        beside: what else each endpoint costs, by its name, each of shape (E,).
    """

    rates: Floats
    amounts: Floats
    beside: Mapping[str, Floats]

    @classmethod
    def of_value(cls, decision: Decision, table: CostTable, terms: ValueTerms) -> LinearScore:
        """The terms as the policy `value` weighed them for a decision with R = 1."""
        c_wrong = terms.by_class.get(decision.service_class, terms.penalties).c_wrong
        run = terms.c_run
        rates = np.array([c_wrong, run.per_j, run.per_s, run.per_usd, 0.0])
        constant = np.full(len(table.endpoints), run.constant)
        return cls(rates, _amounts(table), {"constant": constant} if run.constant else {})

    @classmethod
    def of_rates(cls, rates: Rates, score: Floats, table: CostTable) -> LinearScore:
        """The terms as a policy that records them weighed them for a decision with R = 1.

        In a score that is a finite number, what is not predicted counted 0.
        """
        amounts = _amounts(table)
        amounts[0] = 1.0 - rates.quality
        amounts = np.where(np.isfinite(amounts) | ~np.isfinite(score), amounts, 0.0)
        beside = {"share": rates.share, "wait": rates.wait}
        return cls(rates.rates, amounts, {name: cost for name, cost in beside.items() if cost.any()})

    def products(self) -> Floats:
        """Shape (5, E); what has no rate costs nothing, known or not."""
        rates = np.broadcast_to(self.rates[:, None], self.amounts.shape)
        return np.multiply(rates, self.amounts, out=np.zeros_like(self.amounts), where=rates > 0)

    def totals(self) -> Floats:
        """The scores, shape (E,)."""
        total: Floats = self.products().sum(axis=0) + sum(self.beside.values())
        return total


def linear_terms(score: LinearScore, table: CostTable, e: int) -> tuple[Term, ...]:
    """The terms of endpoint `e` in the order of `OBJECTIVES`, and what it costs beside."""
    products = score.products()
    made = []
    for k, objective in enumerate(OBJECTIVES):
        estimate = _estimate(table, k)
        value, low, high = (float(part[0, e]) for part in (estimate.value, estimate.low, estimate.high))
        known, counted = np.isfinite(value), np.isfinite(products[k, e])
        made.append(
            Term(
                objective, float(score.rates[k]), value if known else None, _finite(low), _finite(high), UNITS[k],
                _finite(float(score.amounts[k, e])), float(products[k, e]) if counted else None, raw=True,
            )
        )  # fmt: skip
    for name, costs in score.beside.items():
        own = float(costs[e])
        made.append(Term(name, 1.0, own, own, own, "", own, own, raw=True))
    return tuple(made)


def linear_flips(decision: Decision, score: LinearScore, table: CostTable, usable: Bools) -> tuple[Flip, ...]:
    """For each other usable endpoint what would have chosen it, those nearest to the choice first."""
    totals = np.where(usable, score.totals(), np.inf)
    if decision.endpoint is None:
        return ()
    chosen = table.endpoints.index(decision.endpoint)
    others = [e for e in np.flatnonzero(usable).tolist() if e != chosen]
    return tuple(
        Flip(
            table.endpoints[e],
            weights=None,
            distance=None,
            blocked=None,
            predictions=_changes(score, e, float(totals[e] - totals[chosen])),
            within_intervals=_within_intervals(score, table, chosen, e),
            c_wrong=_c_wrong(score, usable, e),
        )
        for e in sorted(others, key=lambda e: float(totals[e]))
    )


def _changes(score: LinearScore, e: int, gap: float) -> tuple[PredictionChange, ...]:
    """Single predictions that would close the gap, the smallest change of a cost first."""
    found = []
    for k in np.flatnonzero(score.rates > 0).tolist():
        amount = float(score.amounts[k, e])
        needed = amount - (gap / float(score.rates[k])) * (1 + _MARGIN) - _MARGIN * amount
        if 0.0 <= needed < amount:
            was, would = (1 - amount, 1 - needed) if k == 0 else (amount, needed)
            found.append((needed / amount, PredictionChange(OBJECTIVES[k], was, would, UNITS[k])))
    return tuple(change for _, change in sorted(found, key=lambda pair: -pair[0]))


def _c_wrong(score: LinearScore, usable: Bools, e: int) -> float | None:
    """The c_wrong nearest to the one used under which `e` costs least; None if there is none."""
    run = score.totals() - score.products()[0]
    low, high = 0.0, np.inf
    for other in np.flatnonzero(usable).tolist():
        dearer = float(run[e] - run[other])
        righter = float(score.amounts[0, other] - score.amounts[0, e])
        if other == e:
            continue
        if righter > 0:
            low = max(low, dearer / righter)
        elif righter < 0:
            high = min(high, dearer / righter)
        elif dearer >= 0:
            return None
    if not low * (1 + 2 * _MARGIN) < high:
        return None
    used = float(score.rates[0])
    return low * (1 + _MARGIN) if used <= low else high * (1 - _MARGIN)


def _within_intervals(score: LinearScore, table: CostTable, chosen: int, e: int) -> bool | None:
    """Whether `e` costs less with its predictions at their better ends and the chosen one's at the worse."""
    best = sum(float(costs[e]) for costs in score.beside.values())
    worst = sum(float(costs[chosen]) for costs in score.beside.values())
    for k in np.flatnonzero(score.rates > 0).tolist():
        estimate, rate = _estimate(table, k), float(score.rates[k])
        good, bad = (1 - estimate.high, 1 - estimate.low) if k == 0 else (estimate.low, estimate.high)
        best += rate * float(good[0, e])
        worst += rate * float(bad[0, chosen])
    return best < worst if np.isfinite(best) and np.isfinite(worst) else None


def _amounts(table: CostTable) -> Floats:
    amounts = np.array([_estimate(table, k).value[0] for k in range(len(OBJECTIVES))])
    amounts[0] = 1.0 - amounts[0]
    return amounts


def _estimate(table: CostTable, k: int) -> Estimate:
    estimate: Estimate = getattr(table, FIELDS[k])
    return estimate


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
