"""What one call of `Scheduler.step` costs: 10 endpoints, 1 to 1,000 requests a call, up to 100,000 waiting.

A round brings requests in (Arrived), predicts them (Predicted, the table a view of a larger one),
decides with the `weighted` policy, and ends as many of those that run (Completed), so that the number
that waits stays the same. Predictions are made beforehand: this times the scheduler and the policy.
The last rows take an endpoint down and time what moves its waiting requests elsewhere.

    python bench/step.py [--quick]
"""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Sequence
from statistics import median

import numpy as np

from pointsman.admit.always import AlwaysAdmit
from pointsman.assign.weighted import WeightedAssign
from pointsman.events import Arrived, CapacityChanged, Command, Completed, Dispatch, Predicted, Record
from pointsman.order.fcfs import FirstComeFirstServed
from pointsman.report.bench import Cell, bench_parser, write_results
from pointsman.scheduler import Scheduler, SchedulerOptions
from pointsman.testing.fakes import make_endpoints, make_request, make_table, unknown_prior
from pointsman.types import CostTable, Disposition, Outcome, Weights

N_ENDPOINTS = 10
SLOTS = 200
PER_CALL = (1, 10, 1_000)
WAITING = (0, 1_000, 10_000, 100_000)
TABLE_ROWS = 4_096


class Bench:
    """A scheduler with its slots taken and `waiting` requests queued, if any are to wait."""

    def __init__(self, waiting: int, seed: int) -> None:
        endpoints = make_endpoints(N_ENDPOINTS, max_concurrent=SLOTS)
        self.scheduler = Scheduler(
            endpoints,
            AlwaysAdmit(),
            WeightedAssign(Weights(accuracy=1.0, energy=1.0, time=1.0)),
            FirstComeFirstServed(),
            unknown_prior(endpoints),
            SchedulerOptions(max_queued=10**9),
        )
        self._table = make_table(endpoints, TABLE_ROWS, seed=seed)
        self._running: deque[Dispatch] = deque()
        self._arrived = 0
        self._now_s = 0.0
        if waiting:
            while sum(view.queued for view in self.scheduler.view()) < waiting:
                self.round(1_000, n_ended=0)
            while (extra := sum(view.queued for view in self.scheduler.view()) - waiting) > 0:
                self._end(min(extra, len(self._running)))

    def round(self, n_requests: int, *, n_ended: int | None = None) -> tuple[float, float, float]:
        """Seconds of processor time to take in, to decide, and to end so many requests."""
        arrivals = [Arrived(make_request(f"r{self._arrived + n}")) for n in range(n_requests)]
        ids = tuple(arrival.request.id for arrival in arrivals)
        first = self._arrived % (TABLE_ROWS - n_requests)
        self._arrived += n_requests
        arrive_s, _ = self._timed(arrivals)
        started = time.process_time()
        table: CostTable = self._table.take(slice(first, first + n_requests))
        view_s = time.process_time() - started
        decide_s, commands = self._timed([Predicted(ids, table)])
        self._running.extend(command for command in commands if isinstance(command, Dispatch))
        end_s = self._end(n_requests if n_ended is None else n_ended)
        return arrive_s, view_s + decide_s, end_s

    def take_down(self) -> tuple[float, int]:
        """Seconds to move the longest queue elsewhere, and how many moved."""
        longest = max(self.scheduler.view(), key=lambda view: view.queued)
        seconds, commands = self._timed([CapacityChanged(longest.name, SLOTS, healthy=False)])
        return seconds, sum(isinstance(command, Record) for command in commands)

    def _end(self, n_requests: int) -> float:
        ended = [self._running.popleft() for _ in range(n_requests)]
        events = [
            Completed(d.request_id, Outcome(d.request_id, d.endpoint, Disposition.ANSWERED, e2e_s=1.0))
            for d in ended
        ]
        seconds, commands = self._timed(events)
        self._running.extend(command for command in commands if isinstance(command, Dispatch))
        return seconds

    def _timed(
        self, events: Sequence[Arrived | Predicted | Completed | CapacityChanged]
    ) -> tuple[float, list[Command]]:
        self._now_s += 1e-3
        started = time.process_time()
        commands = self.scheduler.step(events, self._now_s)
        return time.process_time() - started, commands


def life(per_call: int, waiting: int, *, seed: int, quick: bool) -> dict[str, Cell]:
    """One row: the median round, in microseconds a request."""
    bench = Bench(waiting, seed)
    rounds = max(5, (300 if quick else 3_000) // per_call)
    bench.round(per_call)
    gc.collect()
    parts = np.array([bench.round(per_call) for _ in range(rounds)]) * 1e6 / per_call
    arrive, decide, end = (median(column) for column in parts.T.tolist())
    whole = parts.sum(axis=1)
    return {
        "case": "a life in three events",
        "endpoints": N_ENDPOINTS,
        "requests_a_call": per_call,
        "waiting": waiting,
        "rounds": rounds,
        "arrive_us": arrive,
        "decide_us": decide,
        "end_us": end,
        "request_us": float(np.median(whole)),
        "request_p99_us": float(np.quantile(whole, 0.99)),
        "event_us": float(np.median(whole)) / 3,
    }


def endpoint_down(waiting: int, *, seed: int) -> dict[str, Cell]:
    """One row: what each request that has to move costs."""
    seconds, moved = Bench(waiting, seed).take_down()
    return {
        "case": "an endpoint goes down",
        "endpoints": N_ENDPOINTS,
        "requests_a_call": moved,
        "waiting": waiting,
        "rounds": 1,
        "request_us": seconds * 1e6 / moved,
    }


def main() -> None:
    """Measure every case and write `bench/results/step.csv`."""
    args = bench_parser(__doc__.splitlines()[0]).parse_args()
    waiting = WAITING[:3] if args.quick else WAITING
    rows = [life(n, w, seed=args.seed, quick=args.quick) for w in waiting for n in PER_CALL]
    rows += [endpoint_down(w, seed=args.seed) for w in waiting if w]
    write_results("step", rows, args, title="Microseconds of processor time in Scheduler.step")


if __name__ == "__main__":
    main()
