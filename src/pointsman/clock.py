"""The only place where a clock is read.

Everything below the drivers takes `now` as an argument. A driver owns one `Clock`: real time in the
gateway, virtual time in the simulator and in tests.
"""

from __future__ import annotations

import time
from typing import Protocol

from pointsman.errors import InternalError


class Clock(Protocol):
    """Seconds on a clock that never goes back, and the wall time for records."""

    def now(self) -> float:
        """Monotonic seconds; only differences mean anything."""
        ...

    def wall(self) -> float:
        """Seconds since 1970, for records and logs; may jump."""
        ...


class RealClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def wall(self) -> float:
        """Seconds since 1970."""
        return time.time()


class VirtualClock:
    """A clock that a simulator moves; it refuses to go back."""

    def __init__(self, start_s: float = 0.0) -> None:
        self._now_s = start_s

    def now(self) -> float:
        """Virtual seconds."""
        return self._now_s

    def wall(self) -> float:
        """The same virtual seconds, so that a simulated log is reproducible."""
        return self._now_s

    def advance_to(self, at_s: float) -> None:
        """Move to `at_s`. Raises InternalError if that lies in the past."""
        if not at_s >= self._now_s:
            raise InternalError(f"a virtual clock at {self._now_s} s was asked to go back to {at_s} s")
        self._now_s = at_s
