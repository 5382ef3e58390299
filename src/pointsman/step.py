"""What one call of `Scheduler.step` gathers: commands, what changed, and how requests end in it."""

from __future__ import annotations

from collections.abc import Sequence
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
        arrived: entries that need predictions: this step's arrivals and those looked at again; some may have
            ended since.
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
        self._finish(entry, self._ran(entry, outcome), _END_CODE[move, entry.aborting])

    def sampled(self, entry: Entry, samples: Sequence[Outcome]) -> None:
        """Its run has brought further samples, good only for comparison.

        They are not learnt from: their endpoint knows the prompt already, so their times are not a first answer's.
        """
        for sample in samples:
            answered = sample.disposition is Disposition.ANSWERED
            run = replace(sample, disposition=Disposition.SAMPLED) if answered else sample
            entry.runs.append(replace(run, running=entry.beside))

    def hold(self, entry: Entry, outcome: Outcome, reason: str) -> None:
        """Its endpoint's answer is held while another endpoint is asked."""
        run = self._ran(entry, outcome)
        entry.runs.append(replace(run, disposition=Disposition.ESCALATED, reason=reason))

    def fall_back(self, entry: Entry, reason: str, failed: Outcome | None = None) -> None:
        """Nothing better comes (`failed` is the run that was to bring it): the held answer is given out."""
        self.ledger.move(entry, Move.ANSWER)
        held = entry.runs.pop()
        if failed is not None:
            entry.runs.append(self._ran(entry, failed))
        self._finish(entry, replace(held, disposition=Disposition.ANSWERED, reason=reason), "")

    def end(self, entry: Entry, move: Move, reason: str, code: str) -> None:
        """A request ends without having run."""
        self.ledger.move(entry, move)
        self._finish(entry, Outcome(entry.request.id, "", _DISPOSITION[move], reason), code)

    def fail(self, entry: Entry, policy: str, error: Exception) -> None:
        """A policy raised; what it said goes to the hook, since it may hold a prompt."""
        self.hooks.policy_raised(policy, error)
        reason = f"policy {policy} raised {type(error).__name__}"
        if entry.runs:
            self.fall_back(entry, reason)
        else:
            self.end(entry, Move.FAIL, reason, "internal_error")

    def _ran(self, entry: Entry, outcome: Outcome) -> Outcome:
        """The outcome of a run, with what the loop knows of it; the learner gets it."""
        if entry.dispatched_s is not None:
            waited_s = entry.dispatched_s - entry.waits_from_s
            outcome = replace(outcome, queue_s=waited_s, running=entry.beside)
        self.outcomes.append(outcome)
        return outcome

    def _finish(self, entry: Entry, outcome: Outcome, code: str) -> None:
        for run in entry.runs:
            self.hooks.unused(run)
        self.commands.append(Finish(outcome, code, tuple(entry.runs)))
        self.hooks.finished(outcome)
