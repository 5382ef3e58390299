"""What a user asks of a batch as a problem to solve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from pointsman.assign.problem import Budget, Ints, LoadLimit, Problem, QualityFloor, weighted_cost
from pointsman.batch.forecast import Forecast
from pointsman.errors import BadRequest
from pointsman.types import Endpoint

OBJECTIVES: Final = {"cost": ("price_usd", "$"), "energy": ("energy_j", "J"), "time": ("time_s", "s")}
"""Words of the command line: the column that is summed, and its unit."""

ROUNDING: Final = 2.0**-24
"""What float32 can take of a quality; a floor is lower by it, so that 0.9 is reached by 0.9."""


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """What to minimise, and within which limits.

    Attributes:
        objective: weights by the words of `OBJECTIVES`: $, and $ a joule, a second.
        min_quality: the least mean quality of all requests.
        min_quality_of_tenant, min_quality_of_class: of those of a tenant, of a service class.
        max_share_requests: the most requests of the batch, by endpoint.
        makespan_s: what the batch may take: bounds predicted seconds by slots x makespan.
        budget_usd, budget_j: the most that all may use.
        confidence: that the real means reach the floors; None: floors are of predictions.
    """

    objective: Mapping[str, float] = field(default_factory=lambda: {"cost": 1.0})
    min_quality: float | None = None
    min_quality_of_tenant: Mapping[str, float] = field(default_factory=dict)
    min_quality_of_class: Mapping[str, float] = field(default_factory=dict)
    max_share_requests: Mapping[str, float] = field(default_factory=dict)
    makespan_s: float | None = None
    budget_usd: float | None = None
    budget_j: float | None = None
    confidence: float | None = None

    @property
    def unit(self) -> str:
        """Of the objective, for words."""
        (word, weight), *others = self.objective.items()
        return "weighted" if others or weight != 1 else OBJECTIVES[word][1]


def problem_of(made: Forecast, endpoints: Sequence[Endpoint], limits: BatchLimits) -> Problem:
    """The problem; its arrays are the forecast's, but for the objective.

    Raises: BadRequest for a limit that names what is not there, and for numbers that can't be used.
    """
    floors = []
    if limits.min_quality is not None:
        floors.append(QualityFloor.overall(max(0.0, limits.min_quality - ROUNDING)))
    if limits.min_quality_of_tenant:
        floors.append(_floor("tenant", made.tenants, made.tenant, limits.min_quality_of_tenant))
    if limits.min_quality_of_class:
        floors.append(_floor("class", made.service_classes, made.service_class, limits.min_quality_of_class))
    loads = []
    if limits.max_share_requests:
        loads.append(LoadLimit.share(made.endpoints, limits.max_share_requests))
    if limits.makespan_s is not None:
        slots = {endpoint.name: float(endpoint.max_concurrent) for endpoint in endpoints}
        loads.append(LoadLimit.work(made.endpoints, slots, limits.makespan_s, made.time_s))
    budgets = []
    if limits.budget_usd is not None:
        budgets.append(Budget("price_usd", made.price_usd, limits.budget_usd))
    if limits.budget_j is not None:
        budgets.append(Budget("energy_j", made.energy_j, limits.budget_j))
    terms = [(weight, getattr(made, OBJECTIVES[word][0])) for word, weight in limits.objective.items()]
    return Problem(
        made.endpoints,
        weighted_cost(terms),
        made.quality,
        None if made.allowed.all() else made.allowed,
        tuple(floors),
        tuple(loads),
        tuple(budgets),
        cost_unit=limits.unit,
    )


def _floor(what: str, names: Sequence[str], of_rows: Ints, minimum: Mapping[str, float]) -> QualityFloor:
    """A floor for each named group; rows of others have none."""
    if unknown := [name for name in minimum if name not in names]:
        raise BadRequest(
            f"--min-quality names the {what} {unknown[0]!r}, of which the batch has no request",
            remedy=f"It has {', '.join(names)}",
        )
    number = {name: index for index, name in enumerate(minimum)}
    group = np.array([number.get(name, -1) for name in names], dtype=np.int32)[of_rows]
    return QualityFloor(
        what, tuple(minimum), np.maximum([own - ROUNDING for own in minimum.values()], 0.0), group
    )
