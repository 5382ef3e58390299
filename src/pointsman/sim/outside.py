"""What comes to a simulation from outside: arrivals, and events that are given with their times."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from math import inf

from pointsman.errors import BadRequest
from pointsman.events import Arrived, Event
from pointsman.types import Request


def outside_events(
    arrivals: Iterable[tuple[float, Request]], also: Iterable[tuple[float, Event]]
) -> Iterator[tuple[float, Event]]:
    """Both streams as one, read one ahead each. Raises BadRequest where times fall."""
    arriving = ((at_s, Arrived(request)) for at_s, request in arrivals)
    last_s = -inf
    for at_s, event in heapq.merge(also, arriving, key=lambda item: item[0]):
        if not last_s <= at_s < inf:
            raise BadRequest(
                f"{type(event).__name__} at {at_s} s comes after one at {last_s} s",
                remedy="Sort the arrivals and the other events by time",
            )
        last_s = at_s
        yield at_s, event
