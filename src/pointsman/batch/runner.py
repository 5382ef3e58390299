"""Run a plan: each endpoint works off its own rows, in the order of the batch file, in its own slots.

So no endpoint waits for another, and none has more outstanding than its `max_concurrent`: the scheduler
holds it to that, here as in the gateway. Each result is in the journal before the next request of its slot
is read. A request that was out when the process was killed is asked again; no other is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from pointsman.batch.journal import End, ResultJournal
from pointsman.batch.output_budgets import limited
from pointsman.batch.plan_file import PlannedRows
from pointsman.batch.requests import BadLine, ParseBody, Place, open_requests, read_line
from pointsman.batch.results import answered, failed, rejected, result_id
from pointsman.errors import CallerError, DataError, EngineError, EngineRejected, PointsmanError
from pointsman.live import Handle, LiveDriver
from pointsman.types import Disposition, Endpoint, Request

MAX_FAILURES_IN_A_ROW: Final = 8
"""After so many an endpoint counts as dead: the rest of its rows stay open, the other endpoints go on."""

MAX_WAITS: Final = 5
MAX_WAIT_S: Final = 60.0
_BUSY: Final = (429, 503)
_PASSING: Final = (401, 403, 407, 408, 409, 425, 429)
"""Client errors that are not about the request itself."""

_UNSERVABLE: Final = ("no_eligible_endpoint", "refused", "skipped")

OnResult = Callable[[str, End, str], None]
"""(endpoint, how it ended, why it failed) of each request."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a run works with.

    Attributes:
        requests: the batch file.
        parse: reads bodies.
        pin: the model name that sends a request to an endpoint, by endpoint.
        endpoints: those that are configured.
    """

    plan: PlannedRows
    requests: Path
    parse: ParseBody
    pin: Mapping[str, str]
    endpoints: tuple[Endpoint, ...]


def open_rows(plan: PlannedRows, journal: ResultJournal, *, retry_refused: bool) -> NDArray[np.bool_]:
    """Which rows are to be asked, shape (N,): those without a result, or that failed.

    Args:
        plan: N rows.
        journal: of the plan.
        retry_refused: also those that their endpoint refused.
    """
    done = journal.ended(End.ANSWERED)
    if not retry_refused:
        done = done | journal.ended(End.REFUSED)
    still: NDArray[np.bool_] = ~done & (plan.endpoint >= 0)
    return still


async def run_plan(
    work: Work,
    driver: LiveDriver,
    journal: ResultJournal,
    wanted: NDArray[np.bool_],
    on_result: OnResult = lambda _endpoint, _end, _why: None,
) -> None:
    """Ask the wanted rows.

    Raises: EngineError, once all other endpoints are done, if one failed `MAX_FAILURES_IN_A_ROW` times;
    DataError if the batch file has changed.
    """
    with open_requests(work.requests) as file:
        lanes = [
            _Lane(work, driver, journal, file, endpoint, rows, on_result)
            for endpoint, rows in _rows_of(work, wanted)
        ]
        try:
            async with asyncio.TaskGroup() as group:
                for lane in lanes:
                    for _ in range(min(lane.endpoint.max_concurrent, lane.count)):
                        group.create_task(lane.work())
        except* (PointsmanError, OSError) as errors:
            raise errors.exceptions[0] from None
    if dead := [lane for lane in lanes if lane.dead]:
        raise EngineError(
            "; ".join(
                f"{lane.endpoint.name} failed {lane.failures} times in a row: {lane.why}" for lane in dead
            ),
            endpoint=dead[0].endpoint.name,
            remedy="Correct that and run the same command again: it goes on where it was",
        )


def _rows_of(work: Work, wanted: NDArray[np.bool_]) -> Iterator[tuple[Endpoint, NDArray[np.int64]]]:
    """Each endpoint that has rows, and these."""
    known = {endpoint.name: endpoint for endpoint in work.endpoints}
    for column, name in enumerate(work.plan.head.endpoints):
        rows = np.flatnonzero(wanted & (work.plan.endpoint == column))
        if len(rows):
            yield known[name], rows


class _Lane:
    """The rows of one endpoint; `work` is run once for each of its slots."""

    def __init__(
        self,
        work: Work,
        driver: LiveDriver,
        journal: ResultJournal,
        file: BinaryIO,
        endpoint: Endpoint,
        rows: NDArray[np.int64],
        on_result: OnResult,
    ) -> None:
        self.endpoint, self.count = endpoint, len(rows)
        self.failures, self.why = 0, ""
        self._work, self._driver, self._journal, self._file = work, driver, journal, file
        self._rows, self._on_result = iter(rows.tolist()), on_result

    @property
    def dead(self) -> bool:
        """Whether it has failed too often in a row to go on."""
        return self.failures >= MAX_FAILURES_IN_A_ROW

    async def work(self) -> None:
        """Ask one row after another."""
        while not self.dead and (row := next(self._rows, None)) is not None:
            own_id = result_id(self._work.plan.id, row)
            custom_id, request = self._read(row, own_id)
            end, line, self.why = _result(own_id, custom_id, *await self._asked(request))
            self._journal.add(row, end, line)
            self.failures = self.failures + 1 if end is End.FAILED else 0
            self._on_result(self.endpoint.name, end, self.why)

    def _read(self, row: int, own_id: str) -> tuple[str, Request]:
        work = self._work
        place = Place(int(work.plan.lines[row]), int(work.plan.offsets[row]))
        self._file.seek(place.offset)
        made = read_line(self._file.readline(), place, work.parse, own_id)
        if isinstance(made, BadLine):
            raise DataError(
                f"{work.requests}, line {place.line} can't be read any more: {made.message}",
                remedy="Put the file back as it was planned, or plan it anew",
            )
        request = made.request
        if most := int(work.plan.max_tokens[row]):
            request = replace(request, max_tokens=most, payload=limited(request.payload, most))
        # What it may take has been decided on the predictions that it was planned by.
        return made.custom_id, replace(request, model=work.pin[self.endpoint.name], limits=None)

    async def _asked(self, request: Request) -> tuple[Handle, bytes]:
        """Ask; an endpoint that is busy and says until when is asked again then."""
        waits = 0
        while True:
            body = bytearray()
            async with self._driver.submit(request) as handle:
                async for chunk in handle:
                    body += chunk.data
            wait_s = _wait_s(handle)
            if wait_s is None or waits == MAX_WAITS:
                return handle, bytes(body)
            waits += 1
            await asyncio.sleep(wait_s)


def _wait_s(handle: Handle) -> float | None:
    """For how long a busy endpoint wants not to be asked; None if it is not busy or does not say."""
    error = handle.error
    if not isinstance(error, EngineRejected) or error.status not in _BUSY or error.retry_after is None:
        return None
    try:
        return min(max(float(error.retry_after), 0.0), MAX_WAIT_S)
    except ValueError:
        return None  # a date: clocks of others are not trusted


def _result(own_id: str, custom_id: str, handle: Handle, body: bytes) -> tuple[End, bytes, str]:
    """How a request ended, the line that says so, and why it failed."""
    outcome, error = handle.outcome, handle.error
    assert outcome is not None  # the handle has been read to its end
    if outcome.disposition is Disposition.ANSWERED:
        try:
            body.decode()
        except UnicodeDecodeError:
            why = f"endpoint {outcome.endpoint} sent an answer that is not UTF-8"
            return End.FAILED, failed(own_id, custom_id, "upstream_garbage", why, outcome), why
        return End.ANSWERED, answered(own_id, custom_id, body, outcome), ""
    if isinstance(error, EngineRejected):
        about_it = 400 <= error.status < 500 and error.status not in _PASSING  # noqa: PLR2004 - the 4xx
        why = f"{error}: {error.body.decode(errors='replace'):.200}"
        line = rejected(own_id, custom_id, error.status, error.body, outcome)
        return End.REFUSED if about_it else End.FAILED, line, why
    code = error.code if error else handle.code
    unservable = isinstance(error, CallerError) or code in _UNSERVABLE
    line = failed(own_id, custom_id, code, outcome.reason, outcome)
    return End.REFUSED if unservable else End.FAILED, line, outcome.reason
