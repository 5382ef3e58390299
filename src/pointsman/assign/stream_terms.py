"""What a stream of requests is to keep to, by its words, and what that is of one request.

ConstrainedTerms      what is minimised and within what, as a configuration says it
StreamRows            one request as a row of `streaming.Duals`
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

import numpy as np

from pointsman.assign.contrasts import Contrasts
from pointsman.assign.prices import Block
from pointsman.assign.streaming import Duals, StreamLimits
from pointsman.types import FLOOR, OBJECTIVES, Bools, CostTable, Floats, LimitSnapshot, Rates, Request

_ACCURACY, _ENERGY, _TIME, _PRICE = map(OBJECTIVES.index, ("accuracy", "energy", "time", "price"))
_BUDGETED: Final = {"price_usd": _PRICE, "energy_j": _ENERGY}

Array = TypeVar("Array", Floats, Bools)


@dataclass(frozen=True, slots=True)
class ConstrainedTerms:
    """What is minimised, and within what.

    Attributes:
        per_usd, per_j, per_s: the objective: what a predicted dollar, joule and second of an answer cost.
        min_quality: least mean quality of all requests; 0 asks nothing.
        by_tenant, by_class: the same of those of a tenant, of a service class.
        max_share: most of the requests that an endpoint gets, by name, in [0, 1].
        usd_per_request, j_per_request: most that a request uses on the mean; None for no limit.
        patience_s: a wait so long counts as much as the dearest endpoint above the cheapest.
        skip_cost: what it costs not to answer, in the unit of the objective; None: nothing is skipped.
    """

    per_usd: float = 1.0
    per_j: float = 0.0
    per_s: float = 0.0
    min_quality: float = 0.0
    by_tenant: Mapping[str, float] = field(default_factory=dict)
    by_class: Mapping[str, float] = field(default_factory=dict)
    max_share: Mapping[str, float] = field(default_factory=dict)
    usd_per_request: float | None = None
    j_per_request: float | None = None
    patience_s: float = 10.0
    skip_cost: float | None = None

    @property
    def unit(self) -> str:
        """Of the objective, for words; empty where it is a sum of several."""
        rates = {"$": self.per_usd, "J": self.per_j, "s": self.per_s}
        used = [unit for unit, rate in rates.items() if rate]
        return used[0] if len(used) == 1 and rates[used[0]] == 1.0 else ""


class StreamRows:
    """Makes rows of `Duals` for E endpoints; where skipping is a choice, it is the last column.

    Attributes:
        limits: of the stream, in the order in which `names` calls them.
        names: M of them.
        rates: of the objective, in the order of `OBJECTIVES`, shape (5,).
    """

    def __init__(
        self, endpoints: Sequence[str], terms: ConstrainedTerms, contrasts: Contrasts | None = None
    ) -> None:
        self._terms, self._endpoints, self._contrasts = terms, len(endpoints), contrasts
        self._columns = self._endpoints + (terms.skip_cost is not None)
        self.rates = np.zeros(len(OBJECTIVES))
        self.rates[[_PRICE, _ENERGY, _TIME]] = terms.per_usd, terms.per_j, terms.per_s
        self._tenants, self._classes = _numbered(terms.by_tenant), _numbered(terms.by_class)
        overall = {"all": terms.min_quality} if terms.min_quality else {}
        floors = (("all", overall), ("tenant", terms.by_tenant), ("class", terms.by_class))
        self._floors = tuple(kind for kind, minimum in floors if minimum)
        budgets = {"price_usd": terms.usd_per_request, "energy_j": terms.j_per_request}
        self.budgets: Final = tuple(name for name, limit in budgets.items() if limit is not None)
        self.limits = StreamLimits(
            self._columns,
            tuple(np.array([*minimum.values()], dtype=float) for _, minimum in floors if minimum),
            self._shares(endpoints) if terms.max_share else None,
            np.array([limit for limit in budgets.values() if limit is not None]) if self.budgets else None,
        )
        self._layout = self.limits.layout
        self.names = (
            *(floor_name(kind, group) for kind, minimum in floors for group in minimum),
            *(f"max_share_requests {name}" for name in endpoints if terms.max_share),
            *(("max_share_requests skip",) if terms.max_share and terms.skip_cost is not None else ()),
            *(f"budget {name}" for name in self.budgets),
        )

    def groups(self, request: Request) -> tuple[int, ...]:
        """Its group in each floor, -1 for none."""
        own = {
            "all": 0,
            "tenant": self._tenants.get(request.tenant, -1),
            "class": self._classes.get(request.slo.service_class, -1),
        }
        return tuple(own[kind] for kind in self._floors)

    def row(self, duals: Duals, request: Request, predicted: CostTable, index: int, allowed: Bools) -> Block:
        """Row `index` of the predictions as a row of the stream.

        `allowed` is of shape (E,), at least one. An endpoint whose cost is not predicted counts only if no
        other's is; a quality that is not predicted counts 0.
        """
        cost = self._cost(predicted, index)
        known = allowed & np.isfinite(cost)
        cost, known = (cost, known) if known.any() else (np.zeros(self._endpoints), allowed)
        return duals.arrival(
            self.with_skip(cost, self._terms.skip_cost or 0.0),
            self.with_skip(self._quality(request, predicted, index), 0.0),
            self.groups(request),
            tuple(self._spent(predicted, name, index) for name in self.budgets),
            self.with_skip(known, request.allow_skip is not False),
        )

    def with_skip(self, values: Array, skip: float) -> Array:
        """Values of the endpoints, shape (E,), and that of skipping where it is a choice."""
        return values if self._columns == self._endpoints else np.append(values, values.dtype.type(skip))

    def rates_of(self, duals: Duals, request: Request, row: Block, wait_cost: Floats) -> Rates:
        """What makes up the scores of a request, and of its row, at the present prices."""
        prices, layout, rates = duals.prices, self._layout, self.rates.copy()
        for own, group in zip(layout.floors, self.groups(request), strict=True):
            rates[_ACCURACY] += prices[own.start + group] if group >= 0 else 0.0
        for name, price in zip(self.budgets, prices[layout.budgets].tolist(), strict=True):
            rates[_BUDGETED[name]] += price
        share = prices[layout.loads[0]][: self._endpoints] if layout.loads else np.zeros(self._endpoints)
        return Rates(rates, share, wait_cost, row.quality[0, : self._endpoints], self.snapshot(duals))

    def snapshot(self, duals: Duals) -> LimitSnapshot:
        """Where the limits stand now."""
        return LimitSnapshot(self.names, self._layout.bound, duals.means(), duals.prices)

    def _spent(self, predicted: CostTable, name: str, index: int) -> Floats:
        """What it would use of a budget; 0 where that is not predicted."""
        return self.with_skip(_known(getattr(predicted, name).value[index]), 0.0)

    def _quality(self, request: Request, predicted: CostTable, index: int) -> Floats:
        """As predicted, 0 where it is not; with contrasts, shrunk to what it is worth."""
        quality: Floats = predicted.quality.value[index]
        if self._contrasts is None:
            return _known(quality)
        shrunk: Floats = self._contrasts.applied(quality[np.newaxis], [request.prompt.task])[0]
        return shrunk

    def _cost(self, predicted: CostTable, index: int) -> Floats:
        cost = np.zeros(self._endpoints)
        for k, estimate in (
            (_PRICE, predicted.price_usd),
            (_ENERGY, predicted.energy_j),
            (_TIME, predicted.time_s),
        ):
            if self.rates[k]:
                cost += self.rates[k] * estimate.value[index]
        return cost

    def _shares(self, endpoints: Sequence[str]) -> Floats:
        share = [self._terms.max_share.get(name, math.inf) for name in endpoints]
        return np.array(share + [math.inf] * (self._columns - self._endpoints))


def _known(values: Floats) -> Floats:
    """The values, 0 in place of what is not a finite number."""
    return np.where(np.isfinite(values), values, 0.0)


def _numbered(minimum: Mapping[str, float]) -> dict[str, int]:
    return {name: number for number, name in enumerate(minimum)}


def floor_name(kind: str, group: str) -> str:
    """What metrics and words call the floor of a group: `all`, a tenant's, a class's."""
    return f"{FLOOR} all" if kind == "all" else f"{FLOOR} {kind}:{group}"
