"""What a simulation gives: one row a request in compact columns, and totals over time."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pointsman.sim.service import Service
from pointsman.types import UNASSIGNED, Disposition, Floats, Outcome

DISPOSITIONS: Final = tuple(Disposition)
_COLUMNS: Final = (
    "arrived_s",
    "queue_s",
    "e2e_s",
    "output_tokens",
    "energy_j",
    "price_usd",
    "quality",
    "ttft_s",
    "tpot_s",
    "longest_gap_s",
    "preemptions",
)


@dataclass(frozen=True, slots=True)
class SimResult:
    """Requests in order of arrival as columns of shape (N,), and totals.

    Attributes:
        endpoints: names; `endpoint` holds their indices, -1 for a request that never ran.
        endpoint, disposition: small integers; the second indexes `DISPOSITIONS`.
        arrived_s: virtual time; queue_s: to the dispatch, NaN for one that never ran; e2e_s: to the end.
        output_tokens, energy_j, price_usd, quality: NaN where not known.
        ttft_s: from arrival to the first token; tpot_s: a token after it, on the mean; longest_gap_s: between two
            tokens; preemptions: all NaN where no engine model ran the request.
        horizon_s: from the start of the clock to the last end, or to where the simulation was stopped.
        utilisation: for each endpoint, busy slot-seconds over those it offered; a slot taken away while busy
            counts as offered until it is free.
        mean_alive: time average of requests in the system, waiting or running.
        unfinished: requests alive when the simulation stopped.
    """

    endpoints: tuple[str, ...]
    endpoint: NDArray[np.int16]
    disposition: NDArray[np.int8]
    arrived_s: Floats
    queue_s: Floats
    e2e_s: Floats
    output_tokens: Floats
    energy_j: Floats
    price_usd: Floats
    quality: Floats
    ttft_s: Floats
    tpot_s: Floats
    longest_gap_s: Floats
    preemptions: Floats
    horizon_s: float
    utilisation: Mapping[str, float]
    mean_alive: float
    unfinished: int

    @property
    def answered(self) -> NDArray[np.bool_]:
        """Which requests were answered, shape (N,)."""
        return np.equal(self.disposition, DISPOSITIONS.index(Disposition.ANSWERED))

    @property
    def throughput_per_s(self) -> float:
        """Answered requests a second."""
        return float(np.count_nonzero(self.answered)) / self.horizon_s if self.horizon_s else 0.0

    def summary(self) -> dict[str, float]:
        """Counts by disposition, throughput, p50 and p99 of queueing and E2E of the answered, totals."""
        answered = self.answered
        counts = {
            str(kind): float(np.count_nonzero(self.disposition == index))
            for index, kind in enumerate(DISPOSITIONS)
        }
        return {
            **counts,
            "unfinished": float(self.unfinished),
            "horizon_s": self.horizon_s,
            "throughput_per_s": self.throughput_per_s,
            "queue_p50_s": _quantile(self.queue_s[answered], 0.5),
            "queue_p99_s": _quantile(self.queue_s[answered], 0.99),
            "e2e_p50_s": _quantile(self.e2e_s[answered], 0.5),
            "e2e_p99_s": _quantile(self.e2e_s[answered], 0.99),
            "energy_j": float(np.nansum(self.energy_j)),
            "price_usd": float(np.nansum(self.price_usd)),
        }

    def rows(self) -> Iterator[dict[str, float | str | None]]:
        """One tidy row a request."""
        for n in range(len(self.arrived_s)):
            index = int(self.endpoint[n])
            row: dict[str, float | str | None] = {
                "request": float(n),
                "endpoint": None if index == UNASSIGNED else self.endpoints[index],
                "disposition": str(DISPOSITIONS[self.disposition[n]]),
            }
            yield row | {name: float(getattr(self, name)[n]) for name in _COLUMNS}


class Tally:
    """Gathers a result while virtual time goes on: 100 bytes a request, whatever its prompt.

    Args:
        slots: of each endpoint, by name in column order.
        start_s: the clock's time before the first event.
    """

    def __init__(self, slots: Mapping[str, int], start_s: float) -> None:
        self._index = {name: index for index, name in enumerate(slots)}
        self._slots = dict(slots)
        self._running = dict.fromkeys(slots, 0)
        self._busy_s, self._offered_s = dict.fromkeys(slots, 0.0), dict.fromkeys(slots, 0.0)
        self._columns = {name: array("d") for name in _COLUMNS}
        self._order, self._endpoint, self._disposition = array("q"), array("h"), array("b")
        self._alive, self._alive_s = 0, 0.0
        self._start_s = self._now_s = start_s

    def advance(self, now: float) -> None:
        """Time goes on, with everything as it is."""
        seconds = now - self._now_s
        if seconds <= 0:
            return
        for name, slots in self._slots.items():
            self._busy_s[name] += seconds * self._running[name]
            self._offered_s[name] += seconds * max(slots, self._running[name])
        self._alive_s += seconds * self._alive
        self._now_s = now

    def arrive(self) -> None:
        """A request is alive from now on."""
        self._alive += 1

    def start(self, endpoint: str) -> int:
        """A slot is taken from now on; gives how many are taken there."""
        self._running[endpoint] += 1
        return self._running[endpoint]

    def stop(self, endpoint: str) -> None:
        """A slot is given back now."""
        self._running[endpoint] -= 1

    def offer(self, endpoint: str, slots: int) -> None:
        """An endpoint has so many slots from now on."""
        self._slots[endpoint] = slots

    def end(self, number: int, arrived_s: float, outcome: Outcome, service: Service | None = None) -> None:
        """Request `number` in order of arrival ends now; `service` is its last run's in an engine model."""
        self._alive -= 1
        self._order.append(number)
        self._endpoint.append(self._index.get(outcome.endpoint, UNASSIGNED))
        self._disposition.append(DISPOSITIONS.index(outcome.disposition))
        values = (
            arrived_s,
            outcome.queue_s,
            self._now_s - arrived_s,
            outcome.output_tokens,
            outcome.energy_j,
            outcome.price_usd,
            outcome.quality,
            *_tokens_s(outcome, service),
        )
        for column, value in zip(self._columns.values(), values, strict=True):
            column.append(np.nan if value is None else value)

    def result(self) -> SimResult:
        """Everything so far."""
        order = np.argsort(np.array(self._order), kind="stable")
        columns = {name: np.array(column)[order] for name, column in self._columns.items()}
        horizon_s = self._now_s - self._start_s
        return SimResult(
            endpoints=tuple(self._slots),
            endpoint=np.array(self._endpoint)[order],
            disposition=np.array(self._disposition)[order],
            **columns,
            horizon_s=horizon_s,
            utilisation={
                name: self._busy_s[name] / offered_s if offered_s else 0.0
                for name, offered_s in self._offered_s.items()
            },
            mean_alive=self._alive_s / horizon_s if horizon_s else 0.0,
            unfinished=self._alive,
        )


def _tokens_s(outcome: Outcome, service: Service | None) -> tuple[float | None, ...]:
    """The last four columns."""
    if service is None or service.ttft_s is None:
        return None, None, None, None
    ttft_s = (outcome.queue_s or 0.0) + service.ttft_s
    return ttft_s, service.tpot_s, service.longest_gap_s, service.preemptions


def _quantile(values: Floats, q: float) -> float:
    return float(np.quantile(values, q)) if values.size else float("nan")
