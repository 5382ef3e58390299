"""`POST /pointsman/feedback`: labels of past answers, one object or a list, kept all or none.

    {"request_id": "...", "score": 1, "source": "form", "at": 1767225600}

`at` is when it was said, in seconds since 1970; now if it is left out.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from pointsman.errors import BadRequest, DataError, InternalError
from pointsman.gateway.body import decoded
from pointsman.gateway.exchange import Exchange
from pointsman.gateway.refusals import BodyTooLarge, NotFound
from pointsman.live.feedback import Feedback
from pointsman.types import Label

FEEDBACK: Final = "/pointsman/feedback"
MAX_LABELS: Final = 1_000


class NotKept(InternalError):
    """Labels that the log did not take; they may be sent again."""

    http_status = 503
    default_code = "labels_not_kept"


class LabelBody(msgspec.Struct, forbid_unknown_fields=True):
    """A label as it is sent."""

    request_id: str
    score: float
    source: str | None = None
    at: float | None = None

    def label(self, source: str | None = None) -> Label:
        """The label. Raises: BadRequest.

        Args:
            source: where the body names none.
        """
        named = self.source if self.source is not None else source
        if named is None:
            raise BadRequest("source is missing", remedy="Say who gave the label", param="source")
        return Label(self.request_id, self.score, named, self.at)


_decode_one: Final = msgspec.json.Decoder(LabelBody).decode
_decode: Final = msgspec.json.Decoder(LabelBody | list[LabelBody]).decode


def read_label(line: bytes, source: str | None = None) -> Label:
    """One label, from `source` where it names none. Raises: BadRequest naming the field at fault."""
    return decoded(line, _decode_one).label(source)


def read_labels(body: bytes) -> list[Label]:
    """The labels of a body, at least one. Raises: BadRequest naming the label at fault; BodyTooLarge."""
    read = decoded(body, _decode)
    if isinstance(read, LabelBody):
        return [read.label()]
    if len(read) > MAX_LABELS:
        raise BodyTooLarge(
            f"the list holds {len(read):,} labels, over the limit of {MAX_LABELS:,}",
            remedy="Send them in several requests",
            code="too_many_labels",
        )
    if not read:
        raise BadRequest("the list is empty", remedy="Send at least one label")
    return [_numbered(number, each) for number, each in enumerate(read)]


def _numbered(number: int, body: LabelBody) -> Label:
    try:
        return body.label()
    except BadRequest as error:
        where = f"[{number}].{error.param}"
        raise BadRequest(f"[{number}]: {error.message}", remedy=error.remedy, param=where) from error


async def take_labels(exchange: Exchange, feedback: Feedback | None, max_body_bytes: int) -> None:
    """Answer the request once its labels are on disk.

    Raises: NotFound where no log is kept; BadRequest; BodyTooLarge; NotKept.
    """
    if feedback is None:
        raise NotFound(
            "labels join the decision log, and none is kept here",
            remedy="Set pointsman.log.path",
            code="no_decision_log",
        )
    body = await exchange.read_body(max_body_bytes)
    if body is None:
        return  # the caller went away while sending it
    try:
        kept = await asyncio.wrap_future(feedback.label(read_labels(body)))
    except DataError as error:
        raise NotKept(error.message, remedy=error.remedy) from error
    await exchange.answer_json({"new": kept.new, "repeated": kept.repeated, "unknown": kept.unknown})
