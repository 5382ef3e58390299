"""One question to one endpoint: the request that is sent, and what is read from its answer."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import msgspec

from pointsman.data.question_sets import SetQuestion
from pointsman.engines.base import Chunk, Engine, Usage
from pointsman.errors import EngineGarbage
from pointsman.types import Prompt, Request

TOP_LOGPROBS: Final = 20
"""Most that OpenAI-compatible servers give."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How an answer is generated: sample 0 greedily, later ones at `temperature` with a seed each."""

    temperature: float = 0.7
    seed: int = 0
    max_tokens: int | None = None
    logprobs: bool = True


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back.

    Attributes:
        token_logprobs: natural log-probability of each generated token; None if the server gave none.
        first_tokens: candidates of the first position and their log-probabilities.
    """

    text: str
    usage: Usage
    token_logprobs: tuple[float, ...] | None
    first_tokens: tuple[tuple[str, float], ...]


class _Top(msgspec.Struct):
    token: str
    logprob: float


class _Token(msgspec.Struct):
    token: str
    logprob: float
    top_logprobs: list[_Top] = []


class _Logprobs(msgspec.Struct):
    content: list[_Token] | None = None


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message
    logprobs: _Logprobs | None = None


class _Body(msgspec.Struct):
    choices: list[_Choice]


_decode = msgspec.json.Decoder(_Body).decode


async def ask(engine: Engine, name: str, question: SetQuestion, sample: int, sampling: Sampling) -> Answered:
    """Send one question, not streamed, and read its answer.

    Raises: EngineError, EngineGarbage where the body is no chat completion.
    """
    max_tokens = sampling.max_tokens or question.max_tokens
    request = Request(
        f"{question.id}#{sample}",
        Prompt(question.prompt),
        max_tokens,
        payload=msgspec.json.encode(_body(question, sample, sampling, max_tokens)),
    )
    body, usage = b"", Usage()
    async with aclosing(engine.run(request)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Chunk):
                body += piece.data
            else:
                usage = piece
    try:
        choice = _decode(body).choices[0]
    except (msgspec.DecodeError, IndexError) as error:
        raise EngineGarbage(
            f"endpoint {name} sent what is no chat completion: {error}", endpoint=name, started=True
        ) from error
    tokens = choice.logprobs.content if choice.logprobs else None
    return Answered(
        text=choice.message.content or "",
        usage=usage,
        token_logprobs=tuple(token.logprob for token in tokens) if tokens else None,
        first_tokens=tuple((top.token, top.logprob) for top in tokens[0].top_logprobs) if tokens else (),
    )


def _body(question: SetQuestion, sample: int, sampling: Sampling, max_tokens: int) -> Mapping[str, Any]:
    body: dict[str, Any] = {
        "model": "",
        "messages": [{"role": "user", "content": question.prompt}],
        "max_tokens": max_tokens,
        "temperature": 0 if sample == 0 else sampling.temperature,
    }
    if sample:
        body["seed"] = _seed(sampling.seed, question.id, sample)
    if sampling.logprobs:
        body["logprobs"] = True
        if question.options:
            body["top_logprobs"] = TOP_LOGPROBS
    return body


def _seed(seed: int, query_id: str, sample: int) -> int:
    """One of 2^31 for each sample of each question: with equal ones all questions would be answered alike."""
    digest = blake2b(f"{seed}\0{query_id}\0{sample}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1
