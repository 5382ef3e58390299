"""What every request of a batch is expected to give and cost on every endpoint: predicted chunk by chunk.

Of a chunk's requests only what the plan needs is kept: four float32 columns and a mask, each of shape (R, C): a
column for each endpoint, then, for each output budget, one for each endpoint within it.
A request that no endpoint may run, or none within the limits of its line, is taken out and reported, as a bad line is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pointsman.assign.eligibility import Eligibility, refusal
from pointsman.assign.problem import Ints
from pointsman.assign.request_limits import LIMITS_UNMET, unmet
from pointsman.batch.output_budgets import within_budgets
from pointsman.batch.requests import BadLine, BatchRequest
from pointsman.errors import BadRequest
from pointsman.predict.base import Predictor
from pointsman.types import Bools, CostTable, Endpoint, Request

CHUNK: Final = 1024
COLUMNS: Final = ("quality", "price_usd", "time_s", "energy_j")
_BYTES_A_PAIR: Final = 33
"""Four columns, their mask and the objective, and what putting the chunks together takes beside them."""
_BYTES_A_REQUEST: Final = 400
_BYTES_A_COPY: Final = 21
"""A problem with more columns is a copy: objective, quality, mask, and what three limits use."""

Single = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """R requests on E endpoints, without and within B output budgets: C = E (1 + B) columns.

    Attributes:
        endpoints: the E names.
        budgets_tokens: the B budgets.
        lines, offsets: where each request stands in the batch file, shape (R,).
        custom_ids: R of them.
        quality, price_usd, time_s, energy_j: shape (R, C).
        allowed: shape (R, C); every row has a True.
        tenants, service_classes, tasks: names in the order in which they first came.
        tenant, service_class, task: shape (R,), indices into them.
        max_tokens: the most that each asks for, shape (R,); infinite where it does not say.
        bad: lines that are not planned, in order.
    """

    endpoints: tuple[str, ...]
    budgets_tokens: tuple[int, ...]
    lines: NDArray[np.int64]
    offsets: NDArray[np.int64]
    custom_ids: list[str]
    quality: Single
    price_usd: Single
    time_s: Single
    energy_j: Single
    allowed: Bools
    tenants: tuple[str, ...]
    service_classes: tuple[str, ...]
    tasks: tuple[str, ...]
    tenant: Ints
    service_class: Ints
    task: Ints
    max_tokens: Single
    bad: tuple[BadLine, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The C columns in words."""
        named = ((name, budget) for budget in self.budgets_tokens for name in self.endpoints)
        return (*self.endpoints, *(f"{name} within {budget} tokens" for name, budget in named))

    @property
    def without_budgets(self) -> tuple[str, ...]:
        """Endpoints on which no output budget is a choice for any request, where there are budgets."""
        if not self.budgets_tokens:
            return ()
        shape = (len(self.budgets_tokens), len(self.endpoints))
        column: Bools = np.logical_or.reduce(self.allowed[:, len(self.endpoints) :])
        offered = np.logical_or.reduce(column.reshape(shape)).tolist()
        return tuple(name for name, own in zip(self.endpoints, offered, strict=True) if not own)

    def endpoint_of(self, column: int) -> int:
        """The index of a column's endpoint."""
        return column % len(self.endpoints)

    def budget_of(self, column: int) -> int | None:
        """A column's output budget in tokens; None where it has none."""
        number = column // len(self.endpoints)
        return self.budgets_tokens[number - 1] if number else None


def check_memory(requests: int, columns: int, memory_bytes: float, *, copied: bool = False) -> None:
    """Raises: BadRequest where so many requests can't be planned at once in that memory.

    Args:
        requests: how many.
        columns: the choices for each of them.
        memory_bytes: what may be used.
        copied: there are choices beside the endpoints.
    """
    each = columns * (_BYTES_A_PAIR + copied * _BYTES_A_COPY) + _BYTES_A_REQUEST
    if requests * each > memory_bytes:
        raise BadRequest(
            f"a plan of {requests:,} requests with {columns} choices each takes about "
            f"{requests * each / 2**30:.3g} GiB, and {memory_bytes / 2**30:.3g} GiB may be used",
            remedy=f"Split the file into parts of at most {int(memory_bytes // each):,} lines",
        )


def forecast(
    lines: Iterable[BatchRequest | BadLine],
    predictor: Predictor,
    endpoints: Sequence[Endpoint],
    *,
    deadline_s: float | None = None,
    budgets_tokens: Sequence[int] = (),
    on_lines: Callable[[int], None] = lambda _count: None,
) -> Forecast:
    """Predict for every request, with all slots of each endpoint busy, as they are in a batch.

    Args:
        lines: of the batch file.
        predictor: over `endpoints`.
        endpoints: E of them.
        deadline_s: the longest predicted time; a service class's own deadline holds where it is shorter.
        budgets_tokens: limits on an answer that may be chosen; see `output_budgets`.
        on_lines: told how many lines are done, after each chunk.

    Raises: BadRequest if no line is left to plan.
    """
    made = _Columns(predictor, endpoints, deadline_s, tuple(budgets_tokens))
    rest, done = iter(lines), 0
    while chunk := list(islice(rest, CHUNK)):
        made.add(chunk)
        done += len(chunk)
        on_lines(done)
    return made.forecast()


@dataclass(slots=True)
class _Names:
    """Names as numbers, in the order in which they first come."""

    index: dict[str, int] = field(default_factory=dict)
    of_rows: list[int] = field(default_factory=list)

    def add(self, name: str) -> None:
        self.of_rows.append(self.index.setdefault(name, len(self.index)))


class _Columns:
    def __init__(
        self,
        predictor: Predictor,
        endpoints: Sequence[Endpoint],
        deadline_s: float | None,
        budgets_tokens: tuple[int, ...],
    ) -> None:
        self._predictor, self._deadline_s, self._budgets_tokens = predictor, deadline_s, budgets_tokens
        self._names = tuple(endpoint.name for endpoint in endpoints)
        self._eligibility, self._open = Eligibility(endpoints), [None] * len(endpoints)
        self._running = [endpoint.max_concurrent - 1 for endpoint in endpoints]
        self._parts: dict[str, list[Single]] = {name: [] for name in COLUMNS}
        self._allowed: list[Bools] = []
        self._places: list[tuple[int, int]] = []
        self._custom_ids: list[str] = []
        self._tenants, self._classes, self._tasks = _Names(), _Names(), _Names()
        self._max_tokens: list[float] = []
        self._bad: list[BadLine] = []

    def add(self, chunk: Sequence[BatchRequest | BadLine]) -> None:
        self._bad += [line for line in chunk if isinstance(line, BadLine)]
        good = [line for line in chunk if isinstance(line, BatchRequest)]
        if not good:
            return
        requests = [line.request for line in good]
        bare, *cut = within_budgets(requests, self._budgets_tokens, self._predictor, self._running)
        table = bare.table
        allowed, excluded = self._eligibility.filter(requests, table, self._open)
        able: Bools = np.asarray(allowed.any(axis=1))
        self._meet_deadlines(requests, table, allowed)
        tables, masks = [table], [allowed]
        for own in cut:
            able_so, _ = self._eligibility.filter(own.requests, own.table, self._open)
            self._meet_deadlines(requests, own.table, able_so)
            tables.append(own.table)
            masks.append(able_so & own.offered)
        allowed = np.hstack(masks)
        kept: Bools = np.asarray(allowed.any(axis=1))
        for row in np.flatnonzero(~kept).tolist():
            if able[row]:
                code, why = "deadline", self._too_late(table, row, excluded[row])
            elif limits := unmet(requests[row], table, row, excluded[row]):
                code, why = LIMITS_UNMET, limits
            else:
                code, why = "no_eligible_endpoint", refusal(excluded[row])
            self._bad.append(BadLine(good[row].place, good[row].custom_id, code, why))
        for name in COLUMNS:
            values = np.hstack([getattr(each, name).value[kept] for each in tables])
            self._parts[name].append(values.astype(np.float32))
        self._allowed.append(allowed[kept])
        for row in np.flatnonzero(kept).tolist():
            self._keep(good[row])

    def _keep(self, line: BatchRequest) -> None:
        self._places.append((line.place.line, line.place.offset))
        self._custom_ids.append(line.custom_id)
        self._tenants.add(line.request.tenant)
        self._classes.add(line.request.slo.service_class)
        self._tasks.add(line.request.prompt.task)
        self._max_tokens.append(line.request.max_tokens or np.inf)

    def _meet_deadlines(self, requests: Sequence[Request], table: CostTable, allowed: Bools) -> None:
        most_s = np.inf if self._deadline_s is None else self._deadline_s
        limits_s = [min(most_s, request.slo.e2e_s or np.inf) for request in requests]
        if min(limits_s) < np.inf:
            allowed &= table.time_s.value <= np.array(limits_s)[:, np.newaxis]

    def _too_late(self, table: CostTable, row: int, excluded: Mapping[str, str]) -> str:
        able = [name not in excluded for name in self._names]
        times_s = np.where(able, table.time_s.value[row], np.inf)
        fastest = int(times_s.argmin())
        return (
            f"no endpoint that can serve it is expected to answer before its deadline; "
            f"{self._names[fastest]}, the fastest, takes about {times_s[fastest]:.3g} s"
        )

    def forecast(self) -> Forecast:
        bad = tuple(sorted(self._bad, key=lambda line: line.place.line))
        if not self._custom_ids:
            first = f"; line {bad[0].place.line}: {bad[0].message}" if bad else ""
            raise BadRequest(f"no line is left to plan{first}", remedy="Correct the file, or the limits")
        columns = {}
        for name in COLUMNS:  # one at a time, so that only one stands twice in memory
            columns[name] = np.concatenate(self._parts.pop(name))
        places = np.array(self._places, dtype=np.int64)
        return Forecast(
            self._names,
            self._budgets_tokens,
            places[:, 0],
            places[:, 1],
            self._custom_ids,
            **columns,
            allowed=np.concatenate(self._allowed),
            tenants=tuple(self._tenants.index),
            service_classes=tuple(self._classes.index),
            tasks=tuple(self._tasks.index),
            tenant=np.array(self._tenants.of_rows, dtype=np.int32),
            service_class=np.array(self._classes.of_rows, dtype=np.int32),
            task=np.array(self._tasks.of_rows, dtype=np.int32),
            max_tokens=np.array(self._max_tokens, dtype=np.float32),
            bad=bad,
        )
