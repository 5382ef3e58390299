"""The real-time driver: every command is carried out, and whatever a part does, nothing hangs or leaks."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from pointsman.admit.always import AlwaysAdmit
from pointsman.admit.answer import Verdict
from pointsman.assign.baselines import SingleAssign
from pointsman.clock import RealClock
from pointsman.engines.base import Chunk, Usage
from pointsman.errors import EngineCut, InternalError
from pointsman.events import CapacityChanged
from pointsman.hooks import Hooks
from pointsman.live import Handle, LiveDriver
from pointsman.live.handle import BUFFER_BYTES
from pointsman.live.metering import EnergyShares
from pointsman.meters.share import EnergyShare
from pointsman.order.fcfs import FirstComeFirstServed
from pointsman.scheduler import Scheduler, SchedulerOptions
from pointsman.testing.fakes import make_endpoints, make_request, make_table, unknown_prior
from pointsman.types import (
    UNASSIGNED,
    Admission,
    Admit,
    Assignment,
    CostTable,
    Decision,
    Disposition,
    Estimate,
    Outcome,
    Request,
    with_all_runs,
)

ENDPOINTS = make_endpoints(2, max_concurrent=2)
USAGE = Usage(input_tokens=10, output_tokens=5, ttft_s=0.1, e2e_s=0.2, finish_reason="stop")
Script = Callable[[Request], AsyncGenerator[Chunk | Usage, None]]


async def answer(_: Request) -> AsyncGenerator[Chunk | Usage, None]:
    yield Chunk(b"a", first_token=True)
    yield Chunk(b"b")
    yield USAGE


async def hang(_: Request) -> AsyncGenerator[Chunk | Usage, None]:
    yield Chunk(b"a", first_token=True)
    await asyncio.Event().wait()


class ScriptedEngine:
    """Runs what the test says, and counts what is outstanding."""

    def __init__(self, script: Script = answer) -> None:
        self.script = script
        self.running = self.most_running = self.runs = 0
        self.closed = False

    async def run(self, request: Request) -> AsyncGenerator[Chunk | Usage, None]:
        self.runs += 1
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            async for piece in self.script(request):
                yield piece
        finally:
            self.running -= 1

    async def load(self) -> None:
        return None

    async def close(self) -> None:
        self.closed = True


class TablePredictor:
    """Predicts from a seeded table; remembers the sizes of its batches."""

    name = "table"

    def __init__(self, change: Callable[[CostTable], CostTable] = lambda table: table) -> None:
        self.batches: list[int] = []
        self._change = change

    def predict(self, requests: Sequence[Request], running: Sequence[int]) -> CostTable:
        assert len(running) == len(ENDPOINTS)
        self.batches.append(len(requests))
        return self._change(make_table(ENDPOINTS, len(requests)))


class Kept:
    """A log and a learner that keep what they are told."""

    def __init__(self) -> None:
        self.decisions: list[tuple[Decision, Request]] = []
        self.outcomes: list[Outcome] = []
        self.learnt: list[Outcome] = []

    def record(self, decision: Decision, request: Request) -> None:
        self.decisions.append((decision, request))

    def finish(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    def learn(self, outcomes: Sequence[Outcome]) -> None:
        self.learnt.extend(outcomes)


class World:
    """A driver over two endpoints, of which the policy always takes the first."""

    def __init__(self, **parts: object) -> None:
        self.engine = parts.get("engine") or ScriptedEngine()
        self.kept = Kept()
        self.predictor = parts.get("predictor") or TablePredictor()
        options = parts.get("options") or SchedulerOptions()
        self.scheduler = Scheduler(
            ENDPOINTS,
            parts.get("admit") or AlwaysAdmit(),
            parts.get("assign") or SingleAssign("e0"),
            FirstComeFirstServed(),
            unknown_prior(ENDPOINTS),
            options,
            parts.get("hooks"),
            parts.get("answers"),
        )
        self.driver = LiveDriver(
            self.scheduler,
            self.predictor,
            parts.get("learner") or self.kept,
            {"e0": self.engine, "e1": ScriptedEngine()},
            RealClock(),
            log=parts.get("log") or self.kept,
            shares=parts.get("shares"),
        )

    async def ask(self, request_id: str = "r0", **fields: object) -> Handle:
        """Run a request to its end."""
        async with self.driver.submit(make_request(request_id, **fields)) as handle:
            while await handle.next_chunks():
                pass
        assert handle.outcome is not None
        return handle


async def told(handle: Handle) -> bytes:
    return b"".join([chunk.data async for chunk in handle])


@pytest.fixture
async def made() -> AsyncIterator[Callable[..., World]]:
    worlds: list[World] = []

    def make(**parts: object) -> World:
        worlds.append(World(**parts))
        return worlds[-1]

    yield make
    for world in worlds:
        await world.driver.close(grace_s=0.0)
        assert len(world.scheduler.ledger) == 0
        assert [view.running for view in world.scheduler.view()] == [0, 0]
        assert world.engine.running == 0
        assert world.engine.closed


async def test_the_caller_gets_the_decision_then_the_chunks_then_the_outcome(made):
    world = made()
    async with world.driver.submit(make_request(), arrived_s=RealClock().now() - 1.0) as handle:
        decision = await handle.settled()
        assert decision.endpoint == "e0"
        assert handle.outcome is None
        assert 1.0 < handle.overhead_s < 1.5
        assert await told(handle) == b"ab"
    outcome = handle.outcome
    assert outcome.disposition is Disposition.ANSWERED
    assert outcome.price_usd == pytest.approx(10e-6 + 15e-6)
    assert (outcome.ttft_s, outcome.e2e_s, outcome.queue_s >= 0) == (0.1, 0.2, True)
    assert world.kept.outcomes == world.kept.learnt == [outcome]
    assert [(d.endpoint, r.id) for d, r in world.kept.decisions] == [("e0", "r0")]
    assert world.driver.faults.total() == 0


async def test_requests_of_one_turn_are_one_batch(made):
    world = made()
    handles = [world.driver.submit(make_request(f"r{i}")) for i in range(5)]
    assert [await told(handle) for handle in handles] == [b"ab"] * 5
    assert world.predictor.batches == [5]


async def test_an_id_is_alive_until_its_end(made):
    world = made()
    handle = world.driver.submit(make_request())
    assert world.driver.is_alive("r0")
    with pytest.raises(InternalError, match="alive already"):
        world.driver.submit(make_request())
    await told(handle)
    assert not world.driver.is_alive("r0")
    await world.ask()


async def test_a_slow_caller_slows_its_endpoint_and_memory_stays_bounded(made):
    piece, total = b"x" * 10_000, 1000
    given = 0

    async def flood(_: Request) -> AsyncGenerator[Chunk | Usage, None]:
        nonlocal given
        for _ in range(total):
            given += 1
            yield Chunk(piece)
        yield USAGE

    world = made(engine=ScriptedEngine(flood))
    async with world.driver.submit(make_request()) as handle:
        await handle.settled()
        read, most_ahead = 0, 0
        while True:
            await asyncio.sleep(0)
            most_ahead = max(most_ahead, given * len(piece) - read)
            chunks = await handle.next_chunks()
            if not chunks:
                break
            read += sum(len(chunk.data) for chunk in chunks)
    assert read == total * len(piece)
    assert most_ahead <= BUFFER_BYTES + len(piece)


# Giving up


@pytest.mark.parametrize("turns", range(8))
async def test_a_cancelled_request_ends_wherever_it_is(made, turns):
    """At 1 turn it is decided; at 2 its task exists and has not begun."""
    world = made(engine=ScriptedEngine(hang))
    handle = world.driver.submit(make_request())
    for _ in range(turns):
        await asyncio.sleep(0)
    handle.cancel("it took too long")
    await told(handle)
    assert (handle.outcome.disposition, handle.code) == (Disposition.FAILED, "cancelled")
    assert handle.outcome.reason == "it took too long"
    assert world.engine.running == 0
    handle.cancel()
    world.engine.script = answer
    assert (await world.ask("r1")).outcome.disposition is Disposition.ANSWERED


async def test_leaving_the_block_gives_the_request_up_while_its_buffer_is_full(made):
    async def flood(_: Request) -> AsyncGenerator[Chunk | Usage, None]:
        while True:
            yield Chunk(b"x" * BUFFER_BYTES)

    world = made(engine=ScriptedEngine(flood))
    async with world.driver.submit(make_request()) as handle:
        await handle.settled()
        await asyncio.sleep(0)
    while handle.outcome is None:
        await asyncio.sleep(0)
    assert (handle.code, world.engine.running) == ("cancelled", 0)


async def test_a_waiting_request_is_cancelled_without_having_run(made):
    world = made(engine=ScriptedEngine(hang))
    running = [world.driver.submit(make_request(f"r{i}")) for i in range(2)]
    waiting = world.driver.submit(make_request("w"))
    await running[1].settled()
    waiting.cancel()
    assert await waiting.settled() is not None
    assert (waiting.code, waiting.outcome.endpoint, world.engine.runs) == ("cancelled", "", 2)


@pytest.mark.parametrize("seed", range(5))
async def test_nothing_is_lost_and_no_slot_overrun_under_random_cancels(made, seed):
    rng = random.Random(seed)

    async def some(_: Request) -> AsyncGenerator[Chunk | Usage, None]:
        for _ in range(rng.randrange(4)):
            await asyncio.sleep(0)
            yield Chunk(b"x")
        if rng.random() < 0.3:
            raise EngineCut("cut", endpoint="e0")
        yield USAGE

    world = made(engine=ScriptedEngine(some))
    handles = []
    for i in range(100):
        handles.append(world.driver.submit(make_request(f"r{i}")))
        if rng.random() < 0.3:
            rng.choice(handles).cancel()
        for _ in range(rng.randrange(3)):
            await asyncio.sleep(0)
    await asyncio.gather(*(told(handle) for handle in handles))
    assert world.engine.most_running == ENDPOINTS[0].max_concurrent
    assert sorted(o.request_id for o in world.kept.outcomes) == sorted(h.request.id for h in handles)


# Parts that fail


def poisoned(name: str) -> Callable[[CostTable], CostTable]:
    def change(table: CostTable) -> CostTable:
        value = getattr(table, name).value.copy()
        value[0, 0] = np.nan
        return replace(table, **{name: Estimate.without_interval(value)})

    return change


def raise_it(table: CostTable) -> CostTable:
    raise ValueError(f"secret prompt {table}")


@pytest.mark.parametrize(
    "change",
    [
        raise_it,
        poisoned("quality"),
        poisoned("time_s"),
        poisoned("price_usd"),
        lambda table: replace(table, input_tokens=np.full((1, 2), np.inf)),
        lambda table: replace(table, input_tokens=np.ones((2, 2))),
        lambda table: replace(table, endpoints=("e1", "e0")),
        lambda table: make_table(ENDPOINTS, 3),
    ],
)
async def test_predictions_that_can_not_be_used_are_bypassed(made, change, caplog):
    world = made(predictor=TablePredictor(change))
    handle = await world.ask()
    assert handle.outcome.disposition is Disposition.ANSWERED
    assert handle.decision.table.bypassed
    assert world.driver.faults == {"predict": 1}
    assert "secret" not in caplog.text


async def test_carbon_may_be_unknown(made):
    world = made(predictor=TablePredictor(poisoned("carbon_g")))
    assert not (await world.ask()).decision.table.bypassed


class Raises(Hooks):
    """Every hook, every log and every learner method raises."""

    def __init__(self) -> None:
        self.calls = 0

    def _raise(self, *_: object) -> None:
        self.calls += 1
        raise ValueError("secret prompt")

    arrived = decided = dispatched = finished = record = finish = learn = _raise


async def test_a_hook_a_log_or_a_learner_that_raises_harms_nobody(made, caplog):
    hooks, log, learner = Raises(), Raises(), Raises()
    world = made(hooks=hooks, log=log, learner=learner)
    with caplog.at_level(logging.ERROR):
        handle = await world.ask()
    assert handle.outcome.disposition is Disposition.ANSWERED
    assert (hooks.calls, log.calls, learner.calls) == (4, 2, 1)
    assert world.driver.faults == {"log": 2, "learn": 1}
    assert "secret" not in caplog.text
    assert "ValueError at" in caplog.text


class BrokenAssign:
    """Raises for one request only."""

    name = "broken"

    def assign(self, requests, table, eligible, view) -> Assignment:
        if any(request.id == "bad" for request in requests):
            raise ZeroDivisionError
        return SingleAssign("e0").assign(requests, table, eligible, view)


async def test_a_policy_that_raises_fails_its_request_only(made):
    world = made(assign=BrokenAssign())
    bad, good = world.driver.submit(make_request("bad")), world.driver.submit(make_request("good"))
    assert await told(bad) == b""
    assert (bad.outcome.disposition, bad.code) == (Disposition.FAILED, "internal_error")
    assert await told(good) == b"ab"


async def crash(_: Request) -> AsyncGenerator[Chunk | Usage, None]:
    raise ValueError("secret prompt")
    yield USAGE


async def no_usage(_: Request) -> AsyncGenerator[Chunk | Usage, None]:
    yield Chunk(b"a")


async def cut(_: Request) -> AsyncGenerator[Chunk | Usage, None]:
    yield Chunk(b"a")
    raise EngineCut("the stream was cut", endpoint="e0", started=True)


@pytest.mark.parametrize(
    ("script", "reason"),
    [(crash, "failed unexpectedly: ValueError"), (no_usage, "no usage"), (cut, "was cut")],
)
async def test_an_engine_that_fails_ends_its_request_and_frees_the_slot(made, script, reason, caplog):
    world = made(engine=ScriptedEngine(script))
    for i in range(5):
        handle = await world.ask(f"r{i}")
        assert (handle.outcome.disposition, handle.code) == (Disposition.FAILED, "upstream_error")
        assert reason in handle.outcome.reason
        assert handle.error is not None
    assert "secret" not in caplog.text
    world.engine.script = answer
    assert (await world.ask("next")).outcome.disposition is Disposition.ANSWERED


def test_an_endpoint_without_an_engine_is_found_at_the_start():
    scheduler = Scheduler(
        ENDPOINTS, AlwaysAdmit(), SingleAssign("e0"), FirstComeFirstServed(), unknown_prior(ENDPOINTS)
    )
    with pytest.raises(InternalError, match="no engine for endpoint e1"):
        LiveDriver(scheduler, TablePredictor(), None, {"e0": ScriptedEngine()}, RealClock())


# Energy


class CountingMeter:
    """One joule more at every reading."""

    name, modelled, description = "counting", True, "one joule a reading"

    def __init__(self) -> None:
        self.joules = 0.0
        self.broken = False

    def read_j(self) -> float:
        if self.broken:
            raise OSError
        self.joules += 1.0
        return self.joules

    def close(self) -> None:
        pass


async def test_a_request_is_charged_its_joules_also_when_it_fails(made):
    meter = CountingMeter()
    world = made(shares=EnergyShares({"e0": EnergyShare(meter)}))
    outcome = (await world.ask()).outcome
    assert (outcome.energy_j, outcome.energy_modelled, outcome.meter) == (1.0, True, "counting")
    world.engine.script = cut
    assert (await world.ask("r1")).outcome.energy_j == 1.0


class ThreeSamples:
    """Compares three samples of every answer, and keeps the first."""

    name = "three"

    def holds(self, request, decision) -> int:
        return 3

    def judge(self, request, table, column, signals, eligible) -> Verdict:
        return Verdict(UNASSIGNED, f"agreement {signals.agreement}", np.zeros(len(ENDPOINTS)))


async def say_seven(_: Request) -> AsyncGenerator[Chunk | Usage, None]:
    yield Chunk(b'{"choices": [{"message": {"content": "7"}}]}')
    yield USAGE


async def test_each_sample_is_charged_its_own_joules_and_its_own_tokens(made):
    shares = EnergyShares({"e0": EnergyShare(CountingMeter())})
    world = made(engine=ScriptedEngine(say_seven), answers=ThreeSamples(), shares=shares)
    handle = await world.ask(text="How many are 3 and 4?", payload=b"{}")
    assert (handle.outcome.reason, handle.runs) == ("agreement 1.0", 1)
    runs = [*handle.unused, handle.outcome]
    assert [run.disposition for run in runs] == [Disposition.SAMPLED] * 2 + [Disposition.ANSWERED]
    assert [(run.energy_j, run.output_tokens) for run in runs] == [(1.0, USAGE.output_tokens)] * 3
    assert with_all_runs(handle.outcome, handle.unused).energy_j == 3.0
    assert world.kept.outcomes == runs
    assert world.kept.learnt == [handle.outcome]


class EscalatesSome(ThreeSamples):
    """Every other answer of the first endpoint is asked for again of the second."""

    def holds(self, request, decision) -> int:
        return 3 if decision.endpoint == "e0" else 0

    def judge(self, request, table, column, signals, eligible) -> Verdict:
        asks = int(request.id[1:]) % 2 and eligible[1]
        return Verdict(1 if asks else UNASSIGNED, "as it is told", np.zeros(len(ENDPOINTS)))


@pytest.mark.parametrize("seed", range(5))
async def test_nothing_is_lost_and_no_slot_overrun_while_samples_are_cancelled_fail_and_escalate(made, seed):
    rng = random.Random(seed)

    async def some(_: Request) -> AsyncGenerator[Chunk | Usage, None]:
        for _ in range(rng.randrange(4)):
            await asyncio.sleep(0)
        if rng.random() < 0.2:
            raise EngineCut("cut", endpoint="e0")
        yield Chunk(b'{"choices": [{"message": {"content": "7"}}]}')
        yield USAGE

    shares = EnergyShares({"e0": EnergyShare(CountingMeter())})
    world = made(engine=ScriptedEngine(some), answers=EscalatesSome(), shares=shares)
    handles = []
    for i in range(100):
        handles.append(world.driver.submit(make_request(f"r{i}", text="How many?", payload=b"{}")))
        if rng.random() < 0.3:
            rng.choice(handles).cancel()
        for _ in range(rng.randrange(6)):
            await asyncio.sleep(0)
    await world.driver.close(grace_s=0.0 if seed % 2 else 5.0)
    answers = [await told(handle) for handle in handles]
    for handle, text in zip(handles, answers, strict=True):
        assert bool(text) == (handle.outcome.disposition is Disposition.ANSWERED)
        assert all(run.energy_j for run in handle.unused if run.endpoint == "e0")
    assert world.engine.most_running == ENDPOINTS[0].max_concurrent
    assert not world.driver.faults
    assert len(world.scheduler.ledger) == 0
    told_of = [run for handle in handles for run in (*handle.unused, handle.outcome)]
    assert sorted(map(id, world.kept.outcomes)) == sorted(map(id, told_of))
    kinds = {run.disposition for handle in handles for run in handle.unused}
    assert kinds == {Disposition.SAMPLED, Disposition.ESCALATED, Disposition.FAILED}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("piece", [b"a", b'"logprobs" in words of its own', b""])
async def test_a_held_answer_that_can_not_be_read_is_given_out_as_it_came(made, stream, piece):
    async def say(_: Request) -> AsyncGenerator[Chunk | Usage, None]:
        yield Chunk(piece)
        yield USAGE

    world = made(engine=ScriptedEngine(say), answers=ThreeSamples())
    handle = world.driver.submit(make_request(stream=stream, payload=b"{}"))
    assert await told(handle) == piece
    assert (handle.outcome.reason, world.engine.runs) == ("agreement None", 1)


async def test_a_sample_is_not_begun_for_a_caller_that_has_gone(made):
    """The caller goes in the very turn in which the first answer ends."""
    world = made(answers=ThreeSamples())

    async def say_and_go(request: Request) -> AsyncGenerator[Chunk | Usage, None]:
        async for piece in say_seven(request):
            yield piece
        handle.cancel()

    world.engine.script = say_and_go
    handle = world.driver.submit(make_request(text="How many are 3 and 4?", payload=b"{}"))
    assert await told(handle)
    assert (world.engine.runs, handle.outcome.disposition) == (1, Disposition.ANSWERED)


async def test_a_meter_that_breaks_is_given_up_and_requests_go_on(made):
    meter = CountingMeter()
    world = made(shares=EnergyShares({"e0": EnergyShare(meter)}))
    meter.broken = True
    for i in range(3):
        outcome = (await world.ask(f"r{i}")).outcome
        assert (outcome.disposition, outcome.energy_j) == (Disposition.ANSWERED, None)
    assert world.driver.faults == {"meter": 1}


# Waiting, capacity, closing


class DeferOnce:
    """Defers every request once, for 10 ms."""

    name = "defer"

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def admit(self, requests, table, eligible, now) -> list[Admit]:
        admits = []
        for request in requests:
            again = request.id in self.seen
            self.seen.add(request.id)
            admits.append(
                Admit(Admission.RUN, "now") if again else Admit(Admission.DEFER, "later", now + 0.01)
            )
        return admits


async def test_a_deferred_request_runs_when_its_time_comes(made):
    world = made(admit=DeferOnce())
    handle = await world.ask()
    assert handle.outcome.queue_s >= 0.01
    assert [d.action for d, _ in world.kept.decisions] == [Admission.DEFER, Admission.RUN]
    assert world.predictor.batches == [1, 1]  # predicted anew, since load has changed


async def test_a_queue_that_is_full_refuses_and_an_endpoint_that_goes_down_moves_its_queue(made):
    world = made(engine=ScriptedEngine(hang), options=SchedulerOptions(max_queued=1))
    handles = [world.driver.submit(make_request(f"r{i}")) for i in range(3)]
    await handles[0].settled()
    over = world.driver.submit(make_request("over", model="m0"))
    await over.settled()
    assert (over.outcome.disposition, over.code) == (Disposition.REFUSED, "queue_full")
    world.driver.observe(CapacityChanged("e0", 2, healthy=False))
    assert await told(handles[2]) == b"ab"
    assert handles[2].decision.endpoint == "e1"


async def test_closing_lets_running_requests_end_and_fails_the_waiting_with_a_reason(made):
    release = asyncio.Event()

    async def gated(_: Request) -> AsyncGenerator[Chunk | Usage, None]:
        await release.wait()
        yield USAGE

    world = made(engine=ScriptedEngine(gated))
    running = [world.driver.submit(make_request(f"r{i}")) for i in range(2)]
    waiting = world.driver.submit(make_request("w"))
    await running[0].settled()
    closing = asyncio.ensure_future(world.driver.close(grace_s=5.0))
    await waiting.settled()
    assert (waiting.outcome.reason, waiting.code) == ("Pointsman is shutting down", "cancelled")
    late = world.driver.submit(make_request("late"))
    assert (late.code, await late.settled()) == ("shutting_down", None)
    release.set()
    await closing
    assert [h.outcome.disposition for h in running] == [Disposition.ANSWERED] * 2
    assert len(world.kept.outcomes) == 3


async def test_closing_stops_what_does_not_end_in_time(made):
    world = made(engine=ScriptedEngine(hang))
    handles = [world.driver.submit(make_request(f"r{i}")) for i in range(4)]
    await handles[0].settled()
    await world.driver.close(grace_s=0.01)
    assert {h.outcome.reason for h in handles} == {"Pointsman is shutting down"}
