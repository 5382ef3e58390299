"""Requests that wait outside every queue, until a timer wakes them.

    left waiting   by an assignment that had no place for it: decided again after `retry_s`
    put off        by an admission, until a time that it named: predicted anew, in the class `batch`

A request that is put off keeps its caller's connection open, so that their number is limited.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf

from pointsman.decide import Decided
from pointsman.events import Deferred, Wake
from pointsman.lifecycle import Entry, Ledger, Move
from pointsman.step import Step
from pointsman.types import UNASSIGNED, Admission, Admit


class Deferrals:
    """Makes requests wait.

    Args:
        ledger: knows which are put off.
        retry_s: how long one waits that was left waiting.
        max_put_off: most requests that are put off at once.
    """

    def __init__(self, ledger: Ledger, retry_s: float, max_put_off: int) -> None:
        self._ledger, self._retry_s, self._max_put_off = ledger, retry_s, max_put_off

    def checked(self, entry: Entry, decided: Decided, now: float) -> Decided:
        """The decision; a refusal in its place where it would put off one more than may be."""
        admit, _, decision = decided
        put_off = self._ledger.put_off
        if not _puts_off(admit, now) or entry.request.id in put_off or len(put_off) < self._max_put_off:
            return decided
        said = (
            f"{len(put_off)} requests are put off already, the limit: send it again later, "
            "or raise admission.defer.max_waiting"
        )
        refusal = Admit(Admission.REFUSE, said, valuation=admit.valuation)
        return Decided(refusal, UNASSIGNED, replace(decision, action=refusal.action, reason=said))

    def wait(self, entry: Entry, admit: Admit, step: Step) -> None:
        """The request waits for its timer."""
        until_s = admit.until_s
        if until_s is not None and _puts_off(admit, step.now):
            self._ledger.put_off_at(entry, step.now)
        else:
            until_s = step.now + self._retry_s
        self._ledger.move(entry, Move.DEFER)
        step.commands.append(Wake(until_s, Deferred(entry.request.id)))


def _puts_off(admit: Admit, now: float) -> bool:
    """Whether an admission named a time to come; an assignment that left it waiting names none."""
    return admit.action is Admission.DEFER and admit.until_s is not None and now < admit.until_s < inf
