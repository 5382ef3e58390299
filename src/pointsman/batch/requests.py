"""Requests of a batch file, OpenAI's format: one JSON object a line with custom_id, method, url, body.

A line that can't be used is a value with its number and reason; the others are read all the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from pointsman.errors import BadRequest, CallerError, DataError
from pointsman.types import Api, Request

MAX_LINE_BYTES: Final = 64 * 2**20
MAX_ID_CHARS: Final = 512
URLS: Final = {"/v1/chat/completions": Api.CHAT, "/v1/completions": Api.COMPLETIONS}
_READ_BYTES: Final = 1 << 20

ParseBody = Callable[[bytes, Api, str], Request]
"""(body, interface, request id) -> request. Raises: CallerError."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a line stands: its number from 1, and its first byte."""

    line: int
    offset: int


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """A line that can be used."""

    place: Place
    custom_id: str
    request: Request


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that can't be used, or a request that nothing may serve.

    Attributes:
        custom_id: None where not even that can be read.
        code: why, as one word.
        message: why, as a sentence.
    """

    place: Place
    custom_id: str | None
    code: str
    message: str


class _Line(msgspec.Struct):
    custom_id: str
    url: str
    body: msgspec.Raw
    method: str = "POST"


class _Named(msgspec.Struct):
    custom_id: str | None = None


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_name = msgspec.json.Decoder(_Named).decode


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a file was when it was planned.

    Attributes:
        lines: how many it has, empty ones too.
    """

    size_bytes: int
    sha256: str
    lines: int


def fingerprint(path: Path) -> Fingerprint:
    """Read the whole file once. Raises: DataError if it is not there or empty."""
    digest, size, lines, last = hashlib.sha256(), 0, 0, b"\n"
    with open_requests(path) as file:
        while part := file.read(_READ_BYTES):
            digest.update(part)
            size, lines, last = size + len(part), lines + part.count(b"\n"), part[-1:]
    if not size:
        raise DataError(f"{path} is empty", remedy="Give one request a line")
    return Fingerprint(size, digest.hexdigest(), lines + (last != b"\n"))


def open_requests(path: Path) -> BinaryIO:
    """The batch file, for reading. Raises: DataError if it is not there."""
    if not path.is_file():
        raise DataError(f"{path} does not exist", remedy="Check the path")
    return path.open("rb")


def read_requests(path: Path, parse: ParseBody) -> Iterator[BatchRequest | BadLine]:
    """Every line but empty ones, in order; an id that came before makes a line bad.

    Memory: the ids. Raises: DataError if the file is not there.
    """
    first: dict[str, int] = {}
    with open_requests(path) as file:
        number = offset = 0
        while data := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            place = Place(number, offset)
            if len(data) > MAX_LINE_BYTES:
                while data and not data.endswith(b"\n"):
                    data = file.readline(_READ_BYTES)
                yield BadLine(place, None, "line_too_long", f"it has more than {MAX_LINE_BYTES} bytes")
            elif data.strip():
                made = read_line(data, place, parse)
                if (
                    made.custom_id is not None
                    and (before := first.setdefault(made.custom_id, number)) != number
                ):
                    said = f"custom_id {made.custom_id!r} stands in line {before} already"
                    made = BadLine(place, made.custom_id, "duplicate_custom_id", said)
                yield made
            offset = file.tell()


def read_line(data: bytes, place: Place, parse: ParseBody, request_id: str = "") -> BatchRequest | BadLine:
    """One line; the request's id is its custom_id if no other is given."""
    try:
        line = _decode_line(data.removeprefix(b"\xef\xbb\xbf"))
        if not 1 <= len(line.custom_id) <= MAX_ID_CHARS:
            raise BadRequest(
                f"custom_id has {len(line.custom_id)} characters",
                remedy=f"Give it 1 to {MAX_ID_CHARS}",
                code="invalid_custom_id",
            )
        if line.method != "POST" or line.url not in URLS:
            raise BadRequest(
                f"{line.method[:16]} {line.url[:64]!r} can't be run",
                remedy=f"Use POST and one of {', '.join(URLS)}",
                code="invalid_url",
            )
        request = parse(bytes(line.body), URLS[line.url], request_id or line.custom_id)
        return BatchRequest(place, line.custom_id, request)
    except msgspec.ValidationError as error:
        return BadLine(place, _name_of(data), "invalid_type", str(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return BadLine(place, None, "invalid_json", f"it is no JSON: {error}")
    except CallerError as error:
        return BadLine(place, line.custom_id, error.code, str(error))


def _name_of(data: bytes) -> str | None:
    try:
        return _decode_name(data).custom_id
    except msgspec.ValidationError:
        return None
