"""What happened (events) and what to do (commands): the scheduler's whole interface.

A driver feeds events with a time and carries out the commands it gets back. Both are plain values,
so a run can be recorded and replayed.

    Arrived            -> Predict, Wake(PredictionDue)
    Predicted          -> Record, then Dispatch or Finish or Wake(Deferred)
    PredictFailed      -> the same, on priors
    Woke               -> whatever was due
    Completed, Failed  -> Finish, Learn, Dispatch of the next in the queue
                          or, of an answer that was held back and judged, Record, Learn, Dispatch elsewhere
    Cancelled          -> Finish, or Abort while it runs (its slot is free only when the engine says so)
    CapacityChanged    -> Dispatch, or new decisions for those that waited there
    LoadObserved       -> nothing now; policies see it
    Labelled           -> nothing now; a policy with a state learns of it

An id may come again once its request has got its Finish, and not before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pointsman.types import AnswerSignals, CostTable, Decision, EndpointLoad, Label, Outcome, Request, Turn


@dataclass(frozen=True, slots=True)
class Arrived:
    """A caller sent a request."""

    request: Request


@dataclass(frozen=True, slots=True)
class Predicted:
    """The predictions of a `Predict` command: rows of `table` in the order of `request_ids`."""

    request_ids: tuple[str, ...]
    table: CostTable


@dataclass(frozen=True, slots=True)
class PredictFailed:
    """A `Predict` command failed; its requests go on with priors (invariant 9)."""

    request_ids: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Completed:
    """An endpoint answered in full; `signals` are known of answers that are held back.

    `samples`: how its further samples ended, one after another in the same slot.
    """

    request_id: str
    outcome: Outcome
    signals: AnswerSignals | None = None
    samples: tuple[Outcome, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """An endpoint did not answer, or an abort took effect; `outcome` has the reason.

    `given`: a part of its answer had been given out, so that no other can follow (invariant 2).
    """

    request_id: str
    outcome: Outcome
    given: bool = False


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The caller went away, or Pointsman gives the request up; `reason` is for its outcome.

    `gone`: nobody waits for it any more; else an answer that is held is given out.
    """

    request_id: str
    reason: str = "the caller cancelled it"
    gone: bool = True


@dataclass(frozen=True, slots=True)
class CapacityChanged:
    """An endpoint's limit changed, or it went down (`healthy=False`) or came back."""

    endpoint: str
    max_concurrent: int
    healthy: bool = True


@dataclass(frozen=True, slots=True)
class LoadObserved:
    """What an endpoint said of its own load."""

    endpoint: str
    load: EndpointLoad


@dataclass(frozen=True, slots=True)
class Labelled:
    """Labels of answers, whose requests may have ended long ago."""

    labels: tuple[Label, ...]


@dataclass(frozen=True, slots=True)
class PredictionDue:
    """Timer: these requests must not wait longer for their predictions."""

    request_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Deferred:
    """Timer: a deferred request is looked at again."""

    request_id: str


Timer = PredictionDue | Deferred


@dataclass(frozen=True, slots=True)
class Woke:
    """A timer asked for by `Wake` came due."""

    timer: Timer


Event = (
    Arrived
    | Predicted
    | PredictFailed
    | Completed
    | Failed
    | Cancelled
    | CapacityChanged
    | LoadObserved
    | Labelled
    | Woke
)


def requests_of(events: Sequence[Event]) -> list[str]:
    """The ids of the requests that events are about."""
    found: list[str] = []
    for event in events:
        match event:
            case Arrived(request):
                found.append(request.id)
            case Predicted(request_ids) | PredictFailed(request_ids) | Woke(PredictionDue(request_ids)):
                found.extend(request_ids)
            case Completed(request_id) | Failed(request_id) | Cancelled(request_id):
                found.append(request_id)
            case Woke(Deferred(request_id)):
                found.append(request_id)
            case CapacityChanged() | LoadObserved() | Labelled():
                pass
    return found


@dataclass(frozen=True, slots=True)
class Predict:
    """Predict for these requests by `deadline_s`; answer with Predicted or PredictFailed."""

    requests: tuple[Request, ...]
    running: tuple[int, ...]
    deadline_s: float


@dataclass(frozen=True, slots=True)
class Wake:
    """Send `Woke(timer)` at `at_s`."""

    at_s: float
    timer: Timer


@dataclass(frozen=True, slots=True)
class Record:
    """Keep this decision in the log."""

    decision: Decision


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Send the request to the endpoint now; answer with Completed or Failed.

    `held`: above 0, keep its answer, and give it out only when a Finish names that endpoint; above 1,
    compare it with further samples, so many in all. `turn`: for engines that have a queue of their own.
    """

    request_id: str
    endpoint: str
    held: int = 0
    turn: Turn | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Abort:
    """Stop the request on its endpoint; answer with Failed (or Completed, if it was faster)."""

    request_id: str
    endpoint: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The request has ended: tell its caller. Every arrival gets exactly one (invariants 1, 2).

    `unused`: its other runs: answers that are not given out, each behind its further samples, and failures.
    """

    outcome: Outcome
    code: str = ""
    unused: tuple[Outcome, ...] = ()


@dataclass(frozen=True, slots=True)
class Learn:
    """Hand these outcomes to the learner."""

    outcomes: Sequence[Outcome]


Command = Predict | Wake | Record | Dispatch | Abort | Finish | Learn
