"""The requests inside an engine in our order, from what is seen of them before each step.

Of each it keeps since when it waits, runs or decodes, and, while it waits, its rank until that changes. Only slots are
its business; memory and tokens stay the engine's, which lets in who is first and preempts who is last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import Final, Generic, Protocol, TypeVar

from pointsman.order.iteration import Claim, EngineBudget, EngineSequence, IterationOrder, Rank, plan_ranked

_KEEPS_ITS_SLOT: Final = -inf
"""The level of one that runs and has been preempted often enough: before all others."""


class Queued(Protocol):
    """A request, as an engine knows it."""

    @property
    def request_id(self) -> str:
        """Unique among those alive."""
        ...


R = TypeVar("R", bound=Queued)


@dataclass(frozen=True, slots=True)
class Seen:
    """What is read of a request before a step: see `EngineSequence`; and how often it was preempted."""

    arrived_s: float
    predicted_tokens: float | None
    served_tokens: int
    prefill_tokens: int
    preemptions: int


@dataclass(frozen=True, slots=True)
class Places(Generic[R]):
    """Requests by rank, the first to run or to be let in first; who gives up its slot is in neither of the others."""

    running: list[R]
    waiting: list[R]
    preempt: list[R]


class _Phase(Enum):
    WAITS = "waits"
    RUNS = "runs"
    DECODES = "decodes"


@dataclass(slots=True)
class _Member:
    number: int
    phase: _Phase
    since_step: int
    waited_steps: int = 0
    rank: Rank = (0.0, 0.0, 0)
    until_step: float = -inf
    prefill_tokens: int = 0


class Line(Generic[R]):
    """The order of one engine's requests.

    Args:
        order: their rank.
        slots, step_tokens: what the engine has for a step.
        most_preemptions: of one request, for the sake of others.
        see: reads a request.
    """

    def __init__(
        self,
        order: IterationOrder,
        slots: int,
        step_tokens: int,
        most_preemptions: int,
        see: Callable[[R], Seen],
    ) -> None:
        self._order, self._slots, self._step_tokens = order, slots, step_tokens
        self._most_preemptions, self._see = most_preemptions, see
        self._members: dict[str, _Member] = {}
        self._step = self._numbers = 0

    def place(self, running: Sequence[R], waiting: Sequence[R]) -> Places[R]:
        """The order for the next step; `waiting` in order of arrival, as far as they are new.

        Cost: O(n log n) for the n that wait, of which only those whose rank changes are read.
        """
        self._step += 1
        ranked = sorted([(self._running(one), one) for one in running], key=lambda pair: pair[0].rank)
        queue = sorted([(self._waiting(one), one) for one in waiting], key=lambda pair: pair[0].rank)
        alive = len(ranked) + len(queue)
        if len(self._members) > 2 * alive:  # those that ended
            self._members = {one.request_id: member for member, one in (*ranked, *queue)}
        lost = self._preempted([one for one, _ in ranked], [one for one, _ in queue])
        preempt = [(member, one) for member, one in ranked if member.number in lost]
        for member, _ in preempt:
            self._begins_to_wait(member)
        return Places(
            [one for member, one in ranked if member.number not in lost],
            [one for _, one in queue],
            [one for _, one in preempt],
        )

    def _running(self, request: R) -> _Member:
        seen = self._see(request)
        phase = _Phase.RUNS if seen.prefill_tokens else _Phase.DECODES
        member = self._member(request, phase)
        if member.phase is not phase:
            if member.phase is _Phase.WAITS:
                member.waited_steps = self._step - member.since_step
            member.phase, member.since_step = phase, self._step
        self._rank(member, seen)
        if seen.preemptions >= self._most_preemptions:
            member.rank = (_KEEPS_ITS_SLOT, 0.0, member.number)
        return member

    def _waiting(self, request: R) -> _Member:
        member = self._member(request, _Phase.WAITS)
        if member.phase is not _Phase.WAITS:
            self._begins_to_wait(member)
        if self._step >= member.until_step:
            self._rank(member, self._see(request))
        return member

    def _begins_to_wait(self, member: _Member) -> None:
        member.phase, member.since_step, member.waited_steps = _Phase.WAITS, self._step, 0
        member.until_step = -inf

    def _member(self, request: R, phase: _Phase) -> _Member:
        member = self._members.get(request.request_id)
        if member is None:
            member = self._members[request.request_id] = _Member(self._numbers, phase, self._step)
            self._numbers += 1
        return member

    def _rank(self, member: _Member, seen: Seen) -> None:
        sequence = EngineSequence(
            member.number,
            seen.arrived_s,
            seen.predicted_tokens,
            seen.served_tokens,
            seen.prefill_tokens,
            blocks_held=0,
            blocks_needed=0,
            running=member.phase is not _Phase.WAITS,
            since_step=member.since_step,
            waited_steps=member.waited_steps,
        )
        level, key, member.until_step = self._order.rank(sequence, self._step)
        member.rank, member.prefill_tokens = (level, key, member.number), seen.prefill_tokens

    def _preempted(self, running: Sequence[_Member], waiting: Sequence[_Member]) -> set[int]:
        """Numbers of those that lose their slot to one that waits."""
        full = len(running) >= self._slots
        if not (self._order.preempts and full and waiting and waiting[0].rank < running[-1].rank):
            return set()
        first = waiting[: self._slots]
        claims = [
            Claim(one.number, one.phase is not _Phase.WAITS, one.prefill_tokens, 0, 0)
            for one in sorted((*running, *first), key=lambda one: one.rank)
        ]
        budget = EngineBudget(self._slots, self._step_tokens, 0)
        return set(plan_ranked(claims, budget, preempts=True).preempt)
