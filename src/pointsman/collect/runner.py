"""Ask every question of every endpoint, k samples each, and keep each answer in a journal at once.

Order: sample by sample, within a sample block by block of the questions, within a block endpoint by
endpoint. So a run that is stopped has the greedy answers first, and of all endpoints alike. One
endpoint works at a time, with `concurrency` questions outstanding: endpoints that share a machine don't
slow one another's times. Answers are judged later, from the journal (`judge.py`).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pointsman.clock import Clock
from pointsman.collect.ask import Answered, Sampling, ask
from pointsman.data.journal import open_records
from pointsman.data.question_sets import SetQuestion
from pointsman.engines.base import Engine
from pointsman.errors import DataError, EngineError, EngineRejected
from pointsman.meters.base import Meter
from pointsman.meters.share import EnergyShare

BLOCK: Final = 24
MAX_FAILURES_IN_A_ROW: Final = 8
"""After so many an endpoint counts as dead and the run stops; it goes on when run again."""

_REFUSED: Final = (400, 422)


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint to ask, with the meter that sees its energy."""

    name: str
    engine: Engine
    meter: Meter | None = None


@dataclass(frozen=True, slots=True)
class CollectOptions:
    """How a run is made.

    Attributes:
        samples: answers a question; sample 0 is greedy.
        concurrency: questions outstanding at the endpoint that works.
    """

    samples: int = 1
    concurrency: int = 1
    sampling: Sampling = Sampling()  # noqa: RUF009 - frozen


def fingerprint(question: SetQuestion) -> str:
    """Twelve hex digits of what was sent, so that an answer is never taken for another prompt's."""
    return hashlib.sha256(question.prompt.encode()).hexdigest()[:12]


async def collect_answers(
    targets: Sequence[Target],
    questions: Sequence[SetQuestion],
    journal_path: Path,
    clock: Clock,
    options: CollectOptions,
    identity: Mapping[str, Any],
    on_record: Callable[[Mapping[str, Any]], None] = lambda _record: None,
) -> None:
    """Ask what the journal does not hold yet; failed requests are asked again.

    `on_record` is called with each new record, and first with those that the journal holds of these
    endpoints, questions and samples.

    Raises: DataError if the journal is another run's or its questions have changed; EngineError if an
    endpoint fails `MAX_FAILURES_IN_A_ROW` times.
    """
    shares = {target.name: EnergyShare[str](target.meter) for target in targets if target.meter}
    with open_records(journal_path, identity, clock.wall()) as journal:
        done = _done(journal_path, journal.records, questions)
        wanted = {
            (t.name, q.id, sample)
            for t, sample, block in _blocks(targets, questions, options.samples)
            for q in block
        }
        for record in journal.records:
            if (record["model"], record["query_id"], record["sample"]) in wanted:
                on_record(record)
        for target, sample, block in _blocks(targets, questions, options.samples):
            todo = [question for question in block if (target.name, question.id, sample) not in done]
            failures = 0
            worker = _Worker(target, shares.get(target.name), clock, options)
            async for record in worker.all(todo, sample):
                record["started_s"] = record["started_unix_s"] - journal.origin_unix_s
                journal.add(record)
                on_record(record)
                failures = failures + 1 if "error" in record else 0
                if failures >= MAX_FAILURES_IN_A_ROW:
                    raise EngineError(
                        f"{target.name} failed {failures} times in a row; the last time: {record['error']}",
                        endpoint=target.name,
                        remedy="Correct that and run the same command again: it goes on where it was",
                    )


def _blocks(
    targets: Sequence[Target], questions: Sequence[SetQuestion], samples: int
) -> Iterator[tuple[Target, int, Sequence[SetQuestion]]]:
    for sample in range(samples):
        for start in range(0, len(questions), BLOCK):
            for target in targets:
                yield target, sample, questions[start : start + BLOCK]


def _done(
    path: Path, records: Iterable[Mapping[str, Any]], questions: Sequence[SetQuestion]
) -> set[tuple[str, str, int]]:
    """(endpoint, question, sample) of every answer. Raises DataError where the question has changed."""
    asked = {question.id: fingerprint(question) for question in questions}
    for record in records:
        if record["query_id"] in asked and record["prompt_sha256"] != asked[record["query_id"]]:
            raise DataError(
                f"{path}: {record['query_id']} was asked with another prompt",
                remedy="Give another --out, or delete the journal",
            )
    return {(r["model"], r["query_id"], r["sample"]) for r in records if "error" not in r}


class _Worker:
    """Asks questions of one target, `concurrency` at a time."""

    def __init__(
        self, target: Target, share: EnergyShare[str] | None, clock: Clock, options: CollectOptions
    ) -> None:
        self._target = target
        self._share = share
        self._clock = clock
        self._options = options

    async def all(self, questions: Sequence[SetQuestion], sample: int) -> AsyncIterator[dict[str, Any]]:
        waiting = iter(questions)
        running: set[asyncio.Task[dict[str, Any]]] = set()
        try:
            while True:
                while (
                    len(running) < self._options.concurrency and (question := next(waiting, None)) is not None
                ):
                    running.add(asyncio.create_task(self._one(question, sample)))
                if not running:
                    return
                finished, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in finished:
                    yield task.result()
        finally:
            for task in running:
                task.cancel()

    async def _asked(self, question: SetQuestion, sample: int) -> Answered:
        """Ask; an endpoint that refuses a request for log-probabilities is asked without them."""
        target, sampling = self._target, self._options.sampling
        try:
            return await ask(target.engine, target.name, question, sample, sampling)
        except EngineRejected as error:
            if error.status not in _REFUSED or b"logprobs" not in error.body:
                raise
            return await ask(target.engine, target.name, question, sample, replace(sampling, logprobs=False))

    async def _one(self, question: SetQuestion, sample: int) -> dict[str, Any]:
        target, sampling = self._target, self._options.sampling
        record: dict[str, Any] = {
            "query_id": question.id,
            "model": target.name,
            "sample": sample,
            "prompt_sha256": fingerprint(question),
            "max_tokens": sampling.max_tokens or question.max_tokens,
            "concurrency": self._options.concurrency,
            "started_unix_s": self._clock.wall(),
        }
        if self._share:
            self._share.start(question.id)
        energy_j = None
        try:
            answered = await self._asked(question, sample)
        except EngineRejected as error:
            return {**record, "error": f"{error}: {error.body.decode(errors='replace'):.300}"}
        except EngineError as error:
            return {**record, "error": str(error)}
        finally:
            if self._share:
                energy_j = self._share.end(question.id)
        usage = answered.usage
        return {
            **record,
            "text": answered.text,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cached_tokens": usage.cached_tokens,
            "finish_reason": usage.finish_reason,
            "latency_s": usage.e2e_s,
            "energy_j": energy_j,
            "energy_modelled": target.meter.modelled if target.meter else None,
            "meter": target.meter.name if target.meter else None,
            "token_logprobs": None
            if answered.token_logprobs is None
            else [round(value, 5) for value in answered.token_logprobs],
            "first_tokens": [[token, round(value, 5)] for token, value in answered.first_tokens],
        }
