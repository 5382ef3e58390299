"""Split one counter of joules among the requests that run at the same time.

A meter sees the whole device, not a request. Between two boundaries (a start or an end) the joules
that were counted are divided equally among the requests that were active; joules counted while none
was active belong to nobody and are kept apart as idle. So the parts and the idle joules sum to the
counter's growth: nothing is counted twice and nothing is lost.

An equal split is a convention: a request with a long prompt is charged like its neighbours. It is exact
where one request runs at a time.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from pointsman.errors import InternalError
from pointsman.meters.base import Meter

Key = TypeVar("Key", bound=Hashable)


class EnergyShare(Generic[Key]):
    """Charges each request its part of a meter's joules. Use it from one thread (the driver's).

    A boundary costs one read of the meter and O(active requests).

    Attributes:
        meter: the counter that is split.
        idle_j: joules counted while no request was active.
        charged_j: joules charged to requests up to the last boundary, ended or still active.
    """

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.idle_j = 0.0
        self.charged_j = 0.0
        self._active_j: dict[Key, float] = {}
        self._read_j = meter.read_j()

    def start(self, key: Key) -> None:
        """A request begins to run. Raises InternalError if it is active already."""
        if key in self._active_j:
            raise InternalError(f"request {key!r} was started twice in the energy split")
        self._settle()
        self._active_j[key] = 0.0

    def end(self, key: Key) -> float:
        """A request stopped running, whatever became of it.

        Returns: its joules. Raises: InternalError if it is not active.
        """
        if key not in self._active_j:
            raise InternalError(f"request {key!r} was ended in the energy split but never started")
        self._settle()
        return self._active_j.pop(key)

    @property
    def active(self) -> int:
        """How many requests are running."""
        return len(self._active_j)

    def _settle(self) -> None:
        """Give out what was counted since the last boundary."""
        now_j = self.meter.read_j()
        grown_j = now_j - self._read_j
        self._read_j = now_j
        if not self._active_j:
            self.idle_j += grown_j
            return
        self.charged_j += grown_j
        part_j = grown_j / len(self._active_j)
        for key in self._active_j:
            self._active_j[key] += part_j
