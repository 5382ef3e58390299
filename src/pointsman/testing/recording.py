"""Recorded steps of a scheduler, and whether another one makes the same of them (invariant 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np

from pointsman.events import Command, Event
from pointsman.scheduler import Scheduler


@dataclass(slots=True)
class Recording:
    """Every step of a scheduler: its events, its time, and what came back as plain values."""

    steps: list[tuple[tuple[Event, ...], float, Any]] = field(default_factory=list)

    def step(self, scheduler: Scheduler, events: Sequence[Event], now: float) -> list[Command]:
        """Step the scheduler and keep what happened; a step that raises is not kept."""
        commands = scheduler.step(events, now)
        self.steps.append((tuple(events), now, plain(commands)))
        return commands

    def replay(self, fresh: Scheduler) -> None:
        """Feed the same events to a fresh scheduler. Raises AssertionError at the first difference."""
        for number, (events, now, expected) in enumerate(self.steps):
            found = plain(fresh.step(events, now))
            if found != expected:
                raise AssertionError(f"step {number} at {now} s, {events}: {found}, recorded {expected}")


def plain(value: Any) -> Any:
    """Nested tuples that can be compared with ==, NaN included; arrays by shape and bytes."""
    if isinstance(value, np.ndarray):
        return (value.shape, value.dtype.str, value.tobytes())
    if is_dataclass(value) and not isinstance(value, type):
        return (
            type(value).__name__,
            *(plain(getattr(value, each.name)) for each in fields(value) if each.compare),
        )
    if isinstance(value, list | tuple):
        return tuple(plain(item) for item in value)
    if isinstance(value, Mapping):
        return tuple((key, plain(item)) for key, item in value.items())
    return value
