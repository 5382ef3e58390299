"""Slow predictors run in a thread: the loop goes on, and each request is answered once and in time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from pointsman.admit.always import AlwaysAdmit
from pointsman.assign.baselines import SingleAssign
from pointsman.clock import RealClock
from pointsman.engines.base import Usage
from pointsman.live import LiveDriver
from pointsman.order.fcfs import FirstComeFirstServed
from pointsman.scheduler import Scheduler, SchedulerOptions
from pointsman.testing.fakes import make_endpoints, make_request, make_table, unknown_prior
from pointsman.types import CostTable, Disposition, Request

ENDPOINTS = make_endpoints(1, max_concurrent=2)
WAIT_S = 20.0


class GatedPredictor:
    """Waits in its thread until the test opens its gate; counts who is in it."""

    name = "gated"
    slow = True

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.asked: list[tuple[str, ...]] = []
        self.threads: set[int] = set()

    def predict(self, requests: Sequence[Request], running: Sequence[int]) -> CostTable:
        self.asked.append(tuple(request.prompt.text for request in requests))
        self.threads.add(threading.get_ident())
        self.entered.set()
        assert self.gate.wait(WAIT_S)
        if requests[0].prompt.text == "raise":
            raise ValueError("no")
        return make_table(ENDPOINTS, len(requests), seed=len(requests[0].prompt.text))


class InstantEngine:
    async def run(self, request: Request):
        yield Usage(input_tokens=1, output_tokens=1, ttft_s=0.1, e2e_s=0.2, finish_reason="stop")

    async def load(self) -> None:
        return None

    async def close(self) -> None:
        return None


Made = Callable[[float], tuple[LiveDriver, GatedPredictor]]


@pytest.fixture
async def made() -> AsyncIterator[Made]:
    worlds: list[tuple[LiveDriver, GatedPredictor, Scheduler]] = []

    def make(deadline_s: float) -> tuple[LiveDriver, GatedPredictor]:
        predictor = GatedPredictor()
        scheduler = Scheduler(
            ENDPOINTS,
            AlwaysAdmit(),
            SingleAssign("e0"),
            FirstComeFirstServed(),
            unknown_prior(ENDPOINTS),
            SchedulerOptions(predict_deadline_s=deadline_s),
        )
        driver = LiveDriver(scheduler, predictor, None, {"e0": InstantEngine()}, RealClock())
        worlds.append((driver, predictor, scheduler))
        return driver, predictor

    yield make
    for driver, predictor, scheduler in worlds:
        predictor.gate.set()
        await driver.close(grace_s=0.0)
        assert len(scheduler.ledger) == 0


async def entered(predictor: GatedPredictor) -> None:
    assert await asyncio.to_thread(predictor.entered.wait, WAIT_S)


async def test_the_loop_goes_on_while_a_prediction_is_made(made: Made) -> None:
    driver, predictor = made(WAIT_S)
    handle = driver.submit(make_request("r0"))
    await entered(predictor)  # this runs on the loop, and the prediction does not end before the gate opens
    assert handle.outcome is None
    predictor.gate.set()
    decision = await handle.settled()
    assert not decision.table.bypassed
    assert threading.get_ident() not in predictor.threads
    async with handle:
        async for _ in handle:
            pass
    assert handle.outcome.disposition is Disposition.ANSWERED


async def test_what_is_late_is_bypassed_and_its_predictions_are_dropped(made: Made) -> None:
    driver, predictor = made(0.01)
    first = driver.submit(make_request("r0"))
    await entered(predictor)
    second = driver.submit(make_request("r1"))
    decisions = [await handle.settled() for handle in (first, second)]
    assert [decision.table.bypassed for decision in decisions] == [True, True]
    predictor.gate.set()
    await driver.close()
    assert len(predictor.asked) == 1  # the second was late before its turn came, so it was not begun
    assert driver.faults.total() == 0


async def test_an_id_that_comes_again_gets_its_own_predictions(made: Made) -> None:
    driver, predictor = made(WAIT_S)
    gone = driver.submit(make_request("same", "first"))
    await entered(predictor)
    gone.cancel("the caller went away")
    while driver.is_alive("same"):
        await asyncio.sleep(0)
    again = driver.submit(make_request("same", "the second"))
    predictor.gate.set()
    decision = await again.settled()
    expected = make_table(ENDPOINTS, 1, seed=len("the second"))
    assert decision.predictions.quality.value.tolist() == expected.quality.value.tolist()


async def test_a_request_that_is_cancelled_leaves_the_others_of_its_batch_their_rows(made: Made) -> None:
    driver, predictor = made(WAIT_S)
    handles = [driver.submit(make_request(f"r{i}")) for i in range(3)]
    await entered(predictor)
    handles[1].cancel("the caller went away")
    predictor.gate.set()
    rows = [(await handles[i].settled()).predictions.quality.value.tolist() for i in (0, 2)]
    whole = make_table(ENDPOINTS, 3, seed=len(make_request("r0").prompt.text)).quality.value
    assert rows == [whole[[0]].tolist(), whole[[2]].tolist()]


async def test_a_predictor_that_raises_in_its_thread_is_bypassed(made: Made) -> None:
    driver, predictor = made(WAIT_S)
    predictor.gate.set()
    decision = await driver.submit(make_request("r0", "raise")).settled()
    assert decision.table.bypassed
    assert driver.faults == {"predict": 1}


async def test_closing_does_not_wait_for_a_prediction(made: Made) -> None:
    driver, predictor = made(WAIT_S)
    handle = driver.submit(make_request("r0"))
    await entered(predictor)
    await driver.close(grace_s=0.0)
    assert not predictor.gate.is_set()
    assert handle.outcome.disposition is Disposition.FAILED
