"""What running and skipping a request are expected to cost, in one currency: the terms of a decision by value.

    run i on e    c_run(i, e) + c_wrong (1 - q_ie)
    skip i        c_miss max_e q_ie                  over the endpoints that could run it

`c_run` follows from the request's own predicted price, time and energy at stated rates, or is a constant.
For one endpoint and a constant `c_run`, running costs no more exactly where q >= t*, the threshold of
Chow's reject rule: t* = (c_run + c_wrong) / (c_miss + c_wrong).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from pointsman.types.estimate import Bools, CostTable, Floats
from pointsman.types.request import Request


@dataclass(frozen=True, slots=True)
class RunCost:
    """What a run costs whatever its answer: a sum over constant, price, time and energy.

    Attributes:
        constant: in the currency of `Penalties`.
        per_usd, per_s, per_j: the same for each predicted dollar, second and joule.
    """

    constant: float = 0.0
    per_usd: float = 0.0
    per_s: float = 0.0
    per_j: float = 0.0

    def of(self, table: CostTable) -> Floats:
        """c_run of every pair, shape (R, E); not finite where a prediction that counts is not."""
        cost = np.full(table.quality.value.shape, self.constant)
        for rate, estimate in (
            (self.per_usd, table.price_usd),
            (self.per_s, table.time_s),
            (self.per_j, table.energy_j),
        ):
            if rate:
                cost += rate * estimate.value
        return cost


@dataclass(frozen=True, slots=True)
class Penalties:
    """What is lost by a wrong answer, and by not giving a right one that could be had."""

    c_wrong: float = 1.0
    c_miss: float = 1.0

    def threshold(self, c_run: float) -> float:
        """t*: the least probability of being right at which running costs no more than skipping.

        Above 1 nothing is worth running; infinite where neither matters.
        """
        total = self.c_miss + self.c_wrong
        return (c_run + self.c_wrong) / total if total else math.inf


@dataclass(frozen=True, slots=True)
class ValueTerms:
    """The terms by which requests are valued.

    Attributes:
        by_class: penalties of service classes that have their own.
    """

    c_run: RunCost = RunCost(constant=0.2)
    penalties: Penalties = Penalties()
    by_class: Mapping[str, Penalties] = field(default_factory=lambda: MappingProxyType({}))

    def penalties_of(self, request: Request) -> Penalties:
        """Those of its service class."""
        return self.by_class.get(request.slo.service_class, self.penalties)

    def columns(self, requests: Sequence[Request]) -> tuple[Floats, Floats]:
        """c_wrong and c_miss of R requests, each of shape (R, 1)."""
        pairs = np.array([(own.c_wrong, own.c_miss) for own in map(self.penalties_of, requests)]).reshape(
            -1, 2
        )
        return pairs[:, :1], pairs[:, 1:]


def running_costs(requests: Sequence[Request], table: CostTable, terms: ValueTerms) -> Floats:
    """Expected cost of running each of R requests on each of E endpoints, shape (R, E)."""
    c_wrong, _ = terms.columns(requests)
    return terms.c_run.of(table) + c_wrong * (1.0 - table.quality.value)


def skipping_costs(
    requests: Sequence[Request], table: CostTable, eligible: Bools, terms: ValueTerms
) -> Floats:
    """Expected cost of skipping each of R requests, shape (R,): c_miss times the best that could be had.

    A pair counts where `eligible`, of shape (R, E), and its quality is finite; 0 where none counts.
    """
    _, c_miss = terms.columns(requests)
    return c_miss[:, 0] * best_quality(table, eligible)


def best_quality(table: CostTable, eligible: Bools) -> Floats:
    """The best finite predicted quality of the eligible endpoints, shape (R,); 0 where there is none."""
    known = eligible & np.isfinite(table.quality.value)
    best: Floats = np.max(table.quality.value, axis=1, where=known, initial=0.0)
    return best


@dataclass(frozen=True, slots=True)
class Valuation:
    """What an admission weighed for one request, kept with the decision.

    Attributes:
        endpoint: the column it judged by: of least expected running cost, or of best quality.
        quality: predicted there.
        run_cost, skip_cost: expected, in the currency of the terms; None where costs were not weighed.
        threshold: the least quality at which it would run; None where there is no such number.
    """

    endpoint: int
    quality: float
    run_cost: float | None = None
    skip_cost: float | None = None
    threshold: float | None = None
