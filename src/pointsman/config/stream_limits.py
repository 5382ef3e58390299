"""Settings of the policy `constrained`: what it minimises, and within what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pointsman.config.parse import Parser, integer, keyed, number, one_of, optional, setting
from pointsman.config.tree import Node

OBJECTIVE_WORDS: Final = ("cost", "energy", "time")


@dataclass(frozen=True, slots=True)
class NamedNumber:
    """An entry of a map from names to numbers."""

    name: str
    value: float


def numbers(low: float, high: float) -> Parser[tuple[NamedNumber, ...]]:
    """A map from names to numbers."""
    return keyed(lambda name, node: NamedNumber(name, number(low, high)(node)))


def as_mapping(entries: tuple[NamedNumber, ...]) -> dict[str, float]:
    """The same as a mapping, in the order of the file."""
    return {entry.name: entry.value for entry in entries}


def read_objective(node: Node) -> tuple[NamedNumber, ...]:
    """A word, or a map from words to weights of which at least one is above 0."""
    if node.text is not None and not node.is_null:
        return (NamedNumber(one_of(OBJECTIVE_WORDS)(node), 1.0),)
    read = numbers(0.0, 1e12)(node)
    for entry in read:
        if entry.name not in OBJECTIVE_WORDS:
            raise node.refused(
                f"the objective names {entry.name!r}", f"Choose among {', '.join(OBJECTIVE_WORDS)}"
            )
    if not any(entry.value for entry in read):
        raise node.refused("the objective weighs nothing", "Give cost, energy or time a weight above 0")
    return read


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """What a stream of requests has to keep to, on the mean."""

    min_quality: float = setting(0.0, number(0, 1), "least mean quality of all requests; 0 asks nothing")
    min_quality_by_tenant: tuple[NamedNumber, ...] = setting(
        (), numbers(0, 1), "the same of tenants, by name"
    )
    min_quality_by_class: tuple[NamedNumber, ...] = setting(
        (), numbers(0, 1), "the same of service classes, by name"
    )
    confidence: float | None = setting(
        None,
        optional(number(0.5, 0.9999)),
        "that these floors hold, by prompts that the learned predictor's fit held out; null: as predicted",
    )
    over_requests: int = setting(10_000, integer(1), "of `confidence`: requests that the mean is over")
    max_share_requests: tuple[NamedNumber, ...] = setting(
        (), numbers(0, 1), "most of the requests that an endpoint gets, as a share, by name"
    )
    usd_per_request: float | None = setting(None, optional(number(0)), "most dollars of a request")
    j_per_request: float | None = setting(None, optional(number(0)), "most joules of a request")
