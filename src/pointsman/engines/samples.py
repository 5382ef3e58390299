"""Further samples of an answer: how they are asked for, and the text of an answer."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import msgspec

from pointsman.engines.sse import data_of

TEMPERATURE: Final = 0.7
"""Of further samples, where the caller has asked for none above 0."""

_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_value = msgspec.json.decode
_encode = msgspec.json.encode


class _Said(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    message: _Said | None = None
    delta: _Said | None = None
    text: str | None = None


class _Answer(msgspec.Struct):
    choices: list[_Choice] = []


_decode_answer = msgspec.json.Decoder(_Answer).decode


def sample_body(body: bytes, sample: int) -> bytes | None:
    """The body that asks for a further sample; None if it is no JSON object.

    One choice, at the caller's temperature if that is above 0, else at `TEMPERATURE`; a seed of the caller's
    is moved on by `sample`, which is 1 or more, since an equal one would give the same answer.
    """
    try:
        fields = _decode_fields(body)
        temperature = _decode_value(fields.get("temperature", b"null"))
        seed = _decode_value(fields.get("seed", b"null"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not (isinstance(temperature, int | float) and temperature > 0):
        fields["temperature"] = msgspec.Raw(_encode(TEMPERATURE))
    if isinstance(seed, int):
        fields["seed"] = msgspec.Raw(_encode(seed + sample))
    fields.pop("n", None)
    return _encode(fields)


def read_text(data: bytes) -> str:
    """What the first choice of a JSON answer, or of one chunk of a stream, says; empty if it says nothing."""
    try:
        choices = _decode_answer(data).choices
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    first = next((choice for choice in choices if choice.index == 0), _Choice())
    said = first.message or first.delta
    return first.text or (said.content if said else None) or ""


def text_of(pieces: Iterable[bytes], *, streamed: bool) -> str:
    """What the first choice of a whole answer says, from its pieces; those that no endpoint of OpenAI's make sends say nothing."""
    said = []
    for piece in pieces:
        with suppress(ValueError):
            said.append(read_text(data_of(piece) if streamed else piece))
    return "".join(said)
