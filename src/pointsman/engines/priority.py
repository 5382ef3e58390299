"""How a server with a queue of its own is told of the order of ours: a number, or what is predicted.

Our keys are floats of which the lower runs first, mostly seconds on the machine's monotonic clock. Servers take
integers, of one sign or the other: a key's thousandths, so milliseconds of that clock. Orders are kept; keys that
round to one number run as they are sent. Numbers stay within +-(2**53 - 1), which every JSON reader keeps exactly; keys
beyond stand at the ends. What is sent without a key (a request that no queue of ours has held) gets no number.

    lower_first      vLLM with `--scheduling-policy priority`; LiteLLM
    higher_first     SGLang with `--enable-priority-scheduling`
    vllm_scheduler   vLLM with `--scheduler-cls pointsman.engines.vllm.Scheduler`: predictions in `vllm_xargs`
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

import msgspec

from pointsman.errors import BadRequest
from pointsman.types import Turn

PER_UNIT: Final = 1000
"""Numbers a unit of a key: milliseconds where keys are seconds."""

MOST: Final = 2**53 - 1

PREDICTED_TOKENS: Final = "pointsman_predicted_tokens"
WAITED_S: Final = "pointsman_waited_s"
"""Keys within `vllm_xargs`."""

Told = int | Mapping[str, float]
NOTHING: Final[Mapping[str, Told]] = MappingProxyType({})


class Telling(StrEnum):
    """See the module."""

    LOWER_FIRST = "lower_first"
    HIGHER_FIRST = "higher_first"
    VLLM_SCHEDULER = "vllm_scheduler"


def priority_of(key: float, telling: Telling) -> int:
    """The number that a server of that sign is sent for a finite key."""
    number = round(min(max(key * PER_UNIT, -MOST), MOST))
    return -number if telling is Telling.HIGHER_FIRST else number


def told_of(turn: Turn | None, telling: Telling | None) -> Mapping[str, Told]:
    """The fields that a request's body gets."""
    if turn is None or telling is None:
        return NOTHING
    if telling is not Telling.VLLM_SCHEDULER:
        return {"priority": priority_of(turn.key, telling)}
    known = {} if turn.predicted_tokens is None else {PREDICTED_TOKENS: turn.predicted_tokens}
    return {"vllm_xargs": {WAITED_S: turn.waited_s, **known}}


def add_told(fields: dict[str, msgspec.Raw], told: Mapping[str, Told]) -> None:
    """Add the fields to a body; an object joins what the caller's object of that name has.

    Raises: BadRequest if the caller gave one of them: a number of its own would jump our queue, or ours undo its.
    """
    for name, value in told.items():
        own = msgspec.json.decode(fields.get(name, b"null"))
        if isinstance(value, int) and own is not None:
            raise _taken(name)
        sent = value if isinstance(value, int) else _joined(name, own, value)
        fields[name] = msgspec.Raw(msgspec.json.encode(sent))


def _joined(name: str, own: Any, value: Mapping[str, float]) -> Mapping[str, Any]:
    if own is None:
        return value
    if not isinstance(own, dict):
        raise BadRequest(f"{name} is no object", remedy="Give a map, or leave it out", param=name)
    if own.keys() & value.keys():
        raise _taken(f"{name}.{min(own.keys() & value.keys())}")
    return {**own, **value}


def _taken(name: str) -> BadRequest:
    return BadRequest(
        f"{name} is set by this gateway's order of requests",
        remedy="Leave it out; `service_tier` names a service class",
        param=name,
    )
