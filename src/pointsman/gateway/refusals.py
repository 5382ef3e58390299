"""Errors as callers of OpenAI's interface know them: a status and `{"error": {...}}`.

What a caller sees is written here or comes from an error's message, which holds no secret; what went
wrong inside is logged, never sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from pointsman.errors import BadRequest, EngineError, EngineRejected, InternalError, PointsmanError
from pointsman.gateway.headers import header_value
from pointsman.live import Handle

RETRY_AFTER_S: Final = 1
"""What a caller is told to wait when there is no room now."""

_ENDED: Final = {
    "no_eligible_endpoint": (400, "invalid_request_error"),
    "refused": (429, "rate_limit_error"),
    "queue_full": (429, "rate_limit_error"),
    "limits_unmet": (422, "invalid_request_error"),
    "skipped": (422, "invalid_request_error"),
    "endpoint_down": (503, "server_error"),
    "shutting_down": (503, "server_error"),
    "cancelled": (503, "server_error"),
}
"""Status and type for the codes of requests that ended without an answer."""

_RETRY: Final = frozenset({"refused", "queue_full", "endpoint_down", "shutting_down", "cancelled"})
_CREDENTIALS: Final = (401, 403, 407)


class UnknownModel(BadRequest):
    """No endpoint serves the model that was named."""

    http_status = 404
    default_code = "model_not_found"


class BodyTooLarge(BadRequest):
    """The body is over the limit."""

    http_status = 413
    default_code = "body_too_large"


class NotFound(BadRequest):
    """There is nothing at that path."""

    http_status = 404
    default_code = "not_found"


class WrongMethod(BadRequest):
    """The path does not take that method."""

    http_status = 405
    default_code = "method_not_allowed"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A status and a JSON body."""

    status: int
    body: bytes
    retry_after: bytes | None = None


def error_body(message: str, kind: str, code: str, param: str | None = None) -> bytes:
    """OpenAI's error object as JSON."""
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": param, "code": code}})


def refusal_of_error(error: PointsmanError) -> Refusal:
    """What a caller gets for an error, by its class."""
    if isinstance(error, EngineRejected):
        return _rejected(error)
    return Refusal(error.http_status, error_body(str(error), error.error_type, error.code, error.param))


def refusal_of_end(handle: Handle) -> Refusal:
    """What a caller gets for a request that ended without an answer."""
    outcome = handle.outcome
    reason = outcome.reason if outcome else ""
    if handle.code in _ENDED:
        status, kind = _ENDED[handle.code]
        retry_after = b"%d" % RETRY_AFTER_S if handle.code in _RETRY else None
        return Refusal(status, error_body(reason, kind, handle.code), retry_after)
    return refusal_of_error(handle.error or InternalError(reason or "the request ended without an answer"))


def unexpected(request_id: str) -> Refusal:
    """What a caller gets for a fault of Pointsman itself."""
    message = f"Pointsman failed at request {request_id}; its log says where"
    return Refusal(500, error_body(message, InternalError.error_type, InternalError.default_code))


def _rejected(error: EngineRejected) -> Refusal:
    """A 4xx is the caller's to read and passes through, but for credentials, which are ours."""
    if not 400 <= error.status < 500 or error.status in _CREDENTIALS:  # noqa: PLR2004 - the 4xx
        what = " (it did not accept Pointsman's credentials)" if error.status in _CREDENTIALS else ""
        return Refusal(
            EngineError.http_status, error_body(error.message + what, error.error_type, error.code)
        )
    retry_after = header_value(error.retry_after) if error.retry_after else None
    if _is_object(error.body):
        return Refusal(error.status, error.body, retry_after)
    said = error.body.decode(errors="replace").strip()[:500]
    message = f"{error.message}: {said}" if said else error.message
    body = error_body(message, BadRequest.error_type, error.code)
    return Refusal(error.status, body, retry_after)


def _is_object(body: bytes) -> bool:
    try:
        msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
