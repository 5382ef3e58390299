"""Cells and JSON values as numbers and texts; each refusal gives the name, the value and the limit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from pointsman.errors import DataError

MAX_COUNT: Final = 2**31 - 1
_TRUTHS: Final = {"true": 1.0, "false": 0.0}
_MISSING: Final = (None, "")


def share(value: Any, name: str) -> float | None:
    """A score in [0, 1]; True is 1. None where nothing is there."""
    if value in _MISSING:
        return None
    number = _TRUTHS.get(str(value).casefold(), _number(value))
    if number is None or not 0.0 <= number <= 1.0:
        raise DataError(
            f"{name} is {_shown(value)}, not a number from 0 to 1",
            remedy="Divide by the best possible score, or leave it empty where nothing was judged",
        )
    return number


def amount(value: Any, name: str) -> float | None:
    """Seconds or dollars: a finite number of at least 0. None where nothing is there."""
    if value in _MISSING:
        return None
    number = _number(value)
    if number is None or not 0.0 <= number < math.inf:
        raise DataError(f"{name} is {_shown(value)}, not a number of at least 0", remedy="Leave it empty")
    return number


def count(value: Any, name: str) -> int | None:
    """A whole number from 0 to 2,147,483,647. None where nothing is there."""
    if value in _MISSING:
        return None
    number = _number(value)
    if number is None or not 0 <= number <= MAX_COUNT or number != int(number):
        raise DataError(
            f"{name} is {_shown(value)}, not a whole number from 0 to {MAX_COUNT:,}", remedy="Leave it empty"
        )
    return int(number)


def counted(value: Any, name: str) -> int:
    """As `count`, but it must be there."""
    number = count(value, name)
    if number is None:
        raise DataError(f"{name} is missing", remedy="Fill it in, or remove the line")
    return number


def text(record: Mapping[str, Any], name: str) -> str:
    """A field that must be a text with something in it."""
    value = record.get(name)
    if not isinstance(value, str) or not value.strip():
        held = "is missing" if value is None else f"is {_shown(value)}, not a text"
        raise DataError(f"{name} {held}", remedy="Fill it in, or remove the line")
    return value


def optional_text(record: Mapping[str, Any], name: str) -> str | None:
    """A field that is a text, a number (as text) or nothing."""
    value = record.get(name)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return str(value)
    raise DataError(f"{name} is {_shown(value)}, not a text", remedy="Write it as a text")


def part(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A field that is an object, or nothing: then an empty one."""
    value = record.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise DataError(f"{name} is {_shown(value)}, not an object", remedy="Write it as {...}")
    return value


def length(value: Any) -> int | None:
    """Characters of an answer's text; None for no text."""
    return len(value) if isinstance(value, str) else None


def _number(value: Any) -> float | None:
    """As a float, NaN included; None for what is no number, such as a list or a truth."""
    if isinstance(value, bool) or not isinstance(value, str | int | float) or "_" in str(value):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _shown(value: Any) -> str:
    return f"{value!r:.60}"
