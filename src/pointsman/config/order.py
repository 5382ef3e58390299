"""Settings of the order in which an endpoint's queue runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pointsman.config.parse import number, section, setting, shorthand, text
from pointsman.config.problem import Problem
from pointsman.config.stream_limits import NamedNumber, numbers
from pointsman.config.tree import Node

_LONGEST_S = 1e6
_BY_TIME = ("fcfs", "bounded", "edf", "slack")


def check_order(order: OrderConfig, node: Node) -> Iterator[Problem]:
    """What is wrong between the values."""
    if order.head_start_s and order.name not in _BY_TIME:
        yield node.problem(
            f"`head_start_s` moves times, and the order {order.name!r} does not go by times",
            f"Choose among {', '.join(_BY_TIME)}",
        )


@dataclass(frozen=True, slots=True)
class OrderConfig:
    """When requests run. `order: bounded` is short for `order: {name: bounded}`."""

    name: str = setting(
        "fcfs",
        text,
        "fcfs: first come, first served; bounded: short ones first, within a bound; ranked: without one; edf; "
        "slack; or a plugin's name",
    )
    stretch: float = setting(
        10.0, number(0, _LONGEST_S), "of `bounded`: seconds of turn given up for each predicted second"
    )
    cap_s: float = setting(
        60.0, number(0, _LONGEST_S, above=True), "of `bounded`: the most predicted seconds that count"
    )
    without_s: float = setting(
        60.0, number(0, _LONGEST_S, above=True), "of `edf` and `slack`: deadline of requests that have none"
    )
    head_start_s: tuple[NamedNumber, ...] = setting(
        (),
        numbers(-_LONGEST_S, _LONGEST_S),
        "service classes that count as if they had come so much earlier, by name; later if below 0",
    )


read_order = shorthand("name", section(OrderConfig, check_order))
