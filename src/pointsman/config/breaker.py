"""Settings of the circuit breaker: when an endpoint that fails is left alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pointsman.config.parse import integer, number, setting
from pointsman.config.problem import Problem
from pointsman.config.tree import Node

_LONGEST_S: Final = 86_400.0


def check_breaker(breaker: BreakerConfig, node: Node) -> Iterator[Problem]:
    """What is wrong between the values."""
    if breaker.rest_s > breaker.most_rest_s:
        yield node.problem(
            f"rest_s {breaker.rest_s:g} is above most_rest_s {breaker.most_rest_s:g}", "Let it rest no longer"
        )


@dataclass(frozen=True, slots=True)
class BreakerConfig:
    """When an endpoint that fails is left alone."""

    failures: int = setting(3, integer(1), "failures in a row that are its own fault")
    rest_s: float = setting(5.0, number(0, _LONGEST_S, above=True), "seconds until one request tries it")
    most_rest_s: float = setting(
        60.0, number(0, _LONGEST_S, above=True), "the same, doubled at each failed trial, at most"
    )
