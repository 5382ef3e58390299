"""The requests that wait for one endpoint, and the slots of those that run there."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Final

from pointsman.errors import InternalError
from pointsman.lifecycle import Entry
from pointsman.types import Endpoint, EndpointLoad, EndpointView

_MIN_COMPACT: Final = 64


@dataclass(slots=True)
class EndpointQueue:
    """A heap of waiting requests by (key, arrival), at most `max_concurrent` of which run at once.

    A request that leaves without running (cancelled, moved elsewhere) stays in the heap as a dead item
    and is dropped when it comes to the top, or when dead items are more than half. So joining and
    leaving cost O(log n), amortised.

    Attributes:
        max_concurrent: the endpoint's slots; lowered below `running`, none starts until enough ended.
        running: requests outstanding on the endpoint.
        load: what the endpoint last said of itself, if it says anything.
    """

    endpoint: Endpoint
    max_concurrent: int
    healthy: bool = True
    running: int = 0
    load: EndpointLoad | None = None
    _heap: list[tuple[float, int, Entry]] = field(default_factory=list)
    _waiting: dict[int, Entry] = field(default_factory=dict)
    _view: EndpointView | None = None

    def __len__(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    def view(self) -> EndpointView:
        """The state as policies see it; built anew only after a change."""
        if self._view is None:
            self._view = EndpointView(
                self.endpoint.name,
                len(self._waiting),
                self.running,
                self.max_concurrent,
                self.healthy,
                self.load,
            )
        return self._view

    def set_capacity(self, max_concurrent: int, *, healthy: bool) -> None:
        """The endpoint has other slots, went down or came back; changes nothing of what runs or waits."""
        self.max_concurrent, self.healthy, self._view = max_concurrent, healthy, None

    def observe(self, load: EndpointLoad) -> None:
        """The endpoint said how busy it is."""
        self.load, self._view = load, None

    def push(self, key: float, entry: Entry) -> None:
        """A request joins. Raises InternalError if it waits here already, or if its key is NaN."""
        if entry.seq in self._waiting or key != key:  # noqa: PLR0124 - NaN differs from itself
            raise InternalError(
                f"request {entry.request.id!r} can't join {self.endpoint.name} with key {key}"
            )
        self._view = None
        self._waiting[entry.seq] = entry
        heapq.heappush(self._heap, (key, entry.seq, entry))

    def remove(self, entry: Entry) -> None:
        """A waiting request leaves for good, without having run. Raises InternalError if it is not here."""
        if self._waiting.pop(entry.seq, None) is None:
            raise InternalError(f"request {entry.request.id!r} does not wait for {self.endpoint.name}")
        self._view = None
        if len(self._heap) > 2 * len(self._waiting) + _MIN_COMPACT:
            self._heap = [item for item in self._heap if item[1] in self._waiting]
            heapq.heapify(self._heap)

    def start_next(self) -> Entry | None:
        """Take the next request into a slot; None if none waits, no slot is free or it is down."""
        if not self.healthy or self.running >= self.max_concurrent:
            return None
        while self._heap:
            _, seq, entry = heapq.heappop(self._heap)
            if self._waiting.pop(seq, None) is not None:
                self.running += 1
                self._view = None
                return entry
        return None

    def release(self) -> None:
        """A running request gave its slot back. Raises InternalError if nobody held one."""
        if self.running == 0:
            raise InternalError(f"endpoint {self.endpoint.name} gave back a slot that nobody held")
        self.running -= 1
        self._view = None

    def drain(self) -> list[Entry]:
        """Take out all waiting requests, in order."""
        waiting = [entry for _, seq, entry in sorted(self._heap) if seq in self._waiting]
        self._heap.clear()
        self._waiting.clear()
        self._view = None
        return waiting
