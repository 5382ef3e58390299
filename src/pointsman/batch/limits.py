"""What a user asks of a batch as a problem to solve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pointsman.assign.problem import Budget, Ints, LoadLimit, Problem, QualityFloor, weighted_cost
from pointsman.batch.forecast import Forecast
from pointsman.errors import BadRequest
from pointsman.types import Endpoint, Floats

OBJECTIVES: Final = {"cost": ("price_usd", "$"), "energy": ("energy_j", "J"), "time": ("time_s", "s")}
"""Words of the command line: the column that is summed, and its unit."""

ROUNDING: Final = 2.0**-24
"""What float32 can take of a quality; a floor is lower by it, so that 0.9 is reached by 0.9."""


class Action(StrEnum):
    """What a request may be given to beside an endpoint: a column after those of the endpoints."""

    SKIP = "skip"
    WAIT = "wait"


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
        skip_cost: of a request that is not answered, in the objective's unit; None: none is skipped.
        wait_cost: of one that is left for a later batch; None: none is.
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
    skip_cost: float | None = None
    wait_cost: float | None = None

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
        floors.append(QualityFloor.overall(_told(limits.min_quality)))
    if limits.min_quality_of_tenant:
        floors.append(_floor("tenant", made.tenants, made.tenant, limits.min_quality_of_tenant))
    if limits.min_quality_of_class:
        floors.append(_floor("class", made.service_classes, made.service_class, limits.min_quality_of_class))
    loads = []
    if limits.max_share_requests:
        loads.append(_shared(LoadLimit.share(made.endpoints, limits.max_share_requests), made))
    if limits.makespan_s is not None:
        slots = {endpoint.name: float(endpoint.max_concurrent) for endpoint in endpoints}
        loads.append(_shared(LoadLimit.work(made.endpoints, slots, limits.makespan_s, made.time_s), made))
    budgets = []
    if limits.budget_usd is not None:
        budgets.append(Budget("price_usd", made.price_usd, limits.budget_usd))
    if limits.budget_j is not None:
        budgets.append(Budget("energy_j", made.energy_j, limits.budget_j))
    terms = [(weight, getattr(made, OBJECTIVES[word][0])) for word, weight in limits.objective.items()]
    return Problem(
        made.columns,
        weighted_cost(terms),
        made.quality,
        None if made.allowed.all() else made.allowed,
        tuple(floors),
        tuple(loads),
        tuple(budgets),
        cost_unit=limits.unit,
    )


def with_skipping(problem: Problem, limits: BatchLimits) -> Problem:
    """Skipping as a choice, if it has a cost: a request that is skipped counts in every floor, with quality 0."""
    if limits.skip_cost is None:
        return problem
    return problem.with_choice(Action.SKIP, np.full(problem.shape[0], limits.skip_cost))


def with_waiting(problem: Problem, limits: BatchLimits) -> Problem:
    """Waiting as a choice, if it has a cost: a request that waits has no part in the floors.

    That is so if it counts with the floor itself. Of several floors over one request it is the lowest: for
    the others the mean of those that don't wait is then at least what was asked.
    """
    if limits.wait_cost is None:
        return problem
    rows = problem.shape[0]
    neutral = np.full(rows, np.inf)
    for floor in problem.floors:
        own = np.zeros(rows, dtype=np.int64) if floor.group is None else floor.group
        neutral = np.minimum(neutral, np.where(own < 0, np.inf, floor.minimum[own]))
    return problem.with_choice(
        Action.WAIT,
        np.full(rows, limits.wait_cost),
        _at_least(np.where(np.isfinite(neutral), neutral, 0.0), problem.quality.dtype),
    )


def _at_least(values: Floats, dtype: np.dtype[np.floating]) -> NDArray[np.floating]:
    """The values in another type, not rounded down: a floor that all wait by is kept."""
    near = values.astype(dtype)
    return np.where(near < values, np.nextafter(near, np.inf, dtype=dtype), near)


def _shared(load: LoadLimit, made: Forecast) -> LoadLimit:
    """The limit with an endpoint's pool for all of its columns."""
    return replace(load, pool=np.tile(load.pool, 1 + len(made.budgets_tokens)))


def _told(asked: float) -> float:
    """The floor that is planned by: a float32, as what waits counts with it (`with_waiting`)."""
    return float(np.float32(max(0.0, asked - ROUNDING)))


def _floor(what: str, names: Sequence[str], of_rows: Ints, minimum: Mapping[str, float]) -> QualityFloor:
    """A floor for each named group; rows of others have none."""
    if unknown := [name for name in minimum if name not in names]:
        raise BadRequest(
            f"--min-quality names the {what} {unknown[0]!r}, of which the batch has no request",
            remedy=f"It has {', '.join(names)}",
        )
    number = {name: index for index, name in enumerate(minimum)}
    group = np.array([number.get(name, -1) for name in names], dtype=np.int32)[of_rows]
    return QualityFloor(what, tuple(minimum), np.array([_told(own) for own in minimum.values()]), group)
