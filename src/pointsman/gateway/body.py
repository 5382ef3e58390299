"""The fields of OpenAI's request bodies that are read; everything else is passed on unread."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from pointsman.errors import BadRequest
from pointsman.types import Api

T = TypeVar("T")


class Part(msgspec.Struct):
    """One part of a message's content."""

    type: str
    text: str | None = None
    refusal: str | None = None


class Message(msgspec.Struct):
    """One message of a chat."""

    role: str
    content: str | list[Part] | None = None
    tool_calls: list[msgspec.Raw] | None = None


class ResponseFormat(msgspec.Struct):
    """`response_format`; only its type matters here."""

    type: str


class Own(msgspec.Struct, forbid_unknown_fields=True):
    """The field `pointsman`, which is not sent on."""

    weights: dict[str, float] | None = None
    min_quality: float | None = None
    max_price_usd: float | None = None
    max_energy_j: float | None = None
    tenant: str | None = None
    task: str | None = None
    privacy: list[str] | None = None
    allow_skip: bool | None = None


class Common(msgspec.Struct):
    """What both interfaces have."""

    model: str | None = None
    max_tokens: int | None = None
    n: int | None = None
    stream: bool | None = None
    logprobs: bool | int | None = None
    response_format: ResponseFormat | None = None
    service_tier: str | None = None
    metadata: dict[str, str] | None = None
    pointsman: Own | None = None


class ChatBody(Common):
    """`/v1/chat/completions`."""

    messages: list[Message] = []
    max_completion_tokens: int | None = None
    tools: list[msgspec.Raw] | None = None
    functions: list[msgspec.Raw] | None = None
    modalities: list[str] | None = None


class CompletionBody(Common):
    """`/v1/completions`; prompts of token ids are refused, since they fit one model only."""

    prompt: str | list[str] | None = None


_decode_chat = msgspec.json.Decoder(ChatBody).decode
_decode_completion = msgspec.json.Decoder(CompletionBody).decode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def read_body(data: bytes, api: Api) -> ChatBody | CompletionBody:
    """The body of a request. Raises: BadRequest naming the field, or the byte, at fault."""
    return decoded(data, _decode_chat) if api is Api.CHAT else decoded(data, _decode_completion)


def decoded(data: bytes, decode: Callable[[bytes], T]) -> T:
    """What `decode` makes of JSON. Raises: BadRequest naming the field, or the byte, at fault."""
    try:
        if not data.isascii():
            data.decode()  # what is passed on unread must be UTF-8 too
        return decode(data)
    except UnicodeDecodeError as error:
        raise BadRequest(
            f"the body is not UTF-8: byte 0x{error.object[error.start]:02x} at {error.start}",
            remedy="Send JSON in UTF-8",
            code="invalid_encoding",
        ) from error
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$")
        param = path.strip("`").lstrip(".") or None
        raise BadRequest(f"{param or 'the body'}: {what}", code="invalid_type", param=param) from error
    except msgspec.DecodeError as error:
        raise BadRequest(f"the body is not JSON: {error}", code="invalid_json") from error
    except RecursionError as error:
        raise BadRequest(
            "the body is nested too deeply", remedy="Send less deeply nested JSON", code="invalid_json"
        ) from error


def without_own(data: bytes) -> bytes:
    """The body without the field `pointsman`. `data` must have passed `read_body`."""
    fields = _decode_fields(data)
    del fields["pointsman"]
    return msgspec.json.encode(fields)
