"""A request's life as one table, and the ledger that holds every request to it.

    (new) --arrive--> PREDICTING --queue--> QUEUED --dispatch--> RUNNING --answer--> ANSWERED
                          |   ^               |  ^                  |------fail----> FAILED
                          |   |               |  `-----escalate-----' (its answer is held, another is asked for)
                          |   `--- defer ---> DEFERRED (looked at again when its timer wakes,
                          |                   |         on new predictions where its admission put it off)
                          |                   `--queue--> QUEUED (its endpoint went away)
                          |                   `--answer-> ANSWERED (by the answer that is held)
                          `--skip--> SKIPPED    `--refuse--> REFUSED    `--fail--> FAILED (cancelled)

A move that the table does not hold raises `IllegalTransition` and changes nothing. A request leaves
the ledger when it ends; only its count stays, so memory follows what is alive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from pointsman.errors import IllegalTransition
from pointsman.types import Decision, Disposition, Outcome, Request


class State(StrEnum):
    """Where a living request is."""

    PREDICTING = "predicting"
    DEFERRED = "deferred"
    QUEUED = "queued"
    RUNNING = "running"


class Move(StrEnum):
    """What can happen to it."""

    DEFER = "defer"
    PREDICT = "predict"
    QUEUE = "queue"
    DISPATCH = "dispatch"
    ESCALATE = "escalate"
    ANSWER = "answer"
    SKIP = "skip"
    REFUSE = "refuse"
    FAIL = "fail"


_DECIDED: Final[dict[Move, State | Disposition]] = {
    Move.DEFER: State.DEFERRED,
    Move.QUEUE: State.QUEUED,
    Move.SKIP: Disposition.SKIPPED,
    Move.REFUSE: Disposition.REFUSED,
    Move.FAIL: Disposition.FAILED,
}
TRANSITIONS: Final[dict[State, dict[Move, State | Disposition]]] = {
    State.PREDICTING: _DECIDED,
    State.DEFERRED: {**_DECIDED, Move.PREDICT: State.PREDICTING},
    State.QUEUED: {**_DECIDED, Move.DISPATCH: State.RUNNING, Move.ANSWER: Disposition.ANSWERED},
    State.RUNNING: {
        Move.ANSWER: Disposition.ANSWERED,
        Move.FAIL: Disposition.FAILED,
        Move.ESCALATE: State.QUEUED,
    },
}


_PUT_OFF: Final = (State.DEFERRED, State.PREDICTING)


@dataclass(slots=True)
class Entry:
    """One living request. Only the ledger changes `state`; the scheduler keeps the rest here.

    Attributes:
        seq: order of arrival, from 0.
        arrived_s, waits_from_s, dispatched_s: the driver's times; the second moves on when it is escalated.
        decision: the last one; None until predictions came.
        endpoint: index of the endpoint whose queue or slot it holds, else -1.
        key: by which it stands, or stood, in that queue.
        beside: other requests that ran there when it was sent.
        aborting: it was cancelled while it ran.
        gone: its caller went away then.
        held: samples by which the answer of its present run is judged before it is given out; 0: it is not.
        runs: earlier runs, whose answers are held; the last one's is given out if nothing better comes. Each
            stands behind its further samples.
    """

    request: Request
    seq: int
    arrived_s: float
    state: State = State.PREDICTING
    decision: Decision | None = None
    endpoint: int = -1
    key: float = 0.0
    dispatched_s: float | None = None
    beside: int = 0
    aborting: bool = False
    gone: bool = False
    held: int = 0
    runs: list[Outcome] = field(default_factory=list)
    waits_from_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.waits_from_s = self.arrived_s


class Ledger:
    """Every request's lifecycle; the scheduler's only mutable state beside its queues.

    Attributes:
        ended: how many ended, and how.
        put_off: ids of those that their admission put off, until they are queued or end.
    """

    def __init__(self) -> None:
        self._alive: dict[str, Entry] = {}
        self._arrivals = 0
        self.ended: Counter[Disposition] = Counter()
        self.put_off: set[str] = set()

    def __len__(self) -> int:
        """How many requests are alive."""
        return len(self._alive)

    @property
    def arrivals(self) -> int:
        """How many requests ever arrived; equals those alive plus those ended."""
        return self._arrivals

    def get(self, request_id: str) -> Entry | None:
        """The entry of a living request, else None."""
        return self._alive.get(request_id)

    def entry(self, request_id: str) -> Entry:
        """The entry of a living request. Raises IllegalTransition if there is none."""
        entry = self._alive.get(request_id)
        if entry is None:
            raise IllegalTransition(f"request {request_id!r} is not alive: it never arrived, or it has ended")
        return entry

    def predicting(self, request_ids: Sequence[str]) -> tuple[list[int], list[Entry]]:
        """Those that wait for predictions, with their places in `request_ids`."""
        rows, entries = [], []
        for row, request_id in enumerate(request_ids):
            entry = self._alive.get(request_id)
            if entry and entry.state is State.PREDICTING:
                rows.append(row)
                entries.append(entry)
        return rows, entries

    def arrive(self, request: Request, now: float) -> Entry:
        """Take in a new request. Raises IllegalTransition if its id is alive."""
        if request.id in self._alive:
            raise IllegalTransition(
                f"request {request.id!r} arrived twice; ids of living requests are unique"
            )
        entry = Entry(request, self._arrivals, now)
        self._arrivals += 1
        self._alive[request.id] = entry
        return entry

    def move(self, entry: Entry, move: Move) -> None:
        """Make a move of the table. Raises IllegalTransition, with nothing changed, if there is none."""
        target = TRANSITIONS[entry.state].get(move)
        if target is None:
            raise IllegalTransition(
                f"request {entry.request.id!r} is {entry.state} and can't {move}; "
                f"it can {', '.join(TRANSITIONS[entry.state])}"
            )
        if isinstance(target, State):
            entry.state = target
        else:
            del self._alive[entry.request.id]
            self.ended[target] += 1
        if target not in _PUT_OFF:
            self.put_off.discard(entry.request.id)

    def put_off_at(self, entry: Entry, now: float) -> None:
        """Its admission puts it off; the time is that of the first."""
        entry.request = entry.request.put_off(now)
        self.put_off.add(entry.request.id)
