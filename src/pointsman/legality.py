"""Which events may come now: checked for a whole batch before `step` changes anything.

A driver may be late or repeat itself about what it can't know: predictions, cancellations and timers
of requests that have moved on are legal and do nothing. It must not be wrong about what it owns: the
ids of living requests, what runs on its endpoints, and the shape of what it answers.

The check is exact but for one case: an id can't arrive again in the batch whose decisions, or whose
judgement of its answer, end it.
"""

from __future__ import annotations

from collections.abc import Sequence

from pointsman.errors import IllegalTransition
from pointsman.events import (
    Arrived,
    Cancelled,
    CapacityChanged,
    Completed,
    Event,
    Failed,
    LoadObserved,
    Predicted,
    PredictFailed,
    PredictionDue,
    Woke,
)
from pointsman.lifecycle import Ledger, State
from pointsman.types import Disposition


def check_events(events: Sequence[Event], ledger: Ledger, endpoints: tuple[str, ...]) -> None:
    """Raise IllegalTransition for the first event that does not fit; changes nothing.

    Args:
        events: a batch, applied in this order if it passes.
        ledger: the requests that are alive before the batch.
        endpoints: names, in the column order of every table.
    """
    batch = _Batch(ledger, endpoints)
    for event in events:
        batch.check(event)


class _Batch:
    """The ledger with what earlier events of the batch do to it; None stands for not alive."""

    def __init__(self, ledger: Ledger, endpoints: tuple[str, ...]) -> None:
        self._ledger, self._endpoints = ledger, endpoints
        self._later: dict[str, State | None] = {}

    def check(self, event: Event) -> None:
        """Raise if the event does not fit, else take in what it does."""
        match event:
            case Arrived(request):
                if self._state(request.id) is not None:
                    raise IllegalTransition(f"request {request.id!r} arrived while that id was alive")
                self._later[request.id] = State.PREDICTING
            case Predicted(request_ids, table):
                _check_unique(request_ids)
                if table.endpoints != self._endpoints or table.quality.value.shape != (
                    len(request_ids),
                    len(self._endpoints),
                ):
                    raise IllegalTransition(
                        f"predictions of shape {table.quality.value.shape} over {table.endpoints} do not fit "
                        f"{len(request_ids)} requests and endpoints {self._endpoints}"
                    )
            case Completed() | Failed():
                self._check_end(event)
                held = isinstance(event, Completed) and self._ledger.entry(event.request_id).held
                self._later[event.request_id] = State.QUEUED if held else None
            case Cancelled(request_id):
                if self._state(request_id) is not State.RUNNING:
                    self._later[request_id] = None
            case PredictFailed(request_ids) | Woke(PredictionDue(request_ids)):
                _check_unique(request_ids)
            case CapacityChanged(endpoint, max_concurrent):
                self._check_endpoint(endpoint)
                if max_concurrent < 0:
                    raise IllegalTransition(f"endpoint {endpoint} can't run {max_concurrent} at once")
            case LoadObserved(endpoint):
                self._check_endpoint(endpoint)
            case _:
                pass  # a Deferred timer and labels fit any state

    def _state(self, request_id: str) -> State | None:
        if request_id in self._later:
            return self._later[request_id]
        entry = self._ledger.get(request_id)
        return None if entry is None else entry.state

    def _check_endpoint(self, endpoint: str) -> None:
        if endpoint not in self._endpoints:
            raise IllegalTransition(f"endpoint {endpoint!r} is unknown; there are {self._endpoints}")

    def _check_end(self, event: Completed | Failed) -> None:
        request_id, outcome = event.request_id, event.outcome
        if (state := self._state(request_id)) is not State.RUNNING:
            raise IllegalTransition(
                f"request {request_id!r} is {state or 'not alive'}, so it can't end on an endpoint"
            )
        samples = event.samples if isinstance(event, Completed) else ()
        expected = Disposition.ANSWERED if isinstance(event, Completed) else Disposition.FAILED
        endpoint = self._endpoints[self._ledger.entry(request_id).endpoint]
        found = (outcome.request_id, outcome.endpoint, outcome.disposition)
        if found != (request_id, endpoint, expected):
            raise IllegalTransition(
                f"{type(event).__name__} of request {request_id!r} on {endpoint} carries an outcome of "
                f"{outcome.request_id!r} on {outcome.endpoint!r}: {outcome.disposition}; expected {expected}"
            )
        if any((sample.request_id, sample.endpoint) != (request_id, endpoint) for sample in samples):
            raise IllegalTransition(f"samples of request {request_id!r} on {endpoint} are of another run")


def _check_unique(request_ids: tuple[str, ...]) -> None:
    if len(request_ids) > 1 and len(set(request_ids)) < len(request_ids):
        raise IllegalTransition("an event names a request twice")
