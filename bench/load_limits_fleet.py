"""L_j on real models under load, one of which is killed midway: at the gateway, and by `pointsman run`.

The embedded fleet's three models with 3, 2 and 1 slots, each behind a proxy that counts what its server has to do
(`testing/counting_proxy.py`). More clients than slots ask `pointsman serve`, a process of its own, one question after another. After a
third of the ends the server that was asked most is killed (SIGKILL) with requests in it; after two thirds it is
started again. A client that got an error waits `PAUSE_S`. `pointsman run PLAN` meets the same death; when it has ended, the
server is started and the same command goes on.

    answered, errors   ends of the callers: an answer, or a status with OpenAI's error body; `unclear`: anything else
    answered_twice     questions that servers answered more than once, as the proxies saw it
    log_ids            requests with an outcome in the decision log; log_twice: those with more than one. A plan's row that
                       failed and is asked again has an outcome for each try, but one answer
    peak MODEL         most outstanding, counted at the server's side, of its limit

    python bench/load_limits_fleet.py
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import numpy as np

from pointsman.report.bench import Cell, bench_parser, write_results
from pointsman.store.decision_log import read_outcomes
from pointsman.testing.counted_fleet import CountedFleet, CountedModel, counted_fleet
from pointsman.types import Disposition

Row = dict[str, Cell]


MODELS = tuple(
    CountedModel(name, name, slots)
    for name, slots in (("smollm2-135m", 3), ("qwen2.5-coder-0.5b", 2), ("qwen2.5-coder-1.5b", 1))
)
ENGINE = 6
"""The exit code of a run in which an endpoint died."""

CLIENTS, REQUESTS, MAX_TOKENS = 16, 90, 24
PAUSE_S = 0.5
POLICIES = {
    "weighted": "{name: weighted, weights: {accuracy: 1, energy: 1, time: 1}}",
    "value": "{name: value}",
    "constrained": "{name: constrained, objective: time, limits: {min_quality: 0.4}}",
    "random": "{name: random}",
}
SETTINGS = "costs: {c_run: {per_s: 0.1}}"


@dataclass(slots=True)
class Ends:
    """How the callers' requests ended, in order: status, and seconds that the caller waited."""

    status: list[int] = field(default_factory=list)
    waited_s: list[float] = field(default_factory=list)
    unclear: int = 0
    _marks: dict[int, asyncio.Event] = field(default_factory=dict)

    def add(self, status: int, body: bytes, waited_s: float) -> None:
        """A caller got this."""
        self.status.append(status)
        self.waited_s.append(waited_s)
        self.unclear += not _clear(status, body)
        self._marks.setdefault(len(self.status), asyncio.Event()).set()

    async def until(self, count: int) -> None:
        """Wait until so many have ended."""
        await self._marks.setdefault(count, asyncio.Event()).wait()


def _clear(status: int, body: bytes) -> bool:
    """Whether it is an answer with words, or an error that says what happened."""
    try:
        said = json.loads(body)
        if status == 200:
            return bool(said["choices"][0]["message"]["content"])
        return bool(said["error"]["message"] and said["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return False


def question(number: int) -> dict[str, object]:
    """A body that no other request has."""
    text = f"Note {number}: name one colour, and say in a sentence where it is seen."
    return {"messages": [{"role": "user", "content": text}], "max_tokens": MAX_TOKENS, "temperature": 0}


@asynccontextmanager
async def gateway(config: Path) -> AsyncIterator[str]:
    """`pointsman serve` in a process of its own; gives its base URL, and has it end what runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pointsman", "serve", "--config", str(config), "--port", "0",
        stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        found = re.search(r"http://\S+/v1", (await process.stdout.readline()).decode())
        assert found, "pointsman serve did not start"
        yield found[0]
    finally:
        process.terminate()
        await process.communicate()


async def ask_gateway(made: CountedFleet, url: str, requests: int, clients: int) -> Ends:
    """Have so many clients ask, while the busiest server dies and comes back."""
    ends, numbers = Ends(), iter(range(requests))
    async with aiohttp.ClientSession() as session:

        async def ask(number: int) -> None:
            start_s = time.monotonic()
            async with session.post(
                f"{url}/chat/completions", json={"model": "auto", **question(number)}
            ) as reply:
                ends.add(reply.status, await reply.read(), time.monotonic() - start_s)

        async def client() -> None:
            for number in numbers:
                await ask(number)
                if ends.status[-1] != 200:
                    await asyncio.sleep(PAUSE_S)

        async def fate() -> None:
            await ends.until(requests // 3)
            await made.kill(made.busiest())
            await ends.until(requests * 2 // 3)
            await made.start_again()

        await asyncio.gather(*(client() for _ in range(clients)), fate())
    return ends


async def over_gateway(
    models: Sequence[CountedModel], folder: Path, policy: str, requests: int, clients: int
) -> Row:
    """One run through `pointsman serve`."""
    async with counted_fleet(models, folder) as made:
        config = made.configure(folder, f"policy: {POLICIES[policy]}", SETTINGS)
        start_s = time.monotonic()
        async with gateway(config) as url:
            ends = await ask_gateway(made, url, requests, clients)
        answered = sum(status == 200 for status in ends.status)
        return {
            "run": f"gateway, {policy}",
            "clients": clients,
            "requests": requests,
            "answered": answered,
            "errors": len(ends.status) - answered,
            "unclear": ends.unclear,
            **at_servers(made),
            **in_log(folder / "log.sqlite"),
            "wait_p50_s": float(np.median(ends.waited_s)),
            "wait_p99_s": float(np.percentile(ends.waited_s, 99)),
            "wall_s": time.monotonic() - start_s,
        }


async def over_plan(models: Sequence[CountedModel], folder: Path, requests: int) -> Row:
    """`pointsman run`, met by the same death, then once more."""
    lines = [
        {"custom_id": f"q{n}", "url": "/v1/chat/completions", "body": question(n)} for n in range(requests)
    ]
    (folder / "r.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    async with counted_fleet(models, folder) as made:
        config = made.configure(folder)
        slots = sum(own.slots for own in models)
        loads = [f"--max-load={own.name}={-(-requests * own.slots // slots)}" for own in models]
        await pointsman(
            "assign", str(folder / "r.jsonl"), "--endpoints", str(config), "--objective", "time", *loads
        )
        start_s = time.monotonic()
        running = asyncio.create_task(pointsman("run", str(folder / "r.plan.jsonl"), codes=(ENGINE,)))
        busiest = max(made.models, key=lambda own: own.slots).name
        await made.proxies[busiest].until(answered=requests // 6)
        await made.kill(busiest)
        await running
        results = folder / "r.results.jsonl"
        first = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
        await made.start_again()
        await pointsman("run", str(folder / "r.plan.jsonl"))
        ended = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
        answers = [
            own["custom_id"] for own in ended if own["response"] and own["response"]["status_code"] == 200
        ]
        assert sorted(answers) == sorted(str(own["custom_id"]) for own in lines), (
            "not every row has one answer"
        )
        return {
            "run": "plan, run twice",
            "requests": requests,
            "answered": len(answers),
            "errors": sum(own["error"] is not None for own in first),
            "unclear": sum(not own["error"]["message"] for own in first if own["error"]),
            **at_servers(made),
            **in_log(folder / "log.sqlite"),
            "wall_s": time.monotonic() - start_s,
        }


async def pointsman(*words: str, codes: Sequence[int] = (0,)) -> None:
    """A command of the command line, which must end with one of these codes."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "pointsman",
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode in codes, said.decode()


def at_servers(made: CountedFleet) -> Row:
    """What the proxies saw."""
    answers = Counter(
        body["messages"][-1]["content"] for own in made.proxies.values() for body in own.answered
    )
    return {
        "answered_twice": sum(times > 1 for times in answers.values()),
        "cut": sum(own.cut for own in made.proxies.values()),
        **{f"peak {own.name}": f"{made.proxies[own.name].most_running}/{own.slots}" for own in made.models},
        **{f"asked {name}": len(own.bodies) for name, own in made.proxies.items()},
    }


def in_log(path: Path) -> Row:
    """What the decision log holds: requests, and those that ended, or were answered, more than once."""
    ended: Counter[str] = Counter()
    answered: Counter[str] = Counter()
    for outcome in read_outcomes(path):
        ended[outcome.request_id] += 1
        answered[outcome.request_id] += outcome.disposition is Disposition.ANSWERED
    return {
        "log_ids": len(ended),
        "log_twice": sum(times > 1 for times in ended.values()),
        "log_answered_twice": sum(times > 1 for times in answered.values()),
    }


def main() -> None:
    """Run, print, write."""
    args = bench_parser(str(__doc__).partition("\n")[0]).parse_args()
    models, requests, clients = (MODELS[:2], 12, 8) if args.quick else (MODELS, REQUESTS, CLIENTS)
    policies = ["random"] if args.quick else list(POLICIES)
    rows: list[Row] = []
    for policy in policies:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(asyncio.run(over_gateway(models, Path(folder), policy, requests, clients)))
    with tempfile.TemporaryDirectory() as folder:
        rows.append(asyncio.run(over_plan(models, Path(folder), requests)))
    write_results("load_limits_fleet", rows, args, title="Real models under load, one killed midway")


if __name__ == "__main__":
    main()
