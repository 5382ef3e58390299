"""What one call of `Scheduler.step` gathers: commands, what changed, and how requests end in it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from pointsman.events import Command, Finish, Record
from pointsman.hooks import Hooks
from pointsman.lifecycle import Entry, Ledger, Move
from pointsman.types import Decision, Disposition, Outcome

_END_CODE: Final = {
    (Move.ANSWER, False): "",
    (Move.ANSWER, True): "",
    (Move.FAIL, False): "upstream_error",
    (Move.FAIL, True): "cancelled",
}
"""The code of a Finish by how the request ended on its endpoint and whether it was being aborted."""

_DISPOSITION: Final = {
    Move.SKIP: Disposition.SKIPPED,
    Move.REFUSE: Disposition.REFUSED,
    Move.FAIL: Disposition.FAILED,
}


@dataclass(slots=True)
class Step:
    """One step at time `now`.

    Attributes:
        commands: in the order in which they are given out.
        arrived: entries of this step's arrivals; some may have ended again.
        outcomes: of requests that ran, for the learner.
        changed: columns of the queues that something joined or left.
    """

    now: float
    ledger: Ledger
    hooks: Hooks
    commands: list[Command] = field(default_factory=list)
    arrived: list[Entry] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    changed: set[int] = field(default_factory=set)

    def record(self, decision: Decision) -> None:
        """A decision was made."""
        self.commands.append(Record(decision))
        self.hooks.decided(decision)

    def end_on_endpoint(self, entry: Entry, move: Move, outcome: Outcome) -> None:
        """A running request was answered or failed, as its endpoint said."""
        self.ledger.move(entry, move)
        if entry.dispatched_s is not None:
            waited_s = entry.dispatched_s - entry.arrived_s
            outcome = replace(outcome, queue_s=waited_s, running=entry.beside)
        self.outcomes.append(outcome)
        self._finish(outcome, _END_CODE[move, entry.aborting])

    def end(self, entry: Entry, move: Move, reason: str, code: str) -> None:
        """A request ends without having run."""
        self.ledger.move(entry, move)
        self._finish(Outcome(entry.request.id, "", _DISPOSITION[move], reason), code)

    def fail(self, entry: Entry, policy: str, error: Exception) -> None:
        """A policy raised; what it said goes to the hook, since it may hold a prompt."""
        self.hooks.policy_raised(policy, error)
        self.end(entry, Move.FAIL, f"policy {policy} raised {type(error).__name__}", "internal_error")

    def _finish(self, outcome: Outcome, code: str) -> None:
        self.commands.append(Finish(outcome, code))
        self.hooks.finished(outcome)
