"""One number from an answer of a smart plug, a PDU or Redfish, asked once.

Whatever is on the other side is not trusted: time and size are limited, and anything but one finite
number is an error that shows the first characters of the answer. How the answer is fetched stands in
`reading_command.py` and `reading_url.py`.
"""

from __future__ import annotations

import json
import re
from math import isfinite
from typing import Final, Protocol

from pointsman.errors import ConfigError, DataError, MissingError

LIMIT_BYTES: Final = 65_536
TIMEOUT_S: Final = 5.0
BY_HAND: Final = "Try it by hand, and raise timeout_s if it is only slow"
PLAIN: Final = re.compile(
    r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(?:w|watts?|j|joules?)?", re.IGNORECASE | re.ASCII
)


class Reading(Protocol):
    """A source of one number."""

    @property
    def label(self) -> str:
        """What is asked, without secrets."""
        ...

    def read(self) -> float:
        """The number now.

        Raises: MissingError if nothing answers in time, DataError if the answer holds no number.
        """
        ...


def number_in(answer: bytes, key: str | None, label: str) -> float:
    """The number in an answer. Raises DataError.

    Args:
        answer: without a key: one number, at most followed by W or J; with one: JSON.
        key: a JSON pointer ("/PowerControl/0/PowerConsumedWatts", RFC 6901) or names joined by dots
            ("emeter.power"); list items by number.
        label: for messages.
    """
    text = answer.decode("utf-8", errors="replace").strip()
    shown = f"{label} answered {text[:60]!r}"
    if key is None:
        match = PLAIN.fullmatch(text)
        if match is None:
            raise DataError(f"{shown}, not one number in W or J", remedy="Name the number's place with key")
        return _finite(match[1], shown)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{shown}, which is no JSON", remedy="Leave key out for a plain number") from error
    for step in _steps(key):
        value = _child(value, step, key, shown)
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise DataError(f"{shown}, where {key!r} is no number", remedy="Correct key")
    return _finite(value, f"{shown}, where {key!r}")


def _steps(key: str) -> list[str]:
    if key.startswith("/"):
        return [step.replace("~1", "/").replace("~0", "~") for step in key[1:].split("/")]
    return key.split(".")


def _child(value: object, step: str, key: str, shown: str) -> object:
    if isinstance(value, dict) and step in value:
        return value[step]
    if isinstance(value, list) and step.isdecimal() and int(step) < len(value):
        return value[int(step)]
    raise DataError(f"{shown}, which has no {step!r} of {key!r}", remedy="Correct key")


def _finite(value: float | str, shown: str) -> float:
    try:
        number = float(value)
    except (ValueError, OverflowError):
        number = float("nan")
    if not isfinite(number):
        raise DataError(f"{shown} holds {str(value)[:40]!r}, no finite number")
    return number


def check_timeout(timeout_s: float) -> None:
    """Raise ConfigError unless the limit is a positive number of seconds."""
    if not (isfinite(timeout_s) and timeout_s > 0):
        raise ConfigError(f"timeout_s is {timeout_s}; it must be above 0", param="timeout_s")


def too_long(label: str) -> DataError:
    """The error for an answer past `LIMIT_BYTES`."""
    return DataError(f"{label} answered more than {LIMIT_BYTES} bytes", remedy="Ask for one number")


def too_slow(label: str, timeout_s: float) -> MissingError:
    """The error for an answer past the time limit."""
    return MissingError(f"{label} did not answer within {timeout_s:g} s", remedy=BY_HAND)
