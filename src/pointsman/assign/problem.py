"""One statement of "where, by constraints": choose a column for each request at least cost, within limits.

    minimise    sum_ij cost_ij x_ij                      x_ij in {0, 1}, one column a row, only allowed pairs
    subject to  sum_{i in g} quality_ij x_ij >= minimum_g |g|        each group g of each `QualityFloor`
                sum_{i, j in p} use_ij x_ij <= capacity_p            each pool p of each `LoadLimit`
                sum_ij use_ij x_ij <= limit                          each `Budget`

A column is whatever a request may be given to: an endpoint; an endpoint with an output budget (several
columns share a pool); skipping or waiting (`Problem.with_choice`: a column with a price of its own, the
quality that comes of it, and no use of any limit). Deadlines, privacy and capabilities are hard: they are
pairs that are not allowed.

Two kinds of load limit. `LoadLimit.share`: at most L_j requests of the window (the paper's). The other,
at most L_j at once, is kept when the plan runs; in a plan it is work: `LoadLimit.work` bounds predicted
seconds by L_j times the makespan.

Arrays are float32 or float64 of shape (R, E) and are not copied: 1,000,000 x 20 takes 80 MB each.
Source: OmniRouter / ECCOS. Differs in: floors by group, budgets, two kinds of load, any columns.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pointsman.assign.check import check_allowed, check_array, check_number
from pointsman.errors import BadRequest
from pointsman.types import Bools, Floats

Values = NDArray[np.float32] | NDArray[np.float64]
Ints = NDArray[np.integer[Any]]

OVERALL: Final = "all"
_CHUNK_VALUES: Final = 1 << 18


class LimitKind(StrEnum):
    """What a limit bounds."""

    FLOOR = "quality floor"
    SHARE = "max_share_requests"
    WORK = "work_s"
    BUDGET = "budget"


@dataclass(frozen=True, slots=True, eq=False)
class QualityFloor:
    """Mean quality of the chosen pairs, over the rows of each group, is at least its minimum.

    Attributes:
        name: what divides the rows: `all`, `tenant`, `class`.
        groups: the G names.
        minimum: shape (G,), in [0, 1]; 0 asks nothing.
        group: shape (R,), indices into `groups`, -1 for rows without a floor; None where G = 1 and all are in it.
    """

    name: str
    groups: tuple[str, ...]
    minimum: Floats
    group: Ints | None = None

    def named(self, at: int) -> str:
        """One of its groups in words: `all`, `tenant a`."""
        return self.name if self.group is None else f"{self.name} {self.groups[at]}"

    @classmethod
    def overall(cls, minimum: float) -> QualityFloor:
        """One floor for all rows."""
        return cls(OVERALL, (OVERALL,), np.array([minimum], dtype=float))

    @classmethod
    def each(cls, name: str, labels: Sequence[Hashable], minimum: Mapping[Any, float]) -> QualityFloor:
        """A floor for each label: by tenant, by service class. Rows of other labels have none.

        Args:
            name: what the labels are.
            labels: R of them.
            minimum: by label.
        """
        index = {label: number for number, label in enumerate(minimum)}
        group = np.fromiter((index.get(label, -1) for label in labels), np.int32, len(labels))
        return cls(name, tuple(map(str, index)), np.array([*minimum.values()], dtype=float), group)


@dataclass(frozen=True, slots=True, eq=False)
class LoadLimit:
    """What the chosen pairs use of each pool is at most its capacity.

    Attributes:
        kind: `SHARE` or `WORK`; how words name it.
        pools: the P names.
        capacity: shape (P,), at least 0; inf where there is no limit.
        pool: shape (E,), the pool of each column, -1 for none.
        use: shape (R, E), at least 0; None where each pair uses 1.
    """

    kind: LimitKind
    pools: tuple[str, ...]
    capacity: Floats
    pool: Ints
    use: Values | None = None

    @classmethod
    def share(cls, endpoints: Sequence[str], max_share_requests: Mapping[str, float]) -> LoadLimit:
        """At most so many requests of the window on each named endpoint."""
        return cls(LimitKind.SHARE, *_pools(endpoints, max_share_requests))

    @classmethod
    def work(
        cls, endpoints: Sequence[str], max_concurrent: Mapping[str, float], makespan_s: float, seconds: Values
    ) -> LoadLimit:
        """At most `max_concurrent` x `makespan_s` predicted seconds on each named endpoint.

        Args:
            endpoints: the columns.
            max_concurrent: slots, by endpoint.
            makespan_s: what the whole batch may take.
            seconds: predicted time in a slot, shape (R, E).
        """
        check_number("makespan_s", makespan_s, 0.0)
        work = {name: slots * makespan_s for name, slots in max_concurrent.items()}
        return cls(LimitKind.WORK, *_pools(endpoints, work), use=seconds)


@dataclass(frozen=True, slots=True, eq=False)
class Budget:
    """The chosen pairs use at most `limit` in all: dollars, joules, grams.

    Attributes:
        name: what is limited: `price_usd`, `energy_j`.
        use: shape (R, E), at least 0.
        limit: at least 0.
    """

    name: str
    use: Values
    limit: float


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """What to minimise and what to keep to.

    Attributes:
        endpoints: the E names of the columns.
        cost: the objective, shape (R, E), at least 0; `weighted_cost` builds it.
        quality: predicted, shape (R, E), in [0, 1].
        allowed: shape (R, E); None where every pair is. What a forbidden pair holds has no meaning.
        cost_unit: of `cost`, for words.

    Raises: BadRequest where a number can't be used, naming the field, the first such place and the limit.
    Cost: one look at every number.
    """

    endpoints: tuple[str, ...]
    cost: Values
    quality: Values
    allowed: Bools | None = None
    floors: tuple[QualityFloor, ...] = ()
    loads: tuple[LoadLimit, ...] = ()
    budgets: tuple[Budget, ...] = ()
    cost_unit: str = "$"

    def __post_init__(self) -> None:
        shape = (self.cost.shape[0] if self.cost.ndim else 0, len(self.endpoints))
        if 0 in shape:
            raise BadRequest(
                f"a plan over {shape[0]} requests and {shape[1]} endpoints has nothing to choose",
                remedy="Give at least one request and one endpoint",
            )
        check_allowed(self.allowed, shape)
        check_array("cost", self.cost, shape, self.allowed)
        check_array("quality", self.quality, shape, self.allowed, 1.0)
        for floor in self.floors:
            self._check_floor(floor)
        for load in self.loads:
            self._check_load(load)
        for budget in self.budgets:
            check_array(f"use of the budget {budget.name}", budget.use, shape, self.allowed)
            check_number(f"budget {budget.name}", budget.limit, 0.0)

    @property
    def shape(self) -> tuple[int, int]:
        """(R, E)."""
        rows, columns = self.cost.shape
        return rows, columns

    def with_choice(self, name: str, cost: Values, quality: Values | None = None) -> Problem:
        """The problem with one more column, allowed in every row, which uses no load and no budget.

        Skip: the cost of a missed answer, no quality. Wait: the cost expected later and what waiting costs,
        and the quality expected later.

        Args:
            name: the column's.
            cost: shape (R,).
            quality: shape (R,); 0 if None.
        """
        rows = self.shape[0]

        def widened(array: Values, column: Values | float) -> Values:
            made = np.empty((rows, self.shape[1] + 1), dtype=array.dtype)
            made[:, :-1], made[:, -1] = array, column
            return made

        loads = tuple(
            replace(
                load,
                pool=np.append(load.pool, -1),
                use=None if load.use is None else widened(load.use, 0.0),
            )
            for load in self.loads
        )
        allowed = self.allowed
        if allowed is not None:
            allowed = np.hstack([allowed, np.ones((rows, 1), dtype=bool)])
        return replace(
            self,
            endpoints=(*self.endpoints, name),
            cost=widened(self.cost, cost),
            quality=widened(self.quality, 0.0 if quality is None else quality),
            allowed=allowed,
            loads=loads,
            budgets=tuple(replace(own, use=widened(own.use, 0.0)) for own in self.budgets),
        )

    def _check_floor(self, floor: QualityFloor) -> None:
        for group, minimum in zip(floor.groups, floor.minimum.tolist(), strict=True):
            check_number(f"quality floor of {floor.name} {group}", minimum, 0.0, 1.0)
        if floor.group is not None:
            _check_index(f"group of the floor {floor.name}", floor.group, self.shape[0], len(floor.groups))
        elif len(floor.groups) != 1:
            raise BadRequest(
                f"the floor {floor.name} has {len(floor.groups)} groups and no row says which is its own",
                remedy="Give `group`, one index a row",
            )

    def _check_load(self, load: LoadLimit) -> None:
        for pool, capacity in zip(load.pools, load.capacity.tolist(), strict=True):
            if capacity != np.inf:
                check_number(f"{load.kind} of {pool}", capacity, 0.0)
        _check_index(f"pool of {load.kind}", load.pool, self.shape[1], len(load.pools))
        if load.use is not None:
            check_array(f"use of {load.kind}", load.use, self.shape, self.allowed)


def weighted_cost(terms: Sequence[tuple[float, Values]]) -> NDArray[np.float32]:
    """The objective as a weighted sum: $, and $ a second, a joule, a gram.

    Args:
        terms: at least one (weight, values of shape (R, E)); weights finite, at least 0.

    Raises: BadRequest for a weight that can't be used, or if there are no terms.
    """
    if not terms:
        raise BadRequest("an objective needs at least one term", remedy="Give price, time or energy a weight")
    total = np.zeros(terms[0][1].shape, dtype=np.float32)
    rows = max(1, _CHUNK_VALUES * len(total) // max(1, total.size))
    for weight, values in terms:
        check_number("weight of the objective", weight, 0.0)
        for start in range(0, len(total), rows):
            chunk = slice(start, start + rows)
            total[chunk] += np.float32(weight) * values[chunk]
    return total


def _pools(endpoints: Sequence[str], capacity: Mapping[str, float]) -> tuple[tuple[str, ...], Floats, Ints]:
    """Names, capacities and the pool of each column."""
    unknown = [name for name in capacity if name not in endpoints]
    if unknown:
        raise BadRequest(
            f"a load limit names {unknown[0]!r}, which is no endpoint",
            remedy=f"Choose among {', '.join(endpoints)}",
        )
    index = {name: number for number, name in enumerate(capacity)}
    pool = np.array([index.get(name, -1) for name in endpoints], dtype=np.int64)
    return tuple(index), np.array([*capacity.values()], dtype=float), pool


def _check_index(what: str, index: Ints, length: int, count: int) -> None:
    if index.shape != (length,) or (length and not -1 <= int(index.min()) <= int(index.max()) < count):
        raise BadRequest(
            f"{what} must be {length} indices from -1 to {count - 1}, not of shape {index.shape}"
            + (f" from {index.min()} to {index.max()}" if index.size else ""),
            remedy="Number the groups from 0; -1 stands for none",
        )
