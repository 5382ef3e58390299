"""A label: how good the answer to a request was, said afterwards by somebody who knows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pointsman.errors import BadRequest

MAX_REQUEST_ID_CHARS: Final = 256
MAX_SOURCE_CHARS: Final = 64
_LAST_UNIX_S: Final = 4_102_444_800.0  # the year 2100; milliseconds lie far beyond


@dataclass(frozen=True, slots=True)
class Label:
    """One label, checked.

    Attributes:
        request_id: as in the answer's header `x-request-id`.
        score: in [0, 1]; 1 is right, or as good as can be.
        source: who says so: a grader, a form, a person.
        at_unix_s: when it was said; None: when it was taken in.
    """

    request_id: str
    score: float
    source: str
    at_unix_s: float | None = None

    def __post_init__(self) -> None:
        """Raises BadRequest with the field, its value, the limit and the remedy."""
        _check_text("request_id", self.request_id, MAX_REQUEST_ID_CHARS, "the answer's x-request-id")
        _check_text("source", self.source, MAX_SOURCE_CHARS, "a word for who gave the label")
        if not 0 <= self.score <= 1:
            raise BadRequest(
                f"score is {self.score:g}, not in [0, 1]",
                remedy="Divide by the best possible score",
                param="score",
            )
        at = self.at_unix_s
        if at is not None and not (math.isfinite(at) and 0 <= at <= _LAST_UNIX_S):
            raise BadRequest(
                f"at is {at:g}, not from 0 to {_LAST_UNIX_S:.0f}",
                remedy="Give seconds since 1970, or leave it out",
                param="at",
            )


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of some labels.

    Attributes:
        new: added to the log.
        repeated: those that the log already had.
        unknown: of either kind, those whose request the log does not know (yet); they wait for it.
    """

    new: int = 0
    repeated: int = 0
    unknown: int = 0

    def __add__(self, other: Kept) -> Kept:
        return Kept(self.new + other.new, self.repeated + other.repeated, self.unknown + other.unknown)


def without_superseded(labels: Iterable[Label]) -> list[Label]:
    """Of labels of one request, source and time the last alone, so that giving them all again changes nothing."""
    last = {(label.request_id, label.source, label.at_unix_s): label for label in labels}
    return list(last.values())


def _check_text(name: str, value: str, limit: int, what: str) -> None:
    if not 1 <= len(value) <= limit or not value.isprintable():
        raise BadRequest(
            f"{name} is {value[:64]!r}, not 1 to {limit} printable characters",
            remedy=f"Give {what}",
            param=name,
        )
