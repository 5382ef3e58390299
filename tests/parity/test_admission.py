"""Whether a request runs is decided alike in the simulator, in real time and in a replay (invariant 5)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from pointsman.admit.always import AlwaysAdmit
from pointsman.admit.asked import AskedAdmit
from pointsman.admit.put_off import Patience, PutOffAdmit
from pointsman.admit.value import ValueAdmit
from pointsman.assign.asked import AskedAssign
from pointsman.assign.value import ValueAssign
from pointsman.clock import RealClock, VirtualClock
from pointsman.engines.base import Chunk, Usage
from pointsman.live import LiveDriver
from pointsman.order.fcfs import FirstComeFirstServed
from pointsman.scheduler import Scheduler, SchedulerOptions
from pointsman.sim.driver import simulate
from pointsman.sim.service import PredictedService
from pointsman.testing.fakes import make_endpoints, make_request, make_table, unknown_prior
from pointsman.testing.recording import Recording
from pointsman.types import (
    Admission,
    CostTable,
    Disposition,
    Penalties,
    Request,
    Router,
    RunCost,
    Slo,
    ValueTerms,
)

N = 60
ENDPOINTS = make_endpoints(3, max_concurrent=N)
TERMS = ValueTerms(
    RunCost(per_s=0.25), Penalties(), {"gold": Penalties(1.0, 4.0), "batch": Penalties(0.5, 1.0)}
)
ROUTERS = (None, None, None, Router("threshold", 0.8), Router("floor", 0.7), Router("random", 0.5))


class ById:
    """Says the same of a request however often, and wherever, it is asked."""

    name = "by_id"

    def predict(self, requests, running):
        return CostTable.stack([make_table(ENDPOINTS, seed=int(request.id[1:])) for request in requests])


class Echo:
    """An engine that answers at once."""

    async def run(self, request: Request) -> AsyncGenerator[Chunk | Usage, None]:
        yield Chunk(request.id.encode(), first_token=True)
        yield Usage(input_tokens=1, output_tokens=1, ttft_s=0.001, e2e_s=0.001, finish_reason="stop")

    async def load(self):
        return None

    async def close(self):
        pass


class Kept:
    def __init__(self):
        self.decisions, self.outcomes = [], []

    def record(self, decision, request):
        self.decisions.append(decision)

    def finish(self, outcome):
        self.outcomes.append(outcome)

    def said(self):
        """What was decided of each request, in order, but for the times."""
        found = {}
        for made in sorted(self.decisions, key=lambda decision: decision.at_s):
            found.setdefault(made.request_id, []).append(
                (made.action, made.policy, made.reason, made.endpoint, made.valuation, made.service_class)
            )
        return found


class Recorded(Scheduler):
    """Keeps its steps."""

    def __init__(self, *args):
        super().__init__(*args)
        self.recording = Recording()

    def step(self, events, now):
        # The recording calls the plain scheduler's step.
        return self.recording.step(super(), events, now)


def requests() -> list[Request]:
    return [
        make_request(
            f"r{n}",
            router=ROUTERS[n % len(ROUTERS)],
            allow_skip=(None, True, False)[n // 7 % 3],
            slo=Slo("gold" if n % 5 == 0 else "default"),
        )
        for n in range(N)
    ]


def parts(on_skip: str):
    admit = (
        AskedAdmit(ValueAdmit(TERMS), ValueAdmit(TERMS))
        if on_skip != "opt-in"
        else AskedAdmit(AlwaysAdmit(), ValueAdmit(TERMS))
    )
    if on_skip == "defer":
        admit = PutOffAdmit(admit, Patience(retry_s=0.05, max_s=0.12, then_run=False))
    return (
        ENDPOINTS, admit, AskedAssign(ValueAssign(TERMS)), FirstComeFirstServed(),
        unknown_prior(ENDPOINTS), SchedulerOptions(),
    )  # fmt: skip


def simulated(on_skip: str) -> Kept:
    kept = Kept()
    service = PredictedService(ById(), ENDPOINTS)
    arrivals = [(0.0, request) for request in requests()]
    simulate(Scheduler(*parts(on_skip)), ById(), None, arrivals, service, VirtualClock(), sink=kept)
    return kept


async def lived(scheduler: Scheduler) -> Kept:
    kept = Kept()
    engines = {endpoint.name: Echo() for endpoint in ENDPOINTS}
    driver = LiveDriver(scheduler, ById(), None, engines, RealClock(), log=kept)

    async def ask(request: Request) -> None:
        async with driver.submit(request) as handle:
            while await handle.next_chunks():
                pass

    await asyncio.gather(*map(ask, requests()))
    await driver.close()
    return kept


@pytest.mark.parametrize("on_skip", ["skip", "opt-in", "defer"])
async def test_live_and_simulated_decisions_are_the_same_and_a_replay_too(on_skip):
    scheduler = Recorded(*parts(on_skip))
    live, sim = await lived(scheduler), simulated(on_skip)
    if on_skip == "defer":  # how often it is looked at depends on when a timer really fires
        firsts_and_lasts = [{i: (d[0], d[-1]) for i, d in kept.said().items()} for kept in (live, sim)]
        assert firsts_and_lasts[0] == firsts_and_lasts[1]
    else:
        assert live.said() == sim.said()
    ends = [sorted((o.request_id, o.disposition) for o in kept.outcomes) for kept in (live, sim)]
    assert ends[0] == ends[1]
    assert [request_id for request_id, _ in ends[0]] == sorted(f"r{n}" for n in range(N)), "each ends once"
    skipped = Disposition.REFUSED if on_skip == "defer" else Disposition.SKIPPED
    assert {disposition for _, disposition in ends[0]} == {Disposition.ANSWERED, skipped}
    actions = {decision.action for decision in live.decisions}
    assert (Admission.DEFER in actions) == (on_skip == "defer")
    scheduler.recording.replay(Scheduler(*parts(on_skip)))
