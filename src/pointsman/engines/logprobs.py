"""Log-probabilities of an answer's tokens: asked for, read, and taken out again for a caller who didn't ask.

Chat answers hold them at `choices[].logprobs.content[]`, text completions there too (llama.cpp) or in
`logprobs.token_logprobs` (OpenAI, vLLM).
"""

from __future__ import annotations

from typing import Final

import msgspec

from pointsman.engines.sse import data_of
from pointsman.types import Api

Tokens = list[tuple[str, float]]
"""Tokens of the first choice with their natural log-probabilities."""

_ASKED: Final = {Api.CHAT: msgspec.Raw(b"true"), Api.COMPLETIONS: msgspec.Raw(b"1")}
_NOT_ASKED: Final = (b"null", b"false")


class _Token(msgspec.Struct):
    token: str = ""
    logprob: float | None = None


class _Logprobs(msgspec.Struct):
    content: list[_Token] | None = None
    tokens: list[str] | None = None
    token_logprobs: list[float | None] | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    logprobs: _Logprobs | None = None


class _Answer(msgspec.Struct):
    choices: list[_Choice] = []


_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_choices = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode


def with_logprobs(body: bytes, api: Api) -> bytes | None:
    """The body with a wish for log-probabilities; None if it has one itself, or is no JSON object."""
    try:
        fields = _decode_fields(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if bytes(fields.get("logprobs", msgspec.Raw(b"null"))).strip() not in _NOT_ASKED:
        return None
    fields["logprobs"] = _ASKED[api]
    return msgspec.json.encode(fields)


def read_logprobs(data: bytes) -> Tokens:
    """Those of one JSON answer, or of one chunk of a stream; empty if it holds none in a known form."""
    try:
        choices = _decode_answer(data).choices
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    found = next((choice.logprobs for choice in choices if choice.index == 0), None)
    if found is None:
        return []
    if found.content is not None:
        return [(item.token, item.logprob) for item in found.content if item.logprob is not None]
    pairs = zip(found.tokens or (), found.token_logprobs or (), strict=False)
    return [(token, logprob) for token, logprob in pairs if logprob is not None]


def without_logprobs(data: bytes) -> bytes:
    """The same JSON answer, or chunk, without any; the very same bytes if it holds none in a known form."""
    if b'"logprobs"' not in data:
        return data
    try:
        fields = _decode_fields(data)
        choices = _decode_choices(fields.get("choices", b"[]"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return data
    for choice in choices:
        choice.pop("logprobs", None)
    fields["choices"] = msgspec.Raw(msgspec.json.encode(choices))
    return msgspec.json.encode(fields)


def event_without_logprobs(event: bytes) -> bytes:
    """The same event of a stream without any; the very same bytes if it is no event."""
    if b'"logprobs"' not in event:
        return event
    try:
        data = data_of(event)
    except ValueError:
        return event
    rest = without_logprobs(data)
    return event if rest is data else b"data: " + rest + b"\n\n"
