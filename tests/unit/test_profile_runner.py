"""The profile runner: every prompt measured once, resumable, faults kept as rows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from pointsman.clock import VirtualClock
from pointsman.data.profiles import read_profile
from pointsman.engines.base import Chunk, Usage
from pointsman.errors import DataError, EngineCut
from pointsman.profile.prompts import profile_prompts
from pointsman.profile.runner import RunOptions, Target, run_profile
from pointsman.types import EndpointLoad, Request


class Counter:
    """A meter that counts 2 J more at each reading."""

    name, modelled, description = "counter", True, "2 W"

    def __init__(self) -> None:
        self.joules = 0.0

    def read_j(self) -> float:
        self.joules += 2.0
        return self.joules

    def close(self) -> None:
        pass


class Scripted:
    """An engine that answers `yes` in a stream, except where told to fail."""

    def __init__(self, failing: frozenset[str] = frozenset()) -> None:
        self.failing = failing
        self.asked: list[str] = []
        self.running = self.most_running = 0

    async def run(self, request: Request) -> AsyncIterator[Chunk | Usage]:
        self.asked.append(request.id)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            if request.id in self.failing:
                raise EngineCut("cut", endpoint="e")
            await asyncio.sleep(0)
            yield Chunk(b'data: {"choices":[{"delta":{"content":"ye')
            yield Chunk(b's"}}]}\n\ndata: [DONE]\n\n')
            yield Usage(input_tokens=9, output_tokens=1, ttft_s=0.1, e2e_s=0.2, finish_reason="stop")
        finally:
            self.running -= 1

    async def load(self) -> EndpointLoad | None:
        return None

    async def close(self) -> None:
        pass


OPTIONS = RunOptions(
    judge=lambda _spec, text: float(text == "yes"), seed=3, block=4, concurrency_cycle=(1, 2)
)


async def measure(engine: Scripted, out: Path, n: int = 12, repeats: int = 2) -> int:
    target = Target("e", engine, Counter())
    prompts = profile_prompts(n, 3, repeats=repeats)
    return await run_profile(
        [target], prompts, out, VirtualClock(), options=OPTIONS, metadata={"machine": "m"}
    )


async def test_every_prompt_is_one_row_with_its_measurements(tmp_path: Path) -> None:
    engine = Scripted()
    assert await measure(engine, tmp_path / "p.parquet") == 14
    run = read_profile(tmp_path / "p.parquet")
    assert run.metadata["machine"] == "m"
    assert run.metadata["seed"] == 3
    assert len(run.measured("e")) == 14
    row = run.rows[0]
    assert (row.answer, row.input_tokens, row.e2e_s, row.meter, row.energy_modelled) == (
        "yes",
        9,
        0.2,
        "counter",
        True,
    )
    assert row.energy_j is not None
    assert row.energy_j > 0
    assert sorted(r.repeat_of for r in run.rows if r.repeat_of) == ["p00001", "p00002"]
    assert engine.most_running == 2, "every second block runs two at a time"


async def test_a_stopped_run_goes_on_where_it_was_and_asks_failed_ones_again(tmp_path: Path) -> None:
    out = tmp_path / "p.parquet"
    await measure(Scripted(failing=frozenset({"p00003"})), out, n=6, repeats=0)
    errors = [row.prompt_id for row in read_profile(out).rows if row.error]
    assert errors == ["p00003"]
    again = Scripted()
    await measure(again, out, n=8, repeats=0)
    assert again.asked == ["p00003", "p00007", "p00008"]
    assert len(read_profile(out).measured("e")) == 8


async def test_a_torn_last_line_of_the_journal_is_dropped(tmp_path: Path) -> None:
    out = tmp_path / "p.parquet"
    await measure(Scripted(), out, n=4, repeats=0)
    journal = out.with_name("p.parquet.journal")
    journal.write_text(journal.read_text()[:-20])
    again = Scripted()
    await measure(again, out, n=4, repeats=0)
    assert len(again.asked) == 1
    assert all(json.loads(line) for line in journal.read_text().splitlines())


async def test_the_journal_of_another_run_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "p.parquet"
    await measure(Scripted(), out, n=2, repeats=0)
    other = RunOptions(judge=lambda _spec, _text: 0.0, seed=4)
    with pytest.raises(DataError, match="belongs to another run"):
        await run_profile(
            [Target("e", Scripted())], profile_prompts(2, 4), out, VirtualClock(), options=other, metadata={}
        )


def test_prompts_are_seeded_different_and_a_short_set_heads_a_long_one() -> None:
    short, long = list(profile_prompts(50, 7)), list(profile_prompts(200, 7, repeats=5))
    assert short == long[:50]
    assert len({prompt.text for prompt in long[:200]}) == 200
    assert {prompt.task for prompt in long} == {"arithmetic", "fact", "reasoning", "code", "ramp"}
    assert [prompt.repeat_of for prompt in long[200:]] == [prompt.id for prompt in long[:5]]
    with pytest.raises(ValueError, match="repeats must lie between"):
        next(iter(profile_prompts(3, 1, repeats=4)))


async def test_the_request_is_a_streamed_chat_with_the_extra_body(tmp_path: Path) -> None:
    bodies = []

    class Recording(Scripted):
        async def run(self, request: Request) -> AsyncIterator[Chunk | Usage]:
            bodies.append(msgspec.json.decode(request.payload))
            async for piece in super().run(request):
                yield piece

    options = RunOptions(judge=lambda _spec, _text: 0.0, extra_body={"cache_prompt": False})
    await run_profile(
        [Target("e", Recording())],
        profile_prompts(1, 1),
        tmp_path / "p.parquet",
        VirtualClock(),
        options=options,
        metadata={},
    )
    (body,) = bodies
    assert body["stream"] is True
    assert body["temperature"] == 0
    assert body["cache_prompt"] is False
    assert body["messages"][0]["role"] == "user"
