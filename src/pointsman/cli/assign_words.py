"""Limits as words of the command line: `0.8`, `tenant:acme=0.9`, `small=5000`, `cost=1,energy=1e-6`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from pointsman.batch.limits import OBJECTIVES
from pointsman.errors import BadRequest

_GROUPS: Final = ("tenant", "class")


def objective_of(text: str) -> dict[str, float]:
    """`cost`, `energy`, `time`, or weights of them. Raises: BadRequest."""
    words = text.split(",")
    if words == [text] and "=" not in text:
        words = [f"{text}=1"]
    made: dict[str, float] = {}
    for word in words:
        name, _, number = word.partition("=")
        if name.strip() not in OBJECTIVES:
            raise BadRequest(
                f"--objective names {name.strip()!r}",
                remedy=f"Choose {', '.join(OBJECTIVES)}; or weights, such as cost=1,energy=1e-6",
            )
        made[name.strip()] = number_of("--objective", number)
    if not any(made.values()):
        raise BadRequest(f"--objective {text!r} weighs nothing", remedy="Give at least one weight above 0")
    return made


def floors_of(texts: Sequence[str]) -> tuple[float | None, dict[str, float], dict[str, float]]:
    """The floor over all requests, those of tenants, those of service classes. Raises: BadRequest."""
    overall: float | None = None
    groups: dict[str, dict[str, float]] = {name: {} for name in _GROUPS}
    for text in texts:
        where, equals, number = text.rpartition("=")
        kind, colon, name = where.partition(":")
        if not equals:
            overall = number_of("--min-quality", number, 1.0)
        elif colon and name and kind in groups:
            groups[kind][name] = number_of("--min-quality", number, 1.0)
        else:
            raise BadRequest(
                f"--min-quality {text!r} can't be used",
                remedy="Give 0.8 for all requests, tenant:NAME=0.8, or class:NAME=0.8",
            )
    return overall, groups["tenant"], groups["class"]


def loads_of(texts: Sequence[str]) -> dict[str, float]:
    """The most requests by endpoint. Raises: BadRequest."""
    made: dict[str, float] = {}
    for text in texts:
        name, equals, number = text.rpartition("=")
        if not equals or not name:
            raise BadRequest(f"--max-load {text!r} can't be used", remedy="Give ENDPOINT=REQUESTS")
        made[name] = number_of("--max-load", number)
    return made


def number_of(option: str, text: str, most: float = math.inf) -> float:
    """A finite number from 0 to `most`. Raises: BadRequest."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (0 <= value <= most and value < math.inf):
        limits = f"a number from 0 to {most:g}" if most < math.inf else "a number from 0 up"
        raise BadRequest(f"{option}: {text.strip()!r} can't be used", remedy=f"Give {limits}")
    return value
