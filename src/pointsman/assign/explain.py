"""From a decision's arrays to its explanation. Lazy: nothing of it runs while a request waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

import numpy as np

from pointsman.assign.counterfactual import (
    NearestWeights,
    dominators,
    nearest_weights,
    smallest_factor,
    telling_columns,
)
from pointsman.assign.explain_linear import LinearScore, linear_flips, linear_terms
from pointsman.assign.explanation import (
    UNITS,
    Candidate,
    Explanation,
    Flip,
    PredictionChange,
    Term,
    Weighed,
)
from pointsman.assign.value import ValueAssign
from pointsman.assign.weighted import FIELDS, Weighing, normalised_costs, raw_costs, weighted_scores
from pointsman.types import (
    OBJECTIVES,
    Bools,
    CostTable,
    Decision,
    Estimate,
    Floats,
    LimitState,
    Valuation,
    ValueTerms,
    Weights,
)

_ALL: Final = tuple(range(len(OBJECTIVES)))
_PARETO: Final = 4  # accuracy, energy, time, price
_ROUNDINGS: Final = range(3, 8)
_OVERSHOOTS: Final = (1.0, 1.01, 1.03, 1.1)


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """What is known of an endpoint's numbers beside the predictions.

    Attributes:
        energy_modelled: energy follows from a model with stated constants, not from a meter.
        origin: one sentence on where the numbers are from.
        quality: one on where its accuracy is from, where that is not the same.
    """

    energy_modelled: bool = False
    origin: str = ""
    quality: str = ""


_NO_FACTS: Final = EndpointFacts()


def explain(
    decision: Decision,
    facts: Mapping[str, EndpointFacts] | None = None,
    value: ValueTerms | None = None,
) -> Explanation:
    """Explain a decision: all candidates, every term, the limits that bound, what would have changed it.

    Args:
        decision: by any policy; terms and flips are there only if it used weights, or costs that are given.
        facts: by endpoint name.
        value: the costs that the policy `value` weighed.

    Cost: about 6 ms for 3 endpoints, 12 ms for 10, 65 ms for 100.
    """
    table = decision.predictions
    raw = raw_costs(table, _ALL)
    scored = _Scored.of(decision, table.endpoints, raw)
    linear = _linear(decision, table, value)
    candidates = _candidates(decision, table, raw, scored, facts or {}, linear)
    flips = _flips(decision.endpoint, table, raw, scored) if scored.weighted and decision.endpoint else ()
    if linear is not None and decision.score is not None:
        usable = scored.eligible & np.isfinite(linear.totals()) & np.isfinite(decision.score)
        flips = linear_flips(decision, linear, table, usable)
    return Explanation(
        request_id=decision.request_id,
        action=decision.action.value,
        reason=decision.reason,
        policy=decision.policy,
        endpoint=decision.endpoint,
        weights=decision.weights,
        candidates=candidates,
        excluded=tuple(decision.excluded.items()),
        flips=flips,
        bypassed=table.bypassed,
        weighed=_weighed(decision.valuation, table.endpoints),
        limits=_limits(decision),
    )


def _linear(decision: Decision, table: CostTable, value: ValueTerms | None) -> LinearScore | None:
    """The terms of a choice by a linear score; None for one by another, such as where only the admission weighed."""
    if decision.score is None:
        return None
    if decision.rates is not None:
        made = LinearScore.of_rates(decision.rates, decision.score, table)
    elif value is not None and decision.policy == ValueAssign.name:
        made = LinearScore.of_value(decision, table, value)
    else:
        return None
    totals, score = made.totals(), decision.score
    known = np.isfinite(totals) & np.isfinite(score)
    return made if np.allclose(totals[known], score[known], rtol=1e-9, atol=1e-12) else None


def _limits(decision: Decision) -> tuple[LimitState, ...]:
    taken = None if decision.rates is None else decision.rates.limits
    return () if taken is None else taken.states()


def _weighed(valuation: Valuation | None, names: Sequence[str]) -> Weighed | None:
    if valuation is None:
        return None
    return Weighed(
        names[valuation.endpoint],
        valuation.quality,
        valuation.run_cost,
        valuation.skip_cost,
        valuation.threshold,
    )


class _Scored(NamedTuple):
    """The arrays of one request: eligible and usable of shape (E,), costs (5, E), weights (5,)."""

    eligible: Bools
    usable: Bools
    costs: Floats
    weights: Floats
    weighted: bool

    @classmethod
    def of(cls, decision: Decision, names: Sequence[str], raw: Floats) -> _Scored:
        eligible = np.array([name not in decision.excluded for name in names], dtype=bool)
        if decision.weights is None or not eligible.any():
            none = np.full((len(OBJECTIVES), len(eligible)), np.nan)
            return cls(eligible, eligible, none, np.zeros(len(OBJECTIVES)), weighted=False)
        weights = np.array(decision.weights.as_tuple())
        costs, usable = normalised_costs(raw, eligible[np.newaxis], _weighing(weights))
        return cls(eligible, usable[0], costs[:, 0], weights, weighted=True)


def _weighing(weights: Floats) -> Weighing:
    """All five objectives, also those without weight."""
    return Weighing(_ALL, weights[:, np.newaxis, np.newaxis])


def _candidates(
    decision: Decision,
    table: CostTable,
    raw: Floats,
    scored: _Scored,
    facts: Mapping[str, EndpointFacts],
    linear: LinearScore | None,
) -> tuple[Candidate, ...]:
    """The eligible endpoints, best score first, the chosen one before its ties."""
    columns = np.flatnonzero(scored.eligible)
    dominates = dominators(raw[:_PARETO, 0, columns].T)
    made = []
    for row, e in enumerate(columns.tolist()):
        name = table.endpoints[e]
        score = None if decision.score is None else _number(decision.score[e])
        by = tuple(table.endpoints[columns[i]] for i in np.flatnonzero(dominates[row]).tolist())
        terms = tuple(_term(k, e, table, scored) for k in range(len(OBJECTIVES))) if scored.weighted else ()
        if linear is not None:
            terms = linear_terms(linear, table, e)
        notes = _notes(facts.get(name, _NO_FACTS), usable=bool(scored.usable[e]))
        made.append(Candidate(name, name == decision.endpoint, score, terms, by, notes))
    made.sort(key=lambda c: (np.inf if c.score is None else c.score, not c.chosen))
    return tuple(made)


def _term(k: int, e: int, table: CostTable, scored: _Scored) -> Term:
    estimate: Estimate = getattr(table, FIELDS[k])
    weight, value = float(scored.weights[k]), _number(estimate.value[0, e])
    cost = float(scored.costs[k, e]) if scored.usable[e] and value is not None else None
    return Term(
        objective=OBJECTIVES[k],
        weight=weight,
        value=value,
        low=_number(estimate.low[0, e]),
        high=_number(estimate.high[0, e]),
        unit=UNITS[k],
        normalised=cost,
        product=None if cost is None else weight * cost,
    )


def _notes(facts: EndpointFacts, *, usable: bool) -> tuple[str, ...]:
    notes = []
    if not usable:
        notes.append("a prediction is not a finite number, so it counts as worst")
    if facts.energy_modelled:
        notes.append("its energy is modelled, not measured")
    notes += [sentence for sentence in (facts.quality, facts.origin) if sentence]
    return tuple(notes)


def _flips(chosen: str, table: CostTable, raw: Floats, scored: _Scored) -> tuple[Flip, ...]:
    """For each other usable endpoint what would have chosen it, the nearest weights first."""
    names, columns = table.endpoints, np.flatnonzero(scored.usable).tolist()
    costs = scored.costs[:, scored.usable].T
    telling = telling_columns(costs, scored.weights)
    made = []
    for row, e in enumerate(columns):
        name = names[e]
        if name == chosen:
            continue
        found = nearest_weights(costs[:, telling], row, scored.weights[telling])
        predictions = _prediction_changes(raw, scored, e)
        possible = _within_intervals(table, raw, scored, names.index(chosen), e)
        if isinstance(found, NearestWeights):
            whole = np.zeros(len(OBJECTIVES))
            whole[telling] = found.weights
            shown = _rounded(scored.weights, whole, costs, row)
            made.append(Flip(name, shown, found.distance, None, predictions, possible))
        else:
            mix = {names[columns[i]]: share for i, share in found.shares.items()}
            equal = all(np.array_equal(costs[i], costs[row]) for i in found.shares)
            blocked = f"equal to {', '.join(mix)}, and of equals the first wins" if equal else _blocked(mix)
            made.append(Flip(name, None, None, blocked, predictions, possible))
    return tuple(sorted(made, key=lambda flip: np.inf if flip.distance is None else flip.distance))


def _blocked(mix: Mapping[str, float]) -> str:
    if len(mix) == 1:
        return f"dominated by {next(iter(mix))}"
    parts = " and ".join(
        f"{share:.0%} {name}" for name, share in sorted(mix.items(), key=_share, reverse=True)
    )
    return f"a mix of {parts} costs no more on any term"


def _share(item: tuple[str, float]) -> float:
    return item[1]


def _rounded(given: Floats, nearest: Floats, costs: Floats, row: int) -> Weights:
    """Weights with few digits, at the nearest ones or a little past them, that still choose `row`."""
    for digits in _ROUNDINGS:
        for overshoot in _OVERSHOOTS:
            short = np.round(np.maximum(given + overshoot * (nearest - given), 0.0), digits)
            score = costs @ short
            if score[row] < np.delete(score, row).min():
                return Weights(*short.tolist())
    return Weights(*nearest.tolist())


def _prediction_changes(raw: Floats, scored: _Scored, e: int) -> tuple[PredictionChange, ...]:
    """Single predictions of endpoint `e` that would choose it, the smallest change of its cost first."""
    found = []
    for k in np.flatnonzero(scored.weights > 0).tolist():
        factor = smallest_factor(partial(_wins_with, raw, scored, k, e))
        if factor is not None:
            cost = float(raw[k, 0, e])
            was, needed = (1 - cost, 1 - factor * cost) if k == 0 else (cost, factor * cost)
            found.append((factor, PredictionChange(OBJECTIVES[k], was, needed, UNITS[k])))
    return tuple(change for _, change in sorted(found, key=lambda pair: -pair[0]))


def _wins_with(raw: Floats, scored: _Scored, k: int, e: int, factor: float) -> bool:
    """Whether endpoint `e` is chosen when its cost `k` is multiplied by `factor`."""
    changed = raw.copy()
    changed[k, 0, e] *= factor
    return _wins(changed, scored, e)


def _within_intervals(table: CostTable, raw: Floats, scored: _Scored, chosen: int, e: int) -> bool | None:
    """Whether `e` wins with its costs at the low ends of their intervals, the chosen one's at the high."""
    changed = raw.copy()
    for k in np.flatnonzero(scored.weights > 0).tolist():
        estimate: Estimate = getattr(table, FIELDS[k])
        best, worst = (1 - estimate.high, 1 - estimate.low) if k == 0 else (estimate.low, estimate.high)
        changed[k, 0, e], changed[k, 0, chosen] = best[0, e], worst[0, chosen]
    ends = changed[:, 0, [e, chosen]][scored.weights > 0]
    return _wins(changed, scored, e) if np.isfinite(ends).all() else None


def _wins(changed: Floats, scored: _Scored, e: int) -> bool:
    score, _ = weighted_scores(changed, scored.usable[np.newaxis], _weighing(scored.weights))
    return bool(score[0, e] < np.delete(score[0], e).min())


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
