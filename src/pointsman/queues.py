"""Where requests wait and run: for each endpoint a queue and its slots.

A request joins the queue of the endpoint that its decision chose, at the place that the order policy gives
it. At the end of a step the free slots of every queue that changed are filled; a run that ended gave its
slot back.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from pointsman.errors import InternalError
from pointsman.events import Dispatch
from pointsman.lifecycle import Entry, Move
from pointsman.order.base import OrderPolicy
from pointsman.order.queue import EndpointQueue
from pointsman.order.work import predicted_tokens
from pointsman.review import Review
from pointsman.step import Step
from pointsman.types import Decision, Endpoint, EndpointLoad, EndpointView, Turn


class Queues:
    """The queues of E endpoints, by column.

    Args:
        review: says of each run that begins whether its answer is held back.
    """

    def __init__(self, endpoints: Sequence[Endpoint], order: OrderPolicy, review: Review) -> None:
        self._order, self._review = order, review
        self._queues = [EndpointQueue(endpoint, endpoint.max_concurrent) for endpoint in endpoints]

    def view(self) -> tuple[EndpointView, ...]:
        """The endpoints' states now."""
        return tuple(queue.view() for queue in self._queues)

    def endpoint(self, column: int) -> EndpointView:
        """The state of one."""
        return self._queues[column].view()

    def running(self) -> tuple[int, ...]:
        """Requests outstanding on each endpoint."""
        return tuple(queue.running for queue in self._queues)

    def observe(self, column: int, load: EndpointLoad) -> None:
        """An endpoint said how busy it is."""
        self._queues[column].observe(load)

    def join(
        self, entry: Entry, column: int, decision: Decision, step: Step, move: Move = Move.QUEUE
    ) -> None:
        """A request waits at the endpoint that its decision chose, or fails with the order policy."""
        try:
            key = self._order.key(entry.request, decision, entry.arrived_s)
        except Exception as error:  # noqa: BLE001 - policies may be anyone's; the loop must go on
            step.fail(entry, self._order.name, error)
            return
        if not isfinite(key):
            step.fail(entry, self._order.name, InternalError(f"key {key} is not finite"))
            return
        step.ledger.move(entry, move)
        entry.endpoint, entry.key = column, key
        self._queues[column].push(key, entry)
        step.changed.add(column)

    def leave(self, entry: Entry) -> None:
        """A waiting request goes without having run."""
        self._queues[entry.endpoint].remove(entry)

    def dispatch(self, step: Step) -> None:
        """Fill the free slots of every queue that changed, in order."""
        for column in sorted(step.changed):
            self._fill(self._queues[column], step)

    def _fill(self, queue: EndpointQueue, step: Step) -> None:
        while (entry := queue.start_next()) is not None:
            step.ledger.move(entry, Move.DISPATCH)
            entry.dispatched_s, entry.beside = step.now, queue.running - 1
            entry.held = self._review.holds(entry, step)
            step.commands.append(
                Dispatch(entry.request.id, queue.endpoint.name, entry.held, _turn(entry, step.now))
            )
            step.hooks.dispatched(entry.request, queue.endpoint.name, step.now - entry.waits_from_s)

    def release(self, entry: Entry, step: Step) -> None:
        """A running request gives its slot back."""
        self._queues[entry.endpoint].release()
        step.changed.add(entry.endpoint)

    def change_capacity(self, column: int, max_concurrent: int, healthy: bool, step: Step) -> Sequence[Entry]:
        """An endpoint has other slots, went down or came back; gives those who can't wait there any longer."""
        queue = self._queues[column]
        queue.set_capacity(max_concurrent, healthy=healthy)
        step.changed.add(column)
        return [] if healthy else queue.drain()


def _turn(entry: Entry, now: float) -> Turn:
    tokens = predicted_tokens(entry.decision) if entry.decision else None
    return Turn(entry.key, now - entry.arrived_s, tokens)
