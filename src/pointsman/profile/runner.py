"""Run prompts on endpoints and measure each request.

Prompts go in blocks; within a block every endpoint runs all of its prompts with the block's
concurrency, one endpoint after the other in shuffled order, so that drift of the machine meets all
endpoints alike. Each finished request is appended to a journal at once: a run that is stopped goes
on where it was. The journal becomes one parquet file at the end.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from pointsman.clock import Clock
from pointsman.data.profiles import ProfileRow
from pointsman.engines.base import Chunk, Engine, Usage
from pointsman.engines.sse import EventSplitter, data_of
from pointsman.errors import EngineError
from pointsman.meters.base import Meter
from pointsman.meters.share import EnergyShare
from pointsman.profile.journal import open_journal
from pointsman.profile.prompts import ProfilePrompt
from pointsman.types import Prompt, Request

BLOCK: Final = 24
CONCURRENCY_CYCLE: Final = (1, 1, 2, 1, 1, 4)
"""Concurrency of successive blocks: two thirds of the prompts alone, so that time and energy of a
single request are known well, and a sixth each at two and at four."""


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint to profile, with the meter that sees its energy."""

    name: str
    engine: Engine
    meter: Meter | None = None


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a run is made.

    Attributes:
        judge: scores an answer by its specification, in [0, 1].
        block, concurrency_cycle: see the module's first lines.
        extra_body: added to every request (`cache_prompt: false` keeps llama.cpp's prefills whole).
    """

    judge: Callable[[Mapping[str, Any], str], float]
    seed: int = 0
    block: int = BLOCK
    concurrency_cycle: tuple[int, ...] = CONCURRENCY_CYCLE
    extra_body: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Answered:
    usage: Usage
    text: str


async def run_profile(
    targets: Sequence[Target],
    prompts: Iterable[ProfilePrompt],
    out: Path,
    clock: Clock,
    *,
    options: RunOptions,
    metadata: Mapping[str, Any],
    on_row: Callable[[ProfileRow], None] = lambda _row: None,
) -> int:
    """Measure every prompt on every target and write `out`; gives the number of rows.

    Rows already in the journal (`profile/journal.py`) are not run again; failed ones are.
    Effects: writes the journal and `out`. Raises: DataError if the journal is another run's.
    """
    prompts = tuple(prompts)
    identity = {
        "seed": options.seed,
        "block": options.block,
        "endpoints": [target.name for target in targets],
    }
    rng = random.Random(options.seed)  # noqa: S311 - an order, not a secret
    shares = {target.name: EnergyShare[str](target.meter) for target in targets if target.meter}
    with open_journal(out, identity, clock.wall()) as journal:
        done = journal.done()
        for number, start in enumerate(range(0, len(prompts), options.block)):
            block = prompts[start : start + options.block]
            concurrency = options.concurrency_cycle[number % len(options.concurrency_cycle)]
            for target in rng.sample(targets, len(targets)):
                todo = [prompt for prompt in block if (target.name, prompt.id) not in done]
                measure = _Measure(
                    target, shares.get(target.name), concurrency, clock, journal.origin_unix_s, options
                )
                async for row in measure.all(todo):
                    journal.add(row)
                    on_row(row)
        return journal.write({**metadata, "seed": options.seed, "extra_body": options.extra_body})


class _Measure:
    """Runs prompts on one target, `concurrency` at a time."""

    def __init__(
        self,
        target: Target,
        share: EnergyShare[str] | None,
        concurrency: int,
        clock: Clock,
        origin_unix_s: float,
        options: RunOptions,
    ) -> None:
        self._target = target
        self._share = share
        self._concurrency = concurrency
        self._clock = clock
        self._origin_unix_s = origin_unix_s
        self._options = options

    async def all(self, prompts: Sequence[ProfilePrompt]) -> AsyncIterator[ProfileRow]:
        waiting = iter(prompts)
        running: set[asyncio.Task[ProfileRow]] = set()
        try:
            while True:
                while len(running) < self._concurrency and (prompt := next(waiting, None)) is not None:
                    running.add(asyncio.create_task(self._one(prompt)))
                if not running:
                    return
                finished, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in finished:
                    yield task.result()
        finally:
            for task in running:
                task.cancel()

    async def _one(self, prompt: ProfilePrompt) -> ProfileRow:
        unix_s = self._clock.wall()
        row = ProfileRow(
            endpoint=self._target.name,
            prompt_id=prompt.id,
            task=prompt.task,
            repeat_of=prompt.repeat_of,
            max_tokens=prompt.max_tokens,
            concurrency=self._concurrency,
            started_unix_s=unix_s,
            started_s=unix_s - self._origin_unix_s,
            prompt_bytes=len(prompt.text.encode()),
        )
        if self._share:
            self._share.start(prompt.id)
        energy_j: float | None = None
        try:
            answered = await ask(self._target.engine, prompt, self._options.extra_body)
        except EngineError as error:
            return replace(row, error=str(error))
        finally:
            if self._share:
                energy_j = self._share.end(prompt.id)
        usage = answered.usage
        meter = self._target.meter
        return replace(
            row,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cached_tokens=usage.cached_tokens,
            finish_reason=usage.finish_reason,
            ttft_s=usage.ttft_s,
            tpot_s=usage.tpot_s,
            e2e_s=usage.e2e_s,
            energy_j=energy_j,
            energy_modelled=meter.modelled if meter else None,
            meter=meter.name if meter else None,
            score=self._options.judge(prompt.answer, answered.text) if prompt.answer else None,
            answer=answered.text,
        )


async def ask(engine: Engine, prompt: ProfilePrompt, extra_body: Mapping[str, Any] | None) -> _Answered:
    """Send one prompt as a streamed chat at temperature 0; gives its usage and its text."""
    body = {
        "model": "",
        "messages": [{"role": "user", "content": prompt.text}],
        "max_tokens": prompt.max_tokens,
        "temperature": 0,
        "stream": True,
        **(extra_body or {}),
    }
    request = Request(
        prompt.id, Prompt(prompt.text), prompt.max_tokens, stream=True, payload=msgspec.json.encode(body)
    )
    splitter, usage = EventSplitter(), Usage()
    text: list[str] = []
    async with aclosing(engine.run(request)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Chunk):
                text.extend(_texts(piece.data, splitter))
            else:
                usage = piece
    return _Answered(usage, "".join(text))


def _texts(data: bytes, splitter: EventSplitter) -> Iterable[str]:
    for event in splitter.feed(data):
        payload = data_of(event)
        if payload and payload != b"[DONE]":
            for choice in msgspec.json.decode(payload).get("choices", []):
                yield (choice.get("delta") or {}).get("content") or ""
