"""What the live driver made the scheduler do in cascades, a fresh scheduler does from the recorded events (invariant 5)."""

import asyncio
import json
import math
from types import SimpleNamespace

import numpy as np

from pointsman.admit.always import AlwaysAdmit
from pointsman.admit.cascade import CascadeAnswers
from pointsman.assign.first import FirstAssign
from pointsman.clock import RealClock
from pointsman.engines.base import Chunk, Usage
from pointsman.errors import EngineCut
from pointsman.live import LiveDriver
from pointsman.order.fcfs import FirstComeFirstServed
from pointsman.scheduler import Scheduler
from pointsman.testing.fakes import make_endpoints, make_request, make_table, unknown_prior
from pointsman.testing.recording import Recording
from pointsman.types import CostTable, Disposition, RunCost, ValueTerms

ENDPOINTS = make_endpoints(3, max_concurrent=2)
NAMES = tuple(endpoint.name for endpoint in ENDPOINTS)
N = 60


class ByLogprob:
    """P(right) of an answer is e to its mean log-probability; of the others .9."""

    def right(self, names, column, signals, quality, expected_tokens):
        said = np.full(len(names), 0.9)
        said[column] = math.exp(signals.mean_logprob)
        return said

    def heeds_agreement(self, judged):
        return judged == "e0"


class Engine:
    """Answers as the request's number and its own place say: sure, unsure, or not at all."""

    def __init__(self, place):
        self.place = place

    async def run(self, request):
        await asyncio.sleep(0)
        kind = (int(request.id[1:]) // 3**self.place) % 3
        if kind == 2:
            raise EngineCut("it broke", endpoint=NAMES[self.place])
        logprobs = {"content": [{"token": "x", "logprob": -2.0 * kind}]}
        choice = {"index": 0, "message": {"content": "7"}, "logprobs": logprobs}
        yield Chunk(json.dumps({"choices": [choice]}).encode())
        yield Usage(output_tokens=1, finish_reason="stop", e2e_s=0.1)

    async def load(self):
        return None

    async def close(self):
        pass


class Table:
    name = "table"

    def predict(self, requests, running):
        return CostTable.stack([make_table(ENDPOINTS, seed=int(request.id[1:])) for request in requests])


def build():
    answers = CascadeAnswers(NAMES, NAMES, ByLogprob(), ValueTerms(RunCost(0.1)), samples=2)
    return Scheduler(
        ENDPOINTS, AlwaysAdmit(), FirstAssign(NAMES, NAMES), FirstComeFirstServed(),
        unknown_prior(ENDPOINTS), answers=answers,
    )  # fmt: skip


async def test_a_fresh_scheduler_gives_the_same_commands():
    scheduler, recording = build(), Recording()
    plain = SimpleNamespace(step=scheduler.step)
    scheduler.step = lambda events, now: recording.step(plain, events, now)
    engines = {name: Engine(place) for place, name in enumerate(NAMES)}
    driver = LiveDriver(scheduler, Table(), None, engines, RealClock())
    handles = [driver.submit(make_request(f"r{n}", payload=b'{"messages":[]}')) for n in range(N)]
    answers = [[chunk async for chunk in handle] for handle in handles]
    await driver.close()
    outcomes = [handle.outcome for handle in handles]
    ways = {(handle.outcome.disposition, handle.runs) for handle in handles}
    assert ways == {(Disposition.FAILED, 1), *((Disposition.ANSWERED, runs) for runs in (1, 2, 3))}
    samples = [run for handle in handles for run in handle.unused if run.disposition is Disposition.SAMPLED]
    assert {run.endpoint for run in samples} == {"e0"}
    for outcome, chunks in zip(outcomes, answers, strict=True):
        assert len(chunks) == (outcome.disposition is Disposition.ANSWERED)
    recording.replay(build())
